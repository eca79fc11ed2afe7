"""Methods side by side on one layer: what each costs in bits, and what it loses in the output.

A `Setting` says how weights are quantized, `measure` gives a `Point` for each (true bits per weight
and the error of the layer's output), `frontier` keeps those that no other beats.
"""

from dataclasses import dataclass

from .. import errors
from .._checks import one_of
from ..methods import CALIBRATION, WEIGHT_ONLY, method

GRIDS = ("absmax", "zero-point")
WIDTHS = (8, 6, 5, 4, 3, 2)
GROUP = 64
METHODS = tuple(row.label for row in WEIGHT_ONLY)
#: What is allowed -> which settings that leaves.
RULES = {
    "everything": lambda setting: True,
    "no calibration text": lambda setting: not setting.calibrated,
    "one scale per output": lambda setting: not setting.group,
}


@dataclass(frozen=True)
class Setting:
    """How the weights of a layer are quantized.

    method: the label of one of `methods.WEIGHT_ONLY`. group: inputs that share a scale, None: all
    inputs of an output. grid, one of `GRIDS`, and act_order: GPTQ's. double_quant: NF4's and FP4's.
    """

    method: str
    bits: int
    group: int | None = None
    grid: str = "zero-point"
    act_order: bool = False
    double_quant: bool = False

    def __post_init__(self):
        one_of("method", self.method, METHODS)
        one_of("grid", self.grid, GRIDS)

    @property
    def row(self):
        """Its row in the table of methods."""
        return method(self.method)

    @property
    def options(self):
        """The method's own settings, by name."""
        said = {
            "bits": self.bits, "group_size": self.group, "block_size": self.group,
            "symmetric": self.grid == "absmax", "act_order": self.act_order,
            "double_quant": self.double_quant,
        }  # fmt: skip
        return {name: said[name] for name in self.row.settings if name in said}

    @property
    def calibrated(self):
        """Whether it needs text to run through the model first."""
        return self.row.needs == CALIBRATION

    @property
    def name(self):
        """The method and its options in few words, without the width."""
        words = [self.method]
        if self.calibrated:
            words += ["absmax grid"] * (self.grid == "absmax") + ["act-order"] * self.act_order
        if self.row.bits:
            return ", ".join(words + ["double quantized"] * self.double_quant)
        return ", ".join(words + ["groups"] * bool(self.group))

    def __str__(self):
        words = [self.method]
        if self.row.bits:
            words += [f"blocks of {self.group}"] * bool(self.group)
            return ", ".join([*words, "double quantization"] if self.double_quant else words)
        words.append(f"{self.bits} bits")
        if self.calibrated:
            words += [f"{self.grid} grid"] + ["act-order"] * self.act_order
        words.append(f"groups of {self.group}" if self.group else "one scale per output")
        return ", ".join(words)


@dataclass(frozen=True)
class Point:
    """What a setting costs on one layer: true bits per weight, relative error of the output."""

    setting: Setting
    bits: float
    error: float


def _settings():
    for bits in WIDTHS:
        for group in (None, GROUP):
            for row in WEIGHT_ONLY:
                if row.bits is None:
                    orders = (False, True) if row.needs == CALIBRATION else (False,)
                    for act_order in orders:
                        yield Setting(row.label, bits, group, act_order=act_order)
        yield Setting("GPTQ", bits, None, "absmax")
        for row in WEIGHT_ONLY:
            if row.bits == bits:
                group = GROUP if "block_size" in row.settings else None
                for nested in (False, True) if "double_quant" in row.settings else (False,):
                    yield Setting(row.label, bits, group, double_quant=nested)


#: The settings of the notebook, widest first.
SETTINGS = tuple(_settings())


def quantize(setting, w, hessian=None):
    """Return the weights quantized as `setting` says: codes that know how to go back.

    w: (in, out). hessian: of the calibration inputs, for GPTQ. Blocks of NF4 and FP4 run along the
    inputs of one output, as a library stores them. Raises what the method raises.
    """
    return setting.row(w, hessian, **setting.options)


def measure(w, hessian, x, settings=SETTINGS):
    """Return a `Point` for each setting.

    w: (in, out). hessian: of the inputs that GPTQ is calibrated on. x: (tokens, in), inputs that
    the error is measured on: others than those.
    """
    exact = x @ w
    points = []
    for setting in settings:
        quantized = quantize(setting, w, hessian)
        error = errors.relative(x @ quantized.dequantize(), exact)
        points.append(Point(setting, quantized.bits_per_value, error))
    return points


def frontier(points):
    """Return the points that no other beats, by bits: none has both fewer bits and less error.

    Of points that are equal in both, the first stays.
    """
    kept = []
    for point in sorted(points, key=lambda p: (p.bits, p.error)):
        if not kept or point.error < kept[-1].error:
            kept.append(point)
    return kept


def best(points, budget):
    """Return the point with the least error among those of at most `budget` bits, or None."""
    affordable = [p for p in points if p.bits <= budget]
    return min(affordable, key=lambda p: (p.error, p.bits), default=None)


@dataclass(frozen=True)
class Choice:
    """What a budget buys on one layer.

    points: of the layer, all of them. allowed: those that the rule leaves. by_method: the best
    point of each method within the budget, None where none fits. best: the best of all, or None.
    """

    points: tuple
    allowed: tuple
    budget: float
    by_method: dict
    best: object


def choose(points, budget, allowed="everything"):
    """Return the `Choice` among `points` for a budget in bits per weight.

    Raises ValueError for an `allowed` that is no key of `RULES`.
    """
    rule = RULES[one_of("allowed", allowed, RULES)]
    left = tuple(p for p in points if rule(p.setting))
    by_method = {m: best([p for p in left if p.setting.method == m], budget) for m in METHODS}
    return Choice(tuple(points), left, budget, by_method, best(left, budget))
