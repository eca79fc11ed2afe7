"""FP16, BF16, FP8, FP6 and FP4 against NumPy and ml_dtypes, code for code."""

import ml_dtypes
import numpy as np
import pytest

from quantlab.formats import BF16, E8M0, FP4_E2M1, FP6_E2M3, FP6_E3M2, FP8_E4M3, FP8_E5M2, FP16

TWINS = {
    FP16: np.float16,
    BF16: ml_dtypes.bfloat16,
    FP8_E4M3: ml_dtypes.float8_e4m3fn,
    FP8_E5M2: ml_dtypes.float8_e5m2,
    FP6_E3M2: ml_dtypes.float6_e3m2fn,
    FP6_E2M3: ml_dtypes.float6_e2m3fn,
    FP4_E2M1: ml_dtypes.float4_e2m1fn,
}
every_format = pytest.mark.parametrize("f", TWINS, ids=lambda f: f.name)


def twin_values(f):
    """The values of all codes, in order, as the library reads them."""
    codes = np.arange(2**f.width).astype(f.dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs widened to float64
        return codes.view(TWINS[f]).astype(np.float64)


def twin_codes(f, x):
    """The codes of x as the library rounds them, and which of them mean NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        cast = x.astype(TWINS[f])
    return cast.view(f.dtype), np.isnan(cast.astype(np.float32))


def differing(f, x):
    """Return the inputs whose code differs; of NaN only the being NaN and the sign count.

    A NaN keeps no promise about its payload: ml_dtypes and NumPy pass bits of it on.
    """
    ours = f.encode(x)
    theirs, nan = twin_codes(f, x)
    both_nan = nan & np.isnan(f.decode(ours)) & (ours >> (f.width - 1) == theirs >> (f.width - 1))
    return x[(ours != theirs) & ~both_nan]


@every_format
def test_every_code_decodes_as_the_library_decodes_it(f):
    ours, theirs = f.decode(np.arange(2**f.width)), twin_values(f)
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(theirs))


@every_format
def test_values_midpoints_and_neighbours_encode_as_in_the_library(f):
    values = twin_values(f)
    values = np.unique(values[np.isfinite(values)])
    top = values[-1] + (values[-1] - values[-2]) / 2  # where overflow begins
    middle = np.concatenate([values[:-1] / 2 + values[1:] / 2, [top, -top]])
    x = np.concatenate([values, middle, [-0.0, np.inf, -np.inf, np.nan, -np.nan]])
    x = x.astype(np.float32)  # exact: the widest format here has 11 significant bits, and 12 fit
    with np.errstate(over="ignore", under="ignore"):
        near = np.concatenate([np.nextafter(x, np.float32(s * np.inf)) for s in (-1, 1)])
    assert differing(f, np.concatenate([x, near])).tolist() == []


@every_format
def test_ten_million_random_float32_patterns_encode_as_in_the_library(f):
    rng = np.random.default_rng(f.width)
    for _ in range(10):
        x = rng.integers(0, 2**32, 1_000_000, dtype=np.uint32).view(np.float32)
        assert differing(f, x).tolist() == []


@every_format
def test_a_million_values_within_reach_encode_as_in_the_library(f):
    # Most random patterns are far outside a small format; these are spread over its own range.
    rng = np.random.default_rng(f.width)
    low, high = np.log2(f.smallest_subnormal) - 3, np.log2(f.max) + 1
    size = 2.0 ** rng.uniform(low, min(high, 127.9), 1_000_000)
    x = (size * rng.choice([-1, 1], size.size)).astype(np.float32)
    assert differing(f, x).tolist() == []


@pytest.mark.parametrize("f", [FP16], ids=lambda f: f.name)
def test_float64_inputs_round_once_as_in_numpy(f):
    # Only NumPy's own float16 rounds float64 directly; ml_dtypes goes through float32.
    rng = np.random.default_rng(16)
    x = np.ldexp(rng.standard_normal(1_000_000), rng.integers(-28, 18, 1_000_000))
    values = twin_values(f)[: f._max_code]
    middle = values[:-1] / 2 + values[1:] / 2
    near = [middle, np.nextafter(middle, 0), np.nextafter(middle, np.inf)]
    assert differing(f, np.concatenate([x, *near])).tolist() == []


@pytest.mark.parametrize("source", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
@every_format
def test_inputs_of_other_small_types_encode_as_their_float32_values(f, source):
    codes = np.arange(2 ** (8 * np.dtype(source).itemsize))
    x = codes.astype(f"u{np.dtype(source).itemsize}").view(source)
    wide = x.astype(np.float32)
    assert np.array_equal(f.encode(x), f.encode(wide))


@every_format
def test_every_matrix_of_the_model_encodes_as_in_the_library(f, tiny_lm):
    for matrix in tiny_lm.values():
        assert differing(f, matrix.float().numpy().ravel()).tolist() == []


@pytest.mark.parametrize(
    ("f", "name"),
    [(FP16, "float16"), (BF16, "bfloat16"), (FP8_E5M2, "float8_e5m2"), (FP8_E4M3, "float8_e4m3fn")],
    ids=lambda part: getattr(part, "name", ""),
)
def test_a_million_random_patterns_encode_as_in_torch(f, name):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(f.bias).integers(0, 2**32, 1_000_000, dtype=np.uint32)
    x = x.view(np.float32)
    if f is FP8_E4M3:  # torch saturates from 464 on where ml_dtypes, and we, answer NaN
        x = x[~(np.abs(x) > 464)]
    cast = torch.from_numpy(x).to(getattr(torch, name))
    codes = cast.view(torch.int16 if f.width == 16 else torch.uint8).numpy().view(f.dtype)
    different = (f.encode(x) != codes) & ~np.isnan(x)
    assert x[different].tolist() == []


def test_every_e8m0_code_decodes_as_in_the_library():
    theirs = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    assert np.array_equal(E8M0.decode(np.arange(256)), theirs, equal_nan=True)


def test_ten_million_float32_patterns_encode_to_e8m0_as_in_the_library():
    rng = np.random.default_rng(8)
    values = E8M0.decode(np.arange(255)).astype(np.float32)
    ties = np.float32(1.5) * values
    near = [np.nextafter(ties, np.float32(end)) for end in (0, np.inf)]
    x = rng.integers(0, 2**32, 10_000_000, np.uint32).view(np.float32)
    x = np.concatenate([x, values, ties, *near, np.float32([0, -0.0, np.inf, -np.inf, np.nan])])
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = x.astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)
    lowest = (x > E8M0.smallest_normal) & (x < 1.5 * E8M0.smallest_normal)
    assert x[(E8M0.encode(x) != theirs) & ~lowest].tolist() == []
    assert np.all(theirs[lowest] == 1)  # between its two smallest values the library rounds up
