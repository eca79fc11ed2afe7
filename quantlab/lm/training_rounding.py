"""Rounding that torch can train through: forward it rounds, backward it is not there."""

from functools import partial

import numpy as np

from .._checks import shown, whole
from ..affine import absmax_grid, zero_point_grid
from ..methods import CALIBRATION
from ..methods import method as row_of
from ..ternary import ternary_grid


def fake_quantize(w, method="zero_point", **settings):
    """Return w rounded to a grid and read back, with the gradient of w itself (straight-through).

    w: a torch tensor (out, in) as a linear layer stores it, of any floating type. method, settings:
    a row of `ql.methods.METHODS` that needs no calibration, and its settings by name, as for
    `lm.quantize`. The values are those of the core, ``row(w.T).dequantize().T``, bit for bit:
    absmax, zero-point and ternary are computed on the device that holds w, with the core's own
    grids (of ternary the mean, a float64 sum, may in theory round to the other side); every other
    row is the core's function itself, on the CPU. A bfloat16 w is rounded in float32 first.
    The gradient passes as if nothing had been rounded. That is wrong almost everywhere, where the
    true one is 0, and right on the average over a step.
    Raises ValueError as the method does, for a row that needs calibration and for w that is no
    matrix.
    Source: Bengio et al. 2013, Estimating or Propagating Gradients Through Stochastic Neurons,
    section 4, the straight-through estimator; Jacob et al. 2018, section 3, for weights.
    """
    import torch

    row, settings = checked_row(method, settings)
    if not isinstance(w, torch.Tensor) or not w.is_floating_point():
        got = w.dtype if isinstance(w, torch.Tensor) else type(w).__name__
        raise TypeError(f"w must be a torch tensor of floating-point numbers, got {got}")
    if w.ndim != 2:
        raise ValueError(f"w must be a matrix (2 dimensions), got shape {tuple(w.shape)}")
    rounded = _rounded(w.detach(), row, settings)
    # w - w is 0 to the last bit, and has the gradient of w.
    return w - w.detach() + rounded


def checked_row(method, settings):
    """Return the row of a method and all its settings; refuse one that nobody can train through."""
    row = row_of(method)
    if row.needs == CALIBRATION:
        raise ValueError(
            f"method {row.name} looks at all inputs of a layer to round it once, and training "
            "rounds at every step: take absmax or zero_point, whose grids it uses"
        )
    row.check(settings)
    settings = row.settings | settings
    if "bits" in settings:
        settings["bits"] = whole("bits", settings["bits"], 2, 16)
    if settings.get("group_size") is not None:
        settings["group_size"] = whole("group_size", settings["group_size"], 1)
    return row, settings


def _rounded(w, row, settings):
    """Return the values of a matrix (out, in) after a method's rounding, in its own type."""
    import torch

    make_grid, x = GRIDS.get(row.name), w if w.dtype == torch.float64 else w.float()
    if make_grid is None:
        values = row(x.numpy(force=True).T, **settings).dequantize()
        return torch.from_numpy(np.ascontiguousarray(values.T)).to(w)
    if not torch.isfinite(x).all():
        raise ValueError("w must be finite, and holds NaN or infinity: train at a smaller rate")
    size = settings["group_size"]
    if size is not None and x.shape[1] % size:
        raise ValueError(f"group_size must divide the {x.shape[1]} values, got {shown(size)}")
    parts = x.reshape(len(x), -1, size or x.shape[1])
    values = _on_grid(parts, make_grid(parts, settings))
    return values.reshape(w.shape).to(w.dtype)


def _on_grid(x, grid):
    """Return what a `Grid` of the core makes of x, in the same order of operations."""
    import torch

    scale, inverse, zero = (
        torch.from_numpy(each).to(x) for each in (grid.scale, grid.inverse, grid.zero_point)
    )
    counts = torch.where(torch.isinf(inverse), x.sign(), (x * inverse).round())
    return ((counts + zero).clamp(grid.low, grid.high) - zero) * scale


def _range_grid(make_grid, parts, settings):
    """Return the grid of each part's range. make_grid: of the core."""
    ends = parts.aminmax(dim=-1, keepdim=True)
    return make_grid(*(end.numpy(force=True) for end in ends), settings["bits"])


def _mean_grid(parts, settings):
    """Return the ternary grid: of each part where there are groups, else of the whole matrix."""
    sizes = parts.abs().double()
    whole = settings["group_size"] is None
    mean = sizes.mean().reshape(1) if whole else sizes.mean(-1, keepdim=True)
    return ternary_grid(mean.to(parts.dtype).numpy(force=True))


#: The methods whose grids torch computes with, by name: functions from parts (out, groups, values)
#: and settings to a `Grid`.
GRIDS = {
    "absmax": partial(_range_grid, absmax_grid),
    "zero_point": partial(_range_grid, zero_point_grid),
    "ternary": _mean_grid,
}
