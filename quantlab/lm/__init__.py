"""The model: load one, quantize every linear layer of it, measure what that costs.

``from quantlab import lm`` is quick: torch, transformers and bitsandbytes are imported by the
first function that needs them.
"""

import logging

from .cache import CacheFormat, quantize_cache
from .gguf_file import GGUFFile, export_gguf
from .gguf_importance import importance_matrix
from .gguf_run import run_gguf
from .loading import keep_as_stored, load
from .measure import Facts, TextLoss
from .model import Model
from .online import quantize_activations
from .quantizing import quantize
from .training import train
from .training_adapters import add_lora, merge_lora
from .training_rounding import fake_quantize
from .transforming import awq, rotate, smooth

__all__ = [
    "CacheFormat", "Facts", "GGUFFile", "Model", "TextLoss", "add_lora", "awq", "export_gguf",
    "fake_quantize", "importance_matrix", "keep_as_stored", "load", "merge_lora", "quantize",
    "quantize_activations", "quantize_cache", "rotate", "run_gguf", "smooth", "train",
]  # fmt: skip

# transformers imports torchao wherever it is installed, and that speaks of parts nobody asked for.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel("ERROR")
