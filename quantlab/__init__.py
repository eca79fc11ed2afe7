"""quantlab: the numbers behind fitting a large language model in small memory.

``import quantlab as ql`` gives the core: NumPy only, no model and no plots.
``from quantlab import lm`` is the model, ``from quantlab import show, course`` what people see.
"""

from . import (  # noqa: I001
    affine, article, binary, checkpoint, codebooks, config, errors, fit, formats, gguf, gptq,
    memory, methods, outliers, scaled, shapes, ternary, training_memory, transforms,
)  # fmt: skip
from .affine import Quantized, quantize_absmax, quantize_zero_point, quantized_matmul
from .codebooks import FP4, NF4, Blockwise, Codebook, quantize_blockwise
from .gptq import error_diffusion, gptq_steps, hessian, quantize_gptq
from .outliers import llm_int8_matmul, outlier_columns

__version__ = "0.1.0"

__all__ = [
    "affine", "article", "binary", "checkpoint", "codebooks", "config", "errors", "fit", "formats",
    "gguf", "gptq", "memory", "methods", "outliers", "scaled", "shapes", "ternary",
    "training_memory", "transforms",
    "Quantized", "quantize_absmax", "quantize_zero_point", "quantized_matmul", "llm_int8_matmul",
    "FP4", "NF4", "Blockwise", "Codebook", "quantize_blockwise", "outlier_columns",
    "error_diffusion", "gptq_steps", "hessian", "quantize_gptq",
]  # fmt: skip
