"""What was measured, as docs/benchmarks.md and its figure."""

import datetime
import os
import platform
import statistics
import textwrap
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from matplotlib.ticker import LogLocator

from quantlab.show import style

DOCS = Path(__file__).resolve().parents[3] / "docs"
MEMORY_GOAL = 1.5  # times the input or the output, whichever is larger
LIBRARIES = ["numpy", "ml_dtypes", "torch", "bitsandbytes", "torchao", "libgguf", "gguf"]


@dataclass
class Measured:
    """One row at one size: seconds of each round, and bytes at the peak (None: not measured)."""

    name: str
    peer: str
    size: int
    ours: list
    theirs: list
    copy: list
    goal: float
    floor_goal: float | None
    floor_share: float | None
    largest_bytes: int  # of the input or the output
    our_peak: int | None
    their_peak: int | None

    @property
    def ratio(self):
        """How many times as fast: the ratio of the medians."""
        return statistics.median(self.theirs) / statistics.median(self.ours)

    @property
    def spread(self):
        """The middle half of the ratios of the rounds; a round times both, one after the other."""
        ratios = [t / o for t, o in zip(self.theirs, self.ours, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high

    @property
    def floor(self):
        """Our time over that of reading the input and writing the output once, at copy speed."""
        if self.floor_share is None:
            return None
        return statistics.median(self.ours) / (statistics.median(self.copy) * self.floor_share)


def machine():
    """Return the processor's model and the number of cores."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return f"{model}, {os.cpu_count()} cores"


def versions():
    """Return the versions of Python and of the libraries, as one line."""
    found = [f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def _mark(value, goal, reached):
    return f"{value} (goal {goal:g}: {'reached' if reached else 'missed'})"


def _times(share):
    return "–" if share is None else f"{share:.2f}"


def _row(m):
    ours, theirs = (1000 * statistics.median(seconds) for seconds in (m.ours, m.theirs))
    low, high = m.spread
    ratio = _mark(f"**{m.ratio:#.3g}** ({low:#.3g} to {high:#.3g})", m.goal, m.ratio >= m.goal)
    floor = "–" if m.floor is None else f"{m.floor:.1f}"
    if m.floor_goal is not None:
        floor = _mark(floor, m.floor_goal, m.floor < m.floor_goal)
    peaks = [None if p is None else p / m.largest_bytes for p in (m.our_peak, m.their_peak)]
    memory = [_times(peak) for peak in peaks]
    if peaks[0] is not None and peaks[0] > MEMORY_GOAL:
        memory[0] = _mark(memory[0], MEMORY_GOAL, reached=False)
    cells = [m.name, m.peer, f"{m.size}²", f"{ours:.1f}", f"{theirs:.1f}", ratio, floor]
    return "| " + " | ".join([*cells, *memory]) + " |"


def table(rows):
    """Return the Markdown table of the `Measured` rows."""
    head = ["work", "peer", "size", "ours, ms", "theirs, ms", "times as fast (middle half)",
            "times the floor", "our peak memory", "their peak memory"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---|---|---" + "|---:" * 6 + "|"]
    return "\n".join([*lines, *(_row(m) for m in rows)])


def _alt(rows):
    """The two numbers of the figure that matter: our extremes at the largest size."""
    size = max(m.size for m in rows)
    ratios = {f"{m.name} ({m.peer})": m.ratio for m in rows if m.size == size}
    best, worst = max(ratios, key=ratios.get), min(ratios, key=ratios.get)
    return f"From {ratios[worst]:.1f} times as fast, {worst}, to {ratios[best]:.1f} times, {best}."


def page(rows):
    """Return the text of docs/benchmarks.md."""
    size = max(m.size for m in rows)
    largest = [m for m in rows if m.size == size]
    copy = 1000 * statistics.median([s for m in largest for s in m.copy])
    rounds = sorted({len(m.ours) for m in largest})
    return f"""# As fast as the libraries?

Made by `make bench` on {datetime.date.today():%d %B %Y}; run it again rather than edit this page.

- Machine: {machine()}.
- {versions()}.
- float32 matrices of {size} x {size} normal values, threads as each library sets them. Each round
  times theirs and then ours, each right after a call of its own that warms up; {rounds[0]} to
  {rounds[-1]} rounds. The results are compared first.

{table(largest)}

**Times as fast:** their median time over ours. In brackets the middle half of the rounds.

**Times the floor:** nothing that reads a matrix and writes another can be faster than one read and
one write. The floor is that part of the time that NumPy takes to copy the same matrix
({copy:.1f} ms here, reading and writing {2 * size * size * 4 / 1e6:.0f} MB).

**Peak memory:** the most that a call adds, its result included, over the size of its input or its
output, whichever is larger: dequantizing reads little and returns much. The goal is {MEMORY_GOAL}
or less.

**Same result:** NF4, int8 rows against bitsandbytes and all casts are equal byte for byte. torchao
divides by a step that is rounded once more, so next to a tie a code may be one beside: fewer than 1
in 10,000. GPTQ's output error agrees to 0.2%. `Quantized` keeps the step, and 127 steps may miss
the absmax by its last bit: of the LLM.int8() products fewer than 1 in 10,000 are one place beside.

## From small to large

![Time per value against the size of the matrix: ours and the peer's, for each row of the table.
{_alt(rows)}](benchmarks.svg)
"""


def figure(rows):
    """Return the figure of the growth: nanoseconds per value against the side of the matrix."""
    names = list(dict.fromkeys((m.name, m.peer) for m in rows))
    height = -(-len(names) // 3)
    fig, axes = style.figure(760, 190 * height, height, 3, sharex=True)
    for axis, (name, peer) in zip(axes.flat, names, strict=False):
        mine = [m for m in rows if (m.name, m.peer) == (name, peer)]
        sizes = [m.size for m in mine]
        for kind, color, line in (("theirs", style.QUIET, "--"), ("ours", style.SIGN, "-")):
            times = [1e9 * statistics.median(getattr(m, kind)) / m.size**2 for m in mine]
            axis.loglog(sizes, times, color=color, linestyle=line, marker="o", markersize=4)
        title = textwrap.fill(f"{name}, {peer}", 26)
        axis.set_title(title, fontsize=11, fontweight="normal", loc="left")
        low, high = axis.get_ylim()
        room = max(1, (10 / (high / low)) ** 0.5)  # a decade at least: a bump looks as big as it is
        axis.set_ylim(low / room, high * room)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_xticks(sizes, [str(size) for size in sizes], rotation=60)
        axis.minorticks_off()
    for axis in list(axes.flat)[len(names) :]:
        axis.set_axis_off()
    for axis in list(axes.flat)[len(names) - 3 : len(names)]:  # the lowest of each column
        axis.tick_params(labelbottom=True)
    fig.supylabel("nanoseconds per value")
    fig.supxlabel("rows and columns of the matrix")
    fig.suptitle("Time per value: ours (blue line) and the peer's (grey dashes)")
    return fig


def write(rows, folder=DOCS):
    """Write the page and the figure into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.md").write_text(page(rows), encoding="utf-8")
    figure(rows).savefig(folder / "benchmarks.svg", metadata={"Date": None})
