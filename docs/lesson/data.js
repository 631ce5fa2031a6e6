// What docs/lesson.py recorded: images, where networks put them while they train, and pairs judged by two designs.

const at = (name) => new URL(name, import.meta.url);

async function fetched(name) {
  const answer = await fetch(at(name));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
}

async function picture(name) {
  const image = new Image();
  image.src = at(name);
  await image.decode();
  return image;
}

export const SIDE = 28;

export class Recording {
  static async load() {
    const [about, frames, sprite] = await Promise.all([
      fetched("lesson.json").then((answer) => answer.json()),
      fetched("frames.bin").then((answer) => answer.arrayBuffer()),
      picture("digits.png"),
    ]);
    return new Recording(about, new Int16Array(frames), sprite);
  }

  constructor(about, values, sprite) {
    this.about = about;
    this.values = values;
    this.labels = about.labels;
    this.count = about.labels.length;
    this.last = about.frames - 1;
    this.images = this.labels.map((_, image) => alpha(sprite, image, about.columns));
    const pairs = [];
    for (let left = 0; left < this.count; left++) {
      for (let right = left + 1; right < this.count; right++) pairs.push([left, right]);
    }
    this.left = Uint16Array.from(pairs, (pair) => pair[0]);
    this.right = Uint16Array.from(pairs, (pair) => pair[1]);
    this.same = Uint8Array.from(pairs, ([left, right]) => this.labels[left] === this.labels[right]);
  }

  /** The number of the network with this loss, margin (null where it has none) and number of digits. */
  find(loss, margin, digits = 10) {
    const wanted = this.margins(loss).length ? margin : null;
    return this.about.networks.findIndex(
      (each) => each.loss === loss && each.margin === wanted && each.digits === digits,
    );
  }

  margins(loss) {
    return this.about.networks.filter((each) => each.loss === loss && each.digits === 10 && each.margin !== null)
      .map((each) => each.margin);
  }

  /** Points x, y, x, y, ... of a network at a moment between 0 and `last`; between two frames on the line. */
  points(network, time) {
    const size = 2 * this.count;
    const before = Math.floor(time);
    const after = Math.min(before + 1, this.last);
    const share = time - before;
    const start = (network * this.about.frames + before) * size;
    const end = (network * this.about.frames + after) * size;
    const points = new Float32Array(size);
    for (let each = 0; each < size; each++) {
      points[each] = ((1 - share) * this.values[start + each] + share * this.values[end + each]) / this.about.scale;
    }
    return points;
  }

  /** Updates done at a moment. */
  updates(network, time) {
    const { updates } = this.about.networks[network];
    const before = Math.floor(time);
    const after = Math.min(before + 1, this.last);
    return Math.round(updates[before] + (time - before) * (updates[after] - updates[before]));
  }

  /** Distances of all pairs. */
  distances(points) {
    const found = new Float32Array(this.left.length);
    for (let pair = 0; pair < found.length; pair++) {
      const [left, right] = [2 * this.left[pair], 2 * this.right[pair]];
      found[pair] = Math.hypot(points[left] - points[right], points[left + 1] - points[right + 1]);
    }
    return found;
  }

  /** False match and false non-match rate of the pairs that `counts` says. */
  rates(distances, threshold, counts) {
    const wrong = [0, 0];
    const all = [0, 0];
    for (let pair = 0; pair < distances.length; pair++) {
      if (!counts(this.left[pair], this.right[pair])) continue;
      const same = this.same[pair];
      all[same]++;
      wrong[same] += same ? distances[pair] > threshold : distances[pair] <= threshold;
    }
    return { falseMatch: wrong[0] / all[0], falseNonMatch: wrong[1] / all[1] };
  }

  /** The pairs that are hardest: two digits that are nearest, and one digit that is farthest apart. */
  hardest(distances, count) {
    const pairs = Array.from(distances, (distance, pair) => ({
      distance, left: this.left[pair], right: this.right[pair], same: Boolean(this.same[pair]),
    }));
    const nearest = pairs.filter((pair) => !pair.same).sort((a, b) => a.distance - b.distance);
    const farthest = pairs.filter((pair) => pair.same).sort((a, b) => b.distance - a.distance);
    return [...nearest.slice(0, count), ...farthest.slice(0, count)];
  }
}

/** An image of the sprite whose ink is its opacity, so that it can take any colour. */
function alpha(sprite, image, columns) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(sprite, SIDE * (image % columns), SIDE * Math.floor(image / columns), SIDE, SIDE, 0, 0, SIDE, SIDE);
  const pixels = context.getImageData(0, 0, SIDE, SIDE);
  for (let pixel = 0; pixel < pixels.data.length; pixel += 4) pixels.data[pixel + 3] = pixels.data[pixel];
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** The same image in a colour. */
export function tinted(image, colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, SIDE, SIDE);
  return canvas;
}
