"""One text and what an unrounded model says of it: what rounded models are measured against."""

from dataclasses import dataclass

import numpy as np

from .. import lm
from .whole_model import apart, reader


@dataclass(frozen=True)
class Cost:
    """What rounding costs. windows: (divergence in nats, tokens) of each piece of the text."""

    perplexity: float
    windows: tuple

    @property
    def divergence(self):
        """The divergence from the unrounded model, in nats per token."""
        nats, tokens = np.sum(self.windows, axis=0)
        return float(nats / tokens)

    def further_than(self, other):
        """Return (how much further this diverges than another `Cost`, the standard error of it)."""
        return apart(self.windows, other.windows)


class Yardstick:
    """Call it with a model for its `Cost` on `text`. model: the one that is not rounded."""

    def __init__(self, model, text):
        self.text, self.reference = text, reader(model)

    def __call__(self, small):
        """Return the `Cost` of a model: one reading of the text serves both of its numbers."""
        read, stride = reader(small), small.window - 1
        perplexity = read.perplexity(self.text, stride=stride)
        pieces = lm.measure.window_divergences(read, self.reference, self.text, stride=stride)
        return Cost(perplexity, tuple(pieces))
