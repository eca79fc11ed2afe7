// Numbers in a fixed number of bits: the arithmetic of the bit explorer, without any page.
//
// The rules are those of quantlab.formats (floating point) and quantlab.binary (whole numbers); a
// test compares every code of every format up to 16 bits. Everything is exact: a number is a
// fraction of two BigInts, so that 1/3 is rounded once, to the nearest code, ties to even.
//
// A format is plain data, as quantlab/show/bits.py writes it:
//   {kind: "float", name, exponent_bits, mantissa_bits, bias, specials}   specials as in formats.py
//   {kind: "integer", name, width, signed}                                two's complement
// A number is {kind: "finite" | "infinity" | "nan", negative, num, den} with num >= 0 and den > 0.
// A code is a BigInt from 0 to 2^width - 1.

// ---------------------------------------------------------------- numbers
export const finite = (negative, num, den = 1n) => ({ kind: "finite", negative, num, den });
const infinity = (negative) => ({ kind: "infinity", negative, num: 0n, den: 1n });
const nan = (negative) => ({ kind: "nan", negative, num: 0n, den: 1n });

export const signed = (number) => (number.negative ? -number.num : number.num);
const absolute = (n) => (n < 0n ? -n : n);
const bitLength = (n) => (n === 0n ? 0 : n.toString(2).length);
const isBelowOne = ({ num, den }) => num < den;
const ones = (count) => (1n << BigInt(count)) - 1n;

/** a + b; of zeros and infinities as IEEE 754 says. */
export function add(a, b) {
  if (a.kind !== "finite" || b.kind !== "finite") {
    const clash = a.kind === b.kind && a.negative !== b.negative;
    return a.kind === "nan" || b.kind === "nan" || clash ? nan(false) : a.kind === "infinity" ? a : b;
  }
  const num = signed(a) * b.den + signed(b) * a.den;
  return finite(num < 0n || (num === 0n && a.negative && b.negative), absolute(num), a.den * b.den);
}

export const subtract = (a, b) => add(a, { ...b, negative: !b.negative });

/** a * b; of zeros and infinities as IEEE 754 says. */
export function multiply(a, b) {
  const negative = a.negative !== b.negative;
  if (a.kind === "finite" && b.kind === "finite") return finite(negative, a.num * b.num, a.den * b.den);
  const none = [a, b].some(({ kind, num }) => kind === "nan" || (kind === "finite" && num === 0n));
  return none ? nan(false) : infinity(negative);
}

/** a / b, for finite numbers, b not zero. */
export const divide = (a, b) => finite(a.negative !== b.negative, a.num * b.den, a.den * b.num);

/** A finite number as a float, good to nine places after the point: for positions and shares. */
export const toNumber = (number) => Number((signed(number) * 1_000_000_000n) / number.den) / 1e9;

/** The logarithm of |number| to base 2, of a finite number that is not 0, good to eight places. */
export function log2(number) {
  const power = bitLength(number.num) - bitLength(number.den);
  return power + Math.log2(Math.abs(toNumber(scale(number, 2n, -power))));
}

/** number * base^power, exactly. */
export function scale({ negative, num, den }, base, power) {
  const factor = base ** BigInt(Math.abs(power));
  return power < 0 ? finite(negative, num, den * factor) : finite(negative, num * factor, den);
}

/** num / den, rounded to a whole number: as `mode` of `encode` says, ties to even if it says nothing. */
export function round(num, den, mode = "nearest") {
  if (mode !== "nearest") return mode === "zero" ? num / den : (num + den - 1n) / den;
  const whole = num / den;
  const twice = 2n * (num % den);
  const up = twice > den || (twice === den && (whole & 1n) === 1n);
  return up ? whole + 1n : whole;
}

// ---------------------------------------------------------------- formats
export const width = (format) => (
  format.kind === "integer" ? format.width : 1 + format.exponent_bits + format.mantissa_bits);

/** The same bits mean the same numbers: the name does not count. */
export const sameFormat = (a, b) => Object.keys(a).every((key) => key === "name" || a[key] === b[key]);

/**
 * A float format with the usual bias and, where `specials` needs more bits, none of them. Without
 * infinity an exponent has 10 bits at most, as in formats.py: with 11 its values would leave float64.
 */
export function floatFormat(exponentBits, mantissaBits, specials) {
  const fits = {
    ieee: exponentBits > 1 && mantissaBits > 0, nan: exponentBits > 1 || mantissaBits > 0, none: true,
  };
  const kept = fits[specials] ? specials : "none";
  const bits = kept === "ieee" ? exponentBits : Math.min(exponentBits, 10);
  return {
    kind: "float",
    name: `E${bits}M${mantissaBits}`,
    exponent_bits: bits,
    mantissa_bits: mantissaBits,
    bias: 2 ** (bits - 1) - 1,
    specials: kept,
  };
}

export const integerFormat = (bits, isSigned) => (
  { kind: "integer", name: `${isSigned ? "" : "u"}int${bits}`, width: bits, signed: isSigned });

/** The largest finite magnitude of a float format, as a code. */
function maxCode(format) {
  const reserved = { ieee: 1n << BigInt(format.mantissa_bits), nan: 1n, none: 0n };
  return ones(width(format) - 1) - reserved[format.specials];
}

/** [lowest, highest] of an integer format. */
function integerRange(format) {
  const lowest = format.signed ? -(1n << BigInt(format.width - 1)) : 0n;
  return [lowest, lowest + ones(format.width)];
}

/** The parts of a float code as stored, and its kind: zero, subnormal, normal, infinity or nan. */
export function fields(format, code) {
  const magnitude = code & ones(width(format) - 1);
  const mantissa = code & ones(format.mantissa_bits);
  const exponent = magnitude >> BigInt(format.mantissa_bits);
  let kind = exponent > 0n ? "normal" : mantissa > 0n ? "subnormal" : "zero";
  if (magnitude > maxCode(format)) {
    kind = format.specials === "ieee" && mantissa === 0n ? "infinity" : "nan";
  }
  return { sign: code >> BigInt(width(format) - 1), exponent, mantissa, kind };
}

/** The number that a code stands for, exactly. */
export function decode(format, code) {
  if (format.kind === "integer") {
    const value = format.signed ? BigInt.asIntN(format.width, code) : code;
    return finite(value < 0n, absolute(value));
  }
  const { sign, exponent, mantissa, kind } = fields(format, code);
  const negative = sign === 1n;
  if (kind === "infinity") return infinity(negative);
  if (kind === "nan") return nan(negative);
  const hidden = exponent > 0n ? 1n << BigInt(format.mantissa_bits) : 0n;
  const stored = exponent > 0n ? Number(exponent) : 1; // subnormals share the smallest exponent
  return scale(finite(negative, hidden + mantissa), 2n, stored - format.bias - format.mantissa_bits);
}

/**
 * The code of a number; what is too large as the format says. mode: "nearest" with ties to the even
 * code, "down", "up", or towards "zero" and "away" from it.
 */
export function encode(format, number, mode = "nearest") {
  const outward = (mode === "up") !== number.negative ? "away" : "zero";
  const size = mode === "up" || mode === "down" ? outward : mode;
  return format.kind === "integer" ? encodeInteger(format, number, size) : encodeFloat(format, number, size);
}

/** The values around a number as [[code, probability]]: what stochastic rounding draws from. */
export function chances(format, number) {
  const [near, far] = ["zero", "away"].map((mode) => encode(format, number, mode));
  if (near === far) return [[near, 1]];
  // Beyond the largest value the next one is where it would be if the format went on.
  const [low, high] = [near, far].map((code) => decode({ ...format, specials: "none" }, code));
  const share = Math.min(toNumber(divide(subtract(number, low), subtract(high, low))), 1);
  return [[near, 1 - share], [far, share]];
}

/** The values of a format that people look for, as [name, code]. */
export function landmarks(format) {
  const one = encode(format, finite(false, 1n));
  if (format.kind === "integer") {
    const [low, high] = integerRange(format).map((value) => BigInt.asUintN(format.width, value));
    return [["largest", high], ["smallest", low], ["0", 0n], ["1", one]];
  }
  const [top, hasOne] = [maxCode(format), toNumber(decode(format, one)) === 1 && "normal"];
  return [
    ["largest", top, "normal"], ["smallest normal", 1n << BigInt(format.mantissa_bits), "normal"],
    ["smallest subnormal", 1n, "subnormal"], ["infinity", top + 1n, "infinity"],
    ["NaN", nanCode(format, 0n), "nan"], ["0", 0n, "zero"], ["1", one, hasOne], ["1 + epsilon", one + 1n, hasOne],
  ].filter(([, code, kind]) => fields(format, code).kind === kind);
}

function encodeInteger(format, number, mode) {
  const [lowest, highest] = integerRange(format);
  let value = 0n; // NaN has no whole number; 0 is what NumPy and C compilers most often answer
  if (number.kind === "infinity") value = number.negative ? lowest : highest;
  if (number.kind === "finite") {
    const rounded = round(number.num, number.den, mode);
    value = number.negative ? -rounded : rounded;
  }
  const kept = value < lowest ? lowest : value > highest ? highest : value;
  return BigInt.asUintN(format.width, kept);
}

function encodeFloat(format, number, mode) {
  const sign = (number.negative ? 1n : 0n) << BigInt(width(format) - 1);
  if (number.kind === "nan") return nanCode(format, sign);
  const largest = maxCode(format);
  const magnitude = number.kind === "infinity" ? largest + 1n : magnitudeCode(format, number, mode);
  const held = format.specials === "none" || (mode === "zero" && number.kind === "finite");
  const code = magnitude <= largest ? magnitude : held ? largest : largest + 1n;
  return sign | code;
}

function nanCode(format, sign) {
  if (format.specials === "none") return sign ^ (1n << BigInt(width(format) - 1)); // -0, as ml_dtypes
  const quiet = format.specials === "ieee" ? 1n << BigInt(format.mantissa_bits - 1) : 0n;
  return sign | (maxCode(format) + 1n + quiet);
}

/**
 * The code of |number| as if exponents went on for ever. Codes count values upwards, so a mantissa
 * that rounds up to 2 carries into the exponent by itself.
 */
function magnitudeCode(format, number, mode) {
  if (number.num === 0n) return 0n;
  let exponent = bitLength(number.num) - bitLength(number.den);
  if (isBelowOne(scale(number, 2n, -exponent))) exponent -= 1; // now 2^exponent <= number
  const lowest = 1 - format.bias;
  const kept = Math.max(exponent, lowest);
  const start = BigInt(kept - lowest) << BigInt(format.mantissa_bits);
  const steps = scale(number, 2n, format.mantissa_bits - kept);
  return round(start * steps.den + steps.num, steps.den, mode);
}

/** The code of the next larger (+1) or smaller (-1) value, null where there is none. */
export function step(format, code, direction) {
  if (format.kind === "integer") return stepInteger(format, code, direction);
  if (fields(format, code).kind === "nan") return null;
  const top = maxCode(format) + (format.specials === "ieee" ? 1n : 0n); // infinity is the last stop
  const negative = code >> BigInt(width(format) - 1) === 1n;
  const magnitude = code & ones(width(format) - 1);
  const place = (negative ? -magnitude : magnitude) + BigInt(direction); // both zeros are place 0
  if (absolute(place) > top) return null;
  return place < 0n ? (1n << BigInt(width(format) - 1)) | -place : place;
}

function stepInteger(format, code, direction) {
  const [lowest, highest] = integerRange(format);
  const value = signed(decode(format, code)) + BigInt(direction);
  return value < lowest || value > highest ? null : BigInt.asUintN(format.width, value);
}

/** The digits of a code by field, as a list of [field, digits]; empty fields left out. */
export function fieldDigits(format, code) {
  const digits = code.toString(2).padStart(width(format), "0");
  const parts = format.kind === "integer"
    ? [["sign", format.signed ? 1 : 0], ["digit", format.width]]
    : [["sign", 1], ["exponent", 1 + format.exponent_bits], ["mantissa", digits.length]];
  const cut = parts.map(([field, end], i) => [field, digits.slice(i ? parts[i - 1][1] : 0, end)]);
  return cut.filter(([, text]) => text);
}

// ---------------------------------------------------------------- reading what a person types
const LONGEST = 1200; // characters; the exact decimal of the smallest FP64 has 1076
const LARGEST_POWER = 2000;

/**
 * Read a decimal, a fraction, a power 2^n, inf or nan: then the answer has a `number`. Or bits, as
 * 0x..., 0b... or as many digits 0 and 1 as the format has, fields apart or not: then it has a `code`.
 * Throws RangeError that says what is allowed. codes.nearest in Python reads the same.
 */
export function parse(text, format) {
  const plain = text.trim().replace(/[\u2212\u2013]/g, "-").replace(/\u221e/g, "inf").toLowerCase();
  if (plain.length > LONGEST) throw new RangeError(`At most ${LONGEST} characters can be read.`);
  const code = parseCode(plain, format);
  if (code !== null) return { code };
  const number = parseNumber(plain.replace(/_/g, ""));
  if (number === null) throw new RangeError(howToWrite(text, format));
  return { number };
}

/** A number as "2023/100", "inf" or "-nan": how the page hands it to Python; parseNumber reads it. */
export function toRatio({ kind, negative, num, den }) {
  const size = kind === "finite" ? `${num}/${den}` : kind === "nan" ? "nan" : "inf";
  return negative ? `-${size}` : size;
}

function howToWrite(text, format) {
  const shown = text.length > 24 ? `${text.slice(0, 24)}…` : text;
  const hint = text.includes(",") ? "Use a point, not a comma. " : "";
  const bits = format.kind === "integer" ? "0x7e7" : "0x4d0f";
  return `“${shown}” is not a number. ${hint}`
    + `Type a decimal (20.23, 1e-3), a fraction (1/3), or bits (${bits}, 0b0101).`;
}

function parseCode(text, format) {
  const digits = text.replace(/[_ ]/g, "");
  if (/^[01]+([ _][01]+)*$/.test(text) && digits.length === width(format)) return BigInt(`0b${digits}`);
  if (!/^0x[0-9a-f]+$|^0b[01]+$/.test(digits)) return null;
  const needed = bitLength(BigInt(digits));
  if (needed <= width(format)) return BigInt(digits);
  throw new RangeError(`${format.name} has ${width(format)} bits; ${text} needs ${needed}. `
    + "Type fewer digits, or pick a wider format.");
}

/** The number that a text of no spaces stands for; null if it stands for none. */
export function parseNumber(text) {
  const special = /^([+-]?)(inf|infinity|nan)$/.exec(text);
  if (special) return (special[2] === "nan" ? nan : infinity)(special[1] === "-");
  const parts = text.split("/").map((part) => parseTerm(part.trim()));
  if (parts.length > 2 || parts.includes(null)) return null;
  if (parts.length === 1) return parts[0];
  if (parts[1].num === 0n) {
    throw new RangeError("The number below the stroke must not be 0. For infinity type inf.");
  }
  return divide(parts[0], parts[1]);
}

function parseTerm(text) {
  const power = /^([+-]?)2(?:\^|\*\*)([+-]?\d+)$/.exec(text);
  if (power) return scale(finite(power[1] === "-", 1n), 2n, checkedPower(power[2]));
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/.exec(text);
  if (!match || !(match[2] || match[3])) return null;
  const [, sign, whole, fraction = "", exponent = "0"] = match;
  const digits = finite(sign === "-", BigInt(whole + fraction));
  return scale(digits, 10n, checkedPower(exponent) - fraction.length);
}

function checkedPower(text) {
  const power = Number(text);
  if (Math.abs(power) > LARGEST_POWER) {
    throw new RangeError(`Exponents from -${LARGEST_POWER} to ${LARGEST_POWER} can be read.`);
  }
  return power;
}

// ---------------------------------------------------------------- writing numbers
/** The exact decimal of a value that a code has: a power of two is below the stroke. */
export function exactText(number) {
  if (number.kind !== "finite") return specialText(number);
  const places = bitLength(number.den) - 1; // each halving adds one decimal place
  const digits = String(number.num * 5n ** BigInt(places)).padStart(places + 1, "0");
  const whole = digits.slice(0, digits.length - places);
  const fraction = digits.slice(digits.length - places).replace(/0+$/, "");
  return `${number.negative ? "-" : ""}${whole}${fraction && "."}${fraction}`;
}

const specialText = ({ kind, negative }) => (kind === "nan" ? "NaN" : `${negative ? "-" : ""}infinity`);

/** {text, exact}: the number in at most `digits` significant digits; exact says nothing was cut. */
export function shortText(number, digits) {
  if (number.kind !== "finite") return { text: specialText(number), exact: true };
  const sign = number.negative ? "-" : "";
  if (number.num === 0n) return { text: `${sign}0`, exact: true };
  const { leading, power, exact } = significant(number, digits);
  return { text: sign + layOut(leading.replace(/0+$/, ""), power), exact };
}

/** The first `digits` digits of a finite number that is not 0, rounded, and the power of ten of the first. */
export function significant(number, digits) {
  let power = String(number.num).length - String(number.den).length;
  if (isBelowOne(scale(number, 10n, -power))) power -= 1; // now 10^power <= number < 10^(power + 1)
  const { num, den } = scale(number, 10n, digits - 1 - power);
  const whole = String(round(num, den));
  if (whole.length > digits) power += 1; // 9.99 was rounded up to 10.0
  return { leading: whole.slice(0, digits), power, exact: num % den === 0n };
}

/** Significant digits and a power of ten as 0.00123, 12300 or 1.23e-12. */
function layOut(digits, power) {
  if (power >= 0 && power < 16) {
    const whole = digits.slice(0, power + 1).padEnd(power + 1, "0");
    return digits.length > power + 1 ? `${whole}.${digits.slice(power + 1)}` : whole;
  }
  if (power < 0 && power >= -5) return `0.${"0".repeat(-power - 1)}${digits}`;
  const rest = digits.length > 1 ? `.${digits.slice(1)}` : "";
  return `${digits[0]}${rest}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** 2 to a power, in characters: 2⁻¹⁴. */
export const powerText = (power) => (
  `2${[...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit] ?? "⁻").join("")}`);
