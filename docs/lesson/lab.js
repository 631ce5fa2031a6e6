// One experiment of the lesson: maps of one or more networks, and the controls that its step is about.

import { colour, canvas, make, percent } from "./drawing.js";
import { SIDE, tinted } from "./data.js";
import { FARTHEST, Histogram } from "./histogram.js";
import { PointMap } from "./map.js";

const SECONDS = 7; // a training, played
const NAMES = { contrastive: "Contrastive", triplet: "Triplet", softmax: "Softmax" };
const still = matchMedia("(prefers-reduced-motion: reduce)");
let labs = 0;

export class Lab {
  /**
   * @param {HTMLElement} root an empty element
   * @param {Recording} recording what was recorded
   * @param {object} wants which losses (several side by side with `beside`, else to choose from), `from` the start or
   *   the end of the training, and which of play, threshold, margin, hard, newcomers there are
   */
  constructor(root, recording, wants) {
    this.number = labs++;
    this.root = root;
    this.recording = recording;
    this.wants = wants;
    this.digits = wants.newcomers ? 8 : 10;
    this.margin = 0.5;
    this.loss = wants.losses[0];
    this.time = wants.from === "start" ? 0 : recording.last;
    this.selection = wants.selection ?? [];
    this.newcomers = false;
    this.playing = null;
    this.views = (wants.beside ? wants.losses : [null]).map((loss) => this.view(loss));
    this.resetThreshold();
    this.status = make("p", { class: "unseen", role: "status" });
    this.controls = this.makeControls();
    const maps = make("div", { class: wants.beside ? "maps beside" : "maps" }, ...this.views.map((view) => view.root));
    root.append(maps, make("div", { class: "panel" }, ...this.controls), this.status);
    root.classList.toggle("wide", Boolean(wants.beside));
    this.update();
  }

  /** A map with its figures; the loss is its own, or null for the one that is chosen. */
  view(loss) {
    const view = { loss, threshold: 0 };
    const title = loss ? `Map, ${NAMES[loss]}` : "Map of test images";
    view.map = new PointMap(this.recording, title, (image) => this.choose(image), (image) => this.say(this.told(view, image)));
    view.rates = make("dl", { class: "rates" });
    view.root = make("figure", {}, ...(loss ? [make("figcaption", {}, NAMES[loss])] : []), view.map.element, view.rates);
    return view;
  }

  makeControls() {
    const { wants } = this;
    const made = [];
    if (!wants.beside && wants.losses.length > 1) made.push(this.makeLosses());
    if (wants.play) made.push(...this.makePlay());
    if (wants.margin) made.push(this.makeMargin());
    if (wants.newcomers) made.push(this.makeNewcomers());
    if (wants.threshold) made.push(...this.makeThreshold());
    if (!wants.beside) {
      this.pair = make("div", { class: "pair" });
      made.push(this.pair);
    }
    if (wants.hard) {
      this.hard = make("div", { class: "hard" });
      made.push(this.hard);
    }
    return made;
  }

  makeLosses() {
    const choices = this.wants.losses.map((loss) =>
      make("label", {},
        make("input", { type: "radio", name: `loss-${this.number}`, value: loss, checked: loss === this.loss, change: () => {
          this.loss = loss;
          this.resetThreshold();
          this.update();
          this.settle();
        } }),
        NAMES[loss],
      ));
    return make("fieldset", { class: "losses" }, make("legend", {}, "Loss"), ...choices);
  }

  makePlay() {
    this.button = make("button", { type: "button", class: "play", click: () => (this.playing ? this.pause() : this.play()) }, "Play");
    this.scrub = this.slider("Training", { max: this.recording.last, step: "any", value: this.time }, (value) => {
      this.pause();
      this.time = value;
    });
    return [make("div", { class: "player" }, this.button, this.scrub.root)];
  }

  makeMargin() {
    const margins = this.recording.margins("contrastive");
    this.margins = this.slider("Margin", { max: margins.length - 1, step: 1, value: margins.indexOf(this.margin) }, (value) => {
      this.margin = margins[value];
      this.resetThreshold();
    });
    return this.margins.root;
  }

  makeThreshold() {
    this.thresholds = this.slider("Threshold", { max: FARTHEST, step: 0.01, value: 0 }, (value) => {
      this.views[0].threshold = value;
    });
    this.histogram = new Histogram(this.recording);
    const reset = make("button", { type: "button", class: "reset", click: () => {
      this.resetThreshold();
      this.update();
      this.settle();
    } }, this.wants.newcomers ? "As the known digits say" : "As training images say");
    return [this.histogram.element, this.thresholds.root, reset];
  }

  makeNewcomers() {
    return make("label", { class: "newcomers" },
      make("input", { type: "checkbox", change: (event) => {
        this.newcomers = event.target.checked;
        this.selection = this.selection.filter((image) => !this.hidden(image));
        this.update();
        this.settle();
      } }),
      "Throw in 8 and 9");
  }

  /** A slider with its name and its value in words. */
  slider(name, attributes, moved) {
    const value = make("span", { class: "value" });
    const input = make("input", { type: "range", min: 0, ...attributes, "aria-label": name, input: () => {
      moved(Number(input.value));
      this.update();
      this.settle();
    } });
    const tell = (number, words) => {
      input.value = number;
      input.setAttribute("aria-valuetext", words);
      value.textContent = words;
    };
    return { input, tell, root: make("div", { class: `slider ${name.toLowerCase()}` }, make("span", {}, name), input, value) };
  }

  network(view) {
    return this.recording.find(view.loss ?? this.loss, this.margin, this.digits);
  }

  resetThreshold() {
    for (const view of this.views) view.threshold = this.recording.about.networks[this.network(view)].threshold;
  }

  hidden(image) {
    return this.digits === 8 && !this.newcomers && this.recording.labels[image] >= 8;
  }

  play() {
    if (this.time >= this.recording.last) this.time = 0;
    if (still.matches) {
      this.time = this.recording.last;
      this.update();
      this.settle();
      return;
    }
    let before = null;
    const frame = (now) => {
      if (before !== null) this.time = Math.min(this.recording.last, this.time + ((now - before) / 1000) * (this.recording.last / SECONDS));
      before = now;
      this.update();
      if (this.time < this.recording.last) this.playing = requestAnimationFrame(frame);
      else {
        this.pause();
        this.settle();
      }
    };
    this.playing = requestAnimationFrame(frame);
    this.button.textContent = "Pause";
  }

  pause() {
    if (this.playing) cancelAnimationFrame(this.playing);
    this.playing = null;
    this.button.textContent = "Play";
  }

  choose(image) {
    this.selection = this.selection.length === 1 && this.selection[0] !== image ? [...this.selection, image] : [image];
    this.update();
    const pair = this.views.map((view) => `${view.loss ? `${NAMES[view.loss]}: ` : ""}${this.verdict(view)}`).join(" ");
    this.say(this.selection.length === 2 ? pair : `Chosen: a ${this.recording.labels[image]}. Choose another one.`);
  }

  /** All that is seen, for the present state. */
  update() {
    for (const view of this.views) {
      view.points = this.recording.points(this.network(view), this.time);
      view.distances = this.recording.distances(view.points);
      view.map.show(view.points, this.selection, (image) => this.hidden(image));
      this.showRates(view);
    }
    const [view] = this.views;
    const updates = `${this.recording.updates(this.network(view), this.time)} updates`;
    this.scrub?.tell(this.time, updates);
    this.margins?.tell(this.margins.input.value, String(this.margin));
    this.thresholds?.tell(view.threshold, view.threshold.toFixed(2));
    this.histogram?.show(view.distances, view.threshold, (left, right) => !this.hidden(left) && !this.hidden(right));
    if (this.pair) this.showPair(view);
    if (this.hard) this.showHard(view);
  }

  showRates(view) {
    const rows = this.wants.threshold || this.wants.beside ? this.errorRates(view) : this.means(view);
    if (!view.cells) {
      view.cells = rows.map(([name]) => [make("dt", {}, name), make("dd")]);
      view.rates.append(...view.cells.map((cells) => make("div", {}, ...cells)));
    }
    rows.forEach(([, value, key], row) => {
      view.cells[row][1].textContent = value;
      view.cells[row][1].className = key;
    });
  }

  errorRates(view) {
    const isNew = (left, right) => this.recording.labels[left] >= 8 || this.recording.labels[right] >= 8;
    const known = this.recording.rates(view.distances, view.threshold, (left, right) => this.digits === 10 || !isNew(left, right));
    const of = this.digits === 8 ? ", known digits" : "";
    const rows = [
      [`False matches${of}`, percent(known.falseMatch), "fmr"],
      [`False non-matches${of}`, percent(known.falseNonMatch), "fnmr"],
    ];
    if (this.digits === 10) return rows;
    const found = this.newcomers && this.recording.rates(view.distances, view.threshold, isNew);
    return [
      ...rows,
      ["False matches with 8 or 9", found ? percent(found.falseMatch) : "-", "fmr-new"],
      ["False non-matches with 8 or 9", found ? percent(found.falseNonMatch) : "-", "fnmr-new"],
    ];
  }

  means(view) {
    const sums = [0, 0];
    const counts = [0, 0];
    for (let pair = 0; pair < view.distances.length; pair++) {
      sums[this.recording.same[pair]] += view.distances[pair];
      counts[this.recording.same[pair]]++;
    }
    const mean = (same) => (sums[same] / counts[same]).toFixed(2);
    return [["One digit, mean distance", mean(1), "near"], ["Two digits, mean distance", mean(0), "far"]];
  }

  showPair(view) {
    if (this.pairOf !== String(this.selection)) {
      this.pairOf = String(this.selection);
      this.pairText = make("p");
      const both = this.selection.length === 2 ? this.selection : [];
      this.pair.replaceChildren(...both.map((image) => thumbnail(this.recording, image)), this.pairText);
    }
    this.pairText.textContent = this.verdict(view);
  }

  /** What the network says of the chosen pair. */
  verdict(view) {
    if (this.selection.length < 2) return this.selection.length ? "And another image of the map." : "Choose two images of the map.";
    const [left, right] = this.selection;
    const [one, other] = this.selection.map((image) => this.recording.labels[image]);
    const distance = Math.hypot(view.points[2 * left] - view.points[2 * right], view.points[2 * left + 1] - view.points[2 * right + 1]);
    const near = distance <= view.threshold;
    const wrong = near ? "wrong, a false match" : "wrong, a false non-match";
    return `${one} and ${other}: distance ${distance.toFixed(2)}, ${near ? "same" : "different"} (${near === (one === other) ? "right" : wrong}).`;
  }

  showHard(view) {
    if (this.hard.childElementCount && this.hardOf === this.network(view)) return this.markHard();
    this.hardOf = this.network(view);
    const pairs = this.recording.hardest(view.distances, 4);
    const cards = pairs.map(({ left, right, distance }) => {
      const said = `${this.recording.labels[left]} and ${this.recording.labels[right]}, distance ${distance.toFixed(2)}`;
      const card = make("button", { type: "button", class: "card", "aria-label": said, click: () => {
        this.selection = [left, right];
        this.update();
        this.say(this.verdict(view));
      } }, thumbnail(this.recording, left), thumbnail(this.recording, right), make("span", {}, distance.toFixed(2)));
      card.pair = [left, right];
      return card;
    });
    const group = (title, some) => make("div", { role: "group", "aria-label": title }, make("p", {}, title), make("div", { class: "cards" }, ...some));
    this.hard.replaceChildren(group("Two digits, nearest", cards.slice(0, 4)), group("One digit, farthest apart", cards.slice(4)));
    this.markHard();
  }

  markHard() {
    for (const card of this.hard.querySelectorAll(".card")) {
      card.setAttribute("aria-pressed", card.pair.every((image, side) => image === this.selection[side]));
    }
  }

  told(view, image) {
    return `A ${this.recording.labels[image]} at ${view.points[2 * image].toFixed(2)}, ${view.points[2 * image + 1].toFixed(2)}`;
  }

  /** Tells a screen reader where things stand, once they stand. */
  settle() {
    if (this.playing) return;
    const rows = this.views.flatMap((view) =>
      view.cells.map(([name, value]) => `${view.loss ? `${NAMES[view.loss]}, ` : ""}${name.textContent}: ${value.textContent}`));
    this.say(rows.join(". "));
  }

  say(words) {
    this.status.textContent = words;
  }
}

/** An image by itself, in the colour of ink. */
export function thumbnail(recording, image) {
  return canvas({ class: "thumbnail", role: "img", "aria-label": `a ${recording.labels[image]}` }, (context, width, height) => {
    context.drawImage(tinted(recording.images[image], colour("ink")), 0, 0, SIDE, SIDE, 0, 0, width, height);
  }).element;
}
