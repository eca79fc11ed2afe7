// What four explorers show where no Python is, of any number that is typed: the HTML is that of
// quantlab.show, character by character, and a test compares the two.
import { decode, encode, finite, floatFormat, parseNumber, round, scale, signed, significant } from "./minifloat.js";

/**
 * What an explorer shows: {html}, and {last}, its last step, where it depends on the number.
 * twin: its name in FACES. given: what it needs to know. colors: html.COLORS. rules: of each number
 * that is typed. settings: by name, what was typed as text.
 */
export function answer({ twin, given, colors, rules }, settings) {
  Object.assign(COLORS, colors);
  const read = { ...settings };
  for (const [name, rule] of Object.entries(rules)) {
    read[name] = readNumber(settings[name], rule);
    if (read[name].problem) return { html: message(read[name].problem) };
  }
  return FACES[twin](read, given);
}

const COLORS = {};
const FACES = { division, doubling, calculator, product };

// ---------------------------------------------------------------- numbers that are typed
const [MOST_TYPED, LEAST_TYPED] = [40, "1e-15"]; // explorer.py has the same limits

/** {exact, text, float} of a text, or {problem}: what is wrong with it. As `read` in explorer.py. */
function readNumber(typed, { name, low, below, only_whole: onlyWhole }) {
  const plain = typed.trim().replace(/[\u2212\u2013]/g, "-").toLowerCase().replace(/_/g, "");
  const { length } = [...plain];
  if (length > MOST_TYPED) return { problem: `${name} must have at most ${MOST_TYPED} characters, got ${length}` };
  const exact = parsed(plain);
  if (exact?.kind !== "finite") {
    const hint = typed.includes(",") ? ", with a point and no comma" : "";
    return { problem: `${name} must be a number such as 20.23, 1e3, 1/3 or 2^10${hint}, got “${typed}”` };
  }
  const outside = compare(exact, parseNumber(low)) < 0 || compare(exact, parseNumber(below)) >= 0;
  if (outside || (onlyWhole && exact.num % exact.den !== 0n)) {
    const kind = onlyWhole ? "a whole number, " : "";
    return { problem: `${name} must be ${kind}at least ${low} and below ${below}, got “${typed}”` };
  }
  if (exact.num && compare({ ...exact, negative: false }, parseNumber(LEAST_TYPED)) < 0) {
    return { problem: `${name} must be 0 or at least 1e-15 in size, got “${typed}”` };
  }
  return { exact, float: toFloat(exact), text: asPython(exact) };
}

/** The number of a text, null if it stands for none. */
function parsed(text) {
  try {
    return parseNumber(text);
  } catch (error) {
    if (error instanceof RangeError) return null; // a stroke over 0, a power over 2000
    throw error;
  }
}

const compare = (a, b) => Number(signed(a) * b.den - signed(b) * a.den);

/** A number as Python writes it: whole, or the float that prints as it, or a fraction. */
function asPython(number) {
  const { num, den } = number;
  const sign = number.negative && num ? "-" : "";
  if (num % den === 0n) return `${sign}${num / den}`;
  const written = repr(toFloat(number));
  if (compare(parseNumber(written), number) === 0) return written;
  let [a, b] = [num, den];
  while (b) [a, b] = [b, a % b];
  return `${sign}${num / a}/${den / a}`;
}

// ---------------------------------------------------------------- floats, and how Python writes them
const FP64 = floatFormat(11, 52, "ieee");
const bytes = new DataView(new ArrayBuffer(8));

/** A finite float as the fraction that it is. */
function exactly(value) {
  bytes.setFloat64(0, value);
  return decode(FP64, bytes.getBigUint64(0));
}

/** The float that is nearest to a fraction. */
function toFloat(number) {
  bytes.setBigUint64(0, encode(FP64, number));
  return bytes.getFloat64(0);
}

/** A float rounded to a whole number, ties to even. */
function nearest(value) {
  const whole = Math.floor(value);
  const rest = value - whole;
  return whole + Number(rest > 0.5 || (rest === 0.5 && whole % 2 !== 0));
}

const exponent = (power) => `e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;

/** repr(value) of a float. */
function repr(value) {
  const [digits, power] = value.toExponential().split("e");
  if (power < -4 || power >= 16) return digits + exponent(Number(power));
  const plain = power < 0 ? value.toFixed(digits.replace(/[-.]/g, "").length - 1 - power) : String(value);
  return plain.includes(".") ? plain : `${plain}.0`;
}

/** f"{value:.{places}f}". JavaScript's toFixed differs at ties alone, which Python rounds to even. */
function fixed(value, places) {
  const halves = value * 2 * 10 ** places;
  const near = Math.round(halves);
  const isTie = near % 2 !== 0 && Math.abs(halves - near) < 1e-3;
  if (value && !isTie && Math.abs(halves) < 2 ** 40) return value.toFixed(places);
  const { negative, num, den } = scale(exactly(value), 10n, places);
  const digits = String(round(num, den)).padStart(places + 1, "0");
  const cut = digits.length - places;
  return `${negative ? "-" : ""}${digits.slice(0, cut)}${places ? "." : ""}${digits.slice(cut)}`;
}

/** f"{value:,.{places}f}" */
const grouped = (value, places) => fixed(value, places).replace(/\B(?<!\.\d*)(?=(\d{3})+(?!\d))/g, ",");

/** f"{value:.{digits}g}"; with `zeros` those at its end are kept. */
function general(value, digits, zeros = false) {
  const number = exactly(value);
  if (!number.num) return number.negative ? "-0" : "0";
  const { leading, power } = significant(number, digits);
  const strip = (text) => (zeros ? text : text.replace(/\.?0+$/, ""));
  if (power >= -4 && power < digits) {
    const places = digits - 1 - power;
    return places ? strip(fixed(value, places)) : fixed(value, 0);
  }
  return (number.negative ? "-" : "") + strip(`${leading[0]}.${leading.slice(1)}`) + exponent(power);
}

/** html.number of a float that is not negative. */
function number(value, digits) {
  if (!value) return fixed(value, digits - 1);
  const { leading, power } = significant(exactly(value), digits);
  if (value >= 1e-5 && value < 1e6) return fixed(value, Math.max(0, digits - 1 - power));
  return `${leading[0]}.${leading.slice(1)}e${power}`.replace("-", "−");
}

// ---------------------------------------------------------------- HTML and SVG, as html.py and drawing.py write them
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
const escape = (text) => text.replace(/[&<>"']/g, (one) => ENTITIES[one]);
const themed = (role) => COLORS[role] ?? role;

/** A coordinate: two decimals at most. */
const short = (value) => (Math.abs(value) < 1e4 ? String(Number(fixed(value, 2))) : general(Number(fixed(value, 2)), 6));

function message(text) {
  return `<div role="alert" style="color:${COLORS.error};font-weight:600;">Error: ${escape(text)}</div>`;
}

function span(text, color, bold) {
  const look = (color ? `color:${color};` : "") + (bold ? "font-weight:600;" : "");
  return `<span style="${look}">${escape(text)}</span>`;
}

function tag(name, attributes, text = "") {
  const written = Object.entries(attributes).filter(([, value]) => value !== null)
    .map(([key, value]) => ` ${key}="${typeof value === "string" ? value : short(value)}"`).join("");
  return text ? `<${name}${written}>${text}</${name}>` : `<${name}${written}/>`;
}

function text(x, y, words, { anchor = "start", role = "ink", mono = false } = {}) {
  return tag("text", {
    x, y, dy: "0.35em", "text-anchor": anchor, fill: themed(role), "font-family": mono ? "monospace" : null,
  }, escape(words));
}

function box(x, y, width, height, { fill = "pale", edge = "none", shade = 1, line = 2 } = {}) {
  const stroke = edge === "none" ? {} : { stroke: themed(edge), "stroke-width": line };
  return tag("rect", { x, y, width, height, fill: themed(fill), "fill-opacity": shade === 1 ? null : shade, ...stroke });
}

function svg(width, height, marks, label) {
  const [w, h] = [short(width), short(height)];
  const body = marks.join("");
  const least = body.includes("<text") ? `min-width:${Math.ceil(0.75 * w)}px;` : "";
  return `<svg role="img" aria-label="${escape(label)}" viewBox="0 0 ${w} ${h}" width="${w}" `
    + `style="max-width:100%;${least}height:auto;display:block;font-variant-numeric:tabular-nums" `
    + `font-family="var(--jp-ui-font-family, sans-serif)" font-size="16" fill="${COLORS.ink}">${body}</svg>`;
}

// ---------------------------------------------------------------- 01 and 02: binary_figures.py
const [ROW, PHONE] = [26, 452];
const CALCULATION = "The calculation, line by line.";

function division({ number: { exact, text: shown }, step }) {
  const rows = [];
  let left = exact.num / exact.den;
  do {
    rows.push([`${left} ÷ 2`, `= ${left / 2n}`, "remainder", String(left % 2n)]);
    left /= 2n;
  } while (left);
  const done = rows.slice(0, step);
  const digits = done.map((row) => row[3]).reverse().join("");
  left = (exact.num / exact.den) >> BigInt(done.length);
  let words = `Nothing is left to halve. Read the remainders upwards: ${shown} is ${digits}.`;
  if (!done.length) words = `Start: ${shown}. Halve it and write down what is left over, 0 or 1.`;
  else if (done.length < rows.length) {
    words = `So far ${shown} = ${left} × ${2n ** BigInt(done.length)} + ${BigInt(`0b${digits}`)}. Go on with ${left}.`;
  }
  return { html: workedFace(words, "digits so far, the newest on the left", digits, done), last: rows.length };
}

function doubling({ fraction: { exact, text: shown }, step }) {
  const [rows, seen] = [[], new Map()];
  let [rest, worth, back] = [exact.num, 0n, null];
  for (let place = 1; place <= step; place += 1) {
    const doubled = 2n * rest;
    const bit = doubled >= exact.den ? 1n : 0n;
    const float = toFloat(finite(false, rest, exact.den));
    if (back === null && seen.has(float)) back = [seen.get(float), place];
    if (!seen.has(float)) seen.set(float, place);
    const written = [rest, doubled].map((num) => general(toFloat(finite(false, num, exact.den)), 12));
    rows.push([`${written[0]} × 2`, `= ${written[1]}`, "digit", String(bit)]);
    rest = doubled - bit * exact.den;
    worth = 2n * worth + bit;
    if (rest === 0n) break;
  }
  const missing = toFloat(finite(false, rest, exact.den << BigInt(rows.length)));
  const soFar = Number(worth) / 2 ** rows.length;
  let words = `So far ${general(soFar, 10)}; ${general(missing, 2)} is missing.`;
  if (back) words += ` Step ${back[1]} starts where step ${back[0]} did: from here the digits repeat.`;
  if (missing === 0) words = `Nothing is left over: the digits are ${shown}, exactly.`;
  if (!rows.length) words = `Start: ${shown}. Double it: a whole part of 1 is the digit 1, and is taken off.`;
  const start = '<span style="font-family:monospace">0.</span>';
  return { html: workedFace(words, "digits after the point", rows.map((row) => row[3]).join(""), rows, start) };
}

/** x of a line: number's and calculation's ends, result, word, bit, its own end; no word where a phone has no room. */
function columns(rows) {
  const longest = [0, 1].map((column) => Math.max(0, ...rows.map((row) => row[column].length)));
  const [left, right] = [12, 9].map((room, column) => 10 * Math.max(longest[column] - room, 0));
  const wider = left + right;
  if (410 + wider <= PHONE) return [32, 170 + left, 180 + left, 274 + wider, 376 + wider, 410 + wider];
  const end = 24 + 9.75 * longest[0];
  return [22, end, end + 7, null, PHONE - 28, PHONE];
}

function workedFace(words, label, digits, rows, start = "") {
  const looks = { 0: [COLORS.pale, COLORS.ink], 1: [COLORS.line, "#FFFFFF"] };
  const cells = [...digits].map((digit) => (
    '<span style="display:inline-block;min-width:22px;text-align:center;'
    + `background:${looks[digit][0]};color:${looks[digit][1]};`
    + `font-family:monospace;font-size:16px;border:1px solid ${COLORS.line}">${digit}</span>`)).join("");
  const [number, end, first, saying, x, width] = columns(rows);
  const height = Math.max(ROW * rows.length, 1);
  const marks = rows.length ? [box(0, height - ROW, width, ROW - 2)] : [];
  rows.forEach(([calculation, result, word, bit], i) => {
    const y = ROW * (i + 0.5) - 1;
    const [fill, ink] = bit === "1" ? ["line", "#FFFFFF"] : ["pale", "ink"];
    marks.push(
      text(number, y, String(i + 1), { anchor: "end", role: "quiet" }), text(end, y, calculation, { anchor: "end" }),
      text(first, y, result), saying === null ? "" : text(saying, y, word, { role: "quiet" }),
      box(x, y - 12, 26, 24, { fill, edge: "line", line: 1.3 }),
      text(x + 13, y, bit, { anchor: "middle", role: ink, mono: true }),
    );
  });
  const said = `${CALCULATION} ${rows.map((row) => row.join(" ")).join("; ")}`;
  return `<div style="position:sticky;top:0;background:${COLORS.ground}"><p data-said style="color:${COLORS.ink};font-size:16px;min-height:1.5em;margin:8px 0">${escape(words)}</p>`
    + `<p style="color:${COLORS.ink};font-size:16px;margin:10px 0;line-height:28px">`
    + `<span style="color:${COLORS.quiet}">${label}:</span> ${start}${cells || "none yet"}</p></div>`
    + svg(width, height, marks, said);
}

// ---------------------------------------------------------------- 00: memory_figures.py
const [GB, GIB] = [1e9, 2 ** 30];

function calculator({ billions, format, block_size: asked, double_quant: nested, device, headroom }, given) {
  const [parameters, deviceBytes] = [giga(billions.float), giga(device)];
  const [key, codeBits] = given.widths[format];
  const builtIn = given.scales[key];
  const block = codeBits >= 16 || builtIn ? null : asked;
  const [size, scaleBits] = builtIn ?? [1, 0];
  const bits = block === null ? codeBits + scaleBits / size
    : codeBits + (nested ? 8 + 32 / 256 : 32) / block;
  const weights = (parameters * bits) / 8;
  const usableExact = multiplied(asWritten(deviceBytes), asWritten(1), asWritten(headroom / 100));
  const weightsExact = asWritten(weights);
  const over = [weightsExact.num * usableExact.den, weightsExact.den * usableExact.num];
  const devices = Number((over[0] + over[1] - 1n) / over[1]);
  const usable = deviceBytes * (1 - headroom / 100);
  const last = weights - (devices - 1) * usable;
  const holders = `${devices} device${devices === 1 ? "" : "s"} of ${general(deviceBytes / GB, 6)} GB`;
  const sentence = `${countText(parameters)} weights in ${format} take ${sizeText(weights)}: ${holders}.`;
  const rows = [
    ["bytes", grouped(weights, 0)], ["GB (10⁹ bytes)", grouped(weights / GB, 2)],
    ["GiB (2³⁰ bytes)", grouped(weights / GIB, 2)], ["bits per weight, scales included", threeDecimals(bits)],
    ["share of FP16", `${fixed((weights / ((parameters * 16) / 8)) * 100, 1)}%`],
  ];
  const note = withoutEffect(format, codeBits, builtIn, asked, nested);
  return {
    html: `<div data-said style="font-size:1.25em;margin:8px 0">${span(sentence, "", true)}</div>`
      + named(oneWeight(codeBits, bits)) + named(filled(devices, holders, deviceBytes, usable, last))
      + `<div style="color:${COLORS.quiet};margin:4px 0">${escape(note) || "&nbsp;"}</div>${factsTable(rows)}`,
  };
}

const asWritten = (value) => parseNumber(repr(value));

/** 10^9 times a number as it is written: 17.1 * 1e9 is a little more than 17.1e9. */
const giga = (value) => toFloat(scale(asWritten(value), 10n, 9));

/** a * (b - c) of fractions. */
const multiplied = (a, b, c) => finite(false, a.num * (b.num * c.den - c.num * b.den), a.den * b.den * c.den);

const threeDecimals = (bits) => general(Number(fixed(bits, 3)), 6);

function sizeText(size) {
  const [value, unit] = size >= GB ? [size / GB, "GB"] : [size / 1e6, "MB"];
  return `${value >= 999.5 ? fixed(value, 0) : general(value, 3, true)} ${unit}`;
}

function countText(parameters) {
  return parameters >= 1e9 ? `${general(parameters / 1e9, 4)} billion` : `${general(parameters / 1e6, 4)} million`;
}

function withoutEffect(format, codeBits, builtIn, block, nested) {
  if (builtIn) {
    const unused = block ? " Block size and double quantization change nothing." : "";
    return `${format} brings its own scales: ${builtIn[1]} bits for every ${builtIn[0]} values.${unused}`;
  }
  if (codeBits >= 16) return block ? `${format} needs no scale: block size changes nothing.` : "";
  if (block === null && nested) return "Double quantization shrinks the scales; without blocks there are none to shrink.";
  return block ? "" : "Without blocks no scale is counted: the least that is possible.";
}

function oneWeight(own, bits) {
  const [side, step, extra] = [18, 22, bits - own];
  const marks = Array.from({ length: own }, (_, i) => box(i * step, 1, side, side, { fill: "ink", shade: 0.65 }));
  let words = `One weight: ${own} bits of its own`;
  if (extra) {
    marks.push(box(own * step, 1, extra * side, side, { fill: "ink", shade: 0.3 }));
    marks.push(box(own * step, 1, side, side, { fill: "none", edge: "ink", line: 1 }));
    words += ` and ${threeDecimals(extra)} bits of a scale`;
  }
  return [720, 20, marks, words];
}

function filled(devices, holders, deviceBytes, usable, last) {
  const drawn = Math.min(devices, 96);
  const [columns, height] = drawn <= 12 ? [Math.max(4, drawn), 100] : [24, 23];
  const [width, marks] = [720 / columns, []];
  for (let i = 0; i < drawn; i += 1) {
    const [x, y] = [(i % columns) * width + 1, Math.floor(i / columns) * (height + 3) + 1];
    const part = (height * (i < devices - 1 ? usable : last)) / deviceBytes;
    marks.push(box(x, y + height - part, width - 4, part, { fill: "ink", shade: 0.65 }));
    marks.push(box(x, y, width - 4, height, { fill: "none", edge: "ink", line: 1 }));
  }
  const note = drawn < devices ? ` (${drawn} are drawn)` : "";
  return [720, 104, marks, `${holders}; ${devices === 1 ? "it" : "the last"} holds ${sizeText(last)}${note}`];
}

function named(drawing) {
  return `<div style="color:${COLORS.ink};margin:6px 0 2px">${escape(drawing[3])}</div>${svg(...drawing)}`;
}

/** html.table of names and texts that are numbers. */
function factsTable(rows) {
  const cell = (name, words, side, room, light) => (
    `<${name} style="text-align:${side};padding:2px 10px;color:${COLORS.ink};border-bottom:1px solid ${COLORS.grid};`
    + `min-width:min(${room}px,40vw);${light}">${escape(words)}</${name.split(" ")[0]}>`);
  const body = rows.map(([name, value]) => (
    `<tr>${cell('th scope="row"', name, "left", 285, "font-weight:400;")}${cell("td", value, "right", 195, "")}</tr>`));
  return '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums;">'
    + `<tbody>${body.join("")}</tbody></table>`;
}

// ---------------------------------------------------------------- 04: grid.py, matrix.py, affine.py
const [CELL, PADDING, DIGIT, POINT, MINUS] = [32, 8, 10.2, 5.1, 13.4]; // CSS pixels, as in matrix.py

function product({ bits, axis, method, outlier }, given) {
  const original = given.X.map((row) => [...row]);
  original[given.outlier[0]][given.outlier[1]] = outlier.float;
  const [xAxis, wAxis] = given.shares[axis];
  const x = quantize(original, bits, xAxis, method);
  const w = quantize(given.W, bits, wAxis, method);
  const [xRead, wRead] = [x, w].map(({ codes, at }) => (
    codes.map((row, i) => row.map((code, j) => (code - at(i, j).zero) * at(i, j).scale))));
  const whole = xAxis !== 0;
  const product = original.map((_, i) => given.W[0].map((_, j) => (whole
    ? sum(x.codes[i], (code, k) => (code - x.at(i, k).zero) * (w.codes[k][j] - w.at(k, j).zero)) * (x.at(i, 0).scale * w.at(0, j).scale)
    : sum(xRead[i], (value, k) => value * wRead[k][j]))));
  const exact = original.map((row) => given.W[0].map((_, j) => sum(row, (value, k) => value * given.W[k][j])));
  const error = product.map((row, i) => row.map((value, j) => value - exact[i][j]));
  const panels = [
    { name: "codes of X", values: x.codes, decimals: 0, outline: given.outlier, rooms: "−128" },
    { name: "X read back", values: xRead, decimals: 3, outline: given.outlier, rooms: given.read_back },
    { name: "product", values: product, decimals: 2, rooms: "−1785.92" },
    { name: "error of the product", values: error, decimals: 2, rooms: "−1785.92", heat: true },
  ];
  const drawn = panels.map((panel) => drawPanel(panel, given)).join("");
  const relative = length(error) / length(exact);
  const said = [
    ["step of X", x.grids.map(({ scale: step }) => number(step, 3)).join(", ")],
    ["numbers of X that became 0", `${count(original, (value, i, j) => value !== 0 && xRead[i][j] === 0)} of ${original.flat().length}`],
    ["product taken", whole ? "on the codes, one rescale" : "on the values read back"],
    ["largest error", number(Math.max(...error.flat().map(Math.abs)), 3)],
    ["relative error", `${fixed(100 * relative, 2)} %`],
    ["SNR", `${decimals(-20 * Math.log10(relative), 1)} dB`],
    ["bits per value of X, scales included", fixed(x.bitsPerValue, 1)],
  ];
  const facts = said.map(([name, words]) => (
    `<span style="white-space:nowrap">${span(name, COLORS.quiet)} ${span(words, "", true)}</span>`)).join(" ");
  return {
    html: `<div style="color:${COLORS.ink};font-size:16px;line-height:1.4;">`
      + `<div style="display:flex;flex-wrap:wrap;gap:8px 16px">${drawn}</div>`
      + `<div data-said style="display:flex;flex-wrap:wrap;gap:2px 24px;margin:8px 0">${facts}</div></div>`,
  };
}

const sum = (row, term) => row.reduce((total, value, k) => total + term(value, k), 0);
const count = (rows, fits) => sum(rows, (row, i) => sum(row, (value, j) => Number(fits(value, i, j))));
const length = (rows) => Math.sqrt(sum(rows.flat(), (value) => value * value));

/** quantize_absmax or quantize_zero_point: the codes, the grids, and `at`: the grid of a place. axis: null, 0 or 1. */
function quantize(values, bits, axis, method) {
  const groups = axis === null ? [values.flat()] : axis === 1 ? values : values[0].map((_, j) => values.map((row) => row[j]));
  const grids = groups.map((group) => makeGrid(Math.min(...group), Math.max(...group), bits, method));
  const at = (i, j) => grids[axis === null ? 0 : axis === 1 ? i : j];
  const code = (value, { inverse, zero, low, high }) => Math.min(Math.max(nearest(value * inverse) + zero, low), high);
  const codes = values.map((row, i) => row.map((value, j) => code(value, at(i, j))));
  const overhead = grids.length * (16 + (method === "absmax" ? 0 : bits));
  return { codes, grids, at, bitsPerValue: bits + overhead / values.flat().length };
}

/** absmax_grid or zero_point_grid of a group that is neither zero nor constant. */
function makeGrid(least, largest, bits, method) {
  const top = 2 ** (bits - 1) - 1;
  if (method === "absmax") {
    const peak = Math.max(largest, -least);
    return { low: -top, high: top, scale: peak / top, inverse: (1 / peak) * top, zero: 0 };
  }
  const [low, levels] = [-top - 1, 2 * top + 1];
  const span = Math.max(largest, 0) - Math.min(least, 0);
  const inverse = (1 / span) * levels;
  const zero = Math.min(Math.max(low - nearest(Math.min(least, 0) * inverse), low), top);
  return { low, high: top, scale: span / levels, inverse, zero };
}

/** A number as a cell of a matrix shows it. */
const decimals = (value, places) => fixed(nearest(value * 10 ** places) / 10 ** places + 0, places).replace("-", "−");

function drawPanel({ name, values, decimals: places, outline, rooms, heat }, { hot, dark }) {
  const cells = values.map((row) => row.map((value) => decimals(value, places)));
  const wide = (words) => {
    const [points, minuses] = [".", "−"].map((one) => words.split(one).length - 1);
    return DIGIT * (words.length - points - minuses) + POINT * points + MINUS * minuses;
  };
  const room = (j) => wide(typeof rooms === "string" ? rooms : rooms[j]);
  const natural = cells[0].map((_, j) => Math.max(room(j), ...cells.map((row) => wide(row[j]))) + 2 * PADDING);
  const shortBy = Math.max(DIGIT * 1.05 * name.length - sum(natural, (width) => width), 0);
  const widths = natural.map((width) => width + shortBy / natural.length);
  const lefts = widths.reduce((found, width) => [...found, found.at(-1) + width], [0]);
  const top = Math.max(...values.flat().map(Math.abs));
  const marks = [text(1, CELL - 13, name)];
  cells.forEach((row, i) => row.forEach((words, j) => {
    const look = heat ? { fill: shade(values[i][j], top, hot), edge: "grid" } : { fill: "pale", edge: "ground" };
    marks.push(box(lefts[j], CELL * (i + 1), widths[j], CELL, { ...look, line: 1.5 }));
    marks.push(text(lefts[j + 1] - PADDING, CELL * (i + 1.5), words, { anchor: "end", role: heat ? dark : "ink" }));
  }));
  if (outline) {
    const [i, j] = outline;
    marks.push(box(lefts[j] + 1, CELL * (i + 1) + 1, widths[j] - 2, CELL - 2, { fill: "none", edge: "error", line: 3.5 }));
  }
  const label = `A matrix. ${name}: ${cells.map((row) => row.join(" ")).join("; ")}.`;
  return svg(lefts.at(-1) + 1, CELL * values.length + CELL + 1, marks, label);
}

/** From white at 0 to the colour `hot`, nearly, at the magnitude `top`. */
function shade(value, top, hot) {
  const part = top ? 0.85 * Math.min(Math.abs(value) / top, 1) : 0;
  const parts = [1, 3, 5].map((at) => parseInt(hot.slice(at, at + 2), 16) / 255);
  return `#${parts.map((end) => nearest((1 + part * (end - 1)) * 255).toString(16).padStart(2, "0")).join("")}`;
}
