"""The work that is timed: ours and a library's, on the same numbers, and what a fair answer is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import peers
import torch

import quantlab as ql
from quantlab import formats
from quantlab._fast.pieces import CHUNK, each, slices

SIZES = (256, 512, 1024, 2048, 4096)
LARGEST = SIZES[-1]


@dataclass
class Pair:
    """One row of the table, ready to run at one size.

    ours, theirs: called without arguments. same: takes both results and asserts that they agree.
    input_bytes: what is read; output_bytes: what is written, at least.
    """

    ours: Callable
    theirs: Callable
    same: Callable
    input_bytes: int
    output_bytes: int


@dataclass
class Work:
    """A row of the table: its name, its peer, how to make a `Pair` of a size, and its goals."""

    name: str
    peer: str
    make: Callable
    goal: float
    floor_goal: float | None = None
    has_floor: bool = True
    sizes: tuple = SIZES
    needs: tuple = field(default_factory=tuple)


def weights(size):
    """Normal values, as a layer's weights nearly are."""
    return np.random.default_rng(size).standard_normal((size, size)).astype(np.float32)


def identical(ours, theirs):
    """The same bytes, in the order in which they lie."""
    assert ours.tobytes() == theirs.tobytes()


def nearly_all_codes(ours, theirs):
    """torchao divides by a step that is rounded once more: next to a tie a code may be beside."""
    difference = np.abs(ours.astype(np.int16) - theirs.astype(np.int16))
    assert difference.max() <= 1 and np.mean(difference != 0) < 1e-4


def nf4_quantize(size):
    from bitsandbytes import functional

    x = weights(size)
    tensor = torch.from_numpy(x)
    return Pair(
        lambda: ql.quantize_blockwise(x, block_size=64).codes,
        lambda: functional.quantize_4bit(tensor, blocksize=64, quant_type="nf4")[0].numpy(),
        identical, x.nbytes, x.size // 2 + x.size // 64 * 4,
    )  # fmt: skip


def nf4_dequantize(size):
    from bitsandbytes import functional

    x = weights(size)
    quantized = ql.quantize_blockwise(x, block_size=64)
    codes, state = functional.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")
    return Pair(
        quantized.dequantize,
        lambda: functional.dequantize_4bit(codes, state).numpy(),
        identical, x.size // 2 + x.size // 64 * 4, x.nbytes,
    )  # fmt: skip


def int8_rows_bitsandbytes(size):
    from bitsandbytes import functional

    x = weights(size)
    tensor = torch.from_numpy(x)
    return Pair(
        lambda: ql.quantize_absmax(x, axis=1).codes,
        lambda: functional.int8_vectorwise_quant(tensor)[0].numpy(),
        identical, x.nbytes, x.size,
    )  # fmt: skip


def int8_rows_torchao(size):
    x = weights(size)
    tensor = torch.from_numpy(x)
    return Pair(
        lambda: ql.quantize_absmax(x, axis=1).codes,
        lambda: peers.torchao_quantize(tensor, "SYMMETRIC", low=-127)[0].numpy(),
        nearly_all_codes, x.nbytes, x.size,
    )  # fmt: skip


def zero_point_rows(size):
    x = weights(size)
    tensor = torch.from_numpy(x)
    return Pair(
        lambda: ql.quantize_zero_point(x, axis=1).codes,
        lambda: peers.torchao_quantize(tensor, "ASYMMETRIC")[0].numpy(),
        nearly_all_codes, x.nbytes, x.size,
    )  # fmt: skip


def groups_of_128(size):
    x = weights(size)
    tensor = torch.from_numpy(x)

    def ours():
        # Two codes beside each other are one 16-bit number: its halves fold into a byte. The lower
        # 4 bits of a code with the top one turned are the code plus 8.
        pairs = ql.quantize_zero_point(x, bits=4, axis=1, group_size=128).codes.view("<u2")
        packed = np.empty(pairs.shape, np.uint8)

        def pack(rows):
            packed[rows] = (pairs[rows] << 4 | (pairs[rows] >> 8 & 15)) ^ 0x88

        each(pack, slices(size, max(1, CHUNK // size)))
        return packed

    def theirs():
        codes, _, _ = peers.torchao_quantize(tensor, "ASYMMETRIC", 128, low=0, high=15)
        return peers.pack(codes).numpy()

    def same(ours, theirs):
        unpacked = [np.stack([packed >> 4, packed & 15]) for packed in (ours, theirs)]
        nearly_all_codes(*unpacked)

    return Pair(ours, theirs, same, x.nbytes, x.size // 2 + x.size // 128 * 6)


def cast(f, kind):
    """Return the maker of a cast to format `f`, whose twin in NumPy or ml_dtypes is `kind`."""

    def make(size):
        x = weights(size)
        return Pair(
            lambda: f.encode(x),
            lambda: x.astype(kind).view(f.dtype),
            identical, x.nbytes, x.size * f.dtype.itemsize,
        )  # fmt: skip

    return make


def int8_product(size):
    import bitsandbytes as bnb

    rng = np.random.default_rng(size)
    x = rng.standard_normal((min(512, size), size)).clip(-5, 5).astype(np.float16)
    w = weights(size).astype(np.float16)
    q = ql.quantize_absmax(w, axis=0)
    state = bnb.MatmulLtState()
    state.threshold, state.has_fp16_weights, state.is_training = 6.0, False, False
    transposed = torch.from_numpy(np.ascontiguousarray(w.T))
    state.CB, state.SCB, _ = bnb.functional.int8_vectorwise_quant(transposed)
    tensor = torch.from_numpy(x)

    def theirs():
        with torch.no_grad():
            return bnb.matmul(tensor, state.CB, state=state).numpy()

    def same(ours, theirs):
        # `Quantized` keeps the step, and 127 steps may miss the absmax by its last bit.
        beside = np.abs(ours.view(np.int16).astype(int) - theirs.view(np.int16).astype(int))
        assert beside.max() <= 1 and np.mean(beside != 0) < 1e-4

    output = len(x) * size * 2
    return Pair(lambda: ql.llm_int8_matmul(x, q), theirs, same, x.nbytes + q.codes.nbytes, output)


def gptq(group_size):
    """Return the maker of a GPTQ run on a layer whose inputs are correlated."""

    def make(size):
        rng = np.random.default_rng(size)
        causes = rng.standard_normal((3 * size // 2, size // 8)).astype(np.float32)
        x = causes @ rng.standard_normal((size // 8, size)).astype(np.float32)
        x += 0.3 * rng.standard_normal(x.shape).astype(np.float32)
        hessian = (x.T @ x) * np.float32(2 / len(x))
        w = weights(size)
        w_torch, hessian_torch = torch.from_numpy(w.T.copy()), torch.from_numpy(hessian)

        def same(ours, theirs):
            errors = [np.linalg.norm(x[:512] @ (values - w)) for values in (ours, theirs)]
            assert abs(errors[0] / errors[1] - 1) < 0.002

        return Pair(
            lambda: ql.quantize_gptq(
                w, hessian, 4, group_size, symmetric=False
            ).dequantize(),
            lambda: peers.published_gptq(w_torch, hessian_torch, 4, group_size).numpy().T,
            same, w.nbytes + hessian.nbytes, w.size // 2,
        )  # fmt: skip

    return make


def microscaling(name, element, rule="floor"):
    """Return the maker of an MX format's codes in torchao's rule; FP4 is packed."""

    def make(size):
        x = weights(size)
        tensor = torch.from_numpy(x)

        def ours():
            q = ql.scaled.quantize(x, name, rule=rule)
            return q.packed() if name == "MXFP4" else q.codes

        def theirs():
            return peers.torchao_mx(tensor, element, rule)[1].view(torch.uint8).numpy()

        bits = ql.scaled.FORMATS[name].element.width + 8 / 32
        return Pair(ours, theirs, identical, x.nbytes, int(x.size * bits / 8))

    return make


def nvfp4_quantize(size):
    x = weights(size)
    tensor = torch.from_numpy(x)
    return Pair(
        lambda: ql.scaled.quantize(x, "NVFP4").packed(),
        lambda: peers.torchao_nvfp4(tensor)[1].numpy(),
        identical, x.nbytes, x.size // 2 + x.size // 16,
    )  # fmt: skip


def mxfp4_dequantize(size):
    x = weights(size)
    q = ql.scaled.quantize(x, "MXFP4")
    scales, codes = peers.torchao_mx(torch.from_numpy(x), torch.float4_e2m1fn_x2)
    return Pair(
        q.dequantize,
        lambda: peers.torchao_mx_decode(scales, codes, torch.float4_e2m1fn_x2).numpy(),
        identical, q.codes.nbytes + q.scale_codes.nbytes, x.nbytes,
    )  # fmt: skip


def nvfp4_dequantize(size):
    x = weights(size)
    q, theirs = ql.scaled.quantize(x, "NVFP4"), peers.torchao_nvfp4_tensor(torch.from_numpy(x))
    return Pair(
        q.dequantize,
        lambda: theirs.dequantize(torch.float32).numpy(),
        identical, q.codes.nbytes + q.scale_codes.nbytes, x.nbytes,
    )  # fmt: skip


def llama_cpp_encode(name):
    """Return the maker of llama.cpp's blocks of a type, the same in libgguf."""

    def make(size):
        import libgguf

        x, kind = weights(size), ql.gguf.TYPES[name]
        return Pair(
            lambda: ql.gguf.encode(x, name),
            lambda: libgguf.quantize_rows(x, libgguf.GGMLQuantizationType[name]),
            identical, x.nbytes, x.size // kind.values * kind.bytes,
        )  # fmt: skip

    return make


def q4_k_decode(peer):
    """Return the maker of values from Q4_K, the same in `peer`: a function of blocks and a type."""

    def make(size):
        from gguf import GGMLQuantizationType

        x = weights(size)
        blocks = ql.gguf.encode(x, "Q4_K")
        return Pair(
            lambda: ql.gguf.decode(blocks, "Q4_K"),
            lambda: peer(blocks, GGMLQuantizationType.Q4_K),
            identical, blocks.nbytes, x.nbytes,
        )  # fmt: skip

    return make


def libgguf_values(blocks, kind):
    import libgguf

    return libgguf.dequantize_rows(blocks, kind)


def gguf_values(blocks, kind):
    from gguf import quants

    return quants.dequantize(blocks, kind)


BNB, AO, LIBGGUF = ("bitsandbytes",), ("torchao",), ("libgguf", "gguf")
ALL = [
    Work("NF4 quantize, block 64", "bitsandbytes", nf4_quantize, 10, 6, needs=BNB),
    Work("NF4 dequantize to float32", "bitsandbytes", nf4_dequantize, 2, needs=BNB),
    Work("int8 rows", "bitsandbytes", int8_rows_bitsandbytes, 12, 2, needs=BNB),
    Work("int8 rows", "torchao", int8_rows_torchao, 15, 2, needs=AO),
    Work("zero-point int8 rows", "torchao", zero_point_rows, 12, needs=AO),
    Work("4 bits in groups of 128, packed", "torchao", groups_of_128, 8, needs=AO),
    Work("cast to FP16", "NumPy", cast(formats.FP16, np.float16), 1),
    Work("cast to BF16", "ml_dtypes", cast(formats.BF16, ml_dtypes.bfloat16), 0.7),
    Work("cast to FP8 E4M3", "ml_dtypes", cast(formats.FP8_E4M3, ml_dtypes.float8_e4m3fn), 1),
    Work("cast to FP8 E5M2", "ml_dtypes", cast(formats.FP8_E5M2, ml_dtypes.float8_e5m2), 1),
    Work("cast to FP6 E3M2", "ml_dtypes", cast(formats.FP6_E3M2, ml_dtypes.float6_e3m2fn), 1),
    Work("cast to FP6 E2M3", "ml_dtypes", cast(formats.FP6_E2M3, ml_dtypes.float6_e2m3fn), 1),
    Work("cast to FP4 E2M1", "ml_dtypes", cast(formats.FP4_E2M1, ml_dtypes.float4_e2m1fn), 1),
    Work("GPTQ 4 bits per column", "as published, torch", gptq(None), 2, has_floor=False),
    Work("GPTQ 4 bits, groups of 128", "as published, torch", gptq(128), 2, has_floor=False),
    Work("LLM.int8() product, 512 tokens", "bitsandbytes", int8_product, 1, has_floor=False,
         needs=BNB),
    Work("MXFP4 quantize, packed", "torchao", microscaling("MXFP4", torch.float4_e2m1fn_x2), 3,
         needs=AO),
    Work("MXFP4 dequantize to float32", "torchao", mxfp4_dequantize, 3, needs=AO),
    Work("MXFP8 quantize", "torchao", microscaling("MXFP8", torch.float8_e4m3fn), 3, needs=AO),
    Work("MXFP6 quantize", "torchao", microscaling("MXFP6", "fp6_e2m3"), 3, needs=AO),
    Work("NVFP4 quantize, packed", "torchao", nvfp4_quantize, 3, needs=AO),
    Work("NVFP4 dequantize to float32", "torchao", nvfp4_dequantize, 3, needs=AO),
    Work("encode Q4_0", "libgguf", llama_cpp_encode("Q4_0"), 0.2, needs=LIBGGUF),
    Work("encode Q4_K", "libgguf", llama_cpp_encode("Q4_K"), 1, has_floor=False, needs=LIBGGUF),
    Work("encode Q6_K", "libgguf", llama_cpp_encode("Q6_K"), 1, has_floor=False, needs=LIBGGUF),
    Work("decode Q4_K", "libgguf", q4_k_decode(libgguf_values), 0.1, needs=LIBGGUF),
    Work("decode Q4_K", "gguf", q4_k_decode(gguf_values), 1, needs=("gguf",)),
]  # fmt: skip
