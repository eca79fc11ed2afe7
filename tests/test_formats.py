"""Floating-point formats against exact fractions, NumPy, and the numbers of the article."""

from bisect import bisect_left
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab import formats
from quantlab.formats import ALL, BF16, FP4_E2M1, FP8_E4M3, FP8_E5M2, FP16, FP32, TF32, MiniFloat

FORMATS = list(ALL.values())
SMALL = [f for f in FORMATS if f.width <= 16]
every_format = pytest.mark.parametrize("f", FORMATS, ids=lambda f: f.name)
every_small_format = pytest.mark.parametrize("f", SMALL, ids=lambda f: f.name)


# An exact and slow reference: the values as fractions, in order; the nearest by comparison.


@cache
def ladder(f):
    """All magnitudes of a format by code, as fractions, with the one that would follow the last."""
    reserved = {"ieee": 2**f.mantissa_bits, "nan": 1, "none": 0}[f.specials]
    count = 2 ** (f.exponent_bits + f.mantissa_bits) - reserved
    values = []
    for code in range(count + 1):
        exponent, mantissa = divmod(code, 2**f.mantissa_bits)
        whole = mantissa + (2**f.mantissa_bits if exponent else 0)
        power = max(exponent, 1) - f.bias - f.mantissa_bits
        values.append(whole * Fraction(2) ** power)
    return values


def slow_encode(f, x):
    """The code of one finite float by comparing fractions: nearest, ties to the even code."""
    values, size = ladder(f), abs(Fraction(x))
    sign = int(np.signbit(x)) << (f.width - 1)
    above = bisect_left(values, size)
    if above == len(values) or values[above] == size:
        code = above
    else:
        low, high = size - values[above - 1], values[above] - size
        nearer_below = low < high or (low == high and (above - 1) % 2 == 0)
        code = above - 1 if nearer_below else above
    largest = len(values) - 2
    if code <= largest:
        return sign | code
    beyond = {"ieee": largest + 1, "nan": largest + 1, "none": largest}
    return sign | beyond[f.specials]


@st.composite
def small_formats(draw):
    """Formats of up to 10 bits, with many a bias that float64 holds exactly."""
    specials = draw(st.sampled_from(formats.SPECIALS))
    ieee = specials == "ieee"
    exponent_bits = draw(st.integers(2 if ieee else 1, 5))
    only_nan = specials == "nan" and exponent_bits == 1  # without a mantissa it has no number
    mantissa_bits = draw(st.integers(int(ieee or only_nan), 4))
    bias = draw(st.integers(-40, 300))
    return MiniFloat("custom", exponent_bits, mantissa_bits, bias, specials)


@settings(max_examples=200)
@given(small_formats(), st.data())
def test_a_custom_format_encodes_as_exact_fractions_do(f, data):
    values = ladder(f)
    spot = data.draw(st.integers(0, len(values) - 2))
    share = data.draw(st.sampled_from([0, Fraction(1, 2), Fraction(1, 3), 1]))
    target = float(values[spot] + share * (values[spot + 1] - values[spot]))
    target *= data.draw(st.sampled_from([1, -1]))
    for x in (target, np.nextafter(target, np.inf), np.nextafter(target, -np.inf)):
        assert f.encode(x) == slow_encode(f, x)


@settings(max_examples=200)
@given(small_formats(), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_custom_format_encodes_any_float32_as_exact_fractions_do(f, x):
    assert f.encode(np.float32(x)) == f.encode(x) == slow_encode(f, x)


@settings(max_examples=100)
@given(small_formats())
def test_a_custom_format_decodes_every_code_as_the_definition_says(f):
    values = ladder(f)[:-1]
    decoded = f.decode(np.arange(len(values)))
    assert [Fraction(v) for v in decoded.tolist()] == values


@settings(max_examples=100)
@given(small_formats())
def test_every_number_of_a_custom_format_keeps_its_code(f):
    codes = np.arange(2**f.width)
    values = f.decode(codes)
    assert np.array_equal(f.encode(values)[~np.isnan(values)], codes[~np.isnan(values)])


@every_small_format
def test_every_number_of_a_format_keeps_its_code(f):
    codes = np.arange(2**f.width)
    values = f.decode(codes)
    assert np.array_equal(f.encode(values)[~np.isnan(values)], codes[~np.isnan(values)])


@every_small_format
def test_midpoints_of_float64_and_their_neighbours_go_the_right_way(f):
    # float32 cannot tell BF16's or FP16's midpoint from its float64 neighbour: passing through
    # it would round twice, and the neighbour would follow the tie.
    low = f.decode(np.arange(f._max_code))
    middle = low + (f.decode(np.arange(1, f._max_code + 1)) - low) / 2
    even = np.arange(f._max_code) + np.arange(f._max_code) % 2
    assert np.array_equal(f.encode(middle), even)
    assert np.array_equal(f.encode(np.nextafter(middle, 0)), np.arange(f._max_code))
    assert np.array_equal(f.encode(np.nextafter(middle, np.inf)), np.arange(1, f._max_code + 1))


def test_a_float64_just_above_a_midpoint_is_not_rounded_twice():
    # 1 + 2^-11 is half-way between two FP16 values; 2^-40 more is lost on the way through float32.
    assert FP16.encode(1 + 2.0**-11) == FP16.encode(1.0)
    assert FP16.encode(1 + 2.0**-11 + 2.0**-40) == FP16.encode(1.0) + 1
    assert TF32.encode(1 + 2.0**-11 + 2.0**-40) == TF32.encode(1.0) + 1
    assert BF16.encode(1 + 2.0**-8 + 2.0**-40) == BF16.encode(1.0) + 1


# FP32 and TF32 against NumPy's float32.


def float32_patterns():
    """Random float32 bit patterns, and around every power of two all near neighbours."""
    random = np.random.default_rng(32).integers(0, 2**32, 1_000_000, dtype=np.uint32)
    powers = (np.arange(256, dtype=np.int64) << 23)[:, None] + np.arange(-3, 4)
    edges = np.unique(powers.clip(0)).astype(np.uint32)
    return np.concatenate([random, edges, edges | np.uint32(2**31)])


def test_fp32_keeps_every_float32_pattern():
    patterns = float32_patterns()
    x = patterns.view(np.float32)
    number = ~np.isnan(x)
    assert np.array_equal(FP32.encode(x)[number], patterns[number])
    assert np.array_equal(FP32.decode(patterns)[number], x[number].astype(np.float64))


def test_fp32_rounds_float64_as_numpy_does():
    rng = np.random.default_rng(64)
    x = rng.integers(0, 2**64, 1_000_000, dtype=np.uint64).view(np.float64)
    small = np.ldexp(rng.standard_normal(1_000_000), rng.integers(-155, 130, 1_000_000))
    with np.errstate(over="ignore", invalid="ignore"):
        for values in (x[~np.isnan(x)], small):
            assert np.array_equal(FP32.encode(values), values.astype(np.float32).view(np.uint32))


def tf32_by_carrying(patterns):
    """TF32 by integer arithmetic in 64 bits: 13 bits go, half to even, the carry runs upwards."""
    magnitude = patterns.astype(np.int64) & 0x7FFFFFFF
    kept, lost = magnitude >> 13, magnitude & 0x1FFF
    kept += (lost > 0x1000) | ((lost == 0x1000) & (kept % 2 == 1))
    return kept | (patterns.astype(np.int64) >> 31 << 18)


def test_tf32_is_float32_with_13_bits_rounded_off():
    patterns = float32_patterns()
    patterns = patterns[~np.isnan(patterns.view(np.float32))]
    assert np.array_equal(TF32.encode(patterns.view(np.float32)), tf32_by_carrying(patterns))


def test_tf32_decodes_as_float32_with_13_zeros():
    codes = np.arange(2**19)
    with np.errstate(invalid="ignore"):  # a signalling NaN widened to float64
        values = (codes.astype(np.uint32) << 13).view(np.float32).astype(np.float64)
    assert np.array_equal(TF32.decode(codes), values, equal_nan=True)


# Specials.


@every_format
def test_nan_is_encoded_as_nan_where_the_format_has_one(f):
    code = f.encode(np.nan)
    assert np.isnan(f.decode(code)) if f.specials != "none" else f.decode(code) == 0


@every_format
def test_infinity_becomes_what_the_format_has_for_it(f):
    expected = {"ieee": np.inf, "nan": np.nan, "none": f.max}[f.specials]
    assert np.array_equal(f.round([np.inf, -np.inf]), [expected, -expected], equal_nan=True)


@every_format
def test_the_sign_of_zero_is_kept(f):
    assert f.encode(0.0) == 0 and f.encode(-0.0) == 2 ** (f.width - 1)
    assert np.signbit(f.decode(f.encode(-0.0))) and not np.signbit(f.decode(f.encode(0.0)))


@every_format
def test_the_largest_value_rounds_down_to_itself_up_to_half_a_step_above(f):
    half = f.spacing(f.max) / 2
    # A tie goes to the even code: FP4's 6 and FP6's largest saturate anyway; where the largest
    # code is odd (mantissa all ones) the tie overflows, and E4M3's, even, keeps the tie.
    assert f.round(np.nextafter(f.max + half, 0)) == f.max
    if f is FP8_E4M3:
        assert f.round(464.0) == 448.0 and np.isnan(f.round(np.nextafter(464.0, 500)))
    elif f.specials == "ieee":
        assert f.round(f.max + half) == np.inf
    else:
        assert f.round(f.max + half) == f.max


@every_format
def test_what_is_far_too_large_overflows_by_the_rule_of_the_format(f):
    expected = {"ieee": np.inf, "nan": np.nan, "none": f.max}[f.specials]
    assert np.array_equal(f.round([1e300, -1e300]), [expected, -expected], equal_nan=True)


@every_format
def test_half_the_smallest_value_ties_to_zero_and_anything_more_does_not(f):
    half = f.smallest_subnormal / 2
    assert f.encode(half) == 0
    assert f.encode(np.nextafter(half, 1)) == 1
    assert f.encode(-half) == 2 ** (f.width - 1)


# The article's numbers.


@pytest.mark.parametrize(
    ("f", "x", "value"),
    [
        (FP16, 20.23, 20.234375),
        (FP16, 202.3, 202.25),
        (FP32, 202.3, 202.3000030517578),
        (BF16, 202.3, 202.0),
        (BF16, 2023, 2024),
        (FP16, 2023, 2023),
        (FP32, 2023, 2023),
        (TF32, 2023, 2023),
        (TF32, 20.23, 20.234375),  # 10 mantissa bits, as FP16
        (FP32, 20.23, 20.229999542236328),
        (BF16, 20.23, 20.25),  # between 16 and 32 BF16 has steps of 1/8
        (FP8_E4M3, 20.23, 20.0),  # steps of 2
        (FP8_E4M3, 202.3, 208.0),  # steps of 16: 192, 208
        (FP8_E5M2, 202.3, 192.0),  # steps of 32: 192, 224
        (FP8_E5M2, 2023, 2048.0),  # steps of 256
        (FP4_E2M1, 20.23, 6.0),  # the largest
    ],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_the_articles_numbers_round_as_listed(f, x, value):
    assert f.round(x) == value


def test_2023_is_too_large_for_e4m3():
    assert np.isnan(FP8_E4M3.round(2023))


def test_20_23_in_fp16_is_a_sign_an_exponent_of_4_and_a_mantissa():
    assert FP16.bits(20.23) == "0 10011 0100001111"
    assert FP16.fields(20.23) == (0, 19, 0b0100001111, "normal")


def test_the_range_of_bf16_is_that_of_fp32_and_fp16_ends_at_65504():
    assert FP16.max == 65504
    assert 3.38e38 < BF16.max < 3.39e38 + 1e36 < FP32.max


# Properties and spacing.


@pytest.mark.parametrize(("f", "kind"), [(FP16, np.float16), (FP32, np.float32)])
def test_the_limits_of_fp16_and_fp32_are_numpys(f, kind):
    info = np.finfo(kind)
    assert f.max == float(info.max)
    assert f.smallest_normal == float(info.tiny)
    assert f.smallest_subnormal == float(info.smallest_subnormal)
    assert f.epsilon == float(info.eps)
    assert (f.exponent_bits, f.mantissa_bits, f.bias) == (info.nexp, info.nmant, info.maxexp - 1)


@every_small_format
def test_the_limits_are_those_of_the_listed_values(f):
    values = f.finite_values()
    positive = values[values > 0]
    assert f.max == positive[-1] == -values[0]
    assert f.smallest_subnormal == positive[0]
    assert f.smallest_normal == f.decode(1 << f.mantissa_bits)


@every_small_format
def test_epsilon_is_the_gap_above_one_where_the_next_value_exists(f):
    values = f.finite_values()
    above = values[values > 1]
    assert above[0] - 1 == f.epsilon


@every_small_format
def test_finite_values_are_ascending_symmetric_and_hold_zero_once(f):
    values = f.finite_values()
    assert np.all(np.diff(values) > 0)
    assert np.array_equal(values, -values[::-1])
    assert not np.signbit(values[values == 0]).any()


@every_small_format
def test_spacing_is_the_gap_to_the_next_value_away_from_zero(f):
    values = f.finite_values()
    positive = values[values >= 0]
    assert np.array_equal(f.spacing(positive[:-1]), np.diff(positive))
    assert np.array_equal(f.spacing(-positive[:-1]), np.diff(positive))


@pytest.mark.parametrize(("f", "kind"), [(FP16, np.float16), (FP32, np.float32)])
def test_spacing_is_numpys_on_every_exponent(f, kind):
    code = np.random.default_rng(5).integers(0, 2**f.width, 100_000).astype(f.dtype)
    x = code.view(kind)
    x = x[np.isfinite(x) & (np.abs(x) < f.max)]
    # Magnitudes: below zero, NumPy's float16 looks towards zero at a power of two.
    assert np.array_equal(f.spacing(x), np.spacing(np.abs(x)).astype(np.float64))


def test_spacing_of_infinity_and_nan_is_nan():
    assert np.isnan(FP16.spacing([np.inf, -np.inf, np.nan])).all()


def test_fields_name_each_kind():
    x = [0.0, -0.0, FP16.smallest_subnormal, FP16.smallest_normal, 1.0, np.inf, -np.inf, np.nan]
    kinds = ["zero", "zero", "subnormal", "normal", "normal", "infinity", "infinity", "nan"]
    assert FP16.fields(x).kind.tolist() == kinds
    assert FP16.fields(x).sign.tolist()[:7] == [0, 1, 0, 0, 0, 0, 1]


@every_small_format
def test_the_kinds_of_all_codes_agree_with_their_values(f):
    codes = np.arange(2**f.width)
    values = f.decode(codes)
    kinds = f.fields(values).kind
    size = np.abs(values)
    expected = np.where(size >= f.smallest_normal, "normal", "subnormal")
    expected = np.where(size == 0, "zero", np.where(np.isinf(size), "infinity", expected))
    if f.specials == "none":
        assert not np.isnan(values).any()
    assert np.array_equal(kinds, np.where(np.isnan(values), "nan", expected))


@every_small_format
def test_the_stored_fields_put_together_are_the_code(f):
    codes = np.arange(2**f.width)
    values = f.decode(codes)
    codes, values = codes[~np.isnan(values)], values[~np.isnan(values)]
    sign, exponent, mantissa, _ = f.fields(values)
    shift = f.mantissa_bits
    assert np.array_equal(sign << (f.width - 1) | exponent << shift | mantissa, codes)


@every_format
def test_the_bits_put_together_are_the_code(f):
    for x in (20.23, -0.3, 0.0, -0.0, 1.5):
        assert int(f.bits(x).replace(" ", ""), 2) == f.encode(x)


@every_format
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 1, 4), (3, 0)])
def test_codes_have_the_shape_of_the_input(f, shape):
    codes = f.encode(np.ones(shape))
    assert codes.shape == shape and codes.dtype == f.dtype
    assert f.decode(codes).shape == np.shape(f.round(np.ones(shape))) == shape


def test_a_strided_input_gives_the_codes_of_its_copy():
    x = np.linspace(-3, 3, 60, dtype=np.float32).reshape(6, 10)[::2, ::-3].T
    assert np.array_equal(FP16.encode(x), FP16.encode(x.copy()))


def test_encoding_leaves_its_input_alone():
    x = np.array([np.nan, -1e300, 1e-300, 0.3])
    before = x.copy()
    FP16.encode(x), FP32.encode(x), MiniFloat("fp64", 11, 52, 1023).encode(x)
    assert np.array_equal(x, before, equal_nan=True)


def test_integers_and_bools_are_numbers_too():
    assert FP16.round([2023, -7]).tolist() == [2023.0, -7.0]
    assert FP16.round(True) == 1.0


def test_a_format_as_wide_as_float64_is_float64():
    fp64 = MiniFloat("FP64", 11, 52, 1023)
    codes = np.random.default_rng(8).integers(0, 2**63, 100_000, dtype=np.uint64)
    x = codes.view(np.float64)
    assert np.array_equal(fp64.encode(x)[~np.isnan(x)], codes[~np.isnan(x)])


@every_format
def test_rounding_twice_changes_nothing(f):
    x = np.random.default_rng(3).standard_normal(10_000) * 10
    once = f.round(x)
    assert np.array_equal(f.round(once), once, equal_nan=True)


def test_all_lists_each_format_by_its_own_name():
    names = ["FP32", "TF32", "FP16", "BF16", "FP8_E4M3", "FP8_E5M2"]
    assert list(ALL) == [*names, "FP6_E3M2", "FP6_E2M3", "FP4_E2M1"]
    assert all(ALL[name].name == name for name in ALL)


@pytest.mark.parametrize("specials", formats.SPECIALS)
@pytest.mark.parametrize("exponent_bits", [2, 3, 5, 8, 10])
def test_the_largest_values_that_float64_has_room_for_come_back(exponent_bits, specials):
    lowest = 2**exponent_bits - 1024 - (specials == "ieee")
    for bias in (lowest, lowest + 1, lowest + 50, 1023):
        f = MiniFloat("x", exponent_bits, 4, bias, specials)
        codes = np.resize(np.arange(2 ** (f.width - 1)), 2**14)
        values = f.decode(codes)
        finite = np.isfinite(values)
        assert np.array_equal(f.encode(values)[finite], codes[finite])
        few = f.encode(values[:100])  # by the definition, the others by the quick form
        assert np.array_equal(few[finite[:100]], codes[:100][finite[:100]])
        assert np.count_nonzero(~finite[: 2 ** (f.width - 1)]) <= 2**f.mantissa_bits


def test_a_format_whose_largest_values_float64_does_not_hold_is_refused():
    with pytest.raises(ValueError, match="bias must be -1022 to 1023, got -1023"):
        MiniFloat("x", 1, 2, -1023, "none")
    with pytest.raises(ValueError, match="exponent_bits must be 1 to 10, got 11"):
        MiniFloat("x", 11, 2, 1023, "nan")


def test_numpy_integers_make_the_same_format_as_whole_numbers():
    f = MiniFloat("FP16", *np.array([5, 10, 15]))
    assert f == FP16 and f.max == 65504.0


def right_code(f, number):
    """The code of a whole number by fractions: count steps, the rest decides, ties to even."""
    power = max(abs(number).bit_length() - 1 if number else 1 - f.bias, 1 - f.bias)
    step = Fraction(2) ** (power - f.mantissa_bits)
    steps, rest = divmod(Fraction(abs(number)), step)
    code = ((power + f.bias - 1) << f.mantissa_bits) + int(steps)
    code += 2 * rest > step or (2 * rest == step and code % 2)
    return min(code, f.beyond_code) + ((number < 0) << (f.width - 1))


def wide(mantissa_bits):
    return MiniFloat("wide", 11, mantissa_bits, 1023)


# Shifted by 40 they are still within float64's range; past it a whole number is refused.
beyond_floats = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.integers(-(2**80), 2**80), st.integers(-(2**980), 2**980)
)
any_format = st.one_of(
    st.sampled_from(FORMATS),
    st.builds(wide, st.integers(1, 52)),
    st.builds(MiniFloat, st.just("fine"), st.just(10), st.integers(48, 52), st.integers(0, 1023),
              st.sampled_from(["nan", "none"])),
    # its least step is 2^14 or more: numbers past 2^53 are subnormal there
    st.builds(lambda m, up: MiniFloat("far", 8, m, 1 - 66 - up - m, "nan"), st.integers(0, 52),
              st.integers(0, 9)),
)  # fmt: skip


@given(number=beyond_floats, shift=st.integers(0, 40), nudge=st.integers(-1, 1), f=any_format)
@settings(max_examples=300)
def test_whole_numbers_are_rounded_once(number, shift, nudge, f):
    number = (number << shift) + nudge  # beside ties of every format
    code = right_code(f, number)
    assert f.encode(number) == code
    assert f.encode([number, 0.5])[0] == f.encode((0.5, number))[1] == code  # as floats in NumPy
    assert f.encode(np.array([number, 0], object))[0] == code
    for kind in (np.int64, np.uint64):
        if np.iinfo(kind).min <= number <= np.iinfo(kind).max:
            assert f.encode(kind(number)) == code
            assert f.encode(np.array([number], kind))[0] == code


@given(numbers=st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1), f=any_format)
def test_a_list_of_whole_numbers_is_rounded_number_by_number(numbers, f):
    codes = [right_code(f, number) for number in numbers]
    assert f.encode(numbers).tolist() == codes
    many = 500 * numbers  # enough for the quick form
    assert f.encode(many).tolist() == 500 * codes


def test_the_ends_of_64_bits_in_fp64():
    fp64 = wide(52)
    for number in (2**64 - 1, 2**63 - 1, 2**63 - 513, 2**63 - 512, -(2**63), 2**53 + 1, 2**54 + 3):
        assert fp64.round(number) == float(number)  # Python rounds it once, half to even
    assert fp64.round(2**1024 - 2**970) == np.inf  # the tie above the largest
    assert fp64.round(2**1024 - 2**970 - 1) == fp64.max
    with pytest.raises(TypeError, match="a number of 1025 bits"):
        fp64.round(2**1024)


def test_a_number_just_above_a_tie_stays_above_it():
    assert FP32.round(2**60 + 2**36 + 1) == 2**60 + 2**37
    assert FP32.round(2**60 + 2**36) == 2**60  # the tie itself: to even
