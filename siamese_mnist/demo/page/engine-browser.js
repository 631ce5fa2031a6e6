// Answers of the exported network, run in this browser by onnxruntime-web.

import { normalise, roundEven } from "./normalise.js";
import { SIDE } from "./pad.js";

export const place = "It runs in this browser, with onnxruntime-web; your drawings stay here.";

const TOGETHER = 64; // images at a time
const VOTES = 5; // as in plane.py
const SHARPNESS = 20;
const TILES = 7; // as in explanation.py

let data = null; // demo.json
let ort = null;
let embedder = null;
let scorer = null;
let train = null; // pixels
let directions = null; // embeddings at length 1
let samples = null; // pixels
let hard = null; // pixels of the puzzles

export async function open() {
  data = await (await load("demo.json")).json();
  ort = await import("./runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
  embedder = await session("embedder.onnx");
  scorer = await session("embedding_scorer.onnx");
  train = await bytes("train.bin");
  samples = await bytes("samples.bin");
  hard = await bytes("puzzles.bin");
  directions = new Float32Array((await bytes("directions.bin")).buffer);
  return data.about;
}

export async function compare(left, right) {
  const images = [left, right].map(see);
  const answer = images[0] && images[1] ? await decide(images) : null;
  return { left: images[0], right: images[1], answer };
}

export async function nearest(drawing) {
  const image = see(drawing);
  if (!image) return { nearest: [], place: null };
  const closeness = closenessTo(direct(await embed([image])));
  const rows = [...closeness.keys()].sort((one, other) => closeness[other] - closeness[one]);
  const found = rows.slice(0, data.shown).map((row) => ({ label: data.train_labels[row], image: imageOf(train, row) }));
  return { nearest: found, place: placeOf(closeness) };
}

export async function look(drawing) {
  const image = see(drawing);
  if (!image) return { image, look: null };
  const direction = direct(await embed([image]));
  const closeness = closenessTo(direction);
  const familiar = Math.max(...closeness);
  return { image, look: { direction, familiar, label: data.train_labels[closeness.indexOf(familiar)] } };
}

/** Scores of an image as the model sees it against others. */
export async function scores(image, others) {
  return scoresOf(image, others);
}

/** As `siamese_mnist.inference.explanation.occlusion`: how much the score falls where a patch is blanked. */
export async function why(left, right) {
  const images = [left, right].map(see);
  if (!images[0] || !images[1]) return null;
  const [score] = await scoresOf(images[0], [images[1]]);
  const maps = [];
  for (const side of [0, 1]) {
    const patches = patchesOf(data.height, data.width);
    const hidden = patches.map((patch) => blanked(images[side], patch));
    const falls = (await scoresOf(images[1 - side], hidden, side === 0)).map((each) => score - each);
    maps.push(spread(falls, patches));
  }
  return { left: maps[0], right: maps[1] };
}

export async function map() {
  return data.map;
}

export async function puzzles() {
  return data.puzzle_labels.map((labels, row) => ({
    labels,
    left: imageOf(hard, 2 * row),
    right: imageOf(hard, 2 * row + 1),
  }));
}

export async function sample(label) {
  const rows = [...data.sample_labels.keys()].filter((row) => data.sample_labels[row] === label);
  return imageOf(samples, rows[Math.floor(Math.random() * rows.length)]);
}

function direct(embedding) {
  const length = Math.max(1e-12, Math.hypot(...embedding));
  return Float32Array.from(embedding, (value) => value / length);
}

/** Cosines of a direction to the training images' ones. */
function closenessTo(direction) {
  const { length } = direction;
  return Array.from(data.train_labels, (_, row) => {
    let sum = 0;
    for (let axis = 0; axis < length; axis += 1) sum += direction[axis] * directions[row * length + axis];
    return sum;
  });
}

/** As `siamese_mnist.demo.plane.Plane.place`. */
function placeOf(closeness) {
  const near = data.map.rows.map((row, point) => ({ point, closeness: closeness[row] }));
  near.sort((one, other) => other.closeness - one.closeness);
  const votes = near.slice(0, VOTES).map((each) => ({ ...each, weight: Math.exp(SHARPNESS * (each.closeness - near[0].closeness)) }));
  const total = votes.reduce((sum, each) => sum + each.weight, 0);
  return [0, 1].map((axis) => votes.reduce((sum, each) => sum + each.weight * data.map.points[each.point][axis], 0) / total);
}

/** Scores of one image on the left against each of others on the right, or the other way round. */
async function scoresOf(one, others, turned = false) {
  const found = [];
  for (let start = 0; start < others.length; start += TOGETHER) {
    const some = others.slice(start, start + TOGETHER);
    const all = await embed([one, ...some]);
    const length = all.length / (some.length + 1);
    const repeated = new Float32Array(some.length * length);
    some.forEach((_, row) => repeated.set(all.subarray(0, length), row * length));
    const sides = [repeated, all.slice(length)].map((each) => new ort.Tensor("float32", each, [some.length, length]));
    const [left, right] = turned ? sides.reverse() : sides;
    const { score } = await scorer.run({ left, right });
    found.push(...score.data);
  }
  return found;
}

/** Square patches that overlap by half and together cover every place: [top, bottom, left, right], ends outside. */
function patchesOf(height, width) {
  const size = Math.max(2, roundEven(Math.min(height, width) / TILES));
  const stride = Math.max(1, Math.floor(size / 2));
  const spans = (length) => {
    const found = [];
    for (let start = stride - size; start < length; start += stride) found.push([Math.max(0, start), Math.min(length, start + size)]);
    return found;
  };
  return spans(height).flatMap(([top, bottom]) => spans(width).map(([left, right]) => [top, bottom, left, right]));
}

/** An image of ink on black with a patch of black. */
function blanked(image, [top, bottom, left, right]) {
  const pixels = image.pixels.slice();
  for (let row = top; row < bottom; row += 1) pixels.fill(0, row * image.width + left, row * image.width + right);
  return { ...image, pixels };
}

/** The mean of what was found for the patches that cover a place, a list of rows. */
function spread(values, patches) {
  const cells = () => Array.from({ length: data.height }, () => new Array(data.width).fill(0));
  const [sums, counts] = [cells(), cells()];
  patches.forEach(([top, bottom, left, right], patch) => {
    for (let row = top; row < bottom; row += 1) {
      for (let column = left; column < right; column += 1) {
        sums[row][column] += values[patch];
        counts[row][column] += 1;
      }
    }
  });
  return sums.map((line, row) => line.map((sum, column) => sum / counts[row][column]));
}

async function decide(images) {
  const both = await embed(images);
  const length = both.length / 2;
  const [one, other] = [both.subarray(0, length), both.subarray(length)];
  const left = new ort.Tensor("float32", Float32Array.of(...one, ...other), [2, length]);
  const right = new ort.Tensor("float32", Float32Array.of(...other, ...one), [2, length]);
  const { score, probability } = await scorer.run({ left, right });
  const same = score.data[0] >= data.threshold;
  return {
    same,
    probability: probability.data[0],
    score: score.data[0],
    threshold: data.threshold,
    swapped_score: score.data[1],
    stable: same === score.data[1] >= data.threshold,
  };
}

async function embed(images) {
  const { height, width } = data;
  const pixels = new Uint8Array(images.length * height * width);
  images.forEach((image, row) => pixels.set(image.pixels, row * height * width));
  const given = new ort.Tensor("uint8", pixels, [images.length, height, width]);
  return (await embedder.run({ images: given })).embeddings.data;
}

function see(drawing) {
  return drawing && normalise(drawing, SIDE, data.height, data.width);
}

function imageOf(pixels, row) {
  const { height, width } = data;
  const size = height * width;
  return { height, width, pixels: pixels.subarray(row * size, (row + 1) * size) };
}

async function session(name) {
  return ort.InferenceSession.create(await bytes(name), { executionProviders: ["wasm"] });
}

async function bytes(name) {
  return new Uint8Array(await (await load(name)).arrayBuffer());
}

async function load(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name} is missing (${response.status}).`);
  return response;
}
