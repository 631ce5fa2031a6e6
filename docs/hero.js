// The pair on the first page: recorded answers of the network, moving until the reader stops it.
(() => {
  const root = document.querySelector(".hero");
  if (!root) return;
  const [left, right] = root.querySelectorAll("canvas");
  const [word, share, mark, button] = ["word", "share", "mark", "pause"].map((name) => root.querySelector(`.hero-${name}`));
  const FRAME_MS = 110;
  const HOLD = 9; // frames at either end
  const sheet = new Image();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let scenes = [];
  let size = 0;
  let [scene, step, timer] = [0, 0, null];

  const tile = (canvas, row) => {
    canvas.width = canvas.height = size;
    canvas.getContext("2d").drawImage(sheet, 0, row * size, size, size, 0, 0, size, size);
  };
  const show = () => {
    const { left: row, frames, probability, same } = scenes[scene];
    const last = frames.length - 1;
    // There, a while, back, a while.
    const turn = step % (2 * (last + HOLD));
    const at = turn <= last ? turn : Math.max(0, Math.min(last, 2 * last + HOLD - turn));
    tile(left, row);
    tile(right, frames[at]);
    word.textContent = same[at] ? "Same" : "Different";
    root.dataset.said = same[at] ? "same" : "different";
    share.textContent = `probability of same ${(100 * probability[at]).toFixed(1)} %`;
    mark.style.left = `${100 * probability[at]}%`;
  };
  const next = () => {
    step += 1;
    if (step >= 2 * (scenes[scene].frames.length - 1 + HOLD)) [scene, step] = [(scene + 1) % scenes.length, 0];
    show();
  };
  const run = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(next, FRAME_MS) : null;
    button.textContent = on ? "Pause" : "Play";
  };
  button.addEventListener("click", () => run(!timer));
  const base = new URL(root.dataset.from, document.baseURI);
  fetch(new URL("hero.json", base)).then((answer) => answer.json()).then((found) => {
    ({ size, scenes } = found);
    sheet.onload = () => {
      show();
      button.hidden = false;
      run(!still);
    };
    sheet.src = new URL("hero.png", base).href;
  }).catch(() => {}); // opened as a file: the words beside it stand
})();
