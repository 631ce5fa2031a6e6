// To begin with: a pair that is hard to tell. First the reader says, then the model.

const find = (id) => document.getElementById(id);

export class Puzzle {
  /**
   * @param {Array<{left: object, right: object, labels: number[]}>} list pairs, the first one first
   * @param {{classes: string[], pads: object, own: () => void, said: () => void}} page
   */
  constructor(list, page) {
    this.list = list;
    this.page = page;
    this.next = 0;
    this.tally = { pairs: 0, you: 0, model: 0 };
    this.current = null;
    this.guess = null;
    this.placing = false;
    this.told = false;
    find("say-same").addEventListener("click", () => this.say("same"));
    find("say-different").addEventListener("click", () => this.say("different"));
    find("next").addEventListener("click", () => this.start());
    find("again").addEventListener("click", () => this.start());
    find("own-pair").addEventListener("click", () => page.own());
    this.show();
  }

  /** Whether the model has to keep its answer for itself. */
  get asking() {
    return this.current !== null && this.guess === null;
  }

  start() {
    const { pads } = this.page;
    this.current = this.list[this.next % this.list.length];
    this.guess = null;
    this.told = false;
    this.placing = true;
    pads.left.place(this.current.left);
    pads.right.place(this.current.right);
    this.placing = false;
    find("told").textContent = "";
    this.show();
  }

  say(guess) {
    this.guess = guess;
    this.next += 1;
    this.show();
    this.page.said();
  }

  /** What there is to say once the model has answered; once a pair. */
  tell(verdict) {
    if (!this.guess || this.told) return;
    this.told = true;
    const [one, other] = this.current.labels;
    const truth = one === other ? "same" : "different";
    const names = [one, other].map((label) => this.page.classes[label]);
    const what = one === other ? `Both show ${names[0]}` : `Left is ${names[0]}, right is ${names[1]}`;
    this.tally.pairs += 1;
    this.tally.you += Number(this.guess === truth);
    this.tally.model += Number(verdict === truth);
    const { pairs, you, model } = this.tally;
    find("told").textContent = `You said ${this.guess}, the model ${verdict}. ${what}. Right so far: you ${you} of ${pairs}, the model ${model}.`;
    find("next").focus({ preventScroll: true });
  }

  end() {
    if (this.placing || !this.current) return;
    this.current = null;
    this.guess = null;
    find("told").textContent = "";
    this.show();
  }

  show() {
    find("ask").hidden = !this.asking;
    find("after").hidden = !(this.current && this.guess);
    find("own-pair").hidden = !this.current;
    find("again").hidden = Boolean(this.current) || this.list.length === 0;
    document.body.classList.toggle("asking", this.asking);
  }
}
