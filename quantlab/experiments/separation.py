"""A product with its outliers apart, at every threshold: what comes out and what it takes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .. import article, errors
from ..affine import SCALE_BITS, quantize_absmax, quantized_matmul
from ..outliers import llm_int8_matmul, outlier_columns

#: Where the weights that meet an outlier come from: the two sides of the explorer's switch.
PAPER, LIBRARY = "16 bits (paper)", "int8 codes (bitsandbytes)"
THRESHOLDS = (1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 50, 100, 200, 500, 1000, 2000)


@dataclass(frozen=True, eq=False)
class Layer:
    """A product to take with and without its outliers: x (tokens, in) times w (in, out)."""

    x: np.ndarray
    w: np.ndarray

    @cached_property
    def exact(self):
        """The product of the values as they are."""
        return self.x @ self.w

    @cached_property
    def maxima(self):
        """The largest magnitude of each column of x."""
        return np.abs(self.x).max(axis=0)

    @cached_property
    def absmax(self):
        """The `Separation` that separates nothing: vector-wise absmax alone."""
        codes = (quantize_absmax(self.x, axis=1), quantize_absmax(self.w, axis=0))
        return Separation(self, np.inf, LIBRARY, np.array([], int), quantized_matmul(*codes))

    @cached_property
    def fp16(self):
        """The `Separation` that separates everything: all values in FP16, sums in FP32."""
        x, w = (part.astype(np.float16).astype(np.float32) for part in (self.x, self.w))
        return Separation(self, 0.0, PAPER, np.arange(x.shape[1]), x @ w)

    @cached_property
    def sweep(self):
        """The relative errors at all `THRESHOLDS`, a list for each side of the switch."""
        return {
            weights: [self.separate(t, weights).relative for t in THRESHOLDS]
            for weights in (PAPER, LIBRARY)
        }

    def separate(self, threshold=6.0, weights=PAPER):
        """Return the `Separation` at a threshold. weights: PAPER or LIBRARY.

        Raises ValueError for another word, and what `ql.llm_int8_matmul` raises.
        """
        if weights not in (PAPER, LIBRARY):
            raise ValueError(f"weights must be {PAPER!r} or {LIBRARY!r}, got {weights!r}")
        w = self.w if weights == PAPER else quantize_absmax(self.w, axis=0)
        # Which column is an outlier is decided on the FP16 values, as in the product.
        columns = outlier_columns(np.asarray(self.x, np.float16), threshold)
        product = llm_int8_matmul(self.x, w, threshold)
        return Separation(self, threshold, weights, columns, product)


@dataclass(frozen=True, eq=False)
class Separation:
    """One product: which columns of x went to 16 bits, what came out, and what it takes."""

    layer: Layer
    threshold: float
    weights: str
    columns: np.ndarray
    product: np.ndarray

    @property
    def share(self):
        """The share of the multiplications that are done in 16 bits, 0 to 1."""
        return len(self.columns) / self.layer.x.shape[1]

    @cached_property
    def relative(self):
        """The relative error of the product."""
        return errors.relative(self.product, self.layer.exact)

    @property
    def x_bytes(self):
        """Bytes of x: codes and one scale per row; the columns in 16 bits."""
        tokens, features = self.layer.x.shape
        apart = len(self.columns)
        scales = 0 if apart == features else tokens * SCALE_BITS // 8
        return tokens * (features - apart) + 2 * tokens * apart + scales

    @property
    def w_bytes(self):
        """Bytes of w: codes and one scale per column; PAPER: the rows that are needed in FP16."""
        features, out = self.layer.w.shape
        apart = len(self.columns) if self.weights == PAPER else 0
        scales = 0 if apart == features else out * SCALE_BITS // 8
        return (features - apart) * out + 2 * apart * out + scales


def sample():
    """Return a layer with outliers of many sizes: x (32, 64) and w (64, 48), the same each time.

    Most features are normal values; five are 3, 6, 12, 25 and 50 times as large.
    """
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((32, 64)).clip(-3, 3), rng.standard_normal((64, 48)) / 8
    x[:, [9, 23, 31, 44, 58]] *= (6, 50, 3, 25, 12)
    return x.round(3), w.round(4)


def default_layers():
    """Return the two layers that need no model: the article's product, and a sample."""
    return {
        "the article's X and W": (article.X, article.W),
        "64 columns, 5 of them large": sample(),
    }
