// The live page in its frame follows the site's own light or dark, and its frame is as high as what is in it.
const follow = () => {
  const scheme = document.body.getAttribute("data-md-color-scheme") === "slate" ? "dark" : "light";
  for (const frame of document.querySelectorAll("iframe")) {
    frame.contentDocument?.documentElement?.style.setProperty("color-scheme", scheme);
  }
};
new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
const grow = (frame) => {
  const root = frame.contentDocument?.documentElement;
  if (root) new ResizeObserver(() => { frame.style.height = `${root.offsetHeight + 4}px`; }).observe(root);
};
document.addEventListener("load", (event) => {
  follow();
  if (event.target.tagName === "IFRAME") grow(event.target);
}, true);
follow();

// What scrolls sideways can be reached by keyboard.
for (const block of document.querySelectorAll(".highlight code")) {
  new ResizeObserver(() => { block.tabIndex = block.scrollWidth > block.clientWidth ? 0 : -1; }).observe(block);
}
