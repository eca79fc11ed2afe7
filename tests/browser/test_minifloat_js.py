"""The page's arithmetic is quantlab's: the very module of the bit explorer, run in Chromium."""

import base64
import json
from fractions import Fraction

import numpy as np
import pytest
from lab import new_page

from quantlab import formats
from quantlab.experiments import codes
from quantlab.show import bits

SMALL = [f for f in formats.ALL.values() if f.width <= 16]
ODD = [
    formats.MiniFloat("E1M2", 1, 2, 0, "none"),
    formats.MiniFloat("E4M0", 4, 0, 7, "nan"),
    formats.MiniFloat("E2M1", 2, 1, 1, "ieee"),
    formats.MiniFloat("E5M3", 5, 3, 40, "none"),
]
LARGE = [formats.FP32, formats.TF32, formats.MiniFloat("FP64", 11, 52, 1023)]

_LOAD = """async (source) => {
  const url = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
  window.mf = await import(url);
  const byte = (c) => c.charCodeAt(0);
  window.unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), byte).buffer);
  // The exact number as the nearest float64; a power of two below 2^-1000 is taken in two steps.
  window.toDouble = ({kind, negative, num, den}) => {
    let size = kind === "nan" ? NaN : Infinity;
    if (kind === "finite") {
      const far = den > 1n << 1000n ? 1n << 1000n : 1n;
      size = Number(num) / Number(den / far) / Number(far);
    }
    return negative ? -size : size;
  };
  window.fromDouble = (value) => {
    if (Number.isNaN(value)) return {kind: "nan", negative: false, num: 0n, den: 1n};
    const negative = value < 0 || Object.is(value, -0);
    let size = Math.abs(value);
    if (size === Infinity) return {kind: "infinity", negative, num: 0n, den: 1n};
    let den = 1n;
    for (; size < 2 ** 60 && size !== Math.floor(size); size *= 2) den *= 2n;
    return {kind: "finite", negative, num: BigInt(size), den};
  };
}"""


@pytest.fixture(scope="module")
def page(chromium):
    page = new_page(chromium, viewport={"width": 400, "height": 300})
    page.goto("about:blank")
    page.evaluate(_LOAD, bits._module())
    yield page
    page.context.close()


def pack(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def data(f):
    return bits._as_data(f)


_DECODE = """([format, codes, expected]) => {
  const [given, wanted] = [unpack(codes, BigUint64Array), unpack(expected, Float64Array)];
  const wrong = [];
  given.forEach((code, i) => {
    const number = mf.decode(format, code);
    const negative = mf.fields(format, code).sign === 1n;
    const signs = number.kind === "nan" || number.negative === negative;
    if (!Object.is(toDouble(number), wanted[i]) || !signs) wrong.push(String(code));
  });
  return [given.length, wrong.slice(0, 5)];
}"""

_ENCODE = """([format, values, expected]) => {
  const [given, wanted] = [unpack(values, Float64Array), unpack(expected, BigUint64Array)];
  const wrong = [];
  given.forEach((value, i) => {
    if (mf.encode(format, fromDouble(value)) !== wanted[i]) wrong.push(value);
  });
  return [given.length, wrong.slice(0, 5)];
}"""


def assert_decodes(page, f, codes):
    # A NaN's sign does not count: JavaScript has one NaN.
    with np.errstate(over="ignore"):  # FP64's infinity is reached by overflow
        values = f.decode(codes)
    values = np.where(np.isnan(values), np.nan, values)
    call = [data(f), pack(codes.astype(np.uint64)), pack(values.astype(np.float64))]
    assert page.evaluate(_DECODE, call) == [len(codes), []]


def assert_encodes(page, f, values):
    call = [data(f), pack(values), pack(f.encode(values).astype(np.uint64))]
    assert page.evaluate(_ENCODE, call) == [len(values), []]


def awkward_values(f, rng, count):
    """Random numbers over the format's range and beyond, midpoints, and their neighbours."""
    top = 2 ** (f.width - 1) - 1
    codes = rng.integers(0, top, count)
    with np.errstate(over="ignore"):
        low, high = f.decode(codes), f.decode(codes + 1)
    middle = np.where(np.isfinite(low) & np.isfinite(high), low / 2 + high / 2, f.max)
    power = rng.uniform(np.log2(f.smallest_subnormal) - 3, np.log2(f.max) + 3, count)
    with np.errstate(over="ignore"):
        above, spread = np.nextafter(middle, np.inf), np.exp2(power)
    values = [middle, np.nextafter(middle, 0), above, spread]
    values.append([0.0, f.max, f.smallest_normal, f.smallest_subnormal / 2, np.inf])
    values = np.concatenate(values)
    return np.concatenate([values, -values, [np.nan]])


@pytest.mark.parametrize("f", SMALL + ODD, ids=lambda f: f.name)
def test_every_code_of_every_format_up_to_16_bits_decodes_as_in_quantlab(page, f):
    assert_decodes(page, f, np.arange(2**f.width))


def test_a_million_fp32_codes_decode_as_in_quantlab(page):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**32, 1_000_000, dtype=np.uint64)
    codes[:6] = [0, 1, 0x7F800000, 0xFF800000, 0x7FC00000, 0x80000000]
    assert_decodes(page, formats.FP32, codes.astype(np.int64))


@pytest.mark.parametrize("f", LARGE[1:], ids=lambda f: f.name)
def test_wide_formats_decode_as_in_quantlab(page, f):
    codes = np.random.default_rng(1).integers(0, 2 ** min(f.width, 63), 20_000)
    assert_decodes(page, f, codes)


@pytest.mark.parametrize("f", SMALL + ODD + LARGE, ids=lambda f: f.name)
def test_random_values_and_midpoints_encode_as_in_quantlab(page, f):
    assert_encodes(page, f, awkward_values(f, np.random.default_rng(2), 4000))


def spelled(f, code):
    """The bits of a code, its fields apart, as `quantlab.formats` writes those of a value."""
    digits, cut = f"{code:0{f.width}b}", 1 + f.exponent_bits
    return " ".join(filter(None, (digits[0], digits[1:cut], digits[cut:])))


@pytest.mark.parametrize("f", SMALL + ODD, ids=lambda f: f.name)
def test_bits_are_written_as_in_quantlab(page, f):
    codes = np.arange(0, 2**f.width, max(1, 2**f.width // 500))
    call = """([format, codes]) => codes.map((code) => (
      mf.fieldDigits(format, BigInt(code)).map(([, digits]) => digits).join(" ")))"""
    written = page.evaluate(call, [data(f), codes.tolist()])
    assert written == [spelled(f, int(code)) for code in codes]


@pytest.mark.parametrize("f", SMALL, ids=lambda f: f.name)
def test_steps_visit_every_value_in_ascending_order(page, f):
    walk = """(format) => {
      let code = mf.encode(format, {kind: "infinity", negative: true, num: 0n, den: 1n});
      if (mf.fields(format, code).kind === "nan") {
        code = mf.encode(format, mf.parse(String(-format.max), format).number);
      }
      const seen = [];
      for (; code !== null; code = mf.step(format, code, 1)) {
        seen.push(toDouble(mf.decode(format, code)));
      }
      return seen.filter(Number.isFinite);
    }"""
    seen = page.evaluate(walk, data(f) | {"max": f.max})
    assert np.array_equal(np.array(seen, dtype=float), f.finite_values())


TYPED = [
    "20.23",
    "1/3",
    "-2/3",
    "202.3",
    "1e-7",
    "0.1",
    "65519.99",
    "65520",
    "-1e-9",
    "2047/2048",
    "2^-14",
]


@pytest.mark.parametrize("f", formats.ALL.values(), ids=lambda f: f.name)
def test_typed_numbers_are_rounded_once_as_exact_fractions(page, f):
    number = "mf.parse(t, format).number"
    call = f"([format, texts]) => texts.map((t) => String(mf.encode(format, {number})))"
    shown = [int(code) for code in page.evaluate(call, [data(f), TYPED])]
    exact = [Fraction(2) ** -14 if text == "2^-14" else Fraction(text) for text in TYPED]
    assert shown == [codes.encode(f, number) for number in exact]


@pytest.mark.parametrize("width", [2, 4, 7, 8, 16, 33, 64])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_integers_of_every_width_are_twos_complement(page, width, signed):
    whole = bits.Integer(width, signed)
    rng = np.random.default_rng(width)
    codes = [0, 1, 2 ** (width - 1) - 1, 2 ** (width - 1), 2**width - 1]
    codes += [int(code) % 2**width for code in rng.integers(0, 2**62, 50)]
    call = """([format, codes]) => codes.map((code) => {
      const number = mf.decode(format, BigInt(code));
      return [mf.exactText(number), String(mf.encode(format, number))];
    })"""
    shown = page.evaluate(call, [data(whole), [str(code) for code in codes]])
    assert shown == [[str(whole.decode(code)), str(code)] for code in codes]


def test_integers_round_half_to_even_and_hold_at_the_ends(page):
    texts = ["0.5", "1.5", "2.5", "-0.5", "-1.5", "127.5", "300", "-300", "inf", "-inf", "nan"]
    number = "mf.parse(t, format).number"
    call = f"([format, texts]) => texts.map((t) => String(mf.encode(format, {number})))"
    int8 = bits.Integer(8)
    wanted = [int8.encode(float(text)) for text in texts]
    assert page.evaluate(call, [data(int8), texts]) == [str(code) for code in wanted]


def test_decimals_are_exact_to_the_last_digit(page):
    from decimal import Decimal

    values = [20.23, 1 / 3, 2.0**-149, 2.0**-1074, 1e22, -0.1, 65504.0]
    call = "(texts) => texts.map((text) => mf.exactText(fromDouble(Number(text))))"
    shown = page.evaluate(call, [repr(value) for value in values])
    assert [Decimal(text) for text in shown] == [Decimal(value) for value in values]


def test_short_decimals_are_those_of_python(page):
    """shortText rounds exactly, half to even, as Python's format does."""
    rng = np.random.default_rng(3)
    values = [*(10.0 ** rng.uniform(-30, 30, 2000)).tolist(), 0.5, 2.5, 999999.5, 9.9999995, 1e22]
    call = "(texts) => texts.map((text) => mf.shortText(fromDouble(Number(text)), 7).text)"
    shown = page.evaluate(call, [repr(value) for value in values])
    assert [float(text) for text in shown] == [float(f"{value:.7g}") for value in values]


REFUSED = {
    "abc": "not a number",
    "20,23": "Use a point",
    "1/0": "must not be 0",
    "0x12345": "FP16 has 16 bits; 0x12345 needs 17",
    "1e99999": "Exponents from",
    "1/2/3": "not a number",
    "0x": "not a number",
    "--1": "not a number",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_reason(page, text):
    call = """([text, format]) => {
      try { mf.parse(text, format); return "taken"; } catch (problem) { return problem.message; }
    }"""
    assert REFUSED[text] in page.evaluate(call, [text, json.loads(json.dumps(data(formats.FP16)))])
