"""The article's product at any width, with any scales, by both methods."""

from dataclasses import dataclass

import numpy as np

from .. import article
from .._checks import one_of
from ..affine import quantize_absmax, quantize_zero_point, quantized_matmul

METHODS = {"absmax": quantize_absmax, "zero-point": quantize_zero_point}
#: What shares one scale in X -> the axes reduced in X and in W.
SHARING = {
    "one scale for all": (None, None),
    "per row of X, per column of W": (1, 0),
    "per column of X, per row of W": (0, 1),
}


OUTLIER = (1, 1)  # where in X it is


@dataclass(frozen=True, eq=False)
class Exploration:
    """The article's product at one setting: X and W as `Quantized`, their product and its errors.

    integer: True if the product was taken on the codes with one rescale. With scales that change
    along the summed dimension that cannot be done: the product is then taken on read-back values.
    original: X as it was.
    """

    x: object
    w: object
    product: np.ndarray
    exact: np.ndarray
    integer: bool
    original: np.ndarray

    @property
    def error(self):
        """The product less the exact one, cell by cell."""
        return self.product - self.exact


def explore(bits=8, axis="per row of X, per column of W", method="absmax", outlier=1000):
    """Return the `Exploration` of the article's product.

    bits: 2 to 16. axis: a name in `SHARING`. method: a name in `METHODS`. outlier: what stands at
    `OUTLIER`.
    Raises ValueError, naming what is allowed, for other names and widths.
    """
    original = article.X.copy()
    original[OUTLIER] = outlier
    x_axis, w_axis = SHARING[one_of("axis", axis, SHARING)]
    quantize = METHODS[one_of("method", method, METHODS)]
    x = quantize(original, bits=bits, axis=x_axis)
    w = quantize(article.W, bits=bits, axis=w_axis)
    integer = x_axis in (None, 1)
    product = quantized_matmul(x, w) if integer else x.dequantize() @ w.dequantize()
    return Exploration(x, w, product, original @ article.W, integer, original)
