"""What the libraries are asked for where the tests and the benchmarks compare with them.

Each function takes and returns torch tensors. Weights are (out, in) there, as torch stores them.
"""

import torch


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
