"""Every bad call says what it got and what is allowed."""

import numpy as np
import pytest

import quantlab as ql
from quantlab import binary, codebooks, errors, formats, gguf, memory, scaled, transforms

W = np.arange(12.0).reshape(4, 3) - 5
EYE = np.eye(4)
NAN = np.array([[1.0, 2.0], [np.nan, 3.0]])
INF = np.array([1.0, -np.inf])
SKEW = EYE + np.triu(np.ones((4, 4)), 1)
Q8, Q4 = ql.quantize_absmax(W), ql.quantize_absmax(W, bits=4, axis=0)
FP16, FP4 = formats.FP16, formats.FP4_E2M1
MX = scaled.quantize(np.ones((2, 32)), "MXFP4")


def minifloat(*args):
    return formats.MiniFloat("bad", *args)


# (function, arguments, keywords, exception, what the message holds: the value, what is allowed)
BAD = [
    (binary.bits_needed, (20.23,), {}, ValueError, ["20.23", "whole"]),
    (binary.bits_needed, (-1,), {"signed": False}, ValueError, ["-1", "at least 0"]),
    (binary.bits_needed, ("7",), {}, TypeError, ["'7'", "whole number"]),
    (binary.bits_needed, (float("inf"),), {}, ValueError, ["inf", "whole"]),
    (binary.to_bits, (2023, 11), {}, ValueError, ["2023", "12 bits", "11"]),
    (binary.to_bits, (1, 0), {}, ValueError, ["width", "at least 1", "0"]),
    (binary.from_bits, ("0102",), {}, ValueError, ["0102", "0s and 1s"]),
    (binary.from_bits, ("",), {}, ValueError, ["''", "one or more 0s and 1s"]),
    (binary.from_bits, (101,), {}, TypeError, ["101", "string of 0s and 1s"]),
    (binary.halve, (-3,), {}, ValueError, ["-3", "at least 0"]),
    (binary.double, (1.5, 3), {}, ValueError, ["1.5", "at least 0 and below 1"]),
    (binary.double, (0.5, 0), {}, ValueError, ["steps", "at least 1", "0"]),
    (binary.double, (float("nan"), 3), {}, ValueError, ["nan", "finite"]),
    (binary.double, ("0.5", 3), {}, TypeError, ["'0.5'", "a number"]),
    (binary.fixed_point, (202.3, 5, 10), {}, ValueError, ["202.3", "below 32"]),
    (binary.fixed_point, (1.5, 0, 10), {}, ValueError, ["whole_bits", "at least 1", "0"]),
    (binary.fixed_point, (1.5, 4, -1), {}, ValueError, ["fraction_bits", "at least 0", "-1"]),
    (minifloat, (0, 3, 7), {}, ValueError, ["exponent_bits", "2 to 11", "0"]),
    (minifloat, (12, 3, 7), {}, ValueError, ["exponent_bits", "2 to 11", "12"]),
    (minifloat, (4, 0, 7), {}, ValueError, ["mantissa_bits", "1 to 52", "0"]),
    (minifloat, (4, 53, 7, "none"), {}, ValueError, ["mantissa_bits", "0 to 52", "53"]),
    (minifloat, (4, 3, 5000), {}, ValueError, ["bias", "1023", "5000"]),
    (minifloat, (4, 3, 7, "maybe"), {}, ValueError, ["'maybe'", "ieee, nan, none"]),
    (FP16.encode, (["a"],), {}, TypeError, ["real numbers", "<U1"]),
    (FP16.encode, ([1j],), {}, TypeError, ["real numbers", "complex128"]),
    (FP16.decode, ([1.0],), {}, TypeError, ["integers", "float64"]),
    (FP16.decode, ([65536],), {}, ValueError, ["0 to 65535", "65536"]),
    (FP16.decode, ([-1],), {}, ValueError, ["0 to 65535", "-1"]),
    (formats.FP32.finite_values, (), {}, ValueError, ["2^32", "2^16"]),
    (ql.quantize_absmax, (W,), {"bits": 0}, ValueError, ["bits", "2 to 16", "0"]),
    (ql.quantize_absmax, (W,), {"bits": 1}, ValueError, ["bits", "2 to 16", "1"]),
    (ql.quantize_zero_point, (W,), {"bits": 17}, ValueError, ["bits", "2 to 16", "17"]),
    (ql.quantize_absmax, (W,), {"bits": 7.5}, ValueError, ["7.5", "2 to 16"]),
    (ql.quantize_absmax, (W,), {"bits": "8"}, TypeError, ["'8'", "2 to 16"]),
    (ql.quantize_absmax, (W,), {"bits": True}, TypeError, ["True", "2 to 16"]),
    (ql.quantize_absmax, (NAN,), {}, ValueError, ["nan", "(1, 0)", "finite"]),
    (ql.quantize_zero_point, (INF,), {}, ValueError, ["-inf", "(1)", "finite"]),
    (ql.quantize_absmax, ([],), {}, ValueError, ["(0,)", "at least one value"]),
    (ql.quantize_zero_point, (np.zeros((0, 3)),), {}, ValueError, ["(0, 3)", "at least one"]),
    (ql.quantize_absmax, (["a", "b"],), {}, TypeError, ["real numbers", "<U1"]),
    (ql.quantize_absmax, (None,), {}, TypeError, ["real numbers", "object"]),
    (ql.quantize_absmax, (W,), {"axis": 2}, ValueError, ["axis", "-2 to 1", "2"]),
    (ql.quantize_absmax, (W,), {"axis": "rows"}, TypeError, ["'rows'", "-2 to 1"]),
    (ql.quantize_absmax, (3.0,), {"axis": 0}, ValueError, ["axis", "None", "0"]),
    (ql.quantize_absmax, (W,), {"axis": 0, "group_size": 3}, ValueError, ["divide", "4", "3"]),
    (ql.quantize_absmax, (W,), {"axis": 0, "group_size": 0}, ValueError, ["1 to 4", "0"]),
    (ql.quantize_zero_point, ([-1.7e308, 1.7e308],), {}, ValueError, ["1.7e+308", "float64"]),
    (ql.quantized_matmul, (Q8, Q8), {}, ValueError, ["(4, 3)", "3 != 4"]),
    (ql.quantized_matmul, (W, Q8), {}, TypeError, ["qx", "Quantized", "ndarray"]),
    (ql.quantized_matmul, (Q4, Q4), {}, ValueError, ["axis=1", "axis=0"]),
    (ql.outlier_columns, (W,), {"threshold": -6.0}, ValueError, ["0 or more", "-6.0"]),
    (ql.outlier_columns, (W[0],), {}, ValueError, ["matrix", "(3,)"]),
    (ql.llm_int8_matmul, (W, W), {}, ValueError, ["(4, 3)", "3 != 4"]),
    (ql.llm_int8_matmul, (W * 1e6, W.T), {}, ValueError, ["65504", "6000000"]),
    (ql.llm_int8_matmul, (W.T, Q4), {}, ValueError, ["bits=8", "bits=4"]),
    (ql.llm_int8_matmul, (NAN, NAN), {}, ValueError, ["nan", "finite"]),
    (ql.hessian, ([1.0, 2.0],), {}, ValueError, ["matrix", "(2,)"]),
    (ql.hessian, (NAN,), {}, ValueError, ["nan", "finite"]),
    (ql.quantize_gptq, (W, np.eye(3)), {}, ValueError, ["(4, 4)", "(3, 3)"]),
    (ql.quantize_gptq, (W, np.ones((4, 3))), {}, ValueError, ["(4, 4)", "(4, 3)"]),
    (ql.quantize_gptq, (W, SKEW), {}, ValueError, ["symmetric", "2/n X^T X"]),
    (ql.quantize_gptq, (W, -EYE), {}, ValueError, ["positive definite", "damping=0.01"]),
    (ql.quantize_gptq, (W, EYE - 1), {"damping": 0}, ValueError, ["definite", "damping=0"]),
    (ql.quantize_gptq, (W, EYE), {"damping": -1}, ValueError, ["damping", "0 or more", "-1"]),
    (ql.quantize_gptq, (W, EYE * np.nan), {}, ValueError, ["nan", "finite"]),
    (ql.quantize_gptq, (W, EYE), {"bits": 1}, ValueError, ["bits", "2 to 16", "1"]),
    (ql.quantize_gptq, (W, EYE), {"group_size": 3}, ValueError, ["divide", "4 rows", "3"]),
    (ql.quantize_gptq, (W, EYE), {"group_size": 5}, ValueError, ["1 to 4", "5"]),
    (ql.quantize_gptq, (W[0], EYE), {}, ValueError, ["matrix", "(3,)"]),
    (ql.error_diffusion, (W[0],), {}, ValueError, ["matrix", "(3,)"]),
    (ql.error_diffusion, (W,), {"bits": 17}, ValueError, ["2 to 16", "17"]),
    (ql.quantize_blockwise, (W, "nf4"), {}, TypeError, ["'nf4'", "NF4"]),
    (ql.quantize_blockwise, (W,), {"block_size": 0}, ValueError, ["at least 1", "0"]),
    (ql.quantize_blockwise, (W,), {"block_size": 6.5}, ValueError, ["at least 1", "6.5"]),
    (ql.quantize_blockwise, (NAN,), {}, ValueError, ["nan", "finite"]),
    (ql.quantize_blockwise, ([],), {}, ValueError, ["(0,)", "at least one"]),
    (ql.quantize_blockwise, ([1e300],), {}, ValueError, ["1e+300", "float32"]),
    (ql.quantize_blockwise, (W, codebooks.DYNAMIC8, 64, True), {}, ValueError, ["8-bit", "4-bit"]),
    (ql.Codebook, ("x", np.zeros(15)), {}, ValueError, ["(15,)", "16 or 256"]),
    (ql.Codebook, ("x", np.full(16, 2.0)), {}, ValueError, ["2.0", "-1 to 1"]),
    (gguf.encode, (np.ones(32), "Q4_K_M"), {}, ValueError, ["'Q4_K_M'", "Q4_K", "IQ4_NL"]),
    (gguf.encode, (np.ones(32), 4), {}, TypeError, ["4", "Q4_0"]),
    (gguf.encode, (np.ones((32, 31)), "Q4_0"), {}, ValueError, ["(32, 31)", "blocks of 32"]),
    (gguf.encode, (np.ones(32), "Q4_K"), {}, ValueError, ["(32,)", "blocks of 256"]),
    (gguf.encode, (1.0, "Q4_0"), {}, ValueError, ["()", "blocks of 32"]),
    (gguf.encode, ([], "Q4_0"), {}, ValueError, ["(0,)", "at least one"]),
    (gguf.encode, (np.append(np.ones(31), np.nan), "Q4_0"), {}, ValueError, ["nan", "(31)"]),
    (gguf.encode, (np.full(32, -np.inf), "Q8_0"), {}, ValueError, ["-inf", "finite"]),
    (gguf.encode, (np.full(32, 1e300), "Q8_0"), {}, ValueError, ["float32", "finite"]),
    *((gguf.encode, (np.full(256, x), name), {}, ValueError, ["too large", "65504"])
      for name in ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ4_NL") for x in (1e9, 1e38)),
    *((gguf.encode, (np.ones(32), "Q4_0", importance), {}, ValueError, ["32 numbers", *words])
      for importance, words in ((np.ones(31), ["(31,)"]), (-np.ones(32), ["-1.0", "0 or more"]))),
    (gguf.encode, (np.ones(32), "Q4_0", np.full(32, np.nan)), {}, ValueError, ["importance"]),
    (gguf.decode, (np.zeros(17, np.uint8), "Q4_0"), {}, ValueError, ["(17,)", "18 bytes"]),
    (gguf.decode, (np.zeros(18), "Q4_0"), {}, ValueError, ["float64", "uint8"]),
    (gguf.decode, (np.zeros(18, np.uint8), "Q4_0", (2, 32)), {}, ValueError, ["(2, 32)", "32"]),
    (gguf.decode, (np.zeros(18, np.uint8), "Q5_0"), {}, ValueError, ["'Q5_0'", "Q6_K"]),
    (scaled.quantize, (np.ones(32), "FP4"), {}, ValueError, ["'FP4'", "MXFP4", "NVFP4"]),
    (scaled.quantize, (np.ones(31), "MXFP4"), {}, ValueError, ["(31,)", "blocks of 32"]),
    (scaled.quantize, (np.ones((3, 32)), "MXFP4", 0), {}, ValueError, ["axis 0", "(3, 32)"]),
    (scaled.quantize, (np.ones(32), "MXFP4", 1), {}, ValueError, ["axis", "-1 to 0", "1"]),
    (scaled.quantize, (np.ones(128), "FP8_BLOCK128"), {}, ValueError, ["a matrix", "(128,)"]),
    (scaled.quantize, (1.0, "FP8_ROW"), {}, ValueError, ["at least one axis", "()"]),
    (scaled.quantize, ([], "MXFP4"), {}, ValueError, ["a value", "(0,)"]),
    (scaled.quantize, ([np.nan] * 16,), {}, ValueError, ["nan", "finite"]),
    (scaled.quantize, ([1e300] * 16,), {}, ValueError, ["1e+300", "float32"]),
    (scaled.quantize, (np.ones(32), "MXFP4"), {"rule": "amax"}, ValueError, ["'amax'", "rceil"]),
    (scaled.quantize, (np.ones(16),), {"rule": "floor"}, ValueError, ["'floor'", "amax"]),
    (scaled.quantize, (np.ones(16),), {"rule": "up"}, ValueError, ["'up'", "floor, ceil"]),
    (scaled.quantize, (np.ones(16),), {"tensor_scale": 0}, ValueError, ["tensor_scale", "above 0"]),
    (scaled.quantize, (np.ones(32), "MXFP4"), {"tensor_scale": 1}, ValueError, ["E8M0", "no"]),
    (scaled.quantize, (np.ones(16), "FP8_ROW"), {"rule": "four_over_six"}, ValueError, ["FP4"]),
    (scaled.ScaledFormat, ("x", FP4, 0, formats.E8M0), {}, ValueError, ["block", "1 to"]),
    (scaled.scaled_matmul, (MX, MX), {}, ValueError, ["columns", "(2, 32)"]),
    (scaled.scaled_matmul, (MX, scaled.quantize(np.ones((32, 2)), "NVFP4", 0)), {}, ValueError,
     ["32 and 16", "one length"]),
    (scaled.scaled_matmul, (scaled.quantize(np.ones(32), "MXFP4"), MX), {}, ValueError, ["(32,)"]),
    (scaled.from_bytes, (np.zeros(16, np.uint8), [1, 2], "MXFP4"), {}, ValueError, ["32", "2"]),
    (memory.bits_per_weight, ("fp17",), {}, ValueError, ["'fp17'", "fp16", "nf4"]),
    (memory.bits_per_weight, (16,), {}, TypeError, ["16", "fp16"]),
    (memory.bits_per_weight, ("nf4", 0), {}, ValueError, ["block_size", "at least 1", "0"]),
    (memory.bits_per_weight, ("nf4", None, True), {}, ValueError, ["block_size", "double_quant"]),
    (memory.bits_per_weight, ("mxfp4", 64), {}, ValueError, ["mxfp4", "None"]),
    (memory.weight_bytes, (-1, "fp16"), {}, ValueError, ["parameters", "0 or more", "-1"]),
    (memory.weight_bytes, ("7B", "fp16"), {}, TypeError, ["'7B'", "0 or more"]),
    (memory.devices_needed, (1e9, 0), {}, ValueError, ["device_bytes", "above 0", "0"]),
    (memory.devices_needed, (1e9, 1e9, 1.0), {}, ValueError, ["headroom", "below 1", "1.0"]),
    (memory.devices_needed, (1e9, 1e9, "10%"), {}, TypeError, ["headroom", "'10%'", "0 or more"]),
    (errors.relative, (W, W.T), {}, ValueError, ["(4, 3)", "(3, 4)"]),
    (errors.maximum, ([np.nan], [1.0]), {}, ValueError, ["nan", "finite"]),
    (errors.snr_db, ([], []), {}, ValueError, ["(0,)", "at least one"]),
    (transforms.rescale, (W, EYE, [1.0, 1.0, 1.0, 1.0]), {}, ValueError, ["3 != 4"]),
    (transforms.rescale, (EYE, W, [1.0, 1.0]), {}, ValueError, ["scales", "(4,)", "(2,)"]),
    (transforms.rescale, (EYE, W, [1.0, 0.0, 1.0, 1.0]), {}, ValueError, ["above 0", "0.0"]),
    (transforms.rescale, (EYE, W, [1.0, INF[1], 1.0, 1.0]), {}, ValueError, ["scales", "-inf"]),
    (transforms.smooth_scales, (EYE, W), {"alpha": 1.5}, ValueError, ["alpha", "0 to 1", "1.5"]),
    (transforms.smooth_scales, (EYE, W), {"alpha": -0.5}, ValueError, ["alpha", "0 or", "-0.5"]),
    (transforms.smooth_scales, (EYE, W), {"alpha": "0.5"}, TypeError, ["alpha", "'0.5'"]),
    (transforms.smooth_scales, (NAN, np.eye(2)), {}, ValueError, ["x", "nan", "(1, 0)"]),
    (transforms.smooth_scales, (EYE, W[0]), {}, ValueError, ["w", "matrix", "(3,)"]),
    (transforms.awq_scales, (W, EYE), {}, ValueError, ["3 != 4", "(4, 3)"]),
    (transforms.awq_scales, (EYE, W), {"bits": 1}, ValueError, ["bits", "2 to 16", "1"]),
    (transforms.awq_scales, (EYE, W), {"group_size": 3}, ValueError, ["group_size", "4", "3"]),
    (transforms.hadamard, (0,), {}, ValueError, ["n", "at least 1", "0"]),
    (transforms.hadamard, (10**30,), {}, ValueError, ["n", "at most 32768"]),
    (transforms.hadamard, (2.5,), {}, ValueError, ["n", "whole", "2.5"]),
    (transforms.hadamard, ("4",), {}, TypeError, ["n", "'4'"]),
    (transforms.hadamard, (4,), {"seed": -1}, ValueError, ["seed", "at least 0", "-1"]),
    (transforms.hadamard, (4,), {"seed": 0.5}, ValueError, ["seed", "whole", "0.5"]),
    (transforms.hadamard, (24,), {"block": 5}, ValueError, ["block", "24", "5"]),
    (transforms.hadamard, (24,), {"block": 3}, ValueError, ["12, 20 or 28 times", "3"]),
    (transforms.hadamard, (24,), {"block": 16}, ValueError, ["divide 24", "16"]),
    (transforms.hadamard, (72,), {"block": 36}, ValueError, ["divide 72", "36"]),
    (transforms.hadamard_product, (NAN,), {}, ValueError, ["x", "nan"]),
    (transforms.hadamard_product, ([],), {}, ValueError, ["x is empty"]),
    (transforms.hadamard_product, (["a"],), {}, TypeError, ["x", "real numbers"]),
    (transforms.turn, (W, EYE), {}, ValueError, ["3 != 4"]),
    (transforms.turn, (EYE, W), {"block": 3}, ValueError, ["block", "divide 4", "3"]),
    (transforms.orthogonal, (0,), {}, ValueError, ["n", "at least 1", "0"]),
    (transforms.orthogonal, (10**30,), {}, ValueError, ["n", "at most 32768"]),
    (transforms.orthogonal, (4,), {"seed": None}, TypeError, ["seed", "None"]),
    (transforms.block_size, (0,), {}, ValueError, ["n", "at least 1", "0"]),
]  # fmt: skip


CASES = [pytest.param(*case, id=f"{i:02d}-{case[0].__name__}") for i, case in enumerate(BAD)]


@pytest.mark.parametrize(("function", "args", "keywords", "kind", "words"), CASES)
def test_a_bad_call_names_its_value_and_what_is_allowed(function, args, keywords, kind, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        function(*args, **keywords)
    assert caught.type is kind
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("act_order", [False, True])
def test_the_steps_of_gptq_refuse_what_gptq_refuses(act_order):
    with pytest.raises(ValueError, match=r"hessian must have shape \(4, 4\).*got \(3, 3\)"):
        next(ql.gptq_steps(W, np.eye(3), act_order=act_order))


def test_a_hessian_that_damping_cannot_save_is_refused():
    # The eigenvalues are 16 and three times -4; the diagonal, all 1, gives no hint.
    bad = np.eye(4) + 5 * (np.ones((4, 4)) - np.eye(4))
    with pytest.raises(ValueError, match=r"not positive definite with damping=0\.01"):
        ql.quantize_gptq(W, bad)


# Tensors of torch, which the core knows only by what they bring along.


def takes_an_array():
    """Every public function that takes an array, each as a function of one matrix (4, 4)."""
    h = np.eye(4)
    return {
        "quantize_absmax": lambda x: ql.quantize_absmax(x, axis=0).codes,
        "quantize_zero_point": lambda x: ql.quantize_zero_point(x, bits=4, axis=1).codes,
        "outlier_columns": lambda x: ql.outlier_columns(x, 1.0),
        "llm_int8_matmul x": lambda x: ql.llm_int8_matmul(x, np.ones((4, 3)), 1.0),
        "llm_int8_matmul w": lambda x: ql.llm_int8_matmul(np.ones((3, 4)), x),
        "hessian": ql.hessian,
        "quantize_gptq w": lambda x: ql.quantize_gptq(x, h, bits=3).codes,
        "quantize_gptq hessian": lambda x: ql.quantize_gptq(np.ones((4, 2)), x).codes,
        "gptq_steps": lambda x: next(ql.gptq_steps(x, h)).codes,
        "error_diffusion": lambda x: ql.error_diffusion(x).codes,
        "quantize_blockwise": lambda x: ql.quantize_blockwise(x).codes,
        "Codebook": lambda x: ql.Codebook("x", x.flatten()).values,
        "smooth_scales": lambda x: transforms.smooth_scales(x, x),
        "awq_scales": lambda x: transforms.awq_scales(x, h),
        "hadamard_product": lambda x: transforms.hadamard_product(x, seed=0),
        "turn": lambda x: transforms.turn(x, x)[1],
        "errors.relative": lambda x: errors.relative(x, 2 * h),
        "errors.maximum": lambda x: errors.maximum(2 * h, x),
        "errors.snr_db": lambda x: errors.snr_db(x, 2 * h),
        "encode": FP16.encode,
        "round": FP16.round,
        "bits": FP16.bits,
        "fields": lambda x: FP16.fields(x).mantissa,
        "spacing": FP16.spacing,
        "scaled": lambda x: scaled.quantize(x, "FP8_ROW").codes,
        "method": lambda x: ql.methods.METHODS["nf4"](x).dequantize(),
    }


TAKES_AN_ARRAY = takes_an_array()
NUMBERS = np.array(
    [[1, 0.5, 0, 0.25], [0.5, 1, 0, 0], [0, 0, 1, -0.125], [0.25, 0, -0.125, 1]], np.float32
)  # in a Hessian's shape, and each number has an equal in every kind of float
every_function = pytest.mark.parametrize("function", TAKES_AN_ARRAY)


@every_function
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_a_tensor_with_gradients_is_taken_as_its_numbers(function, kind):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(NUMBERS).to(getattr(torch, kind)).requires_grad_()
    array = NUMBERS.astype(kind if kind in ("float64", "float16") else np.float32)
    found, expected = (TAKES_AN_ARRAY[function](x) for x in (tensor, array))
    assert np.array_equal(found, expected) and type(found) is type(expected)


def test_large_tensors_are_taken_too():
    torch = pytest.importorskip("torch")
    tensor = torch.nn.Linear(256, 128).to(torch.bfloat16).weight
    array = tensor.detach().float().numpy()
    for quantize in (ql.quantize_absmax, ql.quantize_zero_point, ql.quantize_blockwise):
        assert np.array_equal(quantize(tensor).codes, quantize(array).codes)


def test_a_tensor_of_codes_is_decoded():
    torch = pytest.importorskip("torch")
    codes = torch.tensor([0x3C00, 0x4000], dtype=torch.int32)
    assert FP16.decode(codes).tolist() == [1.0, 2.0]


@every_function
def test_a_tensor_on_meta_is_refused_for_it_has_no_numbers(function):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="meta device: it has a shape, but no numbers"):
        TAKES_AN_ARRAY[function](torch.ones(4, 4, device="meta"))


def test_a_sparse_tensor_is_refused_with_the_way_out():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"x is a torch\.sparse_coo tensor: pass x.to_dense\(\)"):
        ql.quantize_absmax(torch.eye(4).to_sparse())


def test_a_tensor_of_complex_numbers_is_refused_as_an_array_is():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="real numbers, got an array of complex64"):
        ql.hessian(torch.ones(2, 2, dtype=torch.complex64))


def test_packed_codes_are_not_taken_for_weights():
    torch, bnb = pytest.importorskip("torch"), pytest.importorskip("bitsandbytes")
    layer = bnb.nn.Linear4bit(64, 64).to("cpu")
    assert layer.weight.dtype == torch.uint8
    with pytest.raises(TypeError, match=r"packed codes of bitsandbytes.*dequantize_4bit"):
        ql.quantize_absmax(layer.weight)
