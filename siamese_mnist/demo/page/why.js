// Which places of two images speak for "same" and which for "different".

const ROWS = ["top", "middle", "bottom"];
const COLUMNS = ["left", "centre", "right"];
const COLOURS = { same: [64, 156, 255], different: [255, 130, 50] };

/** Paints a map over an image's canvas, null blanks it; `most` is the largest contribution of either image. */
export function overlay(canvas, map, most) {
  if (!map) {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  canvas.height = map.length;
  canvas.width = map[0].length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  map.flat().forEach((value, place) => {
    const colour = COLOURS[value >= 0 ? "same" : "different"];
    image.data.set([...colour, 230 * Math.min(1, Math.abs(value) / most)], 4 * place);
  });
  context.putImageData(image, 0, 0);
}

/** The largest contribution of two maps, > 0. */
export function strongest({ left, right }) {
  return [...left, ...right].flat().reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
}

/** In words: where most speaks for and against. */
export function inWords(map) {
  const sums = ROWS.map(() => COLUMNS.map(() => 0));
  map.forEach((line, row) => line.forEach((value, column) => {
    sums[Math.floor((3 * row) / map.length)][Math.floor((3 * column) / line.length)] += value;
  }));
  const places = sums.flatMap((line, row) => line.map((sum, column) => ({ sum, name: `${ROWS[row]} ${COLUMNS[column]}` })));
  places.sort((one, other) => other.sum - one.sum);
  const [first, last] = [places[0], places.at(-1)];
  const words = [];
  if (first.sum > 0) words.push(`most for same: ${first.name}`);
  if (last.sum < 0) words.push(`most for different: ${last.name}`);
  return words.join("; ");
}
