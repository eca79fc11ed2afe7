"""MXFP8, MXFP6, MXFP4, NVFP4 and FP8 in tiles against torchao: scales and codes, bit for bit.

All formats and rules were compared once on 10 million values each: no code and no scale differed
(torchao 0.18.0, torch 2.13.0, CPU), but where the tests below say that torchao leaves the
specification: at the smallest scale, and where its logarithm is rounded.
"""

import numpy as np
import pytest

import quantlab as ql
from quantlab import scaled

torch = pytest.importorskip("torch")
import peers  # noqa: E402

ELEMENTS = {
    "MXFP8": torch.float8_e4m3fn, "MXFP8_E5M2": torch.float8_e5m2, "MXFP6": "fp6_e2m3",
    "MXFP6_E3M2": "fp6_e3m2", "MXFP4": torch.float4_e2m1fn_x2,
}  # fmt: skip
COLUMNS = 256
POWERS = ("floor", "ceil", "even", "rceil")
every_mx = pytest.mark.parametrize("name", ELEMENTS)
every_rule = pytest.mark.parametrize("rule", POWERS)
every_scale = pytest.mark.parametrize("tensor_scale", [None, 1.0, 0.037], ids=str)


@pytest.fixture(scope="module", autouse=True)
def torchao():
    return pytest.importorskip("torchao", reason="torchao is not installed")


def cases():
    """Matrices of normal, wild and adversarial values, by name; none needs the smallest scale."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, COLUMNS)).astype(np.float32)
    bits = rng.integers(0, 2**32, x.shape, np.uint32).view(np.float32)
    powers = np.exp2(rng.integers(-100, 100, (512, 1))).astype(np.float32)
    with np.errstate(invalid="ignore"):
        bits = np.where(np.isfinite(bits), bits, np.float32(1))
    yield "normal", x
    yield "of all sizes", x * powers
    yield "any bits", bits
    yield "heavy tails", rng.standard_t(2, x.shape).astype(np.float32)
    yield "ties", np.rint(8 * x) / 8
    yield "beside ties", np.nextafter(np.rint(8 * x) / 8, x)
    yield "powers of two and their neighbours", np.nextafter(np.exp2(np.rint(3 * x)), x)
    yield "with rows of zeros", x * (np.arange(512) % 3 > 0)[:, None].astype(np.float32)
    yield "the largest of float32", np.where(x > 2, np.finfo(np.float32).max, x)
    yield "not a multiple of the tile", x[:100]


CASES = dict(cases())
every_case = pytest.mark.parametrize("x", CASES.values(), ids=CASES)


def in_torchao(x, name, rule):
    """Return the library's scale codes and element codes, FP4 packed."""
    return [part.view(torch.uint8).numpy() for part in
            peers.torchao_mx(torch.from_numpy(x), ELEMENTS[name], rule)]  # fmt: skip


def ours(x, name, rule):
    q = ql.scaled.quantize(x, name, rule=rule)
    return q.scale_codes, q.packed() if name == "MXFP4" else q.codes


def beside_a_power(x, name):
    """Where amax over the largest element is so near a power of two that its logarithm is one."""
    amax = np.abs(x).reshape(len(x), -1, 32).max(axis=2)
    ratio = amax / np.float32(scaled.FORMATS[name].element.max)
    logarithm = torch.log2(torch.from_numpy(ratio)).numpy()
    return (logarithm == np.rint(logarithm)) & (ratio > 0) & (np.frexp(ratio)[0] != 0.5)


@every_case
@every_rule
@every_mx
def test_microscaling_scales_and_codes_are_the_librarys(name, rule, x):
    (scales, codes), (their_scales, their_codes) = ours(x, name, rule), in_torchao(x, name, rule)
    excused = beside_a_power(x, name) & (rule == "rceil")
    assert np.array_equal(scales[~excused], their_scales[~excused])
    rest = ~np.repeat(excused, codes.shape[1] // scales.shape[1], axis=1)
    assert np.array_equal(codes[rest], their_codes[rest]) and np.mean(excused) < 0.15


@every_rule
@every_mx
def test_a_nan_and_infinity_get_the_scales_of_the_library(name, rule):
    x = CASES["normal"].copy()
    x[::7, 5], x[::5, 40], x[::9, 70] = np.nan, np.inf, -np.inf
    (scales, codes), (their_scales, their_codes) = ours(x, name, rule), in_torchao(x, name, rule)
    assert np.array_equal(scales, their_scales) and np.any(scales == 255)
    number = np.repeat(scales != 255, codes.shape[1] // scales.shape[1], axis=1)
    assert np.array_equal(codes[number], their_codes[number])  # codes without a scale say nothing


@every_mx
def test_the_library_computes_with_another_scale_than_it_stores_where_the_code_is_0(name):
    # The byte 0 means 2**-127. torchao divides by 2**-126, the smallest normal float32.
    x = np.float32(2.0**-127) * np.resize(np.float32([1, -2, 3.75, 0.5]), (1, 32))
    q = ql.scaled.quantize(x, name, rule="floor")
    _, codes = in_torchao(x, name, "floor")
    assert q.scale_codes.item() == 0 and not np.array_equal(
        codes.ravel(), ours(x, name, "floor")[1]
    )
    doubled = ours(2 * x, name, "floor")  # what it computes: our codes of half the values
    assert np.abs(q.dequantize() - x).max() <= np.float32(2.0**-127) / 2
    assert doubled[0].item() in (0, 1)


def test_the_library_rounds_a_logarithm_where_the_next_power_of_two_is_needed():
    # amax / 6 is just above 2**-100; its logarithm in float32 is -100, so a scale too small comes.
    x = np.full((1, 32), np.nextafter(np.float32(6 * 2.0**-100), np.float32(1)))
    scales, _ = in_torchao(x, "MXFP4", "rceil")
    assert ours(x, "MXFP4", "rceil")[0].item() == 28 and scales.item() == 27


@every_case
@every_scale
def test_nvfp4_scales_and_codes_are_the_librarys(tensor_scale, x):
    q = ql.scaled.quantize(x, "NVFP4", tensor_scale=tensor_scale)
    scales, codes = peers.torchao_nvfp4(torch.from_numpy(x), tensor_scale)
    assert np.array_equal(q.scale_codes, scales.view(torch.uint8).numpy())
    assert np.array_equal(q.packed(), codes.numpy())


@every_case
@pytest.mark.parametrize("name", ["FP8_BLOCK128", "FP8_GROUP128", "FP8_ROW"])
def test_fp8_scales_and_codes_are_the_librarys(name, x):
    q = ql.scaled.quantize(x, name)
    tile = q.format.tile(x.shape)
    padded = np.pad(x, [(0, -len(x) % tile[0]), (0, 0)])
    scales, codes = peers.torchao_fp8(torch.from_numpy(padded), tile)
    assert np.array_equal(q.scales, np.where(scales.numpy() == 0, 1, scales.numpy()))
    used = np.repeat(np.repeat(scales.numpy() > 0, tile[0], 0), tile[1], 1)[: len(x)]
    codes = codes.view(torch.uint8).numpy()[: len(x)]
    assert np.array_equal(q.codes[used], codes[used]) and not (q.codes[~used] & 0x7F).any()


@every_mx
def test_microscaling_values_are_the_librarys(name):
    x = CASES["normal"]
    q = ql.scaled.quantize(x, name)
    parts = peers.torchao_mx(torch.from_numpy(x), ELEMENTS[name])
    theirs = peers.torchao_mx_decode(*parts, ELEMENTS[name])
    assert q.dequantize().tobytes() == theirs.numpy().tobytes()


@every_scale
def test_nvfp4_values_are_the_librarys(tensor_scale):
    x = CASES["normal"]
    q = ql.scaled.quantize(x, "NVFP4", tensor_scale=tensor_scale)
    theirs = peers.torchao_nvfp4_tensor(torch.from_numpy(x), tensor_scale).dequantize(torch.float32)
    assert q.dequantize().tobytes() == theirs.numpy().tobytes()


def test_every_matrix_of_the_model_has_the_librarys_codes(tiny_lm):
    for matrix in tiny_lm.values():
        x = np.ascontiguousarray(matrix.float().numpy()[::8])
        for name in ELEMENTS:
            for mine, theirs in zip(
                ours(x, name, "floor"), in_torchao(x, name, "floor"), strict=True
            ):
                assert np.array_equal(mine, theirs)
        q = ql.scaled.quantize(x)
        scales, codes = peers.torchao_nvfp4(torch.from_numpy(x), None)
        assert np.array_equal(q.scale_codes, scales.view(torch.uint8).numpy())
        assert np.array_equal(q.packed(), codes.numpy())


def test_the_rules_for_powers_of_two_are_those_of_the_library():
    from torchao.prototype.mx_formats.config import ScaleCalculationMode

    assert {mode.value for mode in ScaleCalculationMode} == set(scaled.RULES[:4])
