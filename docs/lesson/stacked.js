// Stacked against Siamese, as a picture that one can operate: swap the images, and see which answer moves.

import { make, percent } from "./drawing.js";
import { thumbnail } from "./lab.js";

export function stacked(root, recording) {
  const { shown } = recording.about.pairs;
  const state = { pair: 0, swapped: 0 };
  const status = make("p", { class: "unseen", role: "status" });
  const designs = make("div", { class: "designs" });

  const choices = shown.map((pair, number) =>
    make("button", { type: "button", class: "card", "aria-label": `Pair ${number + 1}: ${recording.labels[pair.left]} and ${recording.labels[pair.right]}`, click: () => {
      state.pair = number;
      update();
    } }, thumbnail(recording, pair.left), thumbnail(recording, pair.right)));
  const swap = make("button", { type: "button", class: "swap", click: () => {
    state.swapped = 1 - state.swapped;
    update();
  } }, "Swap the two images");

  const update = () => {
    const pair = shown[state.pair];
    const images = state.swapped ? [pair.right, pair.left] : [pair.left, pair.right];
    choices.forEach((choice, number) => choice.setAttribute("aria-pressed", number === state.pair));
    designs.replaceChildren(
      design("Stacked", images, ["one network, both images at once"], pair.stacked, state.swapped),
      design("Siamese", images, ["the network", "the same network"], pair.siamese, state.swapped),
    );
    status.textContent = `Probability of same: stacked ${percent(pair.stacked[state.swapped])}, Siamese ${percent(pair.siamese[state.swapped])}`;
  };

  const design = (name, images, boxes, probability, order) => {
    const key = name.toLowerCase();
    const other = probability[1 - order];
    const moved = Math.abs(probability[0] - probability[1]);
    return make("figure", { class: key },
      make("figcaption", {}, name),
      make("div", { class: "row" }, ...images.map((image) => thumbnail(recording, image))),
      make("div", { class: "row boxes" }, ...boxes.map((text) => make("span", { class: "box" }, text))),
      make("div", { class: "row" }, make("span", { class: "joint" }, boxes.length === 1 ? "its last layer" : "the two embeddings compared")),
      make("p", { class: "answer" }, "Probability of same ", make("strong", {}, percent(probability[order]))),
      make("p", { class: "other" }, moved < 0.0005 ? "the same in the other order" : `${percent(other)} in the other order`),
      make("p", { class: "other" }, `of its answers to 10,000 test pairs, ${percent(recording.about.pairs.swap_agreement[key])} stay when swapped`),
    );
  };

  const count = make("span", { class: "value" });
  const passes = make("dl", { class: "rates" });
  const many = make("input", { type: "range", min: 2, max: 1000, step: 1, value: 100, "aria-label": "Images to compare, each with each", input: () => weigh() });
  const weigh = () => {
    const images = Number(many.value);
    const rows = [["Stacked, passes through the network", images * (images - 1) / 2, "all"], ["Siamese, passes through the network", images, "each"]];
    count.textContent = `${images} images`;
    many.setAttribute("aria-valuetext", `${images} images: ${rows.map(([name, number]) => `${name} ${number.toLocaleString("en")}`).join(", ")}`);
    passes.replaceChildren(...rows.map(([name, number, key]) => make("div", {}, make("dt", {}, name), make("dd", { class: key }, number.toLocaleString("en")))));
  };

  root.classList.add("wide");
  root.append(
    make("div", { class: "cards", role: "group", "aria-label": "Pairs" }, ...choices), swap, designs, status,
    make("div", { class: "slider" }, make("span", {}, "Each with each"), many, count), passes,
  );
  update();
  weigh();
}
