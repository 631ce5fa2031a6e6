// What the pictures of the lesson share: elements, sharp canvases, and colours that follow the site's scheme.

/** An element with attributes (functions become listeners) and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A colour of lesson.css. */
export const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--lesson-${name}`).trim();

/** The colours of the digits in the present scheme. */
export const digitColours = () => Array.from({ length: 10 }, (_, digit) => colour(`digit-${digit}`));

const drawn = new Set(); // what the page shows, to be drawn anew when it goes from light to dark or back
new MutationObserver(() => {
  for (const each of drawn) each.element.isConnected ? each.redraw() : drawn.delete(each);
}).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });

/** A canvas as sharp as the screen, drawn anew when its size changes; `draw` gets its context, width and height. */
export function canvas(attributes, draw) {
  const element = make("canvas", attributes);
  const redraw = () => {
    const { clientWidth: width, clientHeight: height } = element;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (element.width !== wide || element.height !== high) [element.width, element.height] = [wide, high];
    const context = element.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, width, height);
  };
  new ResizeObserver(redraw).observe(element);
  drawn.add({ element, redraw });
  return { element, redraw };
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;
