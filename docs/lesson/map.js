// The map: every image at its point, to be pointed at, touched, or walked through with the arrow keys.

import { SIDE, tinted } from "./data.js";
import { canvas, colour, digitColours } from "./drawing.js";

const REACH = 28; // pixels from a finger to an image
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class PointMap {
  /**
   * @param {Recording} recording the images
   * @param {string} label what a screen reader calls the map
   * @param {(image: number) => void} chosen told which image was chosen
   * @param {(image: number) => void} looked told which image the keys came to
   */
  constructor(recording, label, chosen, looked) {
    this.recording = recording;
    this.points = null;
    this.selection = [];
    this.hidden = () => false;
    this.cursor = null;
    this.keys = false;
    const { element, redraw } = canvas(
      { class: "map", tabindex: 0, role: "application", "aria-label": `${label}. Arrow keys go from image to image, Enter chooses one.` },
      (context, width) => this.draw(context, width),
    );
    this.element = element;
    this.redraw = redraw;
    element.addEventListener("click", (event) => {
      const image = this.near(event);
      if (image !== null) chosen(image);
    });
    element.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") this.look(this.near(event), false);
    });
    element.addEventListener("pointerleave", () => this.look(null, false));
    element.addEventListener("blur", () => this.look(null, false));
    element.addEventListener("focus", () => {
      if (element.matches(":focus-visible")) this.look(this.cursor ?? this.selection[0] ?? this.first(), true);
    });
    element.addEventListener("keydown", (event) => {
      if (event.key in ARROWS) {
        this.look(this.step(...ARROWS[event.key]), true);
        looked(this.cursor);
      } else if ((event.key === "Enter" || event.key === " ") && this.cursor !== null) chosen(this.cursor);
      else return;
      event.preventDefault();
    });
  }

  /** The images in the colours of their digits, in the present scheme. */
  tint() {
    const colours = digitColours();
    if (String(colours) === this.tintedIn) return;
    this.tintedIn = String(colours);
    this.tints = this.recording.images.map((image, row) => tinted(image, colours[this.recording.labels[row]]));
  }

  show(points, selection, hidden) {
    Object.assign(this, { points, selection, hidden });
    this.redraw();
  }

  look(image, keys) {
    if (image === this.cursor && keys === this.keys) return;
    Object.assign(this, { cursor: image, keys });
    this.redraw();
  }

  first() {
    return this.recording.labels.findIndex((_, image) => !this.hidden(image));
  }

  place(image, width) {
    const room = width / 2 - 12;
    return [width / 2 + room * this.points[2 * image], width / 2 - room * this.points[2 * image + 1]];
  }

  near(event) {
    const { left, top, width } = this.element.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    let [best, least] = [null, REACH];
    for (let image = 0; image < this.recording.count; image++) {
      if (this.hidden(image)) continue;
      const [across, down] = this.place(image, width);
      const distance = Math.hypot(across - x, down - y);
      if (distance < least) [best, least] = [image, distance];
    }
    return best;
  }

  /** The next image in a direction: near, and not far aside. */
  step(across, up) {
    const from = this.cursor ?? this.selection[0] ?? this.first();
    let [best, least] = [from, Infinity];
    for (let image = 0; image < this.recording.count; image++) {
      if (image === from || this.hidden(image)) continue;
      const x = this.points[2 * image] - this.points[2 * from];
      const y = this.points[2 * image + 1] - this.points[2 * from + 1];
      const along = across * x + up * y;
      const aside = Math.abs(across * y - up * x);
      if (along > 0.004 && aside <= 1.5 * along && along + 2 * aside < least) [best, least] = [image, along + 2 * aside];
    }
    return best;
  }

  draw(context, width) {
    if (!this.points) return;
    this.tint();
    const size = Math.max(14, Math.min(24, width / 20));
    context.strokeStyle = colour("line");
    context.beginPath();
    context.arc(width / 2, width / 2, width / 2 - 12, 0, 2 * Math.PI);
    context.stroke();
    const chosen = new Set(this.selection);
    for (let image = 0; image < this.recording.count; image++) {
      if (!this.hidden(image) && !chosen.has(image)) this.stamp(context, image, size, width);
    }
    this.mark(context, size, width);
    if (this.cursor !== null && !this.hidden(this.cursor)) this.enlarge(context, this.cursor, size, width);
  }

  mark(context, size, width) {
    const shown = this.selection.filter((image) => !this.hidden(image));
    const places = shown.map((image) => this.place(image, width));
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    if (places.length === 2) {
      context.beginPath();
      context.moveTo(...places[0]);
      context.lineTo(...places[1]);
      context.stroke();
    }
    for (const [number, image] of shown.entries()) {
      context.fillStyle = colour("ground");
      context.beginPath();
      context.arc(...places[number], 0.72 * size, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      this.stamp(context, image, size, width);
    }
    context.lineWidth = 1;
  }

  enlarge(context, image, size, width) {
    const [x, y] = this.place(image, width);
    context.fillStyle = colour("ground");
    context.strokeStyle = colour("ink");
    context.lineWidth = this.keys ? 3 : 1;
    context.fillRect(x - size, y - size, 2 * size, 2 * size);
    context.strokeRect(x - size, y - size, 2 * size, 2 * size);
    context.lineWidth = 1;
    context.drawImage(this.tints[image], 0, 0, SIDE, SIDE, x - size, y - size, 2 * size, 2 * size);
  }

  stamp(context, image, size, width) {
    const [x, y] = this.place(image, width);
    context.drawImage(this.tints[image], x - size / 2, y - size / 2, size, size);
  }
}
