// Answers of a verifier in Python, on the server that this page comes from.

export const place = "Python on this computer answers; nothing leaves it.";

const ROOM = 150_000; // pixels of a request

export async function open() {
  return ask("api/about");
}

export async function compare(left, right) {
  const found = await ask("api/answer", { left: encode(left), right: encode(right) });
  return { ...found, left: decode(found.left), right: decode(found.right) };
}

export async function nearest(drawing) {
  const found = await ask("api/nearest", { drawing: encode(drawing) });
  return { place: found.place, nearest: found.nearest.map((each) => ({ ...each, image: decode(each.image) })) };
}

export async function look(drawing) {
  const found = await ask("api/look", { drawing: encode(drawing) });
  return { ...found, image: decode(found.image) };
}

/** Scores of an image as the model sees it against others, as many at a time as a request holds. */
export async function scores(image, others) {
  const size = image.pixels.length;
  const most = Math.max(1, Math.floor(ROOM / size) - 1);
  const found = [];
  for (let start = 0; start < others.length; start += most) {
    const some = others.slice(start, start + most);
    const pixels = new Uint8Array(some.length * size);
    some.forEach((each, row) => pixels.set(each.pixels, row * size));
    found.push(...(await ask("api/scores", { image: encode(image.pixels), others: encode(pixels) })).scores);
  }
  return found;
}

export async function why(left, right) {
  return (await ask("api/why", { left: encode(left), right: encode(right) })).why;
}

export async function map() {
  return (await ask("api/map")).map;
}

export async function puzzles() {
  const found = await ask("api/puzzles");
  return found.puzzles.map((each) => ({ ...each, left: decode(each.left), right: decode(each.right) }));
}

export async function sample(label) {
  return decode((await ask(`api/sample?label=${label}`)).image);
}

async function ask(path, fields) {
  const options = fields && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server has ended; start siamese-mnist demo again and open its new address.");
  }
  const found = await response.json();
  if (!response.ok) throw new Error(`The server refused: ${found.error}.`);
  return found;
}

function encode(pixels) {
  if (!pixels) return null;
  const pieces = [];
  for (let start = 0; start < pixels.length; start += 0x8000) {
    pieces.push(String.fromCharCode(...pixels.subarray(start, start + 0x8000)));
  }
  return btoa(pieces.join(""));
}

function decode(image) {
  return image && { ...image, pixels: Uint8Array.from(atob(image.pixels), (letter) => letter.charCodeAt(0)) };
}
