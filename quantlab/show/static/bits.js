// The face of the bit explorer: what a person sees and touches. All arithmetic is in minifloat.js.
//
// There is no build step: bits.py puts minifloat.js in front of this file and drops the import, so
// that both reach the page as the one module that anywidget takes.
//
// The page and Python share one trait, _state = {format, bits, number, ratio}: the format as data, the
// code as 0s and 1s, and the number that was asked for, as text and as an exact ratio. Without a
// kernel nothing is missing: Python only listens.
import {
  bitRole, bitText, decode, divide, encode, exactText, fields, floatFormat, fromRatio, integerFormat,
  lastPlace, parse, powerText, sameFormat, shortText, step, subtract, toRatio, width,
} from "./minifloat.js";

const MINUS = "\u2212";
const pretty = (text) => text.replace(/^-/, MINUS).replace(/^(.?)infinity$/, "$1∞");

// ---------------------------------------------------------------- small helpers

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Touch the page only where the text differs: most of it stays the same when a bit changes. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function setMarkup(node, markup) {
  if (node.markup !== markup) {
    node.innerHTML = markup;
    node.markup = markup; // innerHTML reads back differently from how it was written
  }
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** A fraction of two BigInts as a float: good to nine places, for positions on a line. */
const toFloat = ({ negative, num, den }) => {
  const size = Number((num * 1_000_000_000n) / den) / 1e9;
  return negative ? -size : size;
};

let lastId = 0;
const freshId = (name) => `ql-bits-${name}-${(lastId += 1)}`;

// ---------------------------------------------------------------- state

/** All that the page shows follows from the format, the code and the number that was asked for. */
function makeState(format, code, text, target) {
  return { format, code, text, target, value: decode(format, code) };
}

function fromCode(format, code) {
  const value = decode(format, code);
  return makeState(format, code, exactText(value), value);
}

function fromNumber(format, text, number) {
  return makeState(format, encode(format, number), text, number);
}

function fromModel({ format, bits, number, ratio }) {
  return makeState(format, BigInt(`0b${bits}`), number, fromRatio(ratio));
}

function toModel({ format, code, text, target }) {
  const bits = code.toString(2).padStart(width(format), "0");
  return { format, bits, number: text, ratio: toRatio(target) };
}

// ---------------------------------------------------------------- format and widths

function formatBar(formats, act) {
  const select = make("select", { class: "ql-format", "aria-label": "number format" });
  const floats = formats.filter((format) => format.kind === "float");
  const whole = formats.filter((format) => format.kind === "integer");
  if (floats.length) select.append(optionGroup("Floating point", floats, formats));
  if (whole.length) select.append(optionGroup("Whole numbers", whole, formats));
  const custom = make("option", { value: "custom", hidden: "" }, "custom");
  select.append(custom);
  select.addEventListener("change", () => {
    if (select.value !== "custom") act.setFormat(formats[Number(select.value)]);
  });
  const widths = make("span", { class: "ql-widths" });
  const node = make("div", { class: "ql-bar" }, labelled("Format", select), widths);
  let kind = null;
  let inputs = null;
  return {
    node,
    show({ format }) {
      const known = formats.findIndex((other) => sameFormat(other, format));
      custom.hidden = known >= 0;
      setText(custom, `${format.name} (custom)`);
      select.value = known >= 0 ? String(known) : "custom";
      if (kind !== format.kind) {
        kind = format.kind;
        inputs = kind === "float" ? floatWidths(formats, act) : integerWidths(formats, act);
        widths.replaceChildren(...inputs.nodes);
      }
      inputs.show(format);
    },
  };
}

function optionGroup(label, members, formats) {
  const group = make("optgroup", { label });
  for (const format of members) {
    group.append(make("option", { value: formats.indexOf(format) }, format.name));
  }
  return group;
}

function labelled(text, control) {
  return make("label", { class: "ql-labelled" }, make("span", {}, text), control);
}

function numberInput(label, least, most) {
  return make("input", { type: "number", min: least, max: most, step: 1, "aria-label": label });
}

/** A width out of range is not taken: the box goes back to what holds. */
function readWidth(input, fallback) {
  const value = Number(input.value);
  const fits = Number.isInteger(value) && value >= Number(input.min) && value <= Number(input.max);
  return input.value !== "" && fits ? value : fallback;
}

/** The listed format that has these bits, so that 5 and 10 are FP16 again; otherwise a custom one. */
const listed = (formats, wanted) => formats.find((format) => sameFormat(format, wanted)) ?? wanted;

function floatWidths(formats, act) {
  const exponent = numberInput("exponent bits, 1 to 11", 1, 11);
  const mantissa = numberInput("mantissa bits, 0 to 52", 0, 52);
  const specials = make("select", { "aria-label": "special values" });
  for (const [value, text] of [["ieee", "∞ and NaN"], ["nan", "only NaN"], ["none", "none"]]) {
    specials.append(make("option", { value }, text));
  }
  let current = null;
  const change = () => {
    const [e, m] = [readWidth(exponent, current.exponent_bits), readWidth(mantissa, current.mantissa_bits)];
    act.setFormat(listed(formats, floatFormat(e, m, specials.value)));
  };
  for (const control of [exponent, mantissa, specials]) control.addEventListener("change", change);
  return {
    nodes: [labelled("Exponent", exponent), labelled("Mantissa", mantissa), labelled("Specials", specials)],
    show(format) {
      current = format;
      exponent.value = format.exponent_bits;
      mantissa.value = format.mantissa_bits;
      specials.value = format.specials;
    },
  };
}

function integerWidths(formats, act) {
  const bits = numberInput("bits, 2 to 64", 2, 64);
  const sign = make("select", { "aria-label": "signed or unsigned" },
    make("option", { value: "signed" }, "signed"), make("option", { value: "unsigned" }, "unsigned"));
  let current = null;
  const change = () => {
    const wanted = integerFormat(readWidth(bits, current.width), sign.value === "signed");
    act.setFormat(listed(formats, wanted));
  };
  for (const control of [bits, sign]) control.addEventListener("change", change);
  return {
    nodes: [labelled("Bits", bits), labelled("Kind", sign)],
    show(format) {
      current = format;
      bits.value = format.width;
      sign.value = format.signed ? "signed" : "unsigned";
    },
  };
}

// ---------------------------------------------------------------- the number box

const HINT = "A decimal, a fraction 1/3, a power 2^-14, or the bits: 0x…, 0b…";

function numberBox(act) {
  const messageId = freshId("message");
  const input = make("input", {
    type: "text", class: "ql-number", "aria-label": "number", "aria-describedby": messageId,
    autocomplete: "off", autocapitalize: "off", spellcheck: "false",
  });
  const message = make("div", { class: "ql-message", id: messageId, role: "status" }, HINT);
  const down = stepButton("◂ Previous", "previous value, one step down", () => act.step(-1));
  const up = stepButton("Next ▸", "next value, one step up", () => act.step(1));
  const complain = (text) => {
    setText(message, text ?? HINT);
    message.classList.toggle("ql-bad", text !== null);
    setAttribute(input, "aria-invalid", String(text !== null));
  };
  let typing = false;
  // While a person types, what can be read is shown at once; what cannot is named only at the end,
  // so that "1/" on the way to "1/3" is no mistake. Nothing that was typed is thrown away.
  const read = (final) => {
    typing = true;
    const problem = input.value.trim() || final ? act.type(input.value) : null;
    if (problem === null || final) complain(problem);
  };
  input.addEventListener("input", () => read(false));
  input.addEventListener("change", () => read(true));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowUp") act.step(1);
    else if (event.key === "ArrowDown") act.step(-1);
    else return;
    event.preventDefault();
  });
  return {
    node: make("div", { class: "ql-entry" },
      make("div", { class: "ql-entry-row" }, labelled("Number", input), make("span", { class: "ql-steps" }, down, up)),
      message),
    show(state, source) {
      typing = typing && source === "typed";
      if (!typing) {
        input.value = inBox(state);
        complain(null);
      }
      setDisabled(down, step(state.format, state.code, -1) === null);
      setDisabled(up, step(state.format, state.code, 1) === null);
    },
  };
}

function stepButton(text, label, action) {
  const button = make("button", { type: "button", class: "ql-step", "aria-label": label }, text);
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") action();
  });
  return button;
}

/** aria-disabled keeps the focus where it is when the last value is reached. */
const setDisabled = (button, off) => setAttribute(button, "aria-disabled", String(off));

/** What was asked for, if it fits into the box; else its first 17 digits. */
function inBox({ text, target }) {
  return text.length <= 26 ? text : shortText(target, 17).text;
}

// ---------------------------------------------------------------- the strip of bits

function bitStrip(act) {
  const node = make("div", { class: "ql-strip" });
  const note = make("div", { class: "ql-note", "aria-hidden": "true" });
  let format = null;
  let buttons = []; // buttons[index], index 0 is the last bit
  let state = null;
  let noted = null;

  const focusOn = (index) => {
    const kept = Math.min(Math.max(index, 0), buttons.length - 1);
    buttons.forEach((button, i) => setAttribute(button, "tabindex", i === kept ? "0" : "-1"));
    buttons[kept].focus({ preventScroll: true });
  };
  const annotate = (index) => {
    noted = index;
    setText(note, index === null || index >= buttons.length ? IDLE_NOTE : flipNote(state, index));
  };
  node.addEventListener("keydown", (event) => pressKey(event, act, state, focusOn));
  node.addEventListener("pointerover", (event) => annotate(indexOf(event.target)));
  node.addEventListener("pointerleave", () => annotate(null));
  node.addEventListener("focusin", (event) => {
    const index = indexOf(event.target);
    if (index === null) return;
    buttons.forEach((button, i) => setAttribute(button, "tabindex", i === index ? "0" : "-1"));
    annotate(index);
  });
  node.addEventListener("focusout", () => annotate(null));
  makePaintable(node, act, () => state);

  return {
    node: make("div", { class: "ql-strip-box" }, node, note),
    show(next) {
      state = next;
      if (format === null || !sameFormat(format, next.format)) {
        format = next.format;
        buttons = buildStrip(node, format);
      }
      buttons.forEach((button, index) => showBit(button, state, index));
      annotate(noted);
    },
  };
}

const IDLE_NOTE = "Click a bit to flip it, drag to paint, or use the arrow keys.";

const indexOf = (target) => {
  const button = target.closest?.(".ql-bit");
  return button ? Number(button.dataset.index) : null;
};

/** One group of buttons per field, the sign first. Returns the buttons by index. */
function buildStrip(node, format) {
  const buttons = [];
  const groups = new Map();
  for (let index = width(format) - 1; index >= 0; index -= 1) {
    const { field } = bitRole(format, index);
    if (!groups.has(field)) groups.set(field, make("span", { class: "ql-cells" }));
    const button = make("button", {
      type: "button", class: "ql-bit", "data-index": index, tabindex: index === width(format) - 1 ? "0" : "-1",
    });
    buttons[index] = button;
    groups.get(field).append(button);
  }
  node.replaceChildren(...[...groups].map(([field, cells]) => {
    const count = cells.children.length;
    const name = field === "digit" ? "digits" : field;
    const label = `${name}, ${count} bit${count > 1 ? "s" : ""}`;
    return make("div", { class: `ql-field ql-${field}`, role: "group", "aria-label": label },
      make("span", { class: "ql-field-name" }, count > 3 ? `${name} · ${count}` : name), cells);
  }));
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", `the ${width(format)} bits of ${format.name}`);
  node.style.setProperty("--ql-columns", Math.min(width(format), 32));
  return buttons;
}

const isSet = (code, index) => ((code >> BigInt(index)) & 1n) === 1n;

function showBit(button, { format, code }, index) {
  const on = isSet(code, index);
  const text = on ? "1" : "0";
  if (button.textContent === text) return;
  button.textContent = text;
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", `${bitName(format, index)}, is ${text}`);
}

/** "exponent bit 4, weight 2^4": what a screen reader says, and the note under the strip. */
function bitName(format, index) {
  const { field, place, power, negative } = bitRole(format, index);
  if (power === null) return "sign bit, 1 is minus";
  const weight = `weight ${negative ? MINUS : ""}2^${power}`;
  return field === "sign" ? `sign bit, ${weight}` : `${field === "digit" ? "" : `${field} `}bit ${place}, ${weight}`;
}

function flipNote(state, index) {
  const { format, code, value } = state;
  const flipped = decode(format, code ^ (1n << BigInt(index)));
  const name = bitName(format, index).replace(/2\^(-?\d+)/, (_, power) => powerText(power));
  const show = (number) => pretty(shortText(number, 7).text);
  return `${name}. Flipped, ${show(value)} becomes ${show(flipped)}.`;
}

function pressKey(event, act, state, focusOn) {
  const index = indexOf(event.target);
  if (index === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const top = width(state.format) - 1;
  const actions = {
    ArrowLeft: () => focusOn(index + 1),
    ArrowRight: () => focusOn(index - 1),
    Home: () => focusOn(top),
    End: () => focusOn(0),
    ArrowUp: () => act.setBit(index, true),
    ArrowDown: () => act.setBit(index, false),
    0: () => { act.setBit(index, false); focusOn(index - 1); },
    1: () => { act.setBit(index, true); focusOn(index - 1); },
    PageUp: () => act.step(1),
    PageDown: () => act.step(-1),
    "+": () => act.step(1),
    "-": () => act.step(-1),
  };
  const action = actions[event.key];
  if (!action) return;
  action();
  event.preventDefault();
  event.stopPropagation();
}

/** A press flips a bit; a drag gives every bit that it passes the same digit. */
function makePaintable(node, act, getState) {
  let stroke = null;
  let pressed = false; // the click that follows a press must not flip the bit again
  const move = (event) => {
    const target = document.elementFromPoint(event.clientX, event.clientY);
    const index = target && node.contains(target) ? indexOf(target) : null;
    if (stroke === null || index === null || index === stroke.last) return;
    const towards = Math.sign(index - stroke.last); // a fast drag skips bits: paint those too
    for (let i = stroke.last; i !== index; i += towards) act.setBit(i + towards, stroke.on);
    stroke.last = index;
  };
  const end = (event) => {
    if (stroke === null) return;
    if (event.type === "pointercancel") act.setCode(stroke.before); // it was a scroll after all
    stroke = null;
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", end);
    window.removeEventListener("pointercancel", end);
    setTimeout(() => { pressed = false; });
  };
  node.addEventListener("pointerdown", (event) => {
    const index = indexOf(event.target);
    if (index === null || event.button !== 0 || !event.isPrimary) return;
    const { code } = getState();
    pressed = true;
    stroke = { before: code, last: index, on: !isSet(code, index) };
    event.target.focus({ preventScroll: true });
    act.setBit(index, stroke.on);
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  });
  node.addEventListener("click", (event) => {
    const index = indexOf(event.target);
    if (index === null || (pressed && event.detail > 0)) return; // a key's click has detail 0
    act.setBit(index, !isSet(getState().code, index)); // from the keyboard or a screen reader
  });
}

// ---------------------------------------------------------------- the value and its error

function valueBox() {
  const short = make("div", { class: "ql-short" });
  const exact = make("div", { class: "ql-exact", tabindex: "0", role: "group", "aria-label": "all digits" });
  const kind = make("span", { class: "ql-kind" });
  const error = make("div", { class: "ql-error" });
  return {
    node: make("div", { class: "ql-value-box" }, make("div", { class: "ql-headline" }, short, kind), error, exact),
    show(state) {
      const full = exactText(state.value);
      const long = full.length > 20;
      setText(short, long ? `≈ ${pretty(shortText(state.value, 10).text)}` : pretty(full));
      setText(exact, long ? `exactly ${pretty(full)}` : "");
      setAttribute(exact, "tabindex", long ? "0" : "-1"); // it scrolls, so the keyboard must reach it
      setText(kind, kindText(state));
      setMarkup(error, errorMarkup(state));
    },
  };
}

function kindText({ format, code }) {
  const name = format.kind === "integer" ? "whole number" : fields(format, code).kind;
  return `${format.name} · ${name === "nan" ? "NaN" : name} · 0x${
    code.toString(16).padStart(Math.ceil(width(format) / 4), "0")}`;
}

function errorMarkup(state) {
  const { format, value, target, text } = state;
  const asked = escaped(pretty(inBox(state)));
  if (value.kind !== "finite" || target.kind !== "finite") {
    if (value.kind === target.kind) return "";
    const became = value.kind === "finite"
      ? pretty(shortText(value, 10).text) : `${value.kind === "nan" ? "NaN" : "infinity"}: too large`;
    return `<b>Error</b> ${asked} becomes ${became} in ${escaped(format.name)}.`;
  }
  const difference = subtract(value, target);
  if (difference.num === 0n) return `<i>No error.</i> ${asked} is exactly a value of ${escaped(format.name)}.`;
  const size = shortText(difference, 6);
  const relative = target.num === 0n ? "" : ` (${percent(divide(difference, target))})`;
  const about = text.length > 26 ? "≈ " : "";
  return `<b>Error</b> ${size.exact ? "" : "≈ "}${signedText(size.text)}${relative} against ${about}${asked}`;
}

const signedText = (text) => (text.startsWith("-") ? pretty(text) : `+${text}`);

function percent({ num, den }) {
  return `${shortText({ kind: "finite", negative: false, num: num * 100n, den }, 3).text} %`;
}

// ---------------------------------------------------------------- the fields and the formula

function explanation() {
  const cards = make("div", { class: "ql-cards" }); // no <dl>: JupyterLab floats those
  const formula = make("div", { class: "ql-formula" });
  return {
    node: make("div", { class: "ql-explanation" }, cards, formula),
    show(state) {
      const words = state.format.kind === "integer" ? integerWords(state) : floatWords(state);
      setMarkup(cards, words.cards.map(([field, name, stored, meaning]) => (
        `<div class="ql-card ql-${field}"><b>${name}</b><span>${stored}</span><span>${meaning}</span></div>`
      )).join(""));
      setMarkup(formula, words.formula);
    },
  };
}

const part = (field, text) => `<span class="ql-part ql-${field}">${text}</span>`;

function floatWords({ format, code, value }) {
  const { sign, exponent, mantissa, kind } = fields(format, code);
  const lead = exponent > 0n ? 1 : 0;
  const size = 1n << BigInt(format.mantissa_bits);
  const stored = exponent > 0n ? exponent : 1n;
  const power = Number(stored) - format.bias;
  const bias = format.bias < 0 ? `+ ${-format.bias}` : `${MINUS} ${format.bias}`;
  const significand = { kind: "finite", negative: false, num: BigInt(lead) * size + mantissa, den: size };
  const short = shortText(significand, 9);
  const special = kind === "nan" || kind === "infinity";
  const cards = [
    ["sign", "sign", `stored ${sign}`, sign === 1n ? `means ${MINUS}` : "means +"],
    ["exponent", "exponent", exponent > 0n ? `stored ${exponent}` : "stored 0, read 1",
      special ? "all ones" : `${stored} ${bias} = ${pretty(String(power))}`],
    ["mantissa", "mantissa", `stored ${mantissa}`,
      special ? (mantissa === 0n ? "is 0" : "is not 0") : `${lead} + ${mantissa}/${size}`],
  ];
  if (special) return { cards, formula: specialFormula(format, kind) };
  const formula = `${part("sign", `(${MINUS}1)<sup>${sign}</sup>`)} × ${
    part("exponent", `2<sup>${stored} ${bias}</sup>`)} × ${
    part("mantissa", `(${lead} + ${mantissa}/${size})`)}`;
  const numbers = `${part("sign", sign === 1n ? `${MINUS}1` : "1")} × ${
    part("exponent", powerText(power))} × ${
    part("mantissa", `${short.exact ? "" : "≈ "}${short.text}`)}`;
  return { cards, formula: formulaLines(formula, numbers, value) };
}

function formulaLines(formula, numbers, value) {
  const short = shortText(value, 12);
  return `<div>${formula}</div><div>= ${numbers}</div><div>${
    short.exact ? "=" : "≈"} <strong>${pretty(short.text)}</strong></div>`;
}

function specialFormula(format, kind) {
  const why = kind === "infinity"
    ? "Every exponent bit is 1 and the mantissa is 0: the format says infinity."
    : format.specials === "ieee"
      ? "Every exponent bit is 1 and the mantissa is not 0: the format says not a number (NaN)."
      : "Every exponent and mantissa bit is 1: the one code for not a number (NaN).";
  return `<div>${why}</div>`;
}

function integerWords({ format, code, value }) {
  const top = format.width - 1;
  const negative = format.signed && isSet(code, top);
  const rest = format.signed ? code & ((1n << BigInt(top)) - 1n) : code;
  const cards = [["digit", "digits", `stored ${rest}`, `${digitCount(rest)} of them are 1`]];
  if (format.signed) {
    cards.unshift(["sign", "sign", `stored ${negative ? 1 : 0}`, `× ${MINUS}${powerText(top)}`]);
  }
  const terms = weightTerms(rest);
  const sign = format.signed ? `${part("sign", `${negative ? 1 : 0} × (${MINUS}${powerText(top)})`)} + ` : "";
  const signNumber = format.signed ? `${part("sign", negative ? `${MINUS}${1n << BigInt(top)}` : "0")} + ` : "";
  return { cards, formula: formulaLines(`${sign}${part("digit", terms)}`,
    `${signNumber}${part("digit", String(rest))}`, value) };
}

const digitCount = (code) => code.toString(2).replace(/0/g, "").length;

/** 2⁶ + 2⁵ + 2⁰; of many terms the first five and the last. */
function weightTerms(code) {
  const powers = [];
  code.toString(2).split("").reverse().forEach((digit, power) => { if (digit === "1") powers.unshift(power); });
  if (!powers.length) return "0";
  const kept = powers.length > 7 ? [...powers.slice(0, 5), null, powers.at(-1)] : powers;
  return kept.map((power) => (power === null ? "…" : powerText(power))).join(" + ");
}

// ---------------------------------------------------------------- the number line

const [LINE_LEFT, LINE_RIGHT] = [16, 84]; // per cent of the width

function numberLine() {
  const node = make("div", { class: "ql-line" });
  return { node, show: (state) => setMarkup(node, lineMarkup(state)) };
}

function lineMarkup(state) {
  const { value } = state;
  if (value.kind !== "finite") {
    const words = value.kind === "nan" ? "NaN is no place on the number line."
      : `Infinity lies beyond the ${value.negative ? "lowest" : "largest"} value, ${
        pretty(shortText(decode(state.format, step(state.format, state.code, value.negative ? 1 : -1)), 10).text)}.`;
    return `<p class="ql-line-words">${words}</p>`;
  }
  const below = neighbour(state, -1);
  const above = neighbour(state, 1);
  const span = (below.gap ? toFraction(below.gap, above.gap ?? below.gap) : 0);
  const middle = LINE_LEFT + (LINE_RIGHT - LINE_LEFT) * span;
  const place = (number) => placeOnLine(number, state, below, above, middle);
  return `<svg role="img" aria-label="${lineLabel(state, below, above)}" width="100%" height="120">
    <line class="ql-axis" x1="2%" x2="98%" y1="50" y2="50"/>
    ${below.gap ? neighbourMarks(LINE_LEFT, middle, below) : edgeMark(middle, "lowest value", "end")}
    ${above.gap ? neighbourMarks(LINE_RIGHT, middle, above) : edgeMark(middle, "largest value", "start")}
    ${targetMark(state, place)}
    <line class="ql-here" x1="${middle}%" x2="${middle}%" y1="38" y2="62"/>
    <text class="ql-here" x="${middle}%" y="13" text-anchor="middle">${shown(value, 10)}</text>
  </svg>`;
}

const shown = (number, digits) => {
  const { text, exact } = shortText(number, digits);
  return `${exact ? "" : "≈ "}${pretty(text)}`;
};

/** gap / (gap + other): where the value lies between its neighbours. */
function toFraction(gap, other) {
  return toFloat(divide(gap, { kind: "finite", negative: false,
    num: gap.num * other.den + other.num * gap.den, den: gap.den * other.den }));
}

/** The value before or after, and the gap to it; gap is null where there is none. */
function neighbour({ format, code, value }, direction) {
  const next = step(format, code, direction);
  if (next === null) return { gap: null };
  const number = decode(format, next);
  if (number.kind === "infinity") { // draw it where the next value would be
    const place = lastPlace(format, fields(format, code).exponent);
    return { label: direction > 0 ? "∞" : `${MINUS}∞`, gap: gapOf(place), number };
  }
  const difference = subtract(number, value);
  return { label: shown(number, 8), gap: { ...difference, negative: false }, number };
}

const gapOf = (power) => (power < 0
  ? { kind: "finite", negative: false, num: 1n, den: 1n << BigInt(-power) }
  : { kind: "finite", negative: false, num: 1n << BigInt(power), den: 1n });

function neighbourMarks(x, middle, { label, gap }) {
  const centre = (x + middle) / 2;
  const power = log2(gap);
  const plain = shortText(gap, 5).text; // 1, 2 and 0.5 need no power
  const [first, second] = Math.abs(power) > 1 ? [powerText(power), plain] : [plain, ""];
  return `<line class="ql-tick" x1="${x}%" x2="${x}%" y1="43" y2="57"/>
    <text x="${x}%" y="34" text-anchor="middle">${label}</text>
    <line class="ql-brace" x1="${x}%" x2="${middle}%" y1="84" y2="84"/>
    <line class="ql-brace" x1="${x}%" x2="${x}%" y1="79" y2="84"/>
    <line class="ql-brace" x1="${middle}%" x2="${middle}%" y1="79" y2="84"/>
    <text class="ql-quiet" x="${centre}%" y="100" text-anchor="middle">gap ${first}</text>
    <text class="ql-quiet" x="${centre}%" y="117" text-anchor="middle">${second}</text>`;
}

/** The exponent of a gap: gaps are powers of two. */
function log2({ num, den }) {
  return num.toString(2).length - den.toString(2).length;
}

function edgeMark(middle, words, side) {
  const shift = side === "end" ? -12 : 12;
  return `<text class="ql-quiet" x="${middle}%" dx="${shift}" y="76" text-anchor="${side}">${words}</text>`;
}

function placeOnLine(number, { value }, below, above, middle) {
  const difference = subtract(number, value);
  const lower = difference.negative;
  const gap = (lower ? below.gap : above.gap) ?? below.gap ?? above.gap;
  if (!gap) return middle;
  const room = lower ? middle - LINE_LEFT : LINE_RIGHT - middle;
  return middle + (room || LINE_RIGHT - LINE_LEFT) * toFloat(divide(difference, gap));
}

function targetMark(state, place) {
  const { target } = state;
  if (target.kind !== "finite" || subtract(state.value, target).num === 0n) return "";
  const exactX = place(target);
  const x = Math.min(Math.max(exactX, 3), 97);
  const beyond = x === exactX ? "" : exactX > x ? " →" : "← ";
  const anchor = x > 75 ? "end" : x < 25 ? "start" : "middle";
  const label = escaped(pretty(inBox(state)));
  const words = beyond === "← " ? `${beyond}${label} asked for` : `${label} asked for${beyond}`;
  return `<line class="ql-target" x1="${x}%" x2="${x}%" y1="40" y2="62"/>
    <text class="ql-target" x="${x}%" y="76" text-anchor="${anchor}">${words}</text>`;
}

function lineLabel(state, below, above) {
  const words = [`number line: ${shown(state.value, 12)}`];
  if (below.gap) words.push(`previous value ${below.label}, gap ${shortText(below.gap, 6).text}`);
  if (above.gap) words.push(`next value ${above.label}, gap ${shortText(above.gap, 6).text}`);
  return escaped(words.join("; "));
}

// ---------------------------------------------------------------- the other formats

function otherFormats(formats, act) {
  const caption = make("caption");
  const rows = formats.map((format) => formatRow(format, act));
  const head = make("tr");
  for (const name of ["format", "value", "error", "bits"]) head.append(make("th", { scope: "col" }, name));
  const table = make("table", { class: "ql-table" }, caption, make("thead", {}, head),
    make("tbody", {}, ...rows.map((row) => row.node)));
  return {
    node: table,
    show(state) {
      setText(caption, `${pretty(inBox(state))} in every format`);
      rows.forEach((row) => row.show(state));
    },
  };
}

function formatRow(format, act) {
  const button = make("button", { type: "button", class: "ql-pick", title: `Show ${format.name} above` }, format.name);
  button.addEventListener("click", () => act.setFormat(format));
  const [value, error] = [make("td", { class: "ql-figure" }), make("td", { class: "ql-figure" })];
  const digits = digitParts(format);
  const bits = make("td", { class: "ql-digits" }, ...digits.nodes);
  const node = make("tr", {}, make("th", { scope: "row" }, button), value, error, bits);
  return {
    node,
    show({ format: current, target, code: currentCode }) {
      const here = sameFormat(format, current);
      const code = here ? currentCode : encode(format, target);
      const number = decode(format, code);
      setAttribute(node, "aria-current", String(here));
      setText(value, shown(number, 9));
      setText(error, rowError(number, target));
      digits.show(code);
    },
  };
}

function rowError(value, target) {
  if (value.kind !== "finite" || target.kind !== "finite") return value.kind === target.kind ? "" : "too large";
  const difference = subtract(value, target);
  return difference.num === 0n ? "exact" : signedText(shortText(difference, 3).text);
}

/** The digits with their field's colour under them, and spaces between a float's fields. */
function digitParts(format) {
  const ends = format.kind === "float"
    ? [["sign", 1], ["exponent", 1 + format.exponent_bits], ["mantissa", width(format)]]
    : [["sign", format.signed ? 1 : 0], ["digit", width(format)]];
  const spans = ends.map(([field]) => make("span", { class: `ql-part ql-${field}` }));
  const between = format.kind === "float" ? " " : "";
  return {
    nodes: spans.flatMap((span, i) => (i ? [between, span] : [span])),
    show(code) {
      const digits = code.toString(2).padStart(width(format), "0");
      spans.forEach((span, i) => setText(span, digits.slice(i ? ends[i - 1][1] : 0, ends[i][1])));
    },
  };
}

// ---------------------------------------------------------------- all together

/** What is read out when something changed: the value and its error, in words. */
function liveRegion() {
  const node = make("div", { class: "ql-live", "aria-live": "polite", "aria-atomic": "true" });
  return {
    node,
    show(state) {
      const error = errorMarkup(state).replace(/<[^>]*>/g, "");
      setText(node, `${pretty(shortText(state.value, 12).text)} in ${state.format.name}. ${error}`);
    },
  };
}

/** A fast drag changes many bits between two frames: thirteen rows need not follow each of them. */
function oncePerFrame(piece) {
  let latest = null;
  let waiting = false;
  const draw = () => {
    waiting = false;
    piece.show(latest);
  };
  return {
    node: piece.node,
    show(state) {
      const first = latest === null;
      latest = state;
      if (first) piece.show(state);
      else if (!waiting) waiting = Boolean(requestAnimationFrame(draw));
    },
  };
}

function render({ model, el }) {
  const formats = model.get("_formats");
  let state = fromModel(model.get("_state"));
  const change = (next, source) => {
    state = next;
    model.set("_state", toModel(state));
    model.save_changes(); // first: while the page draws, Python can already work
    show(source);
  };
  const act = {
    setCode: (code) => change(fromCode(state.format, code), "bits"),
    setBit: (index, on) => {
      const mask = 1n << BigInt(index);
      if (isSet(state.code, index) !== on) act.setCode(state.code ^ mask);
    },
    step: (direction) => {
      const next = step(state.format, state.code, direction);
      if (next !== null) act.setCode(next);
    },
    setFormat: (format) => change(fromNumber(format, state.text, state.target), "format"),
    /** Take what was typed; returns null, or what is wrong with it. */
    type: (text) => {
      try {
        const { number, code } = parse(text, state.format);
        change(number ? fromNumber(state.format, text.trim(), number) : fromCode(state.format, code), "typed");
        return null;
      } catch (problem) {
        if (problem instanceof RangeError) return problem.message;
        throw problem;
      }
    },
  };
  const parts = [formatBar(formats, act), numberBox(act), bitStrip(act), valueBox(), explanation(),
    numberLine(), oncePerFrame(otherFormats(formats, act)), liveRegion()];
  const show = (source) => parts.forEach((piece) => piece.show(state, source));
  // Lumino, below JupyterLab, would take arrow keys and digits for notebook commands.
  const root = make("div", { class: "ql-bits", role: "region", "aria-label": "bit explorer", "data-lm-suppress-shortcuts": "true" },
    ...parts.map((piece) => piece.node));
  show("model");
  el.append(root);

  const follow = () => {
    const next = model.get("_state");
    if (JSON.stringify(next) === JSON.stringify(toModel(state))) return; // our own change came back
    state = fromModel(next);
    show("model");
  };
  model.on("change:_state", follow);
  return () => model.off("change:_state", follow);
}

export default { render };
