"""A table of bad calls, generated: each argument of each public function gets what it can't take.

A good call has each of its arguments replaced in turn. What comes must be a ValueError or a
TypeError that our own code raised, in one line that names the argument.
"""

# ruff: noqa: C408 - arguments read as in a call: dict(x=...)

import decimal
import importlib
import inspect
import signal
import traceback
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import quantlab as ql
from quantlab import (
    binary,
    config,
    errors,
    fit,
    formats,
    gguf,
    memory,
    methods,
    scaled,
    shapes,
    ternary,
    training_memory,
    transforms,
)  # fmt: skip

PACKAGE = Path(ql.__file__).parent
W = np.arange(12.0).reshape(4, 3) - 5
EYE = np.eye(4)
NAN, INF, HUGE = float("nan"), float("inf"), 10**400


def given(bad):
    """Leave None out, where it is a value like another."""
    return {what: value for what, value in bad.items() if value is not None}


STRANGE = {  # what is no number, no string, no array, and nothing else either
    "an object": object(),
    "a dict": {"a": 1},
    "a set": {1},
    "a function": len,
    "a complex number": 1j,
    "bytes": b"8",
}
NOT_A_FLAG = STRANGE | {
    "False in quotes": "False", "no": "no", "empty": "", "0": 0, "1": 1, "0.0": 0.0, "None": None,
    "a list": [True], "an array": np.array(True), "two": np.array([True, False]), "nan": NAN,
}  # fmt: skip
NOT_A_NUMBER = STRANGE | {
    "text": "x", "digits": "8", "True": True, "False": np.False_, "nan": NAN, "inf": INF,
    "-inf": -INF, "NumPy's nan": np.float32("nan"), "a list": [4], "an array": np.array([4]),
    "a number of 400 digits": -HUGE, "a Decimal": decimal.Decimal("NaN"), "-1": -1, "-1.0": -1.0,
}  # fmt: skip
NOT_A_COUNT = NOT_A_NUMBER | {"a half": 2.5, "NumPy's half": np.float64(2.5)}
TOO_LARGE = {"beyond a float": HUGE, "beyond all": 10**5000}
STRANGE_ARRAYS = {
    "None": None, "an object": object(), "a dict": {"a": 1}, "a set": {1.0}, "a function": len,
    "text": "abc", "texts": ["a", "b"], "bytes": b"ab", "ragged": [[1.0, 2.0], [3.0]],
    "objects": np.array([1.0, None], object), "Nones": [None, 1.0], "complex": [1j, 2.0],
    "dates": np.array(["2020-01-01"], "M8"), "a generator": (x for x in [1.0]),
    "a number of 400 digits": [HUGE, 1], "a masked array": np.ma.masked_values([1.0, 2.0], 2.0),
    "a structured array": np.zeros(4, [("a", "f4"), ("b", "f4")]), "raw bytes": np.zeros(4, "V4"),
}  # fmt: skip
if np.dtype(np.longdouble).itemsize > 8:
    STRANGE_ARRAYS["a long double"] = np.ones((4, 4), np.longdouble)
NOT_FINITE = STRANGE_ARRAYS | {
    "nan": np.full((4, 4), NAN), "inf": np.full((4, 4), INF), "one -inf": [[1.0, -INF]],
    "empty": [], "no rows": np.zeros((0, 4)), "nan in FP16": np.full((4, 4), NAN, np.float16),
    "20,000 nan": np.full((200, 100), NAN, np.float32), "a lonely nan": NAN,
}  # fmt: skip
NOT_A_MATRIX = NOT_FINITE | {"a row": [1.0, 2.0], "a number": 3.0, "a cube": np.ones((2, 2, 2))}
NOT_A_CHOICE = STRANGE | {
    "another": "zzz", "empty": "", "None": None, "4": 4, "nan": NAN, "a list": ["nf4"],
    "True": True, "an array": np.array(["nf4"]), "a long text": "x" * 5000,
}  # fmt: skip
NOT_A_TEXT = STRANGE | {"None": None, "4": 4, "nan": NAN, "a list": ["01"], "True": True}
NOT_CODES = {k: v for k, v in STRANGE_ARRAYS.items() if "masked" not in k} | {
    "floats": [1.0], "too large": [2**40], "negative": [-1], "bools": [True], "nan": [NAN],
    "a masked array": np.ma.masked_values([1, 2], 2),
}  # fmt: skip
NOT_A_GROUP = NOT_A_COUNT | TOO_LARGE | {"0": 0, "3 of 4": 3, "5 of 4": 5}
NOT_BITS = NOT_A_COUNT | TOO_LARGE | {"0": 0, "1": 1, "17": 17, "None": None}
NOT_A_SIZE = NOT_A_COUNT | TOO_LARGE | {"0": 0, "None": None}
NOT_A_BLOCK = NOT_A_COUNT | TOO_LARGE | {"0": 0, "10**30": 10**30}
NOT_DIGITS = NOT_A_SIZE | {"10**30": 10**30}
NOT_AN_AXIS = {k: v for k, v in NOT_A_COUNT.items() if not k.startswith("-1")} | TOO_LARGE | {
    "2": 2, "-3": -3,
}  # fmt: skip
NOT_POSITIVE = NOT_A_NUMBER | TOO_LARGE | {"None": None}
NOT_QUANTIZED = STRANGE | {"an array": W, "None": None, "4": 4, "text": "x", "codes": W.astype(int)}

NOT_A_CONFIG = given(STRANGE) | {
    "None": None, "4": 4, "nobody's": "Llama 99", "empty": "", "a list": [1], "a folder": "/",
    "a null": "a\0b", "long": "x" * 5000, "no model": {}, "another kind": {"model_type": "t5"},
    "numbers": {1: 2}, "bytes for a name": {"model_type": b"llama"},
}  # fmt: skip
NOT_SCALED = STRANGE | {"an array": W, "None": None, "4": 4, "absmax": ql.quantize_absmax(W)}

CALLED = {  # by another name, as clear
    "w": {"x"},
    "name": {"method", "model", "folder"},
    "number": {"whole bits"},
    "config": {"model_type", "vocab_size", "num_hidden_layers"},
    "given": {"config", "model_type"},
}

Row = namedtuple("Row", "function good bad")
FP16, FP32 = formats.FP16, formats.FP32
BLOCKS = gguf.encode(np.ones(32), "Q4_0")
LLAMA, MX = "Llama 3.1 8B", scaled.quantize(np.ones((2, 32)), "MXFP4")
NO_FIELDS = {what: one for what, one in NOT_A_CONFIG.items() if not isinstance(one, dict)}


def gptq(function):
    good = dict(
        w=W, hessian=EYE, bits=4, group_size=None, damping=0.01, act_order=False, symmetric=True,
        static_groups=False,
    )  # fmt: skip
    bad = dict(
        w=NOT_A_MATRIX, hessian=NOT_A_MATRIX | {"skew": np.triu(np.ones((4, 4)))}, bits=NOT_BITS,
        group_size=NOT_A_GROUP, damping=NOT_POSITIVE, act_order=NOT_A_FLAG, symmetric=NOT_A_FLAG,
        static_groups=NOT_A_FLAG,
    )  # fmt: skip
    return Row(function, good, bad)


def grid(function):
    bad = dict(x=NOT_FINITE, bits=NOT_BITS, axis=NOT_AN_AXIS, group_size=NOT_A_GROUP)
    return Row(function, dict(x=W, bits=8, axis=0, group_size=None), bad)


def steps(*args, **keywords):
    """`gptq_steps` as a function: a generator checks when its first step is asked for."""
    return next(ql.gptq_steps(*args, **keywords))


def first_try(*args, **keywords):
    """`awq_search` as a function, for the same reason."""
    return next(transforms.awq_search(*args, **keywords))


def scales(function):
    """A row of AWQ."""
    bad = dict(x=NOT_A_MATRIX, w=NOT_A_MATRIX, bits=NOT_BITS, group_size=NOT_A_GROUP)
    return Row(function, dict(x=W.T, w=W, bits=4, group_size=None), bad)


def turned(function, **good):
    """A row of what takes a Hadamard matrix."""
    bad = {name: {"x": NOT_FINITE, "n": NOT_A_SIZE}.get(name, NOT_A_MATRIX) for name in good}
    bad |= dict(seed=given(NOT_A_COUNT), block=given(NOT_A_COUNT) | TOO_LARGE | {"0": 0, "3": 3})
    return Row(function, dict(**good, seed=0, block=None), bad)


def of_codes(f):
    return Row(f.decode, dict(codes=[1, 2]), dict(codes=NOT_CODES))


def of_numbers(method):
    bad = {k: v for k, v in STRANGE_ARRAYS.items() if k != "a number of 400 digits"}
    return Row(method, dict(x=[1.0, 2.0]), dict(x=bad | {"400 digits": HUGE}))


TABLE = [
    Row(binary.bits_needed, dict(number=5, signed=True),
        dict(number={k: v for k, v in NOT_A_COUNT.items() if "-1" not in k and "400" not in k},
             signed=NOT_A_FLAG)),
    Row(binary.to_bits, dict(number=5, width=8, signed=True),
        dict(number={k: v for k, v in NOT_A_COUNT.items() if "-1" not in k} | TOO_LARGE,
             width=NOT_DIGITS, signed=NOT_A_FLAG)),
    Row(binary.from_bits, dict(bits="0101", signed=True),
        dict(bits=NOT_A_TEXT | {"another digit": "012", "empty": "", "blanks": "  "},
             signed=NOT_A_FLAG)),
    Row(binary.halve, dict(number=5), dict(number=NOT_A_COUNT | {"10**5000": 10**5000})),
    Row(binary.double, dict(fraction=0.25, steps=3),
        dict(fraction=NOT_POSITIVE | {"1": 1, "1.5": 1.5}, steps=NOT_DIGITS)),
    Row(binary.fixed_point, dict(number=2.5, whole_bits=5, fraction_bits=4),
        dict(number=NOT_POSITIVE, whole_bits=NOT_DIGITS,
             fraction_bits={k: v for k, v in NOT_DIGITS.items() if k != "0"})),
    Row(formats.MiniFloat,
        dict(name="x", exponent_bits=5, mantissa_bits=10, bias=15, specials="ieee"),
        dict(name=NOT_A_TEXT, exponent_bits=NOT_BITS,
             mantissa_bits=NOT_A_COUNT | TOO_LARGE | {"0": 0, "53": 53},
             bias={k: v for k, v in NOT_A_COUNT.items() if "-1" not in k} | TOO_LARGE,
             specials=NOT_A_CHOICE)),
    of_codes(FP16), of_codes(FP32),
    *(of_numbers(method) for f in (FP16, FP32)
      for method in (f.encode, f.round, f.bits, f.fields, f.spacing)),
    grid(ql.quantize_absmax), grid(ql.quantize_zero_point),
    Row(ternary.quantize_ternary, dict(x=W, axis=0, group_size=None),
        dict(x=NOT_FINITE, axis=NOT_AN_AXIS, group_size=NOT_A_GROUP)),
    Row(ql.quantized_matmul, dict(qx=ql.quantize_absmax(W), qw=ql.quantize_absmax(W.T)),
        dict(qx=NOT_QUANTIZED, qw=NOT_QUANTIZED)),
    Row(ql.outlier_columns, dict(x=W, threshold=6.0),
        dict(x=NOT_A_MATRIX, threshold=NOT_POSITIVE)),
    Row(ql.llm_int8_matmul, dict(x=W, w=W.T, threshold=6.0),
        dict(x=NOT_A_MATRIX, w=NOT_A_MATRIX, threshold=NOT_POSITIVE)),
    Row(ql.hessian, dict(x=W), dict(x=NOT_A_MATRIX)),
    gptq(ql.quantize_gptq), gptq(steps),
    Row(ql.error_diffusion, dict(w=W, bits=4), dict(w=NOT_A_MATRIX, bits=NOT_BITS)),
    Row(ql.Codebook, dict(name="x", values=np.zeros(16)),
        dict(name=NOT_A_TEXT, values=NOT_FINITE | {"15": np.zeros(15), "2": np.full(16, 2.0)})),
    Row(ql.quantize_blockwise, dict(x=W, codebook=ql.NF4, block_size=4, double_quant=False),
        dict(x=NOT_FINITE | {"1e300": [1e300]}, codebook=given(NOT_A_CHOICE | {"nf4": "nf4"}),
             block_size=NOT_A_BLOCK, double_quant=NOT_A_FLAG)),
    Row(gguf.encode, dict(x=np.ones(32), type="Q4_0", importance=None),
        dict(x=NOT_FINITE, type=NOT_A_CHOICE,
             importance=given(NOT_FINITE))),
    Row(gguf.decode, dict(blocks=BLOCKS, type="Q4_0", shape=(32,)),
        dict(blocks=NOT_CODES, type=NOT_A_CHOICE,
             shape=NOT_A_COUNT | {"(2, 32)": (2, 32), "(-1, 32)": (-1, 32), "text": "32"})),
    Row(memory.bits_per_weight,
        dict(format="nf4", block_size=64, double_quant=True, scale_bits=32, nested_block=256),
        dict(format=NOT_A_CHOICE, block_size=NOT_A_BLOCK, double_quant=NOT_A_FLAG,
             nested_block=NOT_A_BLOCK)),
    Row(memory.bits_per_weight, dict(format="int4", block_size=64, scale_bits=32),
        dict(scale_bits=NOT_POSITIVE)),
    Row(memory.weight_bytes, dict(parameters=7e9, format="nf4", block_size=64, double_quant=True),
        dict(parameters=NOT_POSITIVE, format=NOT_A_CHOICE, block_size=NOT_A_BLOCK,
             double_quant=NOT_A_FLAG)),
    Row(memory.devices_needed, dict(weight_bytes=1e9, device_bytes=1e9, headroom=0.1),
        dict(weight_bytes=NOT_POSITIVE, device_bytes=NOT_POSITIVE | {"0": 0},
             headroom=NOT_POSITIVE | {"1": 1, "10%": "10%"})),
    *(Row(function, dict(approx=W, exact=W),
          dict.fromkeys(("approx", "exact"), NOT_FINITE | {"another shape": W.T}))
      for function in (errors.relative, errors.maximum, errors.snr_db)),
    Row(config.Config, dict(given=LLAMA), dict(given=NOT_A_CONFIG)),
    Row(config.read, dict(config=LLAMA), dict(config=NO_FIELDS)),
    *(Row(function, dict(config=LLAMA),
          dict(config=NOT_A_CONFIG | {"half a model": {"model_type": "llama"}}))
      for function in (shapes.tensors, shapes.kept)),
    Row(fit.plan,
        dict(config=LLAMA, device=24e9, context=1024, batch=1, cache="bf16", engine="least",
             formats=("bf16",)),
        dict(config=NOT_A_CONFIG, device=NOT_POSITIVE | {"0": 0, "a toaster": "a toaster"},
             context=NOT_A_BLOCK, batch=NOT_A_BLOCK, cache=NOT_A_CHOICE, engine=NOT_A_CHOICE,
             formats=given(NOT_A_CHOICE) | {"a list": [4], "one unknown": ("bf16", "zzz")})),
    Row(fit.cache_bytes,
        dict(config=LLAMA, context=1024, batch=1, format="bf16", engine="least"),
        dict(config=NOT_A_CONFIG, context=NOT_A_BLOCK, batch=NOT_A_BLOCK, format=NOT_A_CHOICE,
             engine=NOT_A_CHOICE)),
    Row(fit.tensor_bytes,
        dict(tensor=shapes.tensors(LLAMA)[1], format="bf16", config=config.Config(LLAMA)),
        dict(tensor=STRANGE | {"None": None, "4": 4, "a name": "model.norm.weight"},
             format=NOT_A_CHOICE, config=NOT_A_CONFIG)),
    Row(scaled.ScaledFormat,
        dict(name="x", element=formats.FP4_E2M1, block=32, scale=formats.E8M0, rule="floor"),
        dict(name=NOT_A_TEXT, element=given(NOT_A_CHOICE), scale=NOT_A_CHOICE, rule=NOT_A_CHOICE,
             block=given(NOT_A_BLOCK) | {"(0, 1)": (0, 1), "three": (1, 2, 3), "x": ("x", 1)})),
    Row(scaled.quantize, dict(x=np.ones((2, 32)), format="NVFP4", axis=-1, rule=None,
                              tensor_scale=None),
        dict(x=NOT_FINITE, format=NOT_A_CHOICE, axis=NOT_AN_AXIS | {"axis 0 of 2": 0},
             rule=given(NOT_A_CHOICE),
             tensor_scale=given(NOT_POSITIVE) | {"0": 0, "1e-60": 1e-60})),
    Row(scaled.quantize_gptq,
        dict(w=np.ones((32, 2)), hessian=np.eye(32), format="MXFP4", rule=None, damping=0.01),
        dict(w=NOT_A_MATRIX, hessian=NOT_A_MATRIX, format=NOT_A_CHOICE | {"tiles": "FP8_BLOCK128"},
             rule=given(NOT_A_CHOICE), damping=NOT_POSITIVE)),
    Row(scaled.scaled_matmul, dict(a=MX, b=scaled.quantize(np.ones((32, 2)), "MXFP4", 0)),
        dict(a=NOT_SCALED, b=NOT_SCALED | {"along rows": MX})),
    Row(scaled.from_bytes,
        dict(packed=np.zeros(16, np.uint8), scale_codes=[127], format="MXFP4"),
        dict(packed=NOT_CODES, scale_codes=NOT_CODES, format=NOT_A_CHOICE)),
    Row(scaled.from_bytes,
        dict(packed=np.zeros(8, np.uint8), scale_codes=[127], format="NVFP4", tensor_scale=1),
        dict(tensor_scale=NOT_POSITIVE | {"0": 0, "1e-60": 1e-60, "1e60": 1e60})),
    Row(transforms.rescale, dict(x=W.T, w=W, scales=np.ones(4)),
        dict(x=NOT_A_MATRIX, w=NOT_A_MATRIX,
             scales=NOT_FINITE | {"0": np.zeros(4), "three": [1, 1, 1]})),
    Row(transforms.smooth_scales, dict(x=W.T, w=W, alpha=0.5),
        dict(x=NOT_A_MATRIX, w=NOT_A_MATRIX, alpha=NOT_POSITIVE | {"1.5": 1.5})),
    scales(transforms.awq_scales), scales(first_try),
    turned(transforms.hadamard, n=4), turned(transforms.hadamard_product, x=W.T),
    turned(transforms.turn, x=W.T, w=W),
    Row(transforms.orthogonal, dict(n=4, seed=0), dict(n=NOT_A_BLOCK, seed=NOT_A_COUNT)),
    Row(transforms.block_size, dict(n=4), dict(n=NOT_A_SIZE)),
    Row(methods.method, dict(name="gptq"), dict(name=NOT_A_CHOICE)),
    *(Row(methods.METHODS[name], dict(w=W, hessian=EYE, **settings),
          dict(w=NOT_A_MATRIX if name == "gptq" else NOT_FINITE,
               **more))
      for name, settings, more in (
          ("absmax", {}, {}), ("zero_point", {}, {}), ("gptq", {}, {"hessian": NOT_A_MATRIX}),
          ("nf4", {"block_size": 4}, {"block_size": NOT_A_BLOCK, "double_quant": NOT_A_FLAG}),
          ("fp4", {"block_size": 4}, {"block_size": NOT_A_BLOCK, "double_quant": NOT_A_FLAG}),
          ("llm_int8", {}, {}))),
    *(Row(function, dict(config="Llama 2 7B", **good), bad)
      for function, good, bad in (
          (training_memory.plan, {}, dict(
              config=NOT_A_CONFIG, method=NOT_A_CHOICE, rank=NOT_A_SIZE | {"a billion": 10**9},
              batch=NOT_A_SIZE, window=NOT_A_SIZE | {"1": 1})),
          (training_memory.adapter_size, {}, dict(config=NOT_A_CONFIG, rank=NOT_A_SIZE)),
          (training_memory.kept_per_token, {}, dict(
              config=NOT_A_CONFIG, method=NOT_A_CHOICE, rank=NOT_A_SIZE)))),
]  # fmt: skip
#: They get what is checked already.
BETWEEN_MODULES = {
    "absmax_grid", "zero_point_grid", "ternary_grid", "working_copy", "checked_hessian",
    "inverse_factor", "more_bits",
    *("fp8", "int8", "nf4", "groups", "mxfp4", "stored", "method_of"),  # of checkpoint, for fit
}  # fmt: skip
CASES = [
    pytest.param(row, argument, id=f"{i:02d}-{getattr(row.function, '__name__', 'x')}-{argument}")
    for i, row in enumerate(TABLE)
    for argument in row.bad
]


def verdict(function, keywords, argument):
    """Return "" for a clear error, else what is wrong: it hung, it went through, it was unclear."""
    try:
        with limit(5):
            function(**keywords)
    except (ValueError, TypeError) as error:
        said = str(error)
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        if PACKAGE not in Path(where).parents:
            return f"unclear: raised in {where}: {said[:200]}"
        if "\n" in said or len(said) > 400:
            return f"unclear: {len(said)} characters, {said.count(chr(10))} line ends: {said[:200]}"
        if not any(name in said for name in {argument} | CALLED.get(argument, set())):
            return f"unclear: {argument} is not named: {said[:200]}"
        return ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"unclear: {type(error).__name__}: {str(error)[:200]}"
    return "went through"


class limit:
    """Raise TimeoutError within a `with` that takes longer than so many seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        if hasattr(signal, "SIGALRM"):
            self.before = signal.signal(signal.SIGALRM, self.late)
            signal.alarm(self.seconds)

    def late(self, *_):
        raise TimeoutError(f"hangs: no answer within {self.seconds} s")

    def __exit__(self, *_):
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)
            signal.signal(signal.SIGALRM, self.before)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: getattr(row.function, "__name__", "x"))
def test_the_good_call_goes_through(row):
    if row.bad:
        row.function(**row.good)


@pytest.mark.parametrize(("row", "argument"), CASES)
def test_a_bad_argument_is_refused_by_name(row, argument):
    found = {
        what: verdict(row.function, row.good | {argument: value}, argument)
        for what, value in row.bad[argument].items()
    }
    assert {what: wrong for what, wrong in found.items() if wrong} == {}


def test_every_public_function_of_the_core_is_in_the_table():
    rows = {getattr(row.function, "__name__", "") for row in TABLE} | {"gptq_steps", "awq_search"}
    for file in PACKAGE.glob("[a-z]*.py"):
        module = importlib.import_module(f"quantlab.{file.stem}")
        public = {
            name
            for name, thing in vars(module).items()
            if inspect.isfunction(thing)
            and thing.__module__ == module.__name__
            and inspect.signature(thing).parameters
        }
        assert {name for name in public if name[0] != "_"} - BETWEEN_MODULES <= rows


def test_every_argument_of_the_core_has_at_least_8_bad_values():
    asked, fewest = {}, {}
    for row in TABLE:
        for argument, bad in row.bad.items():
            key = (getattr(row.function, "__qualname__", "x"), argument)
            fewest[key] = max(len(bad), fewest.get(key, 0))
        asked.setdefault(row.function, set()).update(row.bad)
    assert {key: count for key, count in fewest.items() if count < 8} == {}
    left = {}
    for function, arguments in asked.items():
        if inspect.isfunction(function) and function.__module__.startswith("quantlab"):
            every = set(inspect.signature(function).parameters)
            left[function.__name__] = every - arguments
    assert {name: rest for name, rest in left.items() if rest} == {}


def test_there_are_at_least_1000_bad_calls():
    assert sum(len(bad) for row in TABLE for bad in row.bad.values()) >= 1000


# The model: what costs nothing to ask. Settings of methods are those of the core, checked above.

NOT_A_PATH = STRANGE | {"None": None, "4": 4, "empty": "", "a null": "a\0b", "long": "x" * 5000,
                        "a list": ["a"], "nobody's": "~nobody-at-all/x"}  # fmt: skip
NOT_A_MODEL = STRANGE | {"a name": "tiny-lm", "None": None, "4": 4}
NOT_TOKENS = NOT_A_COUNT | TOO_LARGE | {"0": 0}
NOT_TEXTS = STRANGE | {
    "4": 4, "nan": NAN, "True": True, "empty": "", "an empty list": [], "numbers": ["a text", 4],
    "a None": [None],
}  # fmt: skip
NOT_A_CACHE = STRANGE | {"4": 4, "a name": "Q8_0", "empty": "", "0": 0, "a list": [8]}
NOT_A_FUNCTION = {k: v for k, v in STRANGE.items() if k != "a function"} | {
    "0": 0, "True": True, "a name": "print", "a list": [print],
}  # fmt: skip
NOT_A_TENSOR = STRANGE | {"None": None, "4": 4, "an array": W, "a list": [[1.0]], "text": "w"}
NOT_256 = NOT_A_COUNT | TOO_LARGE | {"0": 0, "3 of 256": 3, "512": 512}
NOT_8_BITS = NOT_BITS | {"9": 9}
NOT_METHODS = given(NOT_A_CHOICE) | {"calibrated": "gptq"}
TRAINED = {"texts": "Once upon a time there was a cat.", "steps": 1, "progress": lambda *_: None}
ROUNDED = TRAINED | {"method": "zero_point"}
LM = {  # (function, argument): (the good call, what is bad for the argument)
    ("load", "name"): ({}, NOT_A_PATH | {"unknown": "tiny_lm"}),
    ("load", "quantization"): ({}, given(NOT_A_CHOICE)),
    ("load", "device"): ({}, given(NOT_A_CHOICE) | {"a core": "cpu:7", "tpu": "tpu"}),
    ("load", "double_quant"): ({"quantization": "nf4"}, NOT_A_FLAG),
    ("load", "as_stored"): ({}, NOT_A_FLAG),
    ("smooth", "texts"): ({}, NOT_TEXTS),
    ("smooth", "alpha"): ({"texts": "a"}, NOT_POSITIVE | {"1.5": 1.5}),
    ("awq", "texts"): ({}, NOT_TEXTS),
    ("awq", "bits"): ({"texts": "a"}, NOT_BITS),
    ("awq", "group_size"): ({"texts": "a"}, NOT_256),
    ("rotate", "seed"): ({}, NOT_A_COUNT | {"None": None}),
    ("rotate", "online"): ({}, NOT_A_FLAG),
    ("quantize_cache", "keys"): ({}, NOT_A_CACHE),
    ("quantize_cache", "values"): ({}, NOT_A_CACHE),
    ("CacheFormat", "bits"): ({}, NOT_BITS | {"12": 12}),
    ("CacheFormat", "along"): ({"bits": 4}, NOT_A_CHOICE),
    ("CacheFormat", "group"): ({"bits": 4}, NOT_A_SIZE),
    ("CacheFormat", "recent"): ({"bits": 4}, NOT_A_COUNT | {"None": None}),
    ("CacheFormat", "turned"): ({"bits": 4}, NOT_A_FLAG),
    ("CacheFormat", "block"): ({}, {k: v for k, v in NOT_A_CHOICE.items() if k != "empty"}),
    ("add_lora", "rank"): ({}, NOT_TOKENS | {"None": None}),
    ("add_lora", "alpha"): ({}, NOT_POSITIVE | {"0": 0}),
    ("add_lora", "seed"): ({}, NOT_A_COUNT | TOO_LARGE | {"None": None}),
    ("merge_lora", "requantize"): ({}, NOT_A_FLAG),
    ("fake_quantize", "w"): ({}, NOT_A_TENSOR),
    ("fake_quantize", "method"): ({}, NOT_METHODS | {"None": None}),
    ("fake_quantize", "bits"): ({}, NOT_BITS),
    ("fake_quantize", "group_size"): ({}, NOT_256),
    ("train", "texts"): (TRAINED, NOT_TEXTS | {"one token": "a"}),
    ("train", "teacher"): (TRAINED, given(NOT_A_MODEL)),
    ("train", "steps"): (TRAINED, NOT_TOKENS | {"None": None}),
    ("train", "rate"): (TRAINED, NOT_POSITIVE | {"0": 0}),
    ("train", "trained"): (TRAINED, given(NOT_A_CHOICE) | {"none there": "adapters"}),
    ("train", "method"): (TRAINED, NOT_METHODS | {"while it computes": "llm_int8"}),
    ("train", "batch"): (TRAINED, NOT_TOKENS | {"None": None}),
    ("train", "window"): (TRAINED, NOT_TOKENS | {"1": 1, "257": 257}),
    ("train", "seed"): (TRAINED, NOT_A_COUNT | {"None": None}),
    ("train", "progress"): (TRAINED, NOT_A_FUNCTION),
    ("train", "checkpoint"): (TRAINED, given(NOT_A_PATH)),
    ("train", "bits"): (ROUNDED, NOT_8_BITS),
    ("train", "group_size"): (ROUNDED, NOT_256),
    ("quantize", "method"): ({}, NOT_A_CHOICE | {"while it computes": "llm_int8"}),
    ("quantize", "calibration"): ({"method": "gptq"}, NOT_TEXTS),
    ("quantize", "progress"): ({"method": "absmax"}, NOT_A_FUNCTION),
    ("quantize", "activation_bits"): ({"method": "absmax"}, given(NOT_8_BITS)),
    ("quantize", "bits"): ({"method": "absmax"}, NOT_8_BITS),
    ("quantize", "group_size"): ({"method": "absmax"}, NOT_256),
    ("quantize_activations", "bits"): ({}, NOT_8_BITS),
    ("importance_matrix", "calibration"): ({}, NOT_TEXTS),
    **{(name, "model"): (good, NOT_A_MODEL) for name, good in (
        ("smooth", {}), ("awq", {}), ("rotate", {}), ("quantize_cache", {}), ("add_lora", {}),
        ("merge_lora", {}), ("train", {}), ("export_gguf", {"path": "no.gguf"}), ("quantize", {}),
        ("quantize_activations", {"bits": 8}), ("importance_matrix", {}))},
    ("export_gguf", "path"): ({}, NOT_A_PATH),
    ("export_gguf", "type"): ({"path": "no.gguf"}, NOT_A_CHOICE),
    ("export_gguf", "importance"): (
        {"path": "no.gguf"},
        given(NOT_A_MODEL) | {"another layer": {"a": [1.0]}, "text": "x", "a list": [1.0]},
    ),
    ("run_gguf", "path"): ({}, NOT_A_PATH),
    ("run_gguf", "threads"): ({"path": __file__}, NOT_TOKENS | {"None": None}),
    ("run_gguf", "cache"): ({"path": __file__}, NOT_A_CHOICE),
    ("keep_as_stored", "network"): ({}, NOT_A_MODEL),
    ("perplexity", "text"): ({}, NOT_A_TEXT | {"empty": "", "one token": "a"}),
    ("perplexity", "window"): ({"text": "a text"}, NOT_TOKENS | {"1": 1, "257": 257}),
    ("perplexity", "stride"): ({"text": "a text", "window": 64}, NOT_TOKENS | {"64": 64}),
    ("bits_per_byte", "text"): ({}, NOT_A_TEXT),
    ("divergence", "reference"): ({"text": "a text"}, NOT_A_MODEL),
    ("divergence", "stride"): ({"reference": None, "text": "a text"}, NOT_TOKENS),
    ("generate_text", "prompt"): ({}, NOT_A_TEXT),
    ("generate_text", "max_new_tokens"): ({"prompt": "Once"}, NOT_TOKENS | {"None": None}),
    ("tokens_per_second", "prompt"): ({}, NOT_A_TEXT),
    ("tokens_per_second", "new_tokens"): ({}, NOT_TOKENS | {"None": None}),
    ("tokens_per_second", "texts"): ({}, NOT_TOKENS | {"None": None}),
    ("save", "folder"): ({}, NOT_A_PATH),
}  # fmt: skip


OF_A_MODEL = {function for function, argument in LM if argument == "model"}


def call_of_model(model, name, argument):
    """Return the function of a row of `LM`, its good arguments, and what is bad for one of them."""
    from quantlab import lm

    good, bad = LM[name, argument]
    good = {key: model if key == "reference" else value for key, value in good.items()}
    if name in OF_A_MODEL:
        good["model"] = model
    if name == "fake_quantize":
        good["w"] = model.linears()[0][1].weight.detach()
    return getattr(lm, name, None) or getattr(model, name), good, bad


def test_every_argument_of_the_model_has_at_least_8_bad_values():
    from quantlab import lm

    assert {key: len(bad) for key, (_, bad) in LM.items() if len(bad) < 8} == {}
    functions = [
        name for name in lm.__all__ if name not in ("Facts", "GGUFFile", "Model", "TextLoss")
    ]
    asked = {name: {argument for one, argument in LM if one == name} for name in functions}
    left = {
        name: set(inspect.signature(getattr(lm, name)).parameters) - asked[name] - {"settings"}
        for name in functions
    }
    assert {name: arguments for name, arguments in left.items() if arguments} == {}


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("transformers")
    from quantlab import lm

    return lm.load("tiny-lm", "fp32", device="cpu")


@pytest.mark.parametrize(("function", "argument"), LM)
def test_a_bad_argument_of_the_model_is_refused_by_name(model, function, argument):
    call, good, bad = call_of_model(model, function, argument)
    found = {what: verdict(call, good | {argument: value}, argument) for what, value in bad.items()}
    assert {what: wrong for what, wrong in found.items() if wrong} == {}
