// A field to draw on, with pointer or keys. What is drawn is light on dark.

export const SIDE = 280; // as in drawings.py
const PEN = 22; // about as wide, against the digit, as the strokes of MNIST
const STEP = 10;
const SMALL_STEP = 2;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  /**
   * @param {HTMLElement} root a section with canvas, pen, state and a button to clear
   * @param {{changed: () => void, key: (key: string) => boolean}} told of changes, and of keys that are not the pad's
   */
  constructor(root, told) {
    this.canvas = root.querySelector("canvas");
    this.marker = root.querySelector(".pen");
    this.state = root.querySelector(".state");
    this.button = root.querySelector(".clear");
    this.told = told;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.pointer = null;
    this.down = false;
    this.at = [SIDE / 2, SIDE / 2];
    this.blank();
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(name, (event) => this.release(event));
    }
    this.canvas.addEventListener("keydown", (event) => this.type(event));
    this.canvas.addEventListener("blur", () => this.lift(""));
    this.button.addEventListener("click", () => {
      this.clear();
      this.canvas.focus({ preventScroll: true }); // a disabled button would lose the focus
    });
    this.mark();
  }

  get drawing() {
    return this.pointer !== null;
  }

  /** Grey pixels, SIDE x SIDE, or null if nothing is drawn. */
  pixels() {
    if (this.empty) return null;
    const { data } = this.context.getImageData(0, 0, SIDE, SIDE);
    return Uint8Array.from({ length: SIDE * SIDE }, (_, pixel) => data[4 * pixel]);
  }

  clear() {
    this.lift("");
    this.blank();
    this.told.changed();
  }

  /** Puts an image over the whole field. */
  place(image) {
    this.lift("");
    this.blank();
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(greyCanvas(image), 0, 0, SIDE, SIDE);
    this.inked();
  }

  blank() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, SIDE, SIDE);
    this.empty = true;
    this.button.disabled = true;
  }

  inked() {
    this.empty = false;
    this.button.disabled = false;
    this.told.changed();
  }

  line(from, to) {
    const { context } = this;
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    // A line without length leaves no mark in some browsers.
    context.beginPath();
    context.arc(...to, PEN / 2, 0, 2 * Math.PI);
    context.fill();
    this.inked();
  }

  press(event) {
    if (this.drawing || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.at = this.spot(event);
    this.mark();
    this.line(this.at, this.at);
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const to = this.spot(each);
      this.line(this.at, to);
      this.at = to;
    }
    this.mark();
  }

  release(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.told.changed();
  }

  type(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !this.handle(event)) return;
    event.preventDefault();
  }

  handle(event) {
    const { key } = event;
    if (key in ARROWS) {
      const step = event.shiftKey ? SMALL_STEP : STEP;
      const to = this.at.map((value, axis) => Math.min(SIDE, Math.max(0, value + step * ARROWS[key][axis])));
      if (this.down) this.line(this.at, to);
      this.at = to;
    } else if (key === " ") {
      if (event.repeat) return true;
      this.down = !this.down;
      this.state.textContent = this.down ? "Pen down" : "Pen up";
      if (this.down) this.line(this.at, this.at);
    } else if (key === "Delete" || key === "Backspace") {
      this.clear();
    } else {
      return this.told.key(key);
    }
    this.mark();
    return true;
  }

  lift(said) {
    this.down = false;
    this.state.textContent = said;
    this.mark();
  }

  mark() {
    this.marker.style.left = `${(100 * this.at[0]) / SIDE}%`;
    this.marker.style.top = `${(100 * this.at[1]) / SIDE}%`;
    this.marker.classList.toggle("down", this.down);
  }

  spot(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }
}

/** Paints a grey image {height, width, pixels} onto a canvas, which takes its size; null blanks it. */
export function paint(canvas, image) {
  if (!image) {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d");
  const rgba = context.createImageData(image.width, image.height);
  image.pixels.forEach((grey, pixel) => rgba.data.set([grey, grey, grey, 255], 4 * pixel));
  context.putImageData(rgba, 0, 0);
}

function greyCanvas(image) {
  const canvas = document.createElement("canvas");
  paint(canvas, image);
  return canvas;
}
