"""Ours beside the libraries that do the same, in one run: `make bench`.

Each round times the peer and then ours, so that both meet the same disturbances; the results are
compared before a clock starts: a ratio between different answers would say nothing. A call is timed
right after another like it: the threads of one library look out for more work for some 20 ms, and
would take that from the next one.
"""

import time

import pytest
import report
import work
from memory import peak_extra

CASES = [
    pytest.param(w, size, id=f"{w.name} / {w.peer} {size}") for w in work.ALL for size in w.sizes
]
LONG = 0.5  # seconds: 20 ms no longer count


def seconds(call):
    """Return how long `call()` takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@pytest.mark.parametrize(("row", "size"), CASES)
def test_the_same_answer_and_how_many_times_as_fast(row, size, benchmark, measured):
    for library in row.needs:
        pytest.importorskip(library)
    pair, x = row.make(size), work.weights(size)
    pair.same(pair.ours(), pair.theirs())
    slow = max(seconds(pair.theirs), seconds(pair.ours))
    rounds = int(min(25, max(3, 4 / slow)))
    theirs, copy = [], []

    def before_each():
        if slow < LONG:
            pair.theirs()
        theirs.append(seconds(pair.theirs))
        copy.append(seconds(x.copy))
        if slow < LONG:
            pair.ours()

    benchmark.pedantic(pair.ours, setup=before_each, rounds=rounds, iterations=1)
    share = (pair.input_bytes + pair.output_bytes) / (2 * x.nbytes) if row.has_floor else None
    peaks = [
        peak_extra(call) if size == work.LARGEST else None for call in (pair.ours, pair.theirs)
    ]
    measured.append(
        report.Measured(
            row.name, row.peer, size, list(benchmark.stats.stats.data), theirs, copy,
            row.goal, row.floor_goal, share, max(pair.input_bytes, pair.output_bytes), *peaks,
        )
    )  # fmt: skip
