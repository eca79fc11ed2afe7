"""What the libraries are asked for where the tests and the benchmarks compare with them.

Each function takes and returns torch tensors. Weights are (out, in) there, as torch stores them.
"""

import sys
from pathlib import Path

import torch

# tools/install.py puts torchao there: beside transformers it would be imported with every model.
sys.path.append(str(Path(sys.prefix) / "peers"))


def torchao_quantize(x, kind, group_size=None, low=-128, high=127, eps=None):
    """Quantize the rows of x, or groups of each row, with torchao's own primitives.

    kind: "SYMMETRIC" or "ASYMMETRIC". eps: the least step. Returns codes, scale and zero_point.
    """
    from torchao.quantization import quant_primitives as primitives

    block = (1, group_size or x.shape[1])
    dtype = torch.int8 if low < 0 else torch.uint8
    scale, zero = primitives.choose_qparams_affine(
        x, primitives.MappingType[kind], block, dtype, low, high, eps
    )
    return primitives.quantize_affine(x, block, scale, zero, dtype, low, high), scale, zero


def torchao_mx(x, element, rule="floor"):
    """Return the E8M0 scales and the codes of blocks of 32, FP4 packed. x: float32 rows."""
    from torchao.prototype.mx_formats import mx_tensor
    from torchao.prototype.mx_formats.config import ScaleCalculationMode

    return mx_tensor.to_mx(x, element, 32, ScaleCalculationMode(rule))


def torchao_mx_decode(scales, codes, element):
    """Return the values of what `torchao_mx` returns, float32."""
    from torchao.prototype.mx_formats import mx_tensor

    return mx_tensor.to_dtype(codes, scales, element, 32, torch.float32)


def torchao_nvfp4(x, tensor_scale=None):
    """Return the E4M3 scales and the packed codes of blocks of 16."""
    from torchao.prototype.mx_formats import nvfp4_tensor

    return nvfp4_tensor.nvfp4_quantize(x, 16, _torchao_tensor_scale(x, tensor_scale))


def torchao_nvfp4_tensor(x, tensor_scale=None):
    """Return x as torchao's own tensor of NVFP4."""
    from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor

    return NVFP4Tensor.to_nvfp4(x, per_tensor_scale=_torchao_tensor_scale(x, tensor_scale))


def _torchao_tensor_scale(x, given):
    from torchao.prototype.mx_formats import nvfp4_tensor

    if given is None:
        return nvfp4_tensor.per_tensor_amax_to_scale(x.abs().max())
    return torch.tensor(given, dtype=torch.float32)


def torchao_fp8(x, tile):
    """Return the scales and the E4M3 codes of tiles of (rows, columns)."""
    from torchao.quantization import quant_primitives as primitives

    scale = primitives._choose_scale_float8(x, list(tile))
    return scale, primitives._quantize_affine_float8(x, scale)


def pack(codes):
    """Put two 4-bit codes of 0 to 15 into a byte, the first in the high half."""
    return codes[:, ::2] << 4 | codes[:, 1::2]


def published_gptq(w, hessian, bits=4, group_size=None, damping=0.01, act_order=False):
    """GPTQ as its authors publish it (github.com/IST-DASLab/gptq, gptq.py and quant.py).

    w: (out, in), hessian: (in, in), both float32; the zero-point grid, one step for each row or
    for each group of a row. Returns the dequantized weights.
    """
    w, hessian = w.clone(), hessian.clone()
    columns = w.shape[1]
    if group_size is None:
        scale, zero = _published_grid(w, bits)
    dead = torch.diag(hessian) == 0
    hessian[dead, dead] = 1
    w[:, dead] = 0
    if act_order:
        order = torch.argsort(torch.diag(hessian), descending=True)
        w, hessian = w[:, order], hessian[order][:, order]
    diagonal = torch.arange(columns)
    hessian[diagonal, diagonal] += damping * torch.mean(torch.diag(hessian))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    result = torch.zeros_like(w)
    for start in range(0, columns, 128):
        stop = min(start + 128, columns)
        block, own = w[:, start:stop].clone(), upper[start:stop, start:stop]
        errors = torch.zeros_like(block)
        for i in range(stop - start):
            if group_size is not None and (start + i) % group_size == 0:
                scale, zero = _published_grid(w[:, start + i : start + i + group_size], bits)
            column = block[:, i]
            codes = torch.clamp(torch.round(column[:, None] / scale) + zero, 0, 2**bits - 1)
            values = (scale * (codes - zero)).flatten()
            result[:, start + i] = values
            error = (column - values) / own[i, i]
            block[:, i:] -= error[:, None].matmul(own[i, i:][None])
            errors[:, i] = error
        w[:, stop:] -= errors.matmul(upper[start:stop, stop:])
    return result[:, torch.argsort(order)] if act_order else result


def _published_grid(w, bits):
    """The step and the zero-point of each row: its range, widened to hold 0."""
    low, high = w.amin(1).clamp(max=0), w.amax(1).clamp(min=0)
    empty = (low == 0) & (high == 0)
    low, high = torch.where(empty, -1, low), torch.where(empty, 1, high)
    scale = (high - low) / (2**bits - 1)
    return scale[:, None], torch.round(-low / scale)[:, None]
