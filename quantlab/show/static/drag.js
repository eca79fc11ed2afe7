// HTML from Python with one thing in it to drag sideways: whatever carries data-drag.
//
// data-zero and data-unit say where 0 is and how long 1 is, in units of the SVG around it;
// data-min, data-max and data-step what positions there are. Python gets the position and sends
// new HTML, so the listeners are on the box, which stays.

function positionAt(handle, clientX) {
  const svg = handle.closest("svg");
  const frame = svg.getBoundingClientRect();
  const x = ((clientX - frame.left) / frame.width) * svg.viewBox.baseVal.width;
  const { zero, unit, min, max, step } = handle.dataset;
  const steps = Math.round((x - zero) / unit / step);
  const held = Math.min(Math.max(steps * step, min), max);
  return Number(held.toFixed(6)); // 0.1 has no exact float: 33 steps would be 3.3000000000000003
}

function render({ model, el }) {
  const box = document.createElement("div");
  el.append(box);
  const draw = () => { box.innerHTML = model.get("value"); };
  let offset = null; // from the pointer to the middle of the handle; null: nothing is dragged

  box.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest("[data-drag]");
    if (!handle || event.button !== 0) return;
    const at = handle.getBoundingClientRect();
    offset = at.left + at.width / 2 - event.clientX;
    box.setPointerCapture(event.pointerId);
    event.preventDefault(); // no text is selected on the way
  });
  box.addEventListener("pointermove", (event) => {
    const handle = offset === null ? null : box.querySelector("[data-drag]");
    if (!handle) return;
    const position = positionAt(handle, event.clientX + offset);
    if (position === model.get("position")) return;
    model.set("position", position);
    model.save_changes();
  });
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => { offset = null; });

  model.on("change:value", draw);
  draw();
  return () => model.off("change:value", draw);
}

export default { render };
