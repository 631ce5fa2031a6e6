// Symbols of one's own: drawn twice, named, and recognised from then on, or "unknown".

import { number } from "./decision.js";
import { Pad, paint } from "./pad.js";

const NEEDED = 2; // examples of a name
const find = (id) => document.getElementById(id);

export class Enrolment {
  constructor(engine, { classes, enough }) {
    this.engine = engine;
    this.classes = classes;
    this.enough = enough;
    this.symbols = new Map(); // name to examples, each with image and direction
    this.due = false;
    this.running = false;
    this.found = null; // of the drawing, as the engine sees it
    find("enrol").hidden = enough === null;
    this.pad = new Pad(find("mine"), { changed: () => this.changed(), key: () => false });
    find("name").addEventListener("input", () => this.show());
    find("keep").addEventListener("submit", (event) => {
      event.preventDefault();
      this.keep();
    });
    this.show();
  }

  changed() {
    this.due = true;
    find("enrol").setAttribute("aria-busy", "true");
    if (!this.running) this.work();
  }

  async work() {
    this.running = true;
    try {
      while (this.due) {
        this.due = false;
        const drawing = this.pad.pixels();
        this.found = drawing && (await this.engine.look(drawing));
      }
      find("enrol-trouble").textContent = "";
    } catch (error) {
      this.found = null;
      find("enrol-trouble").textContent = error.message;
    } finally {
      this.running = false;
      this.show();
      find("enrol").setAttribute("aria-busy", "false");
    }
  }

  keep() {
    const name = find("name").value.trim();
    if (!name || !this.found?.look) return;
    const examples = this.symbols.get(name) ?? [];
    examples.push({ image: this.found.image, direction: this.found.look.direction });
    this.symbols.set(name, examples);
    this.pad.clear();
    this.pad.canvas.focus({ preventScroll: true });
    this.list();
  }

  /** Names with enough examples, with the cosine of the nearest one to the drawing, the nearest first. */
  ranked({ direction }) {
    return [...this.symbols]
      .filter(([, examples]) => examples.length >= NEEDED)
      .map(([name, examples]) => ({ name, closeness: Math.max(...examples.map((each) => dot(each.direction, direction))) }))
      .sort((one, other) => other.closeness - one.closeness);
  }

  show() {
    const look = this.found?.look;
    const name = find("name").value.trim();
    find("keep-button").disabled = !look || !name;
    const known = [...this.symbols.values()].some((examples) => examples.length >= NEEDED);
    const started = [...this.symbols].find(([, examples]) => examples.length < NEEDED);
    let [who, how] = ["", "Draw a symbol that is no digit, name it and keep it; then once more."];
    if (started) how = `Draw ${started[0]} once more and keep it.`;
    else if (known) how = "Draw one of your symbols, or anything else.";
    if (look && known) {
      const [best] = this.ranked(look);
      const digit = this.classes[look.label];
      if (best.closeness >= Math.max(this.enough, look.familiar)) {
        who = best.name;
        how = `Cosine to the nearest example ${number(best.closeness)}, to the nearest training digit ${number(look.familiar)}.`;
      } else {
        who = "unknown";
        how = look.familiar > best.closeness
          ? `Nearest is a training image of ${digit}, cosine ${number(look.familiar)}; of your symbols ${best.name}, ${number(best.closeness)}.`
          : `Nearest is ${best.name}, cosine ${number(best.closeness)}, under the ${number(this.enough)} that it needs.`;
      }
    }
    find("who").textContent = who;
    find("how").textContent = how;
  }

  list() {
    const items = [...this.symbols].map(([name, examples]) => {
      const item = document.createElement("li");
      const pictures = examples.map(({ image }) => {
        const canvas = document.createElement("canvas");
        canvas.setAttribute("aria-hidden", "true");
        paint(canvas, image);
        return canvas;
      });
      const text = document.createElement("span");
      text.textContent = `${name}, ${examples.length} of ${Math.max(NEEDED, examples.length)}`;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Forget";
      button.setAttribute("aria-label", `Forget ${name}`);
      button.addEventListener("click", () => {
        this.symbols.delete(name);
        this.list();
        this.show();
        this.pad.canvas.focus({ preventScroll: true });
      });
      item.append(...pictures, text, button);
      return item;
    });
    find("symbols").replaceChildren(...items);
  }
}

function dot(one, other) {
  return one.reduce((sum, value, axis) => sum + value * other[axis], 0);
}
