// A deck: reveal.js on a screen, a page to scroll on a phone. Nothing on a slide is ever cut off:
// what is higher than the slide is shown smaller.
"use strict";

(() => {
  const deck = window.Reveal;
  const SMALLEST = 0.84;
  const LARGEST = 1.3; // a slide with few words shows them larger
  const PROJECTED = 2; // and an explorer as large as it fits

  /** Choose the size of a slide's pictures, then of all that is on it. */
  function fit(section) {
    const body = section.querySelector(":scope > .sheet > .body");
    if (!body || section.matches(".title-slide")) return;
    body.style.zoom = "";
    fitPictures(body);
    let scale = 1;
    const set = (next) => { scale = Math.round(next * 100) / 100; body.style.zoom = scale; };
    while (overflows(body) && scale > SMALLEST) set(scale - 0.04);
    const tooLarge = () => overflows(body) || wraps(body) || explorerIsHigh(body);
    const largest = body.querySelector(".explorer") ? PROJECTED : LARGEST;
    while (scale >= 1 && scale < largest && !tooLarge()) set(scale + 0.05);
    if (scale > 1 && tooLarge()) set(scale - 0.05);
    body.dataset.scale = scale;
  }

  /** Pictures share the height that the words leave, from 0.6 to 1.5 of their size on a page. */
  function fitPictures(body) {
    const pictures = [...body.querySelectorAll(".picture img")].filter((img) => !img.closest("[hidden]"));
    if (!pictures.length) return;
    const size = (img, scale) => { img.style.width = `${img.getAttribute("width") * scale}px`; };
    const widest = Math.max(...pictures.map((img) => Number(img.getAttribute("width"))));
    let scale = Math.min(1.5, pictures[0].closest(".cell").clientWidth / widest);
    pictures.forEach((img) => size(img, scale));
    while (overflows(body) && scale > SMALLEST) {
      scale -= 0.03;
      pictures.forEach((img) => size(img, scale));
    }
  }

  const overflows = (body) =>
    body.scrollHeight > body.clientHeight + 1 || body.scrollWidth > body.clientWidth + 1;

  /** An explorer's face may grow when it is used: it is not enlarged into its last room. */
  const explorerIsHigh = (body) =>
    [...body.querySelectorAll(".explorer")].some((box) =>
      box.getBoundingClientRect().height > 0.93 * body.getBoundingClientRect().height);

  /** Tell whether a line of code would be broken at this size. */
  function wraps(body) {
    return [...body.querySelectorAll("pre")].some((pre) => {
      pre.style.whiteSpace = "pre";
      const wide = pre.scrollWidth > pre.clientWidth + 1;
      pre.style.whiteSpace = "";
      return wide;
    });
  }

  /** Presenter's remotes send Page Up and Page Down: they turn slides wherever the focus is. */
  function remote(event) {
    if (event.key !== "PageDown" && event.key !== "PageUp") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.key === "PageDown") deck.next();
    else deck.prev();
  }

  /** Keys that are meant for an explorer are not for the deck. */
  function keepKeys(event) {
    if (event.target.closest?.(".explorer")) event.stopPropagation();
  }

  const narrow = matchMedia("(max-width: 700px)"); // as in deck.css
  narrow.addEventListener("change", () => location.reload());
  if (narrow.matches) return;
  document.documentElement.classList.add("as-slides");
  window.addEventListener("keydown", remote, true);
  document.querySelectorAll(".explorer").forEach((place) => place.addEventListener("keydown", keepKeys));
  document.addEventListener("quantlab:mounted", (event) => fit(event.target.closest("section")));
  deck.initialize({
    width: 1280, height: 720, margin: 0, center: false, hash: true, navigationMode: "linear",
    slideNumber: "c/t", transition: "none", plugins: [window.RevealNotes], controls: false, progress: true,
    keyboard: { 68: window.switchTheme },
  }).then(() => fit(deck.getCurrentSlide()));
  deck.on("slidechanged", ({ currentSlide }) => fit(currentSlide));
})();
