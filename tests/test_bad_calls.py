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
from quantlab import binary, errors, formats, gguf, memory, methods, ternary

PACKAGE = Path(ql.__file__).parent
W = np.arange(12.0).reshape(4, 3) - 5
EYE = np.eye(4)
NAN, INF, HUGE = float("nan"), float("inf"), 10**400

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

CALLED = {
    "w": {"x"},
    "name": {"method", "model", "folder"},
    "number": {"whole bits"},
}  # by another name, as clear

Row = namedtuple("Row", "function good bad")
FP16, FP32 = formats.FP16, formats.FP32
BLOCKS = gguf.encode(np.ones(32), "Q4_0")


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


def given(bad):
    """Leave None out, where it is a value like another."""
    return {what: value for what, value in bad.items() if value is not None}


def steps(*args, **keywords):
    """`gptq_steps` as a function: a generator checks when its first step is asked for."""
    return next(ql.gptq_steps(*args, **keywords))


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
    Row(methods.method, dict(name="gptq"), dict(name=NOT_A_CHOICE)),
    *(Row(methods.METHODS[name], dict(w=W, hessian=EYE, **settings),
          dict(w=NOT_A_MATRIX if name == "gptq" else NOT_FINITE,
               **more))
      for name, settings, more in (
          ("absmax", {}, {}), ("zero_point", {}, {}), ("gptq", {}, {"hessian": NOT_A_MATRIX}),
          ("nf4", {"block_size": 4}, {"block_size": NOT_A_BLOCK, "double_quant": NOT_A_FLAG}),
          ("fp4", {"block_size": 4}, {"block_size": NOT_A_BLOCK, "double_quant": NOT_A_FLAG}),
          ("llm_int8", {}, {}))),
]  # fmt: skip
#: They get what is checked already.
BETWEEN_MODULES = {
    "absmax_grid", "zero_point_grid", "ternary_grid", "working_copy", "checked_hessian",
    "inverse_factor",
}  # fmt: skip
ELSEWHERE = {
    "checkpoint",
    "config",
    "fit",
    "scaled",
    "shapes",
    "transforms",
}  # modules with bad calls in tests of their own
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
    rows = {getattr(row.function, "__name__", "") for row in TABLE} | {"gptq_steps"}
    for file in PACKAGE.glob("[a-z]*.py"):
        if file.stem not in ELSEWHERE:
            module = importlib.import_module(f"quantlab.{file.stem}")
            public = {
                name
                for name, thing in vars(module).items()
                if inspect.isfunction(thing) and thing.__module__ == module.__name__
            }
            assert {name for name in public if name[0] != "_"} - BETWEEN_MODULES <= rows


def test_there_are_at_least_1000_bad_calls():
    assert sum(len(bad) for row in TABLE for bad in row.bad.values()) >= 1000


# The model: what costs nothing to ask. Settings of methods are those of the core, checked above.

NOT_A_PATH = STRANGE | {"None": None, "4": 4, "empty": "", "a null": "a\0b", "long": "x" * 5000,
                        "a list": ["a"], "nobody's": "~nobody-at-all/x"}  # fmt: skip
NOT_A_MODEL = STRANGE | {"a name": "tiny-lm", "None": None, "4": 4}
NOT_TOKENS = NOT_A_COUNT | TOO_LARGE | {"0": 0}
LM = {  # (function, argument): (the good call, what is bad for the argument)
    ("load", "name"): ({}, NOT_A_PATH | {"unknown": "tiny_lm"}),
    ("load", "quantization"): ({}, given(NOT_A_CHOICE)),
    ("load", "device"): ({}, given(NOT_A_CHOICE) | {"a core": "cpu:7", "tpu": "tpu"}),
    ("load", "double_quant"): ({"quantization": "nf4"}, NOT_A_FLAG),
    ("load", "as_stored"): ({}, NOT_A_FLAG),
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


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("transformers")
    from quantlab import lm

    return lm.load("tiny-lm", "fp32", device="cpu")


@pytest.mark.parametrize(("function", "argument"), LM)
def test_a_bad_argument_of_the_model_is_refused_by_name(model, function, argument):
    from quantlab import lm

    good, bad = LM[function, argument]
    good = {key: model if key == "reference" else value for key, value in good.items()}
    if function == "export_gguf":
        good["model"] = model
    call = getattr(lm, function, None) or getattr(model, function)
    found = {what: verdict(call, good | {argument: value}, argument) for what, value in bad.items()}
    assert {what: wrong for what, wrong in found.items() if wrong} == {}
