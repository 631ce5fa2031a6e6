// Answers of the exported network, run in this browser by onnxruntime-web.

import { normalise } from "./normalise.js";
import { SIDE } from "./pad.js";

export const place = "It runs in this browser, with onnxruntime-web; your drawings stay here.";

let data = null; // demo.json
let ort = null;
let embedder = null;
let scorer = null;
let train = null; // pixels
let directions = null; // embeddings at length 1
let samples = null; // pixels

export async function open() {
  data = await (await load("demo.json")).json();
  ort = await import("./runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
  embedder = await session("embedder.onnx");
  scorer = await session("embedding_scorer.onnx");
  train = await bytes("train.bin");
  samples = await bytes("samples.bin");
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
  if (!image) return [];
  const embedding = await embed([image]);
  const length = embedding.length;
  const closeness = Float64Array.from(data.train_labels, (_, row) => {
    let sum = 0;
    for (let axis = 0; axis < length; axis += 1) sum += embedding[axis] * directions[row * length + axis];
    return sum;
  });
  const rows = [...closeness.keys()].sort((one, other) => closeness[other] - closeness[one]);
  return rows.slice(0, data.shown).map((row) => ({ label: data.train_labels[row], image: imageOf(train, row) }));
}

export async function sample(label) {
  const rows = [...data.sample_labels.keys()].filter((row) => data.sample_labels[row] === label);
  return imageOf(samples, rows[Math.floor(Math.random() * rows.length)]);
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
