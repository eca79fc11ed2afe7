// The part of an explorer that is not seen, a widget among its controls: keys stay in it, its new
// result is read out, sliders and icons have names, and what its drawing lets you drag can be dragged.
import { keepKeys } from "./keys.js";

/** ipywidgets leaves a slider without its description, and the buttons of Play without a word. */
function nameControls(place) {
  place.querySelectorAll("[role=slider]").forEach((handle) => {
    handle.ariaLabel = handle.closest(".widget-slider").querySelector("label").textContent;
  });
  place.querySelectorAll(".widget-play button").forEach((button, i) => {
    button.ariaLabel = button.title = ["Play", "Stop", "Loop"][i];
  });
}

/** The answer in words: what is marked so, or what each drawing says of itself. */
function inWords(place) {
  const marked = place.querySelectorAll("[data-said]");
  const found = marked.length ? marked : place.querySelectorAll("svg[role=img]");
  return [...found].map((node) => node.ariaLabel ?? node.textContent).join(". ");
}

// data-zero and data-unit say where 0 is and how long 1 is, in units of the SVG around the handle;
// data-min, data-max and data-step what positions there are.
function positionAt(handle, clientX) {
  const svg = handle.closest("svg");
  const frame = svg.getBoundingClientRect();
  const x = ((clientX - frame.left) / frame.width) * svg.viewBox.baseVal.width;
  const { zero, unit, min, max, step } = handle.dataset;
  const held = Math.min(Math.max(Math.round((x - zero) / unit / step) * step, min), max);
  return Number(held.toFixed(6)); // 0.1 has no exact float: 33 steps would be 3.3000000000000003
}

/** Whatever carries data-drag moves the control of that name. Each answer brings a new handle. */
function dragging(place, move) {
  let offset = null; // from the pointer to the middle of the handle; null: nothing is dragged
  place.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest("[data-drag]");
    if (!handle || event.button !== 0) return;
    const at = handle.getBoundingClientRect();
    offset = at.left + at.width / 2 - event.clientX;
    move({}); // where the last drag ended counts as a move again
    event.preventDefault(); // no text is selected on the way
    handle.closest("svg").parentElement.setPointerCapture(event.pointerId);
  });
  place.addEventListener("pointermove", (event) => {
    const handle = offset === null ? null : place.querySelector("[data-drag]");
    if (handle) move({ [handle.dataset.drag]: positionAt(handle, event.clientX + offset) });
  });
  for (const end of ["pointerup", "pointercancel"]) place.addEventListener(end, () => { offset = null; });
}

function render({ model, el }) {
  const move = (moved) => {
    if (JSON.stringify(moved) === JSON.stringify(model.get("moved"))) return;
    model.set("moved", moved);
    model.save_changes();
  };
  let [said, timer] = [null, 0];
  const say = (place) => {
    const words = inWords(place);
    if (said !== null && said !== words) el.textContent = words; // the first was not asked for
    said = words;
  };
  const look = (place) => {
    nameControls(place);
    clearTimeout(timer);
    timer = setTimeout(say, 400, place); // while a slider moves, its last answer is enough
  };
  const shown = new ResizeObserver(() => {
    const place = el.closest(".ql-explorer");
    if (!place) return;
    shown.disconnect();
    keepKeys(place);
    dragging(place, move);
    new MutationObserver(() => look(place)).observe(place, { childList: true, subtree: true });
    look(place);
  });
  el.classList.add("ql-said");
  el.ariaLive = "polite";
  shown.observe(el);
}

export default { render };
