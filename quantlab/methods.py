"""The table of methods: what each is called, what it needs, its settings, and its function.

A method takes a weight (in, out), and the Hessian of its inputs if it needs calibration. What it
returns knows how to go back, in the layout of the weight (`dequantize()`), and what it costs
(`bits_per_value`). To add one: a function, a row, a test.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ._checks import one_of, real_array, text
from .affine import quantize_absmax, quantize_zero_point
from .codebooks import FP4, NF4, Blockwise, quantize_blockwise
from .gptq import quantize_gptq
from .scaled import quantize as quantize_scaled
from .scaled import quantize_gptq as quantize_scaled_gptq
from .ternary import quantize_ternary

#: What a method may need beside the weight.
NOTHING, CALIBRATION, ACTIVATIONS = "nothing", "calibration inputs", "activations at run time"


@dataclass(frozen=True)
class Method:
    """A row of the table.

    name: its key in `METHODS`. label: as people write it. needs: one of NOTHING, CALIBRATION and
    ACTIVATIONS. function: called with a weight, a Hessian or None, and the settings by name. bits:
    the width of a code; None where that is a setting. notebook: the first that uses it.
    """

    name: str
    label: str
    needs: str
    function: Callable
    bits: int | None = None
    notebook: str = "07"

    @property
    def settings(self):
        """The names of its settings and their defaults, as its function declares them."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def check(self, settings):
        """Raise ValueError for settings, a dict, that the method does not have."""
        known = self.settings
        for name, value in settings.items():
            if name not in known:
                has = ", ".join(f"{key}={default!r}" for key, default in known.items())
                raise ValueError(
                    f"{self.name} has no setting {name} (got {value!r}); "
                    f"its settings are {has or 'none'}"
                )

    def __call__(self, w, hessian=None, **settings):
        """Quantize a weight (in, out). Raises ValueError for settings that the method has not."""
        self.check(settings)
        if self.needs == CALIBRATION and hessian is None:
            raise ValueError(f"{self.name} needs the hessian of its calibration inputs, got None")
        return self.function(real_array("w", w), hessian, **settings)


@dataclass(frozen=True, eq=False)
class Transposed:
    """Blocks that run along the inputs of one output, as libraries store them: codes of w.T."""

    stored: Blockwise

    def dequantize(self):
        """Return the values in the layout of w, (in, out)."""
        return self.stored.dequantize().T

    @property
    def bits_per_value(self):
        """Bits per value, the scales included."""
        return self.stored.bits_per_value


def _absmax(w, _, *, bits=4, group_size=None):
    return quantize_absmax(w, bits, axis=0, group_size=group_size)


def _zero_point(w, _, *, bits=4, group_size=None):
    return quantize_zero_point(w, bits, axis=0, group_size=group_size)


def _gptq(
    w, hessian, *, bits=4, group_size=None, damping=0.01, act_order=False, symmetric=True,
    static_groups=False,
):  # fmt: skip
    options = damping, act_order, symmetric, static_groups
    return quantize_gptq(w, hessian, bits, group_size, *options)


def _nf4(w, _, *, block_size=64, double_quant=False):
    return Transposed(quantize_blockwise(w.T, NF4, block_size, double_quant))


def _fp4(w, _, *, block_size=64, double_quant=False):
    return Transposed(quantize_blockwise(w.T, FP4, block_size, double_quant))


def _llm_int8(w, _):
    return quantize_absmax(w, 8, axis=0)


def _ternary(w, _, *, group_size=None):
    return quantize_ternary(w, None if group_size is None else 0, group_size)


def _scaled(format, w, _, *, rule=None):
    return quantize_scaled(w, format, axis=0, rule=rule)


def _scaled_gptq(format, w, hessian, *, rule=None, damping=0.01):
    return quantize_scaled_gptq(w, hessian, format, rule, damping)


def _scaled_row(format, bits):
    return Method(format.lower(), format, NOTHING, partial(_scaled, format), bits, "13")


def _scaled_gptq_row(format, bits):
    function = partial(_scaled_gptq, format)
    label = f"GPTQ, {format}"
    return Method(f"gptq_{format.lower()}", label, CALIBRATION, function, bits, "13")


#: Every method of the course, by name.
METHODS = {
    method.name: method
    for method in (
        Method("absmax", "absmax", NOTHING, _absmax),
        Method("zero_point", "zero-point", NOTHING, _zero_point),
        Method("gptq", "GPTQ", CALIBRATION, _gptq),
        Method("nf4", "NF4", NOTHING, _nf4, 4),
        Method("fp4", "FP4", NOTHING, _fp4, 4),
        Method("llm_int8", "LLM.int8()", ACTIVATIONS, _llm_int8, 8),
        _scaled_row("MXFP8", 8),
        _scaled_row("MXFP6", 6),
        _scaled_row("MXFP4", 4),
        _scaled_row("NVFP4", 4),
        _scaled_row("FP8_BLOCK128", 8),
        _scaled_gptq_row("MXFP4", 4),
        _scaled_gptq_row("NVFP4", 4),
        Method("ternary", "ternary", NOTHING, _ternary, 2, "15"),
    )
}
#: Other names: round to nearest is what absmax alone does.
ALIASES = {"rtn": "absmax"}
#: The methods that change nothing but weights (a model so quantized computes as before), as far as
#: notebooks 07 to 10 compare them.
WEIGHT_ONLY = tuple(
    method for method in METHODS.values() if method.needs != ACTIVATIONS and method.notebook == "07"
)


def method(name):
    """Return the row of a method by its name, one of its other names, or its label.

    >>> method("rtn").label, method("GPTQ").needs
    ('absmax', 'calibration inputs')
    """
    by_label = {row.label: row for row in METHODS.values()}
    if text("method", name) in by_label:
        return by_label[name]
    return METHODS[ALIASES.get(one_of("method", name, [*METHODS, *ALIASES]), name)]
