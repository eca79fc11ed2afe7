// The face of the bit explorer: what a person sees and touches. All arithmetic is in minifloat.js, which
// bits.py puts in front of this file: there is no build step.
//
// The page and Python share one trait, _state = {format, bits, number, ratio}: the format as data, the code
// as 0s and 1s, and the number that was asked for, as text and as an exact ratio. Python only listens.
import {
  add, chances, decode, divide, encode, exactText, fieldDigits, fields, finite, floatFormat,
  integerFormat, landmarks, log2, multiply, parse, parseNumber, powerText, sameFormat, shortText, step,
  subtract, toNumber, toRatio, width,
} from "./minifloat.js";
import { keepKeys } from "./keys.js";

const MINUS = "\u2212";
const pretty = (text) => text.replace(/^-/, MINUS).replace(/^(.?)infinity$/, "$1∞");

// ---------------------------------------------------------------- small helpers
/** An element; its name may have classes, "tr.one.two". */
function make(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Touch the page only where the text differs: most of it stays the same when a bit changes. */
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const setAttribute = (node, name, value) => {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
};

function setMarkup(node, markup) {
  if (node.markup !== markup) {
    node.innerHTML = markup;
    node.markup = markup; // innerHTML reads back differently from how it was written
  }
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

/** A number in so many digits, with a sign if some were cut. */
const shown = (number, digits) => equals(number, digits).replace("= ", "");
const equals = (number, digits) => {
  const { text, exact } = shortText(number, digits);
  return `${exact ? "=" : "≈"} ${pretty(text)}`;
};
const digitsOf = ({ mantissa_bits: bits }) => (bits > 30 ? 17 : 9); // that tell neighbours apart

// ---------------------------------------------------------------- state
/** All that the page shows follows from the format, the code and the number that was asked for. */
function makeState(format, code, text, target) {
  return { format, code, text, target, value: decode(format, code) };
}

const fromCode = (format, code) => (
  makeState(format, code, exactText(decode(format, code)), decode(format, code)));
const fromNumber = (format, text, number) => makeState(format, encode(format, number), text, number);
const fromModel = ({ format, bits, number, ratio }) => (
  makeState(format, BigInt(`0b${bits}`), number, parseNumber(ratio)));
const toModel = (state) => (
  { format: state.format, bits: toBits(state), number: state.text, ratio: toRatio(state.target) });
const toBits = ({ format, code }) => code.toString(2).padStart(width(format), "0");
const toHex = ({ format, code }) => `0x${code.toString(16).padStart(Math.ceil(width(format) / 4), "0")}`;

/** What `parse` reads, or {problem}: in words, why it can't. */
function tryParse(text, format) {
  try {
    return parse(text, format);
  } catch (problem) {
    if (problem instanceof RangeError) return { problem: problem.message };
    throw problem;
  }
}

// ---------------------------------------------------------------- format and widths
// What stands beside the menu, by kind of format: how its boxes make a format, and for each box its
// label, its name, the property that it shows, and the range or the choices of that.
const WIDTHS = {
  float: {
    toFormat: (exponent, mantissa, specials) => floatFormat(Number(exponent), Number(mantissa), specials),
    boxes: [
      ["Exponent", "exponent bits, 1 to 11", "exponent_bits", { min: 1, max: 11 }],
      ["Mantissa", "mantissa bits, 0 to 52", "mantissa_bits", { min: 0, max: 52 }],
      ["Specials", "special values", "specials", { ieee: "∞ and NaN", nan: "only NaN", none: "none" }],
    ],
  },
  integer: {
    toFormat: (bits, isSigned) => integerFormat(Number(bits), isSigned === "true"),
    boxes: [
      ["Bits", "bits, 2 to 64", "width", { min: 2, max: 64 }],
      ["Kind", "signed or unsigned", "signed", { true: "signed", false: "unsigned" }],
    ],
  },
};

function formatBar(formats, act) {
  const custom = make("option", { value: "custom", hidden: "" });
  const select = make("select.ql-format", { "aria-label": "number format" },
    ...formats.map(({ name }, place) => make("option", { value: place }, name)), custom);
  select.addEventListener("change", () => {
    if (select.value !== "custom") act.setFormat(formats[Number(select.value)]);
  });
  const widths = make("span.ql-widths");
  let kind = null;
  let boxes = [];
  const change = (source) => act.setFormat(WIDTHS[kind].toFormat(...boxes.map((box) => box.read())), source);
  return {
    node: make("div.ql-bar", {}, labelled("Format", select), widths),
    show({ format }, source) {
      const known = formats.findIndex((other) => sameFormat(other, format));
      custom.hidden = known >= 0;
      setText(custom, `${format.name} (custom)`);
      select.value = known >= 0 ? String(known) : "custom";
      if (kind !== format.kind) {
        kind = format.kind;
        boxes = WIDTHS[kind].boxes.map((box) => widthBox(box, change));
        widths.replaceChildren(...boxes.map((box) => box.node));
      }
      boxes.forEach((box) => box.show(format, source));
    },
  };
}

const labelled = (text, control) => make("label.ql-labelled", {}, make("span", {}, text), control);

function widthBox([label, name, property, choices], change) {
  const isNumber = "min" in choices;
  const control = isNumber
    ? make("input", { type: "number", ...choices, step: 1, "aria-label": name })
    : make("select", { "aria-label": name },
      ...Object.entries(choices).map(([value, text]) => make("option", { value }, text)));
  let held = null;
  control.addEventListener("change", () => {
    if (control.value && control.validity.valid) held = control.value;
    change(isNumber ? "widths" : "format");
  });
  return {
    node: labelled(label, control),
    read: () => held,
    /** A width out of range goes back to what holds. Infinity that was chosen outlives a mantissa of 0. */
    show(format, source) {
      control.value = String(format[property]);
      if (isNumber || source !== "widths") held = control.value;
    },
  };
}

// ---------------------------------------------------------------- the number box
const HINT = "A decimal, a fraction 1/3, a power 2^-14, or the bits: 0x…, 0b…";

let messages = 0;

function numberBox(act) {
  const id = `ql-bits-message-${(messages += 1)}`;
  const input = make("input.ql-number", {
    type: "text", "aria-label": "number", "aria-describedby": id,
    autocomplete: "off", autocapitalize: "off", spellcheck: "false",
  });
  const message = make("div.ql-message", { id, role: "status" }, HINT);
  const steps = [
    [-1, stepButton("◂ Previous", "previous value, one step down", () => act.step(-1))],
    [1, stepButton("Next ▸", "next value, one step up", () => act.step(1))],
  ];
  const picks = make("select.ql-picks", { "aria-label": "go to a value" });
  picks.addEventListener("change", () => act.setCode(landmarks(act.format())[picks.value][1]));
  const say = (text, isBad = false) => {
    setText(message, text);
    message.classList.toggle("ql-bad", isBad);
    setAttribute(input, "aria-invalid", String(isBad));
  };
  let [typing, written] = [false, ""];
  // While a person types, what can be read is shown at once; what cannot is named only at the end,
  // so that "1/" on the way to "1/3" is no mistake. Nothing that was typed is thrown away.
  const read = (final) => {
    typing = true;
    const [text, isBad] = input.value.trim() || final ? act.type(input.value) : [HINT];
    if (!isBad || final) say(text, isBad);
  };
  /** Put a text into the box, to change it or to copy it. */
  act.edit = (text) => {
    input.value = text;
    input.focus();
    input.select();
  };
  input.addEventListener("input", () => read(false));
  input.addEventListener("change", () => read(true));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && input.value !== written) read(true);
    else if (event.key === "ArrowUp") act.step(1);
    else if (event.key === "ArrowDown") act.step(-1);
    else return;
    event.preventDefault();
  });
  return {
    node: make("div.ql-entry", {}, make("div.ql-entry-row", {}, labelled("Number", input), labelled("Go to", picks),
      make("span.ql-steps", {}, ...steps.map(([, button]) => button))), message),
    show(state, source) {
      typing = typing && source === "typed";
      if (!typing) {
        input.value = written = inBox(state);
        say(HINT);
      }
      const found = landmarks(state.format);
      const options = found.map(([name], place) => `<option value="${place}">${name}</option>`).join("");
      setMarkup(picks, `<option value="" disabled hidden>a value…</option>${options}`);
      picks.value = String(found.findIndex(([, code]) => code === state.code)).replace("-1", "");
      for (const [direction, button] of steps) { // not disabled: that would take the focus away
        setAttribute(button, "aria-disabled", String(step(state.format, state.code, direction) === null));
      }
    },
  };
}

function stepButton(text, label, action) {
  const button = make("button.ql-step", { type: "button", "aria-label": label }, text);
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") action();
  });
  return button;
}

/** What was asked for, if it fits into the box; else its first 17 digits. */
function inBox({ text, target }) {
  return text.length <= 26 ? text : shortText(target, 17).text;
}

// ---------------------------------------------------------------- the strip of bits
const IDLE_NOTE = "Click a bit to flip it, drag to paint, or use the arrow keys.";

function bitStrip(act) {
  const node = make("div.ql-strip", { role: "group" });
  const note = make("div.ql-note", { "aria-hidden": "true" });
  let buttons = []; // buttons[index], index 0 is the last bit
  let state = null;
  let noted = null;

  const focusOn = (index) => {
    buttons[Math.min(Math.max(index, 0), buttons.length - 1)].focus({ preventScroll: true });
  };
  const annotate = (index) => {
    noted = index;
    setText(note, index === null || index >= buttons.length ? IDLE_NOTE : flipNote(state, index));
  };
  node.addEventListener("keydown", (event) => pressKey(event, act, focusOn));
  node.addEventListener("pointerover", (event) => annotate(indexOf(event.target)));
  node.addEventListener("pointerleave", () => annotate(null));
  node.addEventListener("focusin", (event) => {
    const index = indexOf(event.target);
    buttons.forEach((button, i) => setAttribute(button, "tabindex", i === index ? "0" : "-1"));
    annotate(index);
  });
  node.addEventListener("focusout", () => annotate(null));
  makePaintable(node, act, () => state);

  return {
    node: make("div.ql-strip-box", {}, node, note),
    show(next) {
      const rebuild = state === null || !sameFormat(state.format, next.format);
      state = next;
      if (rebuild) buttons = buildStrip(node, state.format);
      buttons.forEach((button, index) => showBit(button, state, index));
      annotate(noted);
    },
  };
}

const indexOf = (target) => {
  const button = target.closest?.(".ql-bit");
  return button ? Number(button.dataset.index) : null;
};

/** One group of buttons per field, the sign first. Returns the buttons by index. */
function buildStrip(node, format) {
  const buttons = [];
  let index = width(format);
  node.replaceChildren(...fieldDigits(format, 0n).map(([field, { length }]) => {
    const cells = make("span.ql-cells");
    for (let i = 0; i < length; i += 1) {
      index -= 1;
      const tabindex = index === width(format) - 1 ? "0" : "-1";
      buttons[index] = make("button.ql-bit", { type: "button", "data-index": index, tabindex });
      cells.append(buttons[index]);
    }
    const name = field === "digit" ? "digits" : field;
    const label = `${name}, ${length} bit${length > 1 ? "s" : ""}`;
    return make(`div.ql-field.ql-${field}`, { role: "group", "aria-label": label },
      make("span.ql-field-name", {}, length > 3 ? `${name} · ${length}` : name), cells);
  }));
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
  const isFirst = index === width(format) - 1;
  if (format.kind === "integer") {
    return isFirst && format.signed
      ? `sign bit, weight ${MINUS}2^${index}` : `bit ${index}, weight 2^${index}`;
  }
  if (isFirst) return "sign bit, 1 is minus";
  const power = index - format.mantissa_bits;
  const place = power >= 0 ? `exponent bit ${power}` : `mantissa bit ${index}`;
  return `${place}, weight 2^${power}`;
}

function flipNote({ format, code, value }, index) {
  const flipped = decode(format, code ^ (1n << BigInt(index)));
  const name = bitName(format, index).replace(/2\^(-?\d+)/, (_, power) => powerText(power));
  const [before, after] = [value, flipped].map((number) => pretty(shortText(number, 7).text));
  return `${name}. Flipped, ${before} becomes ${after}.`;
}

function pressKey(event, act, focusOn) {
  const index = indexOf(event.target);
  if (index === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const write = (on) => {
    act.setBit(index, on);
    focusOn(index - 1);
  };
  const actions = {
    ArrowLeft: () => focusOn(index + 1),
    ArrowRight: () => focusOn(index - 1),
    Home: () => focusOn(Infinity),
    End: () => focusOn(0),
    ArrowUp: () => act.setBit(index, true),
    ArrowDown: () => act.setBit(index, false),
    0: () => write(false),
    1: () => write(true),
    "+": () => act.step(1),
    "-": () => act.step(-1),
  };
  const key = { PageUp: "+", PageDown: "-" }[event.key] ?? event.key;
  if (!Object.hasOwn(actions, key)) return;
  actions[key]();
  event.preventDefault();
  event.stopPropagation();
}

/** A press flips a bit; a drag gives every bit that it passes the same digit. */
function makePaintable(node, act, getState) {
  let stroke = null;
  let pressed = false; // the click that follows a press must not flip the bit again
  node.addEventListener("pointerdown", (event) => {
    const index = indexOf(event.target);
    if (index === null || event.button !== 0 || !event.isPrimary) return;
    const { code } = getState();
    stroke = { before: code, last: index, on: !isSet(code, index) };
    pressed = true;
    node.setPointerCapture(event.pointerId); // what follows comes to the strip, wherever it happens
    event.target.focus({ preventScroll: true });
    act.setBit(index, stroke.on);
  });
  node.addEventListener("pointermove", (event) => {
    const target = stroke && document.elementFromPoint(event.clientX, event.clientY);
    const index = target && node.contains(target) ? indexOf(target) : null;
    if (index === null || index === stroke.last) return;
    const towards = Math.sign(index - stroke.last); // a fast drag skips bits: paint those too
    for (let i = stroke.last; i !== index; i += towards) act.setBit(i + towards, stroke.on);
    stroke.last = index;
  });
  node.addEventListener("lostpointercapture", () => {
    stroke = null;
    setTimeout(() => { pressed = false; });
  });
  node.addEventListener("pointercancel", () => stroke && act.setCode(stroke.before)); // it was a scroll after all
  node.addEventListener("click", (event) => {
    const index = indexOf(event.target);
    if (index === null || (pressed && event.detail > 0)) return; // a key's click has detail 0
    act.setBit(index, !isSet(getState().code, index)); // from the keyboard or a screen reader
  });
}

// ---------------------------------------------------------------- the value and its error
function valueBox(act) {
  const short = make("div.ql-short");
  const exact = make("div.ql-exact", { tabindex: "0", role: "group", "aria-label": "all digits" });
  const [kind, hex] = [make("span"), make("button.ql-pick", { type: "button", title: "Edit these digits" })];
  hex.addEventListener("click", () => act.edit(hex.textContent));
  const error = make("div.ql-error");
  const live = make("div.ql-live", { "aria-live": "polite", "aria-atomic": "true" }); // what is read out
  return {
    node: make("div.ql-value-box", {}, make("div.ql-headline", {}, short, make("span.ql-kind", {}, kind, hex)), error, exact, live),
    show(state) {
      const full = exactText(state.value);
      const long = full.length > 20;
      setText(short, long ? `≈ ${pretty(shortText(state.value, digitsOf(state.format)).text)}` : pretty(full));
      setText(exact, long ? `exactly ${pretty(full)}` : "");
      setAttribute(exact, "tabindex", long ? "0" : "-1"); // it scrolls, so the keyboard must reach it
      setText(kind, kindText(state));
      setText(hex, toHex(state));
      setMarkup(error, errorMarkup(state));
      setText(live, `${pretty(shortText(state.value, 12).text)} in ${state.format.name}. ${error.textContent}`);
    },
  };
}

function kindText({ format, code }) {
  const name = format.kind === "integer" ? "whole number" : fields(format, code).kind;
  return `${format.name} · ${name === "nan" ? "NaN" : name} · `;
}

function errorMarkup(state) {
  const { format, value, target, text } = state;
  const [asked, name] = [pretty(inBox(state)), format.name].map(escaped);
  if (value.kind !== "finite" || target.kind !== "finite") {
    if (value.kind === target.kind) return "";
    const became = value.kind === "finite"
      ? pretty(shortText(value, 10).text) : `${value.kind === "nan" ? "NaN" : "infinity"}: too large`;
    return `<b>Error</b> ${asked} becomes ${became} in ${name}.`;
  }
  const difference = subtract(value, target);
  if (difference.num === 0n) return `<i>No error.</i> ${asked} is exactly a value of ${name}.`;
  const { text: size, exact } = shortText(difference, 6);
  const relative = target.num === 0n ? "" : ` (${percent(divide(difference, target))})`;
  const about = text.length > 26 ? "≈ " : "";
  return `<b>Error</b> ${exact ? "" : "≈ "}${signedText(size)}${relative} against ${about}${asked}`;
}

const signedText = (text) => (text.startsWith("-") ? pretty(text) : `+${text}`);
const percent = ({ num, den }) => `${shortText(finite(false, num * 100n, den), 3).text} %`;

// ---------------------------------------------------------------- the fields and the formula
function explanation() {
  const cards = make("div.ql-cards"); // no <dl>: JupyterLab floats those
  const formula = make("div.ql-formula");
  return {
    node: make("div.ql-explanation", {}, cards, formula),
    show(state) {
      const words = state.format.kind === "integer" ? integerWords(state) : floatWords(state);
      cards.classList.toggle("ql-wide", state.format.mantissa_bits > 30);
      setMarkup(cards, words.cards.map(([field, ...lines]) => cardMarkup(field, lines)).join(""));
      setMarkup(formula, words.lines.map((line) => `<div>${line}</div>`).join(""));
    },
  };
}

function cardMarkup(field, [stored, meaning]) {
  const name = field === "digit" ? "digits" : field;
  const lines = `<b>${name}</b><span>stored ${stored}</span><span>${meaning}</span>`;
  return `<div class="ql-card ql-${field}">${lines}</div>`;
}

const part = (field, text) => `<span class="ql-part ql-${field}">${text}</span>`;

function floatWords({ format, code, value }) {
  const { sign, exponent, mantissa, kind } = fields(format, code);
  const isSpecial = kind === "nan" || kind === "infinity";
  const size = 1n << BigInt(format.mantissa_bits);
  const [lead, stored] = exponent > 0n ? [1n, exponent] : [0n, 1n];
  const power = Number(stored) - format.bias;
  const difference = `${stored} ${format.bias < 0 ? `+ ${-format.bias}` : `${MINUS} ${format.bias}`}`;
  const sum = `${lead} + ${mantissa}/${format.mantissa_bits > 23 ? powerText(format.mantissa_bits) : size}`;
  const cards = [
    ["sign", sign, `means ${sign ? MINUS : "+"}`],
    ["exponent", exponent || "0, as 1",
      isSpecial ? "all ones" : `${difference} = ${pretty(String(power))}`],
    ["mantissa", mantissa, isSpecial ? (mantissa ? "is not 0" : "is 0") : sum],
  ];
  if (isSpecial) return { cards, lines: [whySpecial(format, kind)] };
  const product = (...factors) => (
    ["sign", "exponent", "mantissa"].map((field, i) => part(field, factors[i])).join(" × "));
  const formula = product(`(${MINUS}1)<sup>${sign}</sup>`, `2<sup>${difference}</sup>`, `(${sum})`);
  const numbers = product(sign ? `${MINUS}1` : "1", powerText(power),
    shown(finite(false, lead * size + mantissa, size), 9));
  const digits = mantissa.toString(2).padStart(format.mantissa_bits, "0");
  const inTwos = product(sign ? `${MINUS}1` : "1", `10<sup>${inBaseTwo(power)}</sup>`, `${lead}.${digits}`);
  const base = `<span class="ql-base-two">= ${inTwos} in base two</span>`;
  return { cards, lines: [formula, `= ${numbers}`, resultMarkup(value), base] };
}

const inBaseTwo = (power) => (power < 0 ? MINUS : "") + Math.abs(power).toString(2);

const resultMarkup = (value) => equals(value, 12).replace(/ (.*)/, " <strong>$1</strong>");

function whySpecial({ specials }, kind) {
  if (kind === "infinity") return "Every exponent bit is 1 and the mantissa is 0: the format says infinity.";
  return specials === "ieee"
    ? "Every exponent bit is 1 and the mantissa is not 0: the format says not a number (NaN)."
    : "Every exponent and mantissa bit is 1: the one code for not a number (NaN).";
}

function integerWords({ format, code, value }) {
  const top = format.width - 1;
  const rest = format.signed ? BigInt.asUintN(top, code) : code;
  const ones = rest.toString(2).replace(/0/g, "").length;
  const cards = [["digit", rest, `${ones} of them are 1`]];
  let [weights, numbers] = [part("digit", weightTerms(rest)), part("digit", rest)];
  if (format.signed) {
    const [sign, weight] = [isSet(code, top) ? 1 : 0, `${MINUS}${powerText(top)}`];
    cards.unshift(["sign", sign, `× ${weight}`]);
    weights = `${part("sign", `${sign} × (${weight})`)} + ${weights}`;
    numbers = `${part("sign", sign ? `${MINUS}${1n << BigInt(top)}` : "0")} + ${numbers}`;
  }
  return { cards, lines: [weights, `= ${numbers}`, resultMarkup(value)] };
}

/** 2⁶ + 2⁵ + 2⁰; of many terms the first five and the last. */
function weightTerms(code) {
  const digits = [...code.toString(2)];
  const terms = digits.flatMap((digit, i) => (digit === "1" ? [powerText(digits.length - 1 - i)] : []));
  if (terms.length > 7) terms.splice(5, terms.length - 6, "…");
  return terms.join(" + ") || "0";
}

// ---------------------------------------------------------------- the number line
const [LINE_LEFT, LINE_RIGHT] = [16, 84]; // per cent of the width

function numberLine() {
  const node = make("div.ql-line");
  return { node, show: (state) => setMarkup(node, lineMarkup(state)) };
}

const line = (name, x1, x2, y1, y2) => (
  `<line class="ql-${name}" x1="${x1}%" x2="${x2}%" y1="${y1}" y2="${y2}"/>`);
const words = (name, x, y, text, anchor = "middle", dx = 0) => (
  `<text class="ql-${name}" x="${x}%" dx="${dx}" y="${y}" text-anchor="${anchor}">${text}</text>`);

function lineMarkup(state) {
  if (state.value.kind !== "finite") return `<p class="ql-line-words">${offTheLine(state)}</p>`;
  const [below, above] = [neighbour(state, -1), neighbour(state, 1)];
  const share = below ? toNumber(divide(below.gap, (above ?? below).gap)) : 0;
  const middle = LINE_LEFT + (LINE_RIGHT - LINE_LEFT) * (share / (1 + share));
  const parts = [
    line("axis", 2, 98, 50, 50),
    below ? neighbourMarks(LINE_LEFT, middle, below)
      : words("quiet", middle, 76, "lowest value", "end", -12),
    above ? neighbourMarks(LINE_RIGHT, middle, above)
      : words("quiet", middle, 76, "largest value", "start", 12),
    targetMark(state, below, above, middle),
    line("here", middle, middle, 38, 62),
    words("here", middle, 13, shown(state.value, digitsOf(state.format))),
  ];
  const label = lineLabel(state, below, above);
  return `<svg role="img" aria-label="${label}" width="100%" height="120">${parts.join("")}</svg>`;
}

function offTheLine({ format, code, value }) {
  if (value.kind === "nan") return "NaN is no place on the number line.";
  const last = decode(format, step(format, code, value.negative ? 1 : -1));
  const end = value.negative ? "lowest" : "largest";
  return `Infinity lies beyond the ${end} value, ${pretty(shortText(last, 10).text)}.`;
}

/** The value before or after and the gap to it, null where there is none. */
function neighbour({ format, code, value }, direction) {
  const next = step(format, code, direction);
  if (next === null) return null;
  const number = decode(format, next);
  if (number.kind === "infinity") { // drawn where the next value would be: as far as the one before
    const { gap } = neighbour({ format, code, value }, -direction);
    return { label: direction > 0 ? "∞" : `${MINUS}∞`, gap };
  }
  return { label: shown(number, digitsOf(format)), gap: { ...subtract(number, value), negative: false } };
}

function neighbourMarks(x, middle, { label, gap }) {
  const power = gap.num.toString(2).length - gap.den.toString(2).length; // gaps are powers of two
  const plain = shortText(gap, 5).text; // 1, 2 and 0.5 need no power
  const [first, second] = Math.abs(power) > 1 ? [powerText(power), plain] : [plain, ""];
  const centre = (x + middle) / 2;
  const place = label.length < 15 ? [x] : x < middle ? [2, "start"] : [98, "end"]; // a phone is narrow
  return [
    line("tick", x, x, 43, 57), words("label", place[0], 34, label, place[1]), line("brace", x, middle, 84, 84),
    line("brace", x, x, 79, 84), line("brace", middle, middle, 79, 84),
    words("quiet", centre, 100, `gap ${first}`), words("quiet", centre, 117, second),
  ].join("");
}

function targetMark(state, below, above, middle) {
  const { value, target } = state;
  if (target.kind !== "finite") return "";
  const difference = subtract(target, value);
  if (difference.num === 0n) return "";
  const [room, nearest] = difference.negative ? [middle - LINE_LEFT, below] : [LINE_RIGHT - middle, above];
  const { gap } = nearest ?? below ?? above;
  const exactX = middle + (room || LINE_RIGHT - LINE_LEFT) * toNumber(divide(difference, gap));
  const x = Math.min(Math.max(exactX, 3), 97);
  const [left, right] = [exactX < x ? "← " : "", exactX > x ? " →" : ""];
  const text = `${left}${escaped(pretty(inBox(state)))} asked for${right}`;
  const anchor = x > 75 ? "end" : x < 25 ? "start" : "middle";
  return line("target", x, x, 40, 62) + words("target", x, 76, text, anchor);
}

function lineLabel(state, below, above) {
  const sides = [["previous", below], ["next", above]].filter(([, found]) => found)
    .map(([name, { label, gap }]) => `${name} value ${label}, gap ${shortText(gap, 6).text}`);
  return escaped([`number line: ${shown(state.value, 12)}`, ...sides].join("; "));
}

// ---------------------------------------------------------------- the other formats
function table(caption, names, rows) {
  const heads = names.map((name) => make("th", { scope: "col" }, name));
  return make("table.ql-table", {}, caption, make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map((row) => row.node)));
}

function otherFormats(formats, act) {
  const caption = make("caption");
  const rows = formats.map((format) => formatRow(format, act));
  return {
    node: table(caption, ["format", "value", "error", "bits"], rows),
    show(state) {
      setText(caption, `${pretty(inBox(state))} in every format`);
      rows.forEach((row) => row.show(state));
    },
  };
}

/** A row whose button shows above what the row says: name, value, error, and the nodes of the last cell. */
function tableRow(name, title, action, ...last) {
  const button = make("button.ql-pick", { type: "button", title }, name);
  button.addEventListener("click", action);
  const [value, error] = [make("td.ql-figure"), make("td.ql-figure")];
  const node = make("tr", {}, make("th", { scope: "row" }, button), value, error, make("td.ql-digits", {}, ...last));
  return {
    node,
    show(number, target, isHere, digits = 9) {
      setAttribute(node, "aria-current", String(isHere));
      setText(value, shown(number, digits));
      setText(error, rowError(number, target));
    },
  };
}

function formatRow(format, act) {
  // The digits have their field's colour under them, and spaces between a float's fields.
  const spans = fieldDigits(format, 0n).map(([field]) => make(`span.ql-part.ql-${field}`));
  const between = format.kind === "float" ? " " : "";
  const bits = spans.flatMap((span, i) => (i ? [between, span] : [span]));
  const row = tableRow(format.name, `Show ${format.name} above`, () => act.setFormat(format), ...bits);
  return {
    node: row.node,
    show({ format: current, target, code: currentCode }) {
      const here = sameFormat(format, current);
      const code = here ? currentCode : encode(format, target);
      row.show(decode(format, code), target, here);
      fieldDigits(format, code).forEach(([, digits], i) => setText(spans[i], digits));
    },
  };
}

function rowError(value, target) {
  if (value.kind !== target.kind) return target.kind === "nan" ? "no NaN" : "too large";
  if (value.kind !== "finite") return "";
  const difference = subtract(value, target);
  return difference.num === 0n ? "exact" : signedText(shortText(difference, 3).text);
}

// ---------------------------------------------------------------- folded: rounding, range, sums
const MODES = { "nearest even": "nearest", down: "down", up: "up", "toward zero": "zero" };

function more(act) {
  const other = make("input.ql-number", { type: "text", "aria-label": "b, for sums", value: "0.1" });
  const caption = make("caption");
  const names = [...Object.keys(MODES), "stochastic", "a + b", "a × b"];
  const notes = names.map(() => make("span"));
  let [state, cases] = [null, []];
  const rows = names.map((name, i) => (
    tableRow(name, `Take the result of ${name}`, () => act.setCode(...cases[i].take()), notes[i])));
  const range = make("div.ql-line.ql-range");
  const copies = [["value", () => exactText(state.value)], ["bits", () => `0b${toBits(state)}`], ["hex", () => toHex(state)]];
  const buttons = copies.map(([name, text]) => stepButton(name, `copy the ${name}`, () => {
    act.edit(text()); // a page that is not served safely may copy only what is selected
    document.execCommand("copy");
  }));
  const bar = make("div.ql-entry-row", {}, labelled("b, for sums", other),
    make("div.ql-labelled", {}, make("span", {}, "Copy"), make("div.ql-steps", {}, ...buttons)));
  const node = make("details.ql-more", {}, make("summary", {}, "More: rounding, range, sums", make("span.ql-copying", {}, ", copy")),
    make("div.ql-unfolded", {}, range, bar, table(caption, ["rule", "value", "error", "note"], rows)));
  const show = (next) => {
    state = next;
    if (!node.open) return;
    setMarkup(range, rangeMarkup(state));
    setText(caption, `${pretty(inBox(state))} by each rule; a ${equals(state.value, 9)}`);
    cases = [...roundings(state), ...sums(state, other.value)];
    cases.forEach(({ code, exact, note }, i) => {
      rows[i].show(decode(state.format, code), exact, code === state.code, digitsOf(state.format));
      setText(notes[i], note);
    });
  };
  node.addEventListener("toggle", () => show(state));
  other.addEventListener("input", () => show(state));
  return { node, show };
}

/** What each rule makes of the number that was asked for. */
function roundings({ format, target }) {
  const rounded = (code, note = "", draw = () => code) => (
    { code, note, exact: target, take: () => [draw(), target] });
  const drawn = chances(format, target);
  const odds = drawn.map(([code, share]) => (
    `${Number((100 * share).toPrecision(3))} %: ${shown(decode(format, code), digitsOf(format))}`));
  return [...Object.values(MODES).map((mode) => rounded(encode(format, target, mode))),
    rounded(drawn[0][0], odds.join(", "), () => drawn[Number(Math.random() >= drawn[0][1])][0])];
}

/** a + b and a × b for two values of the format: exactly, and what is left of that. */
function sums({ format, value }, text) {
  const { code, number, problem } = tryParse(text, format);
  const b = problem ? { ...finite(false, 0n), kind: "nan" } : decode(format, code ?? encode(format, number));
  return [add, multiply].map((operation) => {
    const exact = operation(value, b);
    const result = encode(format, exact);
    const note = problem ?? `b ${equals(b, digitsOf(format))}, unrounded ${equals(exact, 17)}`;
    return { code: result, exact, note, take: () => [result] };
  });
}

/** All that a format reaches, on a log scale, and where the number lies; subnormals are the thick part. */
function rangeMarkup({ format, value }) {
  const found = new Map(landmarks(format).map(([name, code]) => [name, decode(format, code)]));
  const [one, normal] = [found.get("1"), found.get("smallest normal")];
  const ends = [found.get("smallest subnormal") ?? normal ?? one, found.get("largest")];
  const [low, high] = ends.map(log2);
  const at = (number) => 2 + (96 * (log2(number) - low)) / (high - low || 1);
  const mark = (name, x, y, text) => (
    line(name, x, x, 30 - y, 30 + y) + words(name, x, y > 6 ? 13 : 52, text, x > 75 ? "end" : x < 25 ? "start" : "middle"));
  const [from, to] = ends.map((end) => pretty(shortText(end, 6).text));
  const place = value.kind === "finite" && value.num ? at(value) : null;
  const where = place === null ? "has no place on it" : `is ${Math.round((place - 2) / 0.96)} % of the way`;
  const parts = [line("axis", 2, 98, 30, 30), mark("tick", 2, 6, from), mark("tick", 98, 6, to),
    normal ? line("subnormal", 2, at(normal), 30, 30) : "", one && Math.abs(at(one) - 50) < 30 ? mark("tick", at(one), 6, "1") : "",
    place === null ? "" : mark("here", place, 10, shown(value, digitsOf(format)))];
  const label = `log scale from ${from} to ${to}; ${shown(value, 10)} ${where}`;
  return `<svg role="img" aria-label="${label}" width="100%" height="58">${parts.join("")}</svg>`;
}

// ---------------------------------------------------------------- all together
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
    format: () => state.format,
    /** Take a code; with `target` it stands for the number that was asked for, rounded by another rule. */
    setCode: (code, target) => change(target ? makeState(state.format, code, state.text, target)
      : fromCode(state.format, code), "bits"),
    setBit: (index, on) => {
      if (isSet(state.code, index) !== on) act.setCode(state.code ^ (1n << BigInt(index)));
    },
    step: (direction) => {
      const next = step(state.format, state.code, direction);
      if (next !== null) act.setCode(next);
    },
    setFormat: (wanted, source = "format") => { // 5 and 10 bits are FP16 again; what is not listed is a custom format
      const format = formats.find((one) => sameFormat(one, wanted)) ?? wanted;
      change(fromNumber(format, state.text, state.target), source);
    },
    /** Take what was typed; returns what is to be said of it, and whether it is wrong. */
    type: (text) => {
      const { format } = state;
      const { number, code, problem } = tryParse(text, format);
      if (problem) return [problem, true];
      change(number ? fromNumber(format, text.trim(), number) : fromCode(format, code), "typed");
      return [/^[01_]+$/.test(text.trim()) && code !== undefined
        ? `Read as the ${width(format)} bits of ${format.name}. For the decimal number type a point after it.` : HINT];
    },
  };
  const [folded, others] = [more(act), otherFormats(formats, act)];
  const parts = [formatBar(formats, act), numberBox(act), bitStrip(act), valueBox(act), explanation(), numberLine()];
  const showRest = () => [folded, others].forEach((piece) => piece.show(state));
  let frame = 0;
  const show = (source) => {
    parts.forEach((piece) => piece.show(state, source));
    // A fast drag changes many bits between two frames: thirteen rows need not follow each of them.
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(showRest);
  };
  const root = make("div.ql-bits", { role: "group", "aria-label": "bit explorer" },
    ...[...parts, folded, others].map((piece) => piece.node));
  keepKeys(root);
  show("model");
  showRest();
  el.append(root);

  const follow = () => {
    const next = model.get("_state");
    if (JSON.stringify(next) === JSON.stringify(toModel(state))) return; // our own change came back
    state = fromModel(next);
    show("model");
  };
  // Widgets of ipywidgets are marked by themselves when their kernel is gone; what anywidget shows is not.
  const markAlone = () => el.classList.add("jupyter-widgets-disconnected");
  const events = { "change:_state": follow, comm_live_update: markAlone };
  for (const [event, react] of Object.entries(events)) model.on(event, react);
  return () => { for (const [event, react] of Object.entries(events)) model.off(event, react); };
}

export default { render };
