// The map of training images, each drawn as its class, with the two drawings on it.

const SIZE = 640;
const MARGIN = 28;
const MARKS = { left: "L", right: "R" };

export class EmbeddingMap {
  constructor(canvas, classes) {
    this.canvas = canvas;
    this.classes = classes;
    this.points = [];
    this.labels = [];
    this.places = { left: null, right: null };
    canvas.width = canvas.height = SIZE;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["style"] });
  }

  fill({ points, labels }) {
    this.points = points;
    this.labels = labels;
    this.draw();
  }

  mark(side, place) {
    this.places[side] = place;
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    const dark = isDark(style.backgroundColor);
    context.clearRect(0, 0, SIZE, SIZE);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = "600 17px system-ui, sans-serif";
    this.points.forEach((point, row) => {
      const label = this.labels[row];
      context.fillStyle = `hsl(${(360 * label) / this.classes.length} 65% ${dark ? 70 : 35}%)`;
      context.fillText(this.classes[label].slice(0, 2), ...spot(point));
    });
    for (const [side, place] of Object.entries(this.places)) {
      if (!place) continue;
      const [x, y] = spot(place);
      context.beginPath();
      context.arc(x, y, 17, 0, 2 * Math.PI);
      context.fillStyle = style.color;
      context.fill();
      context.lineWidth = 4;
      context.strokeStyle = style.backgroundColor;
      context.stroke();
      context.fillStyle = style.backgroundColor;
      context.font = "700 19px system-ui, sans-serif";
      context.fillText(MARKS[side], x, y + 1);
    }
    const said = Object.entries(this.places).filter(([, place]) => place).map(([side, place]) => `the ${side} drawing lies among images of ${this.around(place)}`);
    this.canvas.setAttribute("aria-label", `Map of training images${said.length ? `: ${said.join(", ")}` : ""}`);
  }

  /** The class of the nearest point. */
  around([x, y]) {
    let [best, least] = [0, Infinity];
    this.points.forEach(([across, down], row) => {
      const far = (across - x) ** 2 + (down - y) ** 2;
      if (far < least) [best, least] = [row, far];
    });
    return this.classes[this.labels[best]];
  }
}

function isDark(colour) {
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  return red + green + blue < 384;
}

function spot([x, y]) {
  const span = SIZE - 2 * MARGIN;
  return [MARGIN + span * x, MARGIN + span * y];
}
