"""The model: load one, quantize every linear layer of it, measure what that costs.

``from quantlab import lm`` is quick: torch, transformers and bitsandbytes are imported by the
first function that needs them.
"""

from .loading import keep_as_stored, load
from .measure import Facts, TextLoss
from .model import Model
from .quantizing import quantize

__all__ = ["Facts", "Model", "TextLoss", "keep_as_stored", "load", "quantize"]
