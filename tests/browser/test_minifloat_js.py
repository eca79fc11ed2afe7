"""The page's arithmetic is quantlab's: the very module of the bit explorer, run in Chromium."""

import base64
import json
from fractions import Fraction
from pathlib import Path

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
LARGE = [formats.FP32, formats.TF32, codes.FP64]

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
    return codes.as_data(f)


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


# What Python reads: tests/show/test_bits.py runs the same cases.
TYPED = json.loads(Path(__file__).parents[1].joinpath("typed_numbers.json").read_text("utf-8"))


def test_the_page_reads_what_python_reads_and_refuses_what_it_refuses(page):
    call = """(cases) => cases.map(([text, format]) => {
      try {
        const { code, number } = mf.parse(text, format);
        const digits = (code ?? mf.encode(format, number)).toString(2);
        return digits.padStart(mf.width(format), "0");
      } catch (problem) { return problem instanceof RangeError ? null : String(problem); }
    })"""
    found = page.evaluate(call, [[one["text"], data(codes.named(one["format"]))] for one in TYPED])
    read = zip(TYPED, found, strict=True)
    assert [(one, bits) for one, bits in read if bits != one["bits"]] == []


NUMBERS = [
    "20.23",
    "-2/3",
    "1e-7",
    "0.1",
    "65519.99",
    "65520",
    "-1e-9",
    "2047/2048",
    "1e40",
    "-448.5",
]


@pytest.mark.parametrize("f", codes.FLOATS.values(), ids=lambda f: f.name)
def test_typed_numbers_are_rounded_once_as_exact_fractions(page, f):
    number = "mf.parse(t, format).number"
    call = f"([format, texts]) => texts.map((t) => String(mf.encode(format, {number})))"
    shown = [int(code) for code in page.evaluate(call, [data(f), NUMBERS])]
    assert shown == [codes.encode(f, Fraction(text)) for text in NUMBERS]


# ---------------------------------------------------------------- other rules of rounding


def directed(f, x, mode):
    """What a rule makes of an exact number: the last value below it, or the first above."""
    values = [Fraction(value) for value in f.finite_values()]
    below = max((value for value in values if value <= x), default=None)
    above = min((value for value in values if value >= x), default=None)
    if mode == "zero":
        mode = "down" if x > 0 else "up"
    return below if mode == "down" else above


@pytest.mark.parametrize("mode", ["down", "up", "zero"])
@pytest.mark.parametrize("f", [f for f in SMALL if f.width <= 8], ids=lambda f: f.name)
def test_directed_rounding_takes_the_neighbour_on_that_side(page, f, mode):
    rng = np.random.default_rng(4)
    inside = [*rng.uniform(-f.max, f.max, 200).tolist(), f.max, -f.max, f.smallest_subnormal / 3]
    call = """([format, values, mode]) => values.map((value) => (
      toDouble(mf.decode(format, mf.encode(format, fromDouble(value), mode)))))"""
    found = page.evaluate(call, [data(f), inside, mode])
    assert found == [directed(f, Fraction(value), mode) for value in inside]


@pytest.mark.parametrize(
    "name, mode, value, wanted",
    [
        ("FP16", "down", 7e4, 65504.0),
        ("FP16", "up", 7e4, np.inf),
        ("FP16", "zero", -7e4, -65504.0),
        ("FP16", "down", -7e4, -np.inf),
        ("FP16", "zero", np.inf, np.inf),
        ("FP8_E4M3", "zero", 1e3, 448.0),
        ("FP4_E2M1", "up", 1e3, 6.0),
        ("int8", "down", -1.5, -2.0),
        ("int8", "up", -1.5, -1.0),
        ("int8", "zero", -1.5, -1.0),
        ("int8", "up", 1e3, 127.0),
    ],
)
def test_directed_rounding_at_the_ends(page, name, mode, value, wanted):
    call = """([format, value, mode]) => (
      toDouble(mf.decode(format, mf.encode(format, fromDouble(Number(value)), mode))))"""
    assert (
        page.evaluate(call, [data(codes.named(name)), str(value).replace("inf", "Infinity"), mode])
        == wanted
    )


@pytest.mark.parametrize("name", ["FP16", "BF16", "FP8_E4M3", "FP4_E2M1", "FP64", "int8"])
@pytest.mark.parametrize("text", ["20.23", "-0.3", "1/3", "3.4"])
def test_stochastic_rounding_is_right_on_average(page, name, text):
    f = codes.named(name)
    call = """([format, text]) => mf.chances(format, mf.parse(text, format).number)
      .map(([code, share]) => [String(code), share])"""
    drawn = page.evaluate(call, [data(f), text])
    mean = sum(Fraction(codes.decode(f, int(code))) * Fraction(share) for code, share in drawn)
    largest = 127 if name == "int8" else f.max
    held = np.clip(float(Fraction(text)), -largest, largest)
    # A share is given to nine places, and is a share of the gap between the two.
    gap = abs(np.subtract(*(codes.decode(f, int(code)) for code, _ in (drawn * 2)[:2])))
    assert abs(float(mean) - held) <= gap * 1e-9 + 1e-15


def test_a_value_of_the_format_is_never_drawn_away(page):
    call = (
        "(format) => mf.chances(format, mf.parse('0.5', format).number).map(([, share]) => share)"
    )
    assert page.evaluate(call, data(formats.FP16)) == [1]


def test_beyond_the_largest_value_the_share_of_infinity_grows_to_one(page):
    call = """([format, text]) => mf.chances(format, mf.parse(text, format).number)
      .map(([, share]) => share)"""
    found = [page.evaluate(call, [data(formats.FP16), text]) for text in ("65512", "65536", "1e9")]
    assert found == [[0.75, 0.25], [0, 1], [0, 1]]


# ---------------------------------------------------------------- sums, landmarks


@pytest.mark.parametrize("operation, numpy", [("add", np.add), ("multiply", np.multiply)])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_sums_and_products_are_those_of_ieee_754(page, kind, operation, numpy):
    f = codes.named(f"FP{np.dtype(kind).itemsize * 8}")
    rng = np.random.default_rng(5)
    a, b = (rng.normal(0, 1, 300) * 2.0 ** rng.integers(-20, 12, 300) for _ in range(2))
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, float(np.finfo(kind).max)]
    a = np.concatenate([a, np.repeat(special, len(special))]).astype(kind)
    b = np.concatenate([b, np.tile(special, len(special))]).astype(kind)
    call = """([format, operation, a, b]) => a.map((text, i) => {
      const [one, other] = [text, b[i]].map((t) => fromDouble(Number(t)));
      return String(mf.encode(format, mf[operation](one, other)));
    })"""
    texts = [
        [str(float(x)).replace("inf", "Infinity").replace("nan", "NaN") for x in y] for y in (a, b)
    ]
    found = np.array([int(code) for code in page.evaluate(call, [data(f), operation, *texts])])
    with np.errstate(all="ignore"):
        exact = numpy(a, b)
    wanted = exact.view(f"u{exact.itemsize}").astype(object)
    wrong = [i for i in range(len(a)) if found[i] != wanted[i] and exact[i] == exact[i]]
    nan = [codes.decode(f, int(code)) for code in found[np.isnan(exact)]]
    assert wrong == [] and all(np.isnan(nan))


@pytest.mark.parametrize("f", [*codes.FLOATS.values(), *ODD], ids=lambda f: f.name)
def test_landmarks_are_those_of_quantlab(page, f):
    call = """(format) => mf.landmarks(format).map(([name, code]) => [name, String(code)])"""
    found = {name: codes.decode(f, int(code)) for name, code in page.evaluate(call, data(f))}
    wanted = {"largest": f.max, "smallest normal": f.smallest_normal, "infinity": np.inf, "0": 0.0}
    wanted |= {"smallest subnormal": f.smallest_subnormal, "1": 1.0, "1 + epsilon": 1 + f.epsilon}
    assert np.isnan(found.pop("NaN", np.nan))
    assert found == {name: wanted[name] for name in found}
    assert {"largest", "smallest normal", "0"} <= set(found)


@pytest.mark.parametrize(
    "text", ["20.23", "-1/3", "2^-1074", "1e300", "1", "2", "3/4", "-1e-20", "65504"]
)
def test_logarithms_place_a_number_on_the_range(page, text):
    found = page.evaluate(
        "([text, format]) => mf.log2(mf.parse(text, format).number)", [text, data(codes.FP64)]
    )
    number = Fraction(2) ** -1074 if "^" in text else abs(Fraction(text))
    assert abs(found - np.log2(float(number))) < 1e-8


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
