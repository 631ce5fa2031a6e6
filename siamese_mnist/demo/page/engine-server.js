// Answers of a verifier in Python, on the server that this page comes from.

export const place = "Python on this computer answers; nothing leaves it.";

export async function open() {
  return ask("api/about");
}

export async function compare(left, right) {
  const found = await ask("api/answer", { left: encode(left), right: encode(right) });
  return { ...found, left: decode(found.left), right: decode(found.right) };
}

export async function nearest(drawing) {
  const found = await ask("api/nearest", { drawing: encode(drawing) });
  return found.nearest.map((each) => ({ ...each, image: decode(each.image) }));
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
