// Between two images: shapes halfway, by the distance of every place to the edge of the ink.

import { number, percent } from "./decision.js";
import { paint } from "./pad.js";

const STEPS = 24;
const FINE = 4; // places a pixel, each way
const FRAME_MS = 90;
const find = (id) => document.getElementById(id);

/** Images from one to the other, both with them. All are {height, width, pixels}. */
export function between(left, right, steps = STEPS) {
  const [one, other] = [left, right].map(field);
  const area = (distances) => distances.reduce((sum, distance) => sum + (distance > 0), 0);
  const [from, to] = [one, other].map(area);
  const frames = Array.from({ length: steps + 1 }, (_, step) => {
    const share = step / steps;
    const mixed = one.map((distance, place) => (1 - share) * distance + share * other[place]);
    // Strokes that do not overlap would vanish halfway; the level that leaves the right amount of ink keeps them.
    const sorted = Float32Array.from(mixed).sort();
    const level = sorted[Math.max(0, sorted.length - Math.round((1 - share) * from + share * to))];
    return shape(mixed, level, left.height, left.width);
  });
  // What shapes of ink alone lack, the greys of both images, comes and goes as well.
  const [first, last] = [frames[0], frames[steps]].map((frame) => frame.pixels.slice());
  frames.forEach(({ pixels }, step) => {
    const share = step / steps;
    pixels.forEach((grey, place) => {
      const lack = (1 - share) * (left.pixels[place] - first[place]) + share * (right.pixels[place] - last[place]);
      pixels[place] = Math.min(255, Math.max(0, Math.round(grey + lack)));
    });
  });
  return frames;
}

/** Distance of every fine place to the edge of the ink, in fine places, positive within it. */
function field({ height, width, pixels }) {
  const [high, wide] = [height * FINE, width * FINE];
  const ink = new Uint8Array(high * wide);
  const strong = pixels.reduce((most, grey) => Math.max(most, grey), 0) / 2;
  const at = (row, column) => pixels[Math.min(height - 1, Math.max(0, row)) * width + Math.min(width - 1, Math.max(0, column))];
  for (let row = 0; row < high; row += 1) {
    const y = (row + 0.5) / FINE - 0.5;
    const top = Math.floor(y);
    for (let column = 0; column < wide; column += 1) {
      const x = (column + 0.5) / FINE - 0.5;
      const first = Math.floor(x);
      const [down, across] = [y - top, x - first];
      const grey =
        (1 - down) * ((1 - across) * at(top, first) + across * at(top, first + 1)) +
        down * ((1 - across) * at(top + 1, first) + across * at(top + 1, first + 1));
      ink[row * wide + column] = Number(grey >= strong);
    }
  }
  const outside = distances(ink, high, wide, 1);
  const inside = distances(ink, high, wide, 0);
  return outside.map((square, place) => Math.sqrt(inside[place]) - Math.sqrt(square));
}

/** Squared distance of every place to the nearest one of a kind (Felzenszwalb and Huttenlocher 2012). */
function distances(ink, high, wide, kind) {
  const far = (high + wide) ** 2;
  const found = Float64Array.from(ink, (value) => (value === kind ? 0 : far));
  const line = new Float64Array(Math.max(high, wide));
  for (let column = 0; column < wide; column += 1) {
    for (let row = 0; row < high; row += 1) line[row] = found[row * wide + column];
    lower(line, high).forEach((value, row) => { found[row * wide + column] = value; });
  }
  for (let row = 0; row < high; row += 1) {
    line.set(found.subarray(row * wide, (row + 1) * wide));
    found.set(lower(line, wide), row * wide);
  }
  return found;
}

/** Lower envelope of the parabolas that stand on a line's values. */
function lower(values, count) {
  const roots = [0];
  const starts = [-Infinity];
  const meet = (one, other) => (values[other] + other ** 2 - values[one] - one ** 2) / (2 * (other - one));
  for (let place = 1; place < count; place += 1) {
    while (meet(roots.at(-1), place) <= starts.at(-1)) {
      roots.pop();
      starts.pop();
    }
    starts.push(meet(roots.at(-1), place));
    roots.push(place);
  }
  let part = 0;
  return Float64Array.from({ length: count }, (_, place) => {
    while (part + 1 < roots.length && starts[part + 1] < place) part += 1;
    return (place - roots[part]) ** 2 + values[roots[part]];
  });
}

function shape(distances, level, height, width) {
  const pixels = new Uint8Array(height * width);
  for (let pixel = 0; pixel < pixels.length; pixel += 1) {
    const [top, first] = [Math.floor(pixel / width) * FINE, (pixel % width) * FINE];
    let covered = 0;
    for (let row = top; row < top + FINE; row += 1) {
      for (let column = first; column < first + FINE; column += 1) {
        covered += Math.min(1, Math.max(0, distances[row * width * FINE + column] - level + 0.5));
      }
    }
    pixels[pixel] = Math.round((255 * covered) / FINE ** 2);
  }
  return { height, width, pixels };
}

/** The section with the slider from one drawing to the other, and the curve of the probability. */
export class Morph {
  constructor(engine, decision) {
    this.engine = engine;
    this.decision = decision;
    this.frames = [];
    this.scores = [];
    this.timer = null;
    this.slider = find("step");
    this.slider.max = STEPS;
    this.slider.addEventListener("input", () => {
      this.stop();
      this.show();
    });
    find("play").addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    this.show();
  }

  /** Follows two images as the model sees them, or none. */
  async follow(left, right) {
    if (!left || !right) {
      this.frames = this.scores = [];
    } else {
      const frames = between(left, right);
      this.scores = await this.engine.scores(left, frames);
      this.frames = frames;
    }
    this.show();
  }

  play() {
    if (Number(this.slider.value) === STEPS) this.slider.value = 0;
    find("play").textContent = "Stop";
    this.timer = setInterval(() => {
      this.slider.value = Number(this.slider.value) + 1;
      this.show();
      if (Number(this.slider.value) === STEPS) this.stop();
    }, FRAME_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    find("play").textContent = "Play";
  }

  show() {
    const known = this.scores.length > 0;
    if (!known) this.stop();
    this.slider.disabled = find("play").disabled = !known;
    const step = Number(this.slider.value);
    paint(find("shape"), known ? this.frames[step] : null);
    find("curve").replaceChildren();
    if (!known) {
      find("morph-text").textContent = "It needs a drawing on each side.";
      return;
    }
    const heights = this.scores.map((score) => this.decision.probability(score));
    const text = `${percent(step / STEPS)} of the way: ${this.decision.judge(this.scores[step])}, probability of same ${percent(heights[step])}, score ${number(this.scores[step])}`;
    find("morph-text").textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    this.plot(heights, step);
  }

  plot(heights, step) {
    const at = (row) => [(300 * row) / STEPS, 100 * (1 - heights[row])];
    const add = (name, values) => {
      const element = document.createElementNS(find("curve").namespaceURI, name);
      for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
      find("curve").append(element);
    };
    add("line", { class: "half", x1: 0, x2: 300, y1: 50, y2: 50 });
    add("polyline", { class: "line", points: heights.map((_, row) => at(row).join(",")).join(" ") });
    const [x] = at(step);
    add("line", { class: "here", x1: x, x2: x, y1: 0, y2: 100 });
  }
}
