"""Work in pieces that stay in the processor's cache, on all of its cores."""

import os
import sys
from itertools import chain, pairwise

#: Values in a piece: few enough for the cache, enough that the threads seldom wait for each other.
CHUNK = 2**19
WORKERS = 1 if sys.platform == "emscripten" else os.cpu_count() or 1  # a browser has no threads


def each(work, pieces):
    """Return [work(piece) for piece in pieces], with the pieces dealt out to all cores.

    NumPy lets go of Python's lock while it computes, so threads really work at the same time. The
    caller works too: if it only waited, the scheduler might put the others on one core for a while.
    """
    # A thread takes as long to start as a few pieces.
    workers = max(1, min(WORKERS, len(pieces) // 4))
    cuts = [len(pieces) * worker // workers for worker in range(workers + 1)]
    own, *others = [pieces[start:stop] for start, stop in pairwise(cuts)]
    if not others:
        return [*map(work, own)]
    from concurrent.futures import ThreadPoolExecutor  # not at the top: it is slow to import

    with ThreadPoolExecutor(len(others)) as pool:
        running = [pool.submit(list, map(work, share)) for share in others]
        done = [*map(work, own)]
        return [*done, *chain.from_iterable(share.result() for share in running)]


def slices(count, size):
    """Return slices of `size` values, the last one shorter, that cover `count` of them."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def slabs(x):
    """Return the axis of `x` that lies outermost in memory and indices that cut it into pieces."""
    axis = max(range(x.ndim), key=lambda i: (x.shape[i] > 1, abs(x.strides[i])))
    rows = max(1, CHUNK * x.shape[axis] // x.size)
    return axis, [(slice(None),) * axis + (part,) for part in slices(x.shape[axis], rows)]
