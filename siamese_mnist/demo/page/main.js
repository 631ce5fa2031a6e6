// The page: two pads, one answer. `engine.js` answers: from Python, or with the network in this browser.

import * as engine from "./engine.js";
import { Pad, paint } from "./pad.js";

const SIDES = ["left", "right"];
const find = (id) => document.getElementById(id);
const answer = find("answer");

let about = null;
let due = false;
let running = false;
let fetching = 0; // test digits on their way
const stale = new Set(); // sides whose nearest digits are of an earlier drawing

export const pads = Object.fromEntries(
  SIDES.map((side) => {
    const told = { changed: () => changed(side), key: (key) => typed(side, key) };
    return [side, new Pad(find(side), told)];
  }),
);

function changed(side) {
  stale.add(side);
  due = true;
  answer.setAttribute("aria-busy", "true");
  if (about && !running) work();
}

/** Answers until nothing has changed since; changes while it works are answered together. */
async function work() {
  running = true;
  try {
    while (due) {
      due = false;
      const [left, right] = SIDES.map((side) => pads[side].pixels());
      show(await engine.compare(left, right));
      for (const [side, drawing] of [["left", left], ["right", right]]) {
        if (!due && stale.has(side)) await showNearest(side, drawing);
      }
      trouble("");
    }
    announce();
  } catch (error) {
    due = false;
    fail(error);
  } finally {
    running = false;
    settle();
  }
}

function settle() {
  if (!due && !running && !fetching) answer.setAttribute("aria-busy", "false");
}

function show(found) {
  for (const side of SIDES) {
    const canvas = view(side, ".seen");
    paint(canvas, found[side]);
    canvas.setAttribute("aria-label", found[side] ? `The ${side} drawing, normalised` : `Nothing drawn on the ${side}`);
  }
  const said = found.answer;
  answer.className = said ? (said.same ? "same" : "different") : "waiting";
  find("scale").hidden = find("figures").hidden = !said;
  if (!said) {
    const missing = SIDES.filter((side) => !found[side]);
    find("sign").textContent = "✎";
    find("word").textContent = missing.length === 2 ? "Draw a digit on each side" : `Draw a digit on the ${missing[0]}`;
    return;
  }
  find("sign").textContent = said.same ? "=" : "≠";
  find("word").textContent = said.same ? "Same" : "Different";
  document.querySelector(".mark").style.left = `${100 * said.probability}%`;
  find("probability").textContent = percent(said.probability);
  find("score").textContent = number(said.score);
  find("threshold").textContent = number(said.threshold);
  find("swapped").textContent = swapped(said);
}

function swapped(said) {
  if (said.swapped_score === said.score) return "the same answer and score";
  const score = number(said.swapped_score);
  return said.stable ? `the same answer, score ${score}` : `${said.same ? "different" : "same"}, score ${score}: the order decides`;
}

async function showNearest(side, drawing) {
  stale.delete(side); // first, as the drawing may change meanwhile
  const found = drawing && about.nearest ? await engine.nearest(drawing) : [];
  const items = found.map((each) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    paint(canvas, each.image);
    item.append(canvas, about.classes[each.label]);
    return item;
  });
  view(side, ".nearest").replaceChildren(...items);
}

/** Tells screen readers once no stroke is under way, and only what is new. */
function announce() {
  if (SIDES.some((side) => pads[side].drawing)) return;
  const known = !find("figures").hidden;
  const text = find("word").textContent + (known ? `, probability of same ${find("probability").textContent}` : "");
  if (find("live").textContent !== text) find("live").textContent = text;
}

function typed(side, key) {
  const label = about ? about.classes.indexOf(key) : -1;
  if (label >= 0) take(side, label);
  return label >= 0;
}

/** Puts a random test digit of a class onto a side. */
async function take(side, label) {
  answer.setAttribute("aria-busy", "true");
  fetching += 1;
  try {
    pads[side].place(await engine.sample(label));
  } catch (error) {
    fail(error);
  } finally {
    fetching -= 1;
    settle();
  }
}

function offer(side) {
  const box = find(side).querySelector(".samples");
  box.hidden = about.classes.length === 0;
  box.classList.toggle("words", about.classes.some((name) => name.length > 2));
  about.classes.forEach((name, label) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => take(side, label));
    box.append(button);
  });
}

function introduce() {
  const known = about.accuracy === null ? "" : ` It was right on ${percent(about.accuracy)} of its test pairs.`;
  find("about").textContent = `Model: ${about.name}.${known} ${engine.place}`;
  const { nearest } = about;
  if (!nearest) {
    find("nearest-text").textContent = " Its data set is not at hand, so there are no training digits to show.";
    return;
  }
  const how = nearest.kind === "embedding" ? "nearest in the model's embedding" : "of the highest score";
  const count = nearest.count.toLocaleString("en");
  find("nearest-text").textContent = ` Below it: the images ${how}, out of ${count} training images of ${nearest.dataset}.`;
}

function fail(error) {
  trouble(error instanceof Error ? error.message : String(error));
}

function trouble(text) {
  if (find("trouble").textContent !== text) find("trouble").textContent = text;
}

function view(side, selector) {
  return document.querySelector(`.view[data-side=${side}] ${selector}`);
}

function percent(share) {
  if (share > 0.999 && share < 1) return "over 99.9\u00a0%";
  if (share > 0 && share < 0.001) return "under 0.1\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

function number(value) {
  return value.toFixed(3).replace("-", "−");
}

try {
  about = await engine.open();
  introduce();
  SIDES.forEach(offer);
  due = true;
  await work();
} catch (error) {
  find("sign").textContent = "";
  find("word").textContent = "There is no model";
  fail(error);
  settle();
}
