// The live page in its frame follows the site's own light or dark.
const follow = () => {
  const scheme = document.body.getAttribute("data-md-color-scheme") === "slate" ? "dark" : "light";
  for (const frame of document.querySelectorAll("iframe")) {
    frame.contentDocument?.documentElement?.style.setProperty("color-scheme", scheme);
  }
};
new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
document.addEventListener("load", follow, true);
follow();
