// A drawing, light on dark, brought to MNIST's convention as `siamese_mnist.data.normalisation.normalise` does it.

const BOX_SHARE = 20 / 28;
const LEAST_CONTRAST = 0.02;
const FAINTEST = 0.1; // of the ink's strength
const DUST = 0.03; // of the ink of the largest stroke

/**
 * @param {Uint8Array} drawing side x side grey pixels, light on dark
 * @returns {{height: number, width: number, pixels: Uint8Array} | null} null if nothing is drawn
 */
export function normalise(drawing, side, height, width) {
  const ink = inkOf(drawing, side);
  if (!ink) return null;
  const cropped = crop(ink, side);
  const box = Math.max(1, roundEven(Math.min(height, width) * BOX_SHARE));
  const factor = box / Math.max(cropped.height, cropped.width);
  const scaled = resize(
    cropped,
    Math.max(1, roundEven(cropped.height * factor)),
    Math.max(1, roundEven(cropped.width * factor)),
  );
  return centre(scaled, height, width);
}

/** Strength of the ink in [0, 1], without faint traces and specks; null if there is none. */
function inkOf(drawing, side) {
  const full = drawing.reduce((most, grey) => Math.max(most, grey), 0);
  if (full < LEAST_CONTRAST * 255) return null;
  // In single precision as there, which decides about pixels of just the faintest strength.
  const least = FAINTEST * Math.fround(full / 255);
  const ink = Float64Array.from(drawing, (grey) => (Math.fround(grey / 255) > least ? grey / full : 0));
  dropSpecks(ink, side, otsu(drawing, side, full) / full);
  return ink;
}

/** Otsu's threshold over 256 steps between 0 and the lightest pixel; a margin of ground counts as drawn on. */
function otsu(drawing, side, full) {
  const counts = new Float64Array(256);
  for (const grey of drawing) counts[Math.min(255, Math.floor((grey * 256) / full))] += 1;
  counts[0] += 4 * side + 4;
  const step = full / 256;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const mass = counts.reduce((sum, count, bin) => sum + count * (bin + 0.5) * step, 0);
  const variances = [];
  let below = 0;
  let sum = 0;
  for (let bin = 0; bin < 256; bin += 1) {
    below += counts[bin];
    sum += counts[bin] * (bin + 0.5) * step;
    const above = total - below;
    variances.push(below && above ? below * above * (sum / below - (mass - sum) / above) ** 2 : 0);
  }
  const best = Math.max(...variances) * (1 - 1e-9);
  const edges = variances.flatMap((variance, bin) => (variance >= best ? [(bin + 1) * step] : []));
  return edges.reduce((total, edge) => total + edge, 0) / edges.length;
}

/** Blanks what is not joined to a stroke; joined are pixels that touch, also at a corner. */
function dropSpecks(ink, side, strong) {
  const component = new Int32Array(ink.length);
  const masses = [0];
  for (let start = 0; start < ink.length; start += 1) {
    if (!ink[start] || component[start]) continue;
    const name = masses.length;
    const open = [start];
    component[start] = name;
    let mass = 0;
    while (open.length) {
      const pixel = open.pop();
      if (ink[pixel] > strong) mass += ink[pixel];
      const column = pixel % side;
      for (let other = Math.max(0, column - 1); other <= Math.min(side - 1, column + 1); other += 1) {
        for (const row of [-side, 0, side]) {
          const next = pixel - column + row + other;
          if (next >= 0 && next < ink.length && ink[next] && !component[next]) {
            component[next] = name;
            open.push(next);
          }
        }
      }
    }
    masses.push(mass);
  }
  const least = DUST * masses.reduce((most, mass) => Math.max(most, mass));
  component.forEach((name, pixel) => {
    if (masses[name] < least) ink[pixel] = 0;
  });
}

function crop(ink, side) {
  let [top, bottom, left, right] = [side, 0, side, 0];
  ink.forEach((strength, pixel) => {
    if (!strength) return;
    const row = Math.floor(pixel / side);
    const column = pixel % side;
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    left = Math.min(left, column);
    right = Math.max(right, column);
  });
  const [height, width] = [bottom - top + 1, right - left + 1];
  const values = new Float64Array(height * width);
  for (let row = 0; row < height; row += 1) {
    const start = (top + row) * side + left;
    values.set(ink.subarray(start, start + width), row * width);
  }
  return { height, width, values };
}

/** Bicubic, antialiased; then stretched so that the lightest pixel is 1. */
function resize(image, height, width) {
  if (image.height === height && image.width === width) return image;
  const narrowed = resizeRows(image, width);
  const { values } = transpose(resizeRows(transpose(narrowed), height));
  const most = values.reduce((found, value) => Math.max(found, value), 0);
  return { height, width, values: values.map((value) => Math.min(1, Math.max(0, value / most))) };
}

function resizeRows({ height, width, values }, target) {
  const result = new Float64Array(height * target);
  const scale = width / target;
  const spread = Math.max(1, scale);
  for (let column = 0; column < target; column += 1) {
    const middle = (column + 0.5) * scale;
    const first = Math.max(0, Math.floor(middle - 2 * spread + 0.5));
    const last = Math.min(width, Math.floor(middle + 2 * spread + 0.5));
    const weights = [];
    for (let source = first; source < last; source += 1) weights.push(cubic((source - middle + 0.5) / spread));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let row = 0; row < height; row += 1) {
      let sum = 0;
      weights.forEach((weight, offset) => {
        sum += weight * values[row * width + first + offset];
      });
      result[row * target + column] = sum / total;
    }
  }
  return { height, width: target, values: result };
}

function transpose({ height, width, values }) {
  const turned = values.map((_, pixel) => values[(pixel % height) * width + Math.floor(pixel / height)]);
  return { height: width, width: height, values: turned };
}

/** Keys's cubic kernel with a = -1/2. */
function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Places the image so that its centre of mass is the field's centre, as near as whole pixels and the edges allow. */
function centre({ height, width, values }, fieldHeight, fieldWidth) {
  let [mass, down, across] = [0, 0, 0];
  values.forEach((value, pixel) => {
    mass += value;
    down += value * Math.floor(pixel / width);
    across += value * (pixel % width);
  });
  const place = (field, moment, extent) =>
    Math.min(Math.max(roundEven(Math.floor(field / 2) - moment / mass), 0), field - extent);
  const top = place(fieldHeight, down, height);
  const left = place(fieldWidth, across, width);
  const pixels = new Uint8Array(fieldHeight * fieldWidth);
  values.forEach((value, pixel) => {
    pixels[(top + Math.floor(pixel / width)) * fieldWidth + left + (pixel % width)] = roundEven(value * 255);
  });
  return { height: fieldHeight, width: fieldWidth, pixels };
}

/** To the nearest whole number, halves to the even one, as Python rounds. */
export function roundEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}
