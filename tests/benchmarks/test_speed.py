"""Ours beside the libraries that do the same, in one run: `make bench` prints the ratios.

Each pair is timed in turns, so that both meet the same disturbances, and the results are compared
before a clock starts: a ratio between different answers would say nothing.
"""

import logging
import statistics
import time

import ml_dtypes
import numpy as np
import pytest

import quantlab as ql

logging.getLogger("bitsandbytes").setLevel("ERROR")
torch = pytest.importorskip("torch")
functional = pytest.importorskip("bitsandbytes.functional")

SIZE, ROUNDS = 2048, 7
X = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32)
TENSOR = torch.from_numpy(X)


def _seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


PAIRS = {
    "NF4 quantize, block 64 / bitsandbytes": (
        lambda: ql.quantize_blockwise(X).codes,
        lambda: functional.quantize_4bit(TENSOR, blocksize=64, quant_type="nf4")[0].numpy().ravel(),
    ),
    "int8 rows / bitsandbytes": (
        lambda: ql.quantize_absmax(X, axis=1).codes,
        lambda: functional.int8_vectorwise_quant(TENSOR)[0].numpy(),
    ),
    "cast to FP16 / NumPy": (
        lambda: ql.formats.FP16.encode(X),
        lambda: X.astype(np.float16).view(np.uint16),
    ),
    "cast to FP8 E4M3 / ml_dtypes": (
        lambda: ql.formats.FP8_E4M3.encode(X),
        lambda: X.astype(ml_dtypes.float8_e4m3fn).view(np.uint8),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_same_answer_and_how_many_times_as_fast(name, capsys):
    ours, theirs = PAIRS[name]
    assert np.array_equal(ours(), theirs())
    pairs = [(_seconds(theirs), _seconds(ours)) for _ in range(ROUNDS)]
    ratios = sorted(their_time / our_time for their_time, our_time in pairs)
    with capsys.disabled():
        print(
            f"\n{name}, {SIZE}x{SIZE}: {statistics.median(ratios):.2f} times as fast "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f} in {ROUNDS} rounds)"
        )
