"""Work in pieces that stay in the processor's cache, on all of its cores."""

import os
import sys

CHUNK = 2**16  # values in a piece: read from memory once, used several times, written once
CORES = 1 if sys.platform == "emscripten" else os.cpu_count() or 1  # a browser has no threads


def each(work, pieces):
    """Return [work(piece) for piece in pieces], with the pieces dealt out to all cores.

    NumPy lets go of Python's lock while it computes, so threads really work at the same time.
    """
    hands = min(CORES, len(pieces))
    if hands < 2:
        return [work(piece) for piece in pieces]
    from concurrent.futures import ThreadPoolExecutor  # not at the top: it is slow to import

    with ThreadPoolExecutor(hands) as pool:  # one long task a thread: 256 short ones cost more
        deal = [pieces[hand::hands] for hand in range(hands)]
        done = list(pool.map(lambda own: [work(piece) for piece in own], deal))
    return [done[i % hands][i // hands] for i in range(len(pieces))]


def stretches(count, size):
    """Return slices of `size` values, the last one shorter, that cover `count` of them."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def slabs(x):
    """Return the axis of `x` that lies outermost in memory and indices that cut it into pieces."""
    axis = max(range(x.ndim), key=lambda i: (x.shape[i] > 1, abs(x.strides[i])))
    rows = max(1, CHUNK * x.shape[axis] // x.size)
    return axis, [(slice(None),) * axis + (part,) for part in stretches(x.shape[axis], rows)]
