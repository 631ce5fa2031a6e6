// The steps of the lesson: which experiment stands where.

import { Recording } from "./data.js";
import { Lab } from "./lab.js";
import { stacked } from "./stacked.js";

const ALL = ["contrastive", "triplet", "softmax"];
const STEPS = {
  point: { losses: ["contrastive"], from: "end", selection: [100, 225] }, // a 4 and a 9
  learn: { losses: ["contrastive"], from: "start", play: true },
  threshold: { losses: ["contrastive"], from: "end", threshold: true },
  margin: { losses: ["contrastive"], from: "end", margin: true, play: true, threshold: true },
  losses: { losses: ALL, beside: true, from: "end", play: true, margin: true },
  hard: { losses: ALL, from: "end", hard: true },
  newcomers: { losses: ["contrastive"], from: "end", play: true, threshold: true, newcomers: true },
};

const places = [...document.querySelectorAll("[data-lesson]")];
try {
  const recording = await Recording.load();
  for (const place of places) {
    place.replaceChildren();
    const step = place.dataset.lesson;
    if (step === "stacked") stacked(place, recording);
    else new Lab(place, recording, STEPS[step]);
    place.dataset.ready = "";
  }
  document.querySelector(".lesson-made").textContent = recording.about.made.replaceAll("`", "");
} catch (error) {
  for (const place of places) place.textContent = `The lesson's data could not be read: ${error.message}`;
}
