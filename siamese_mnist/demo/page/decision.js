// What is made of a score: probability, threshold and answer, as the sliders have them.

const STEPS = 160;
const find = (id) => document.getElementById(id);

export class Decision {
  /** @param {() => void} moved told when a slider has moved */
  constructor(choices, moved) {
    this.choices = choices;
    this.moved = moved;
    this.grid = choices.rates?.thresholds ?? around(choices);
    this.reset();
    find("prior").max = choices.points.length - 1;
    find("bar").max = this.grid.length - 1;
    choices.bounds.forEach((bound, row) => {
      const option = document.createElement("option");
      option.value = row;
      option.textContent = `Or unsure, so that at most ${percent(bound)} of the answers are wrong`;
      find("bound").append(option);
    });
    find("prior").addEventListener("input", () => {
      this.prior = Number(find("prior").value);
      this.chosen = null; // the threshold follows
      this.update();
    });
    find("bar").addEventListener("input", () => {
      this.chosen = this.grid[Number(find("bar").value)];
      this.update();
    });
    find("bound").addEventListener("change", () => {
      this.bound = find("bound").value === "" ? null : Number(find("bound").value);
      this.chosen = null;
      this.update();
    });
    find("reset").addEventListener("click", () => {
      this.reset();
      this.update();
    });
    this.show();
  }

  reset() {
    this.prior = this.choices.own;
    this.chosen = null; // a threshold set by hand
    this.bound = null;
  }

  get point() {
    return this.choices.points[this.prior];
  }

  get threshold() {
    return this.chosen ?? this.point.threshold;
  }

  /** The scores that get no answer, or null. */
  get band() {
    return this.bound === null || this.chosen !== null ? null : this.point.bands[this.bound];
  }

  probability(score) {
    return 1 / (1 + Math.exp(-this.choices.slope * (score - this.point.centre)));
  }

  /** @returns {"same" | "different" | "unsure"} */
  judge(score) {
    const { band } = this;
    if (band) return score >= band.high ? "same" : score < band.low ? "different" : "unsure";
    return score >= this.threshold ? "same" : "different";
  }

  update() {
    this.show();
    this.moved();
  }

  show() {
    const share = percent(this.point.prior);
    find("prior").value = this.prior;
    find("prior").setAttribute("aria-valuetext", `${share} of the pairs are the same`);
    find("prior-text").textContent = share;
    find("bar").value = nearestTo(this.grid, this.threshold);
    find("bar").setAttribute("aria-valuetext", number(this.threshold));
    find("bar-text").textContent = number(this.threshold);
    find("bound").value = this.bound ?? "";
    this.showRates();
  }

  showRates() {
    const { rates, bounds } = this.choices;
    find("rates").hidden = !rates;
    if (!rates) {
      find("expected").textContent = "This model keeps no calibration pairs, so its rates are not known.";
      return;
    }
    const row = nearestTo(rates.thresholds, this.threshold);
    meter("false-matches", rates.false_match[row]);
    meter("misses", 1 - rates.true_match[row]);
    const of = rates.unseen ? "images that it was not trained on" : "images that it was trained on, so they are too good";
    let text = `These rates are of pairs of ${of}.`;
    if (this.bound !== null && this.chosen !== null) text += " A bound holds at the threshold of the prior only; the threshold was moved by hand.";
    else if (this.bound !== null && this.band) text += ` At most ${percent(bounds[this.bound])} of the answers are wrong, with 95\u00a0% confidence, and ${percent(this.band.unsure_share)} of the pairs get none.`;
    else if (this.bound !== null) text += ` The pairs at hand cannot show a bound of ${percent(bounds[this.bound])} here; every pair is answered.`;
    find("expected").textContent = text;
  }
}

function around({ slope, points, own }) {
  const { centre } = points[own];
  return Array.from({ length: STEPS + 1 }, (_, step) => centre + (10 / slope) * (step / STEPS - 0.5));
}

function nearestTo(values, wanted) {
  let best = 0;
  values.forEach((value, row) => {
    if (Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = row;
  });
  return best;
}

function meter(name, share) {
  find(name).textContent = percent(share);
  find(`${name}-bar`).style.width = `${100 * Math.sqrt(share)}%`;
}

export function percent(share) {
  if (share > 0.999 && share < 1) return "over 99.9\u00a0%";
  if (share > 0 && share < 0.001) return "under 0.1\u00a0%";
  const text = (100 * share).toFixed(1);
  return `${text}\u00a0%`;
}

export function number(value) {
  return value.toFixed(3).replace("-", "−");
}
