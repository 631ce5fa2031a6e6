// The page: two pads, one answer. `engine.js` answers: from Python, or with the network in this browser.

import { Decision, number, percent } from "./decision.js";
import * as engine from "./engine.js";
import { Enrolment } from "./enrol.js";
import { EmbeddingMap } from "./map.js";
import { Morph } from "./morph.js";
import { Pad, paint } from "./pad.js";
import { Puzzle } from "./puzzle.js";
import { inWords, overlay, strongest } from "./why.js";

const SIDES = ["left", "right"];
const find = (id) => document.getElementById(id);
const answer = find("answer");
const SIGNS = { same: "=", different: "≠", unsure: "?" };

let about = null;
let decision = null;
let map = null;
let morph = null;
let puzzle = null;
let version = 0; // of the drawings
let followed = null; // version that the morph is of
let compared = null; // what was last said of the two drawings
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
  puzzle?.end();
  stale.add(side);
  version += 1;
  again();
}

function again() {
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
      const drawings = SIDES.map((side) => pads[side].pixels());
      const drawn = version;
      compared = { ...(await engine.compare(...drawings)), drawings: drawn };
      show();
      if (!puzzle?.asking) await explain(drawings);
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

/** All that stands below the answer, as long as it is the answer to the last drawings. */
async function explain(drawings) {
  for (const [row, side] of SIDES.entries()) {
    if (!due && stale.has(side)) await showNearest(side, drawings[row]);
  }
  if (!due && followed !== compared.drawings) {
    await morph.follow(compared.left, compared.right);
    followed = compared.drawings;
  }
  if (!due && (find("why").checked || !find("legend").hidden)) await showWhy(drawings);
}

function settle() {
  if (!due && !running && !fetching) answer.setAttribute("aria-busy", "false");
}

function show() {
  for (const side of SIDES) {
    const canvas = view(side, ".seen");
    const seen = puzzle?.asking ? null : compared[side];
    paint(canvas, seen);
    canvas.setAttribute("aria-label", seen ? `The ${side} drawing, normalised` : `Nothing drawn on the ${side}`);
  }
  showAnswer();
}

function showAnswer() {
  const said = compared.answer;
  const hidden = !said || puzzle?.asking;
  const verdict = hidden ? "waiting" : decision.judge(said.score);
  answer.className = verdict;
  find("scale").hidden = find("figures").hidden = hidden;
  if (puzzle?.asking) {
    find("sign").textContent = "?";
    find("word").textContent = "The same digit, or not? You first.";
    return;
  }
  if (!said) {
    const missing = SIDES.filter((side) => !compared[side]);
    find("sign").textContent = "✎";
    find("word").textContent = missing.length === 2 ? "Draw a digit on each side" : `Draw a digit on the ${missing[0]}`;
    return;
  }
  const probability = decision.probability(said.score);
  find("sign").textContent = SIGNS[verdict];
  find("word").textContent = verdict[0].toUpperCase() + verdict.slice(1);
  document.querySelector(".mark").style.left = `${100 * probability}%`;
  find("probability").textContent = percent(probability);
  find("score").textContent = number(said.score);
  find("threshold").textContent = number(decision.threshold);
  find("swapped").textContent = swapped(said);
  puzzle?.tell(verdict);
}

/** A slider has moved: the score stays, what is made of it changes. */
function decided() {
  if (compared) showAnswer();
  morph.show();
  announce();
}

function swapped(said) {
  if (said.swapped_score === said.score) return "the same answer and score";
  const score = number(said.swapped_score);
  const verdict = decision.judge(said.swapped_score);
  return verdict === decision.judge(said.score) ? `the same answer, score ${score}` : `${verdict}, score ${score}: the order decides`;
}

async function showNearest(side, drawing) {
  stale.delete(side); // first, as the drawing may change meanwhile
  const found = drawing && about.nearest ? await engine.nearest(drawing) : { nearest: [], place: null };
  const items = found.nearest.map((each) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    paint(canvas, each.image);
    item.append(canvas, about.classes[each.label]);
    return item;
  });
  view(side, ".nearest").replaceChildren(...items);
  map?.mark(side, found.place);
}

async function showWhy(drawings) {
  const wanted = find("why").checked && Boolean(compared.answer);
  const maps = wanted ? await engine.why(...drawings) : null;
  const most = maps && strongest(maps);
  find("legend").hidden = !maps;
  for (const side of SIDES) {
    const canvas = view(side, ".because");
    canvas.hidden = !maps;
    overlay(canvas, maps && maps[side], most);
    view(side, ".reason").textContent = maps ? inWords(maps[side]) : "";
  }
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

find("why").addEventListener("change", () => {
  if (compared) again();
});

/** Clears both sides, to draw on. */
function blank() {
  for (const side of SIDES) pads[side].clear();
  pads.left.canvas.focus({ preventScroll: true });
}

try {
  const opened = await engine.open();
  decision = new Decision(opened.choices, decided);
  morph = new Morph(engine, decision);
  const hard = SIDES.some((side) => pads[side].pixels()) ? [] : await engine.puzzles();
  about = opened;
  introduce();
  SIDES.forEach(offer);
  new Enrolment(engine, about);
  puzzle = new Puzzle(hard, { classes: about.classes, pads, own: blank, said: again });
  due = true;
  if (hard.length) puzzle.start();
  else await work();
} catch (error) {
  find("sign").textContent = "";
  find("word").textContent = "There is no model";
  fail(error);
  settle();
}
if (about?.nearest?.kind === "embedding") {
  try {
    map = new EmbeddingMap(find("map"), about.classes);
    map.fill(await engine.map());
    find("mapping").hidden = false;
  } catch (error) {
    fail(error);
  }
}
