"""docs/benchmarks.md is what `make bench` makes of its measurements, and holds every row."""

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
needs_page = pytest.mark.skipif(not PAGE.exists(), reason="make bench has not written the page")


@pytest.fixture
def speed(monkeypatch):
    """The modules of the benchmarks: what is timed and how it is reported."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks" / "speed"))
    yield [importlib.import_module(name) for name in ("work", "report", "memory")]
    for name in ("work", "report", "memory"):
        sys.modules.pop(name, None)


def measured(report, name="some work", ours=(1.0, 2.0, 3.0), theirs=(4.0, 8.0, 12.0), **changes):
    row = {"peer": "a library", "size": 4096, "copy": [0.5] * 3, "goal": 2.0, "floor_goal": 2.0,
           "floor_share": 0.5, "largest_bytes": 100, "our_peak": 50, "their_peak": 300}  # fmt: skip
    return report.Measured(name, ours=list(ours), theirs=list(theirs), **(row | changes))


@needs_page
def test_the_page_has_a_row_for_all_that_is_timed(speed):
    work, _, _ = speed
    text = PAGE.read_text(encoding="utf-8")
    assert [
        w.name for w in work.ALL if f"| {w.name} | {w.peer} | {work.LARGEST}² |" not in text
    ] == []


@needs_page
def test_the_page_shows_the_figure_that_lies_beside_it():
    assert "](benchmarks.svg)" in PAGE.read_text(encoding="utf-8")
    assert (PAGE.parent / "benchmarks.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds(speed):
    m = measured(speed[1], ours=(1.0, 2.0, 6.0), theirs=(4.0, 4.0, 6.0))
    assert m.ratio == 2.0 and m.spread == (1.5, 3.0)  # the rounds' ratios are 4, 2 and 1


def test_the_floor_is_the_share_of_a_copy_that_the_bytes_take(speed):
    assert measured(speed[1]).floor == 2.0 / (0.5 * 0.5)


def test_a_missed_goal_stands_in_the_table(speed):
    row = speed[1].table([measured(speed[1], goal=5.0)]).splitlines()[-1]
    assert "**4.00** (4.00 to 4.00) (goal 5: missed)" in row
    assert "8.0 (goal 2: missed)" in row and row.endswith("| 0.50 | 3.00 |")
    row = speed[1].table([measured(speed[1], our_peak=160)]).splitlines()[-1]
    assert row.endswith("| 1.60 (goal 1.5: missed) | 3.00 |")


def test_a_page_and_a_figure_are_written(speed, tmp_path):
    _, report, _ = speed
    rows = [measured(report, size=size) for size in (256, 4096)]
    report.write(rows, tmp_path)
    assert "| some work | a library | 4096² | 2000.0 | 8000.0 |" in (
        tmp_path / "benchmarks.md"
    ).read_text(encoding="utf-8")
    assert (tmp_path / "benchmarks.svg").stat().st_size > 1000


def test_peak_memory_counts_what_is_freed_again(speed):
    _, _, memory = speed
    if not memory.RESET.exists():
        pytest.skip("only Linux keeps a high-water mark")
    assert memory.peak_extra(lambda: len(b"x" * 64_000_000)) == pytest.approx(64e6, rel=0.1)
