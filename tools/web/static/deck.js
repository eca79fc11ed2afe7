// A deck: reveal.js on a screen, a page to scroll on a phone. Nothing on a slide is ever cut off:
// what is higher than the slide is shown smaller.
"use strict";

(() => {
  const deck = window.Reveal;
  const SMALLEST = 0.84;
  const LARGEST = 1.3; // a slide with few words shows them larger
  const READABLE = 20; // pixels
  const CODE = 24; // pixels, as in deck.css
  const PROJECTED = [2, 1.25]; // the face of an explorer: at most, and 16 px as 20, so that all can read it

  /** Choose the size of a slide's pictures, then of all that is on it. */
  function fit(section) {
    const body = section.querySelector(":scope > .sheet > .body");
    if (!body || section.matches(".title-slide")) return;
    if (body.querySelector(".explorer[data-live]")) {
      body.querySelectorAll(".live-face").forEach(project);
      return;
    }
    body.style.zoom = "";
    body.querySelectorAll(".ql-hex").forEach(scrollToBytes);
    const letters = fitCode(body);
    fitPictures(body);
    let scale = 1;
    const set = (next) => {
      scale = Math.round(next * 100) / 100;
      body.style.zoom = scale;
      sizeCode(body, Math.max(letters, READABLE / scale));
    };
    while (overflows(body) && scale > SMALLEST) set(scale - 0.04);
    const whole = [...body.querySelectorAll("pre")].filter((pre) => !wraps(pre));
    const tooLarge = () => overflows(body) || whole.some(wraps);
    while (scale >= 1 && scale < LARGEST && !tooLarge()) set(scale + 0.05);
    if (scale > 1 && tooLarge()) set(scale - 0.05);
    body.dataset.scale = scale;
  }

  const sizeCode = (body, size) => {
    body.querySelectorAll("pre").forEach((pre) => { pre.style.fontSize = `${size}px`; });
  };

  /** Choose the size of code, the largest in which no line is broken; return it. */
  function fitCode(body) {
    const columns = [...body.querySelectorAll("pre:not(.prose)")];
    for (let size = CODE; size > READABLE; size -= 1) {
      sizeCode(body, size);
      if (!columns.some(wraps)) return size;
    }
    sizeCode(body, READABLE);
    return READABLE;
  }

  /** Bytes are scrolled to those of the first row that the table beside them has here. */
  function scrollToBytes(hex) {
    const [dump, row] = [hex.querySelector(".ql-dump"), hex.querySelector("tr[data-f]")];
    const bytes = dump.querySelector(`[data-f="${row.dataset.f}"]`);
    dump.scrollTop = bytes.parentElement.offsetTop - dump.firstElementChild.offsetTop;
  }

  /** Pictures share the height that the words leave, from 0.6 to 1.5 of their size on a page. */
  function fitPictures(body) {
    // Before it is printed, a slide that was not shown yet is hidden as a whole.
    const pictures = [...body.querySelectorAll(".picture img")].filter((img) => !body.contains(img.closest("[hidden]")));
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

  /** Enlarge the face of an explorer as far as it fits. When it grows it gets smaller, never larger
      again: what is read does not jump. What is still too high is scrolled, to its newest line. */
  function project(face) {
    const [most, least] = PROJECTED;
    let zoom = Number(face.dataset.zoom ?? most);
    const set = (next) => { zoom = Math.round(next * 100) / 100; face.style.zoom = face.dataset.zoom = zoom; };
    set(zoom);
    const before = Number(face.dataset.height ?? Infinity);
    while ((overflows(face) || shrinks(face)) && zoom > least) set(Math.max(least, zoom - 0.05));
    if (face.scrollHeight > before) face.scrollTop = face.scrollHeight;
    face.dataset.height = face.scrollHeight;
  }

  /** Tell whether a drawing is narrower than it is meant to be: its text would be small. */
  const shrinks = (face) =>
    [...face.querySelectorAll("svg[width]")].some((svg) =>
      svg.getBoundingClientRect().width < svg.getAttribute("width") * svg.currentCSSZoom - 1);

  /** The table of the bit explorer comes in place of the number when it is asked for. */
  function foldTable(bits) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "table-button", textContent: "In every format" });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(bits.classList.toggle("all-formats")));
    });
    bits.append(button);
  }

  /** Tell whether a line of code or of what it printed would be broken at this size. */
  function wraps(pre) {
    pre.style.whiteSpace = "pre";
    const wide = pre.scrollWidth > pre.clientWidth;
    pre.style.whiteSpace = "";
    return wide;
  }

  /** Presenter's remotes send Page Up and Page Down: they turn slides wherever the focus is. */
  function remote(event) {
    if (event.key !== "PageDown" && event.key !== "PageUp") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.key === "PageDown") deck.next();
    else deck.prev();
  }

  /** Keys that are meant for an explorer are not for the deck; Esc lets go of the focus. */
  function keepKeys(event) {
    byPointer = false;
    const on = event.target;
    event.stopPropagation();
    if (event.key === " " && on.type === "range") deck.next(); // a slider has no use for it
    if (event.key === "Escape") on.blur();
  }

  /** What was clicked does not keep the keys: the next arrow or space turns the slide. Sliders and
      boxes to type in keep them, as does what was reached by Tab. */
  let byPointer = false;
  const KEEPS = "input[type=range], input[type=number], input[type=text], input:not([type])";
  function letGo({ type }) {
    const on = document.activeElement;
    const choosing = type === "click" && on.tagName === "SELECT";
    if (byPointer && on.closest(".explorer") && !choosing && !on.matches(KEEPS)) on.blur();
  }

  const narrow = matchMedia("(max-width: 700px)"); // as in deck.css
  narrow.addEventListener("change", () => location.reload());
  if (narrow.matches) return;
  document.documentElement.classList.add("as-slides");
  window.addEventListener("keydown", remote, true);
  document.querySelectorAll(".explorer").forEach((place) => {
    place.addEventListener("keydown", keepKeys);
    place.addEventListener("pointerdown", () => { byPointer = true; });
    for (const end of ["click", "change"]) place.addEventListener(end, letGo);
  });
  document.addEventListener("quantlab:mounted", (event) => {
    event.target.querySelectorAll(".live.bits").forEach(foldTable);
    fit(event.target.closest("section"));
    const changed = new MutationObserver(([{ target }]) => project(target));
    event.target.querySelectorAll(".live-face").forEach((face) => changed.observe(face, { childList: true }));
  });
  deck.initialize({
    width: 1280, height: 720, margin: 0, center: false, hash: true, navigationMode: "linear",
    slideNumber: "c/t", transition: "none", plugins: [window.RevealNotes], controls: false, progress: true,
    keyboard: { 68: window.switchTheme },
  }).then(() => fit(deck.getCurrentSlide()));
  deck.on("slidechanged", ({ currentSlide }) => fit(currentSlide));
  // Under ?print-pdf all slides stand there at once, and none is ever changed to.
  deck.on("pdf-ready", () => deck.getSlides().forEach(fit));
})();
