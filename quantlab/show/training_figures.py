"""Notebook 15: rounding's missing slope, and curves over the steps of a training, live too."""

import matplotlib
import numpy as np
from IPython.display import DisplayHandle

from quantlab._checks import shown, text, whole
from quantlab.experiments.training_runs import MARKS, Mark, look
from quantlab.experiments.whole_model import reader
from quantlab.show import matrix, style
from quantlab.show.given import numbers

#: One look per line, in the order in which lines are named.
LOOKS = (
    {"color": style.INK, "ls": "-", "marker": "o"},
    {"color": style.QUIET, "ls": "--", "marker": "s"},
    {"color": style.MIDDLE, "ls": ":", "marker": "^"},
)
#: Dashes of the levels that other models stand at, in the order in which they are named.
LEVELS = ((0, (1, 2)), (0, (6, 2, 1, 2)), (0, (9, 3)))
#: Where steps begin to stand on a log axis: 0 has a place too.
LINEAR = 10


@matplotlib.rc_context(style.RC)
def staircase(x, rounded, title):
    """Return the picture of rounding as stairs, and of the line that training takes for them.

    x: ascending numbers, at least two. rounded: what rounding makes of each. title: the message, a
    sentence. Raises ValueError for numbers that do not ascend and for other lengths.
    """
    x, rounded = _ascending(x, rounded)
    fig, axes = style.figure(style.WIDEST, 400, title=title)
    axes.plot(x, x, color=style.QUIET, ls="--", lw=2)
    jumps = np.flatnonzero(np.diff(rounded)) + 1
    for tread in np.split(np.arange(len(x)), jumps):
        axes.plot(x[tread], rounded[tread], color=style.INK, lw=4, solid_capstyle="butt")
    for i in jumps:
        axes.plot(x[i - 1 : i + 1].mean().repeat(2), rounded[i - 1 : i + 1],
                  color=style.LIGHT, lw=1.5)  # fmt: skip
    jump = jumps[-1] if len(jumps) else len(x) - 1  # below the tread before it, and left of it
    flat, end = rounded[jump - 1], x[jump]
    axes.annotate("rounded: flat, slope 0", (flat, flat), (10, -20), textcoords="offset points")
    axes.annotate("straight through: slope 1", (end, end), (-10, 12), color=style.QUIET,
                  textcoords="offset points", ha="right")  # fmt: skip
    axes.margins(y=0.12)
    axes.set(xlabel="weight", ylabel="weight that the model reads")
    style.plain(axes.xaxis, axes.yaxis)
    said = f"{len(jumps) + 1} flat treads from {rounded[0]:.3g} to {rounded[-1]:.3g}"
    return style.picture(fig, f"{title}. {said}, and a dashed line of slope 1 through them.")


def _ascending(x, rounded):
    x, rounded = (np.asarray(numbers(name, value, 1), np.float64)
                  for name, value in (("x", x), ("rounded", rounded)))  # fmt: skip
    if len(x) < 2 or (np.diff(x) <= 0).any():
        raise ValueError(f"x must be two ascending numbers or more, got {shown(x.tolist())}")
    if rounded.shape != x.shape:
        raise ValueError(f"rounded must have the shape of x, {x.shape}, got {rounded.shape}")
    return x, rounded


# ------------------------------------------------------------------------- over the steps


@matplotlib.rc_context(style.RC)
def against_steps(lines, title, levels=None):
    """Return the picture of perplexity and of facts over the steps of some trainings.

    lines: a dict of name -> `Film`, or `Mark`s; up to three. title: the message, a sentence.
    levels: None, or a dict of name -> `Mark`, what another model has; up to three lines across.
    """
    lines = {name: _marks(f"lines[{name!r}]", line) for name, line in _named("lines", lines)}
    levels = {} if levels is None else dict(_named("levels", levels))
    for name, mark in levels.items():
        _marks(f"levels[{name!r}]", [mark])
    fig, (left, right) = style.figure(style.WIDEST, 420, title=title, columns=2)
    _axes(left, right, [mark.step for line in lines.values() for mark in line])
    # The last level, the unquantized model, looks the same in every picture.
    for dashes, (name, mark) in zip(
        LEVELS[len(LEVELS) - len(levels) :], levels.items(), strict=True
    ):
        across = {"color": style.MIDDLE, "ls": dashes, "lw": 1.8, "zorder": 0}
        left.axhline(mark.perplexity, label=name, **across)
        right.axhline(mark.facts, **across)
    for how, (name, line) in zip(LOOKS, lines.items(), strict=False):
        steps = [mark.step for mark in line]
        left.plot(steps, [mark.perplexity for mark in line], label=name, ms=7, **how)
        right.plot(steps, [mark.facts for mark in line], ms=7, clip_on=False, **how)
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    said = [_ends(name, line) for name, line in lines.items()]
    said += [f"{name}: {_words(mark)}" for name, mark in levels.items()]
    return style.picture(fig, f"{title}. {'; '.join(said)}.")


def _named(what, value):
    """Yield (name, value) of a dict of one to three."""
    if not isinstance(value, dict) or not 1 <= len(value) <= len(LOOKS):
        raise TypeError(f"{what} must be a dict from one to three names, got {shown(value)}")
    for name, one in value.items():
        yield text(f"a key of {what}", name), one


def _marks(name, line):
    """Return the marks of a `Film`, or of a list of them."""
    marks = getattr(line, "marks", line)
    if not isinstance(marks, (list, tuple)) or not marks:
        raise TypeError(f"{name} must be a Film or a list of Marks, got {shown(line)}")
    for mark in marks:
        if not isinstance(mark, Mark):
            raise TypeError(f"{name} must hold Marks, got {shown(mark)}")
    return tuple(marks)


def _axes(left, right, steps):
    """Set both axes: steps on a log axis that begins at 0, perplexity on one that does not."""
    places = sorted(set(steps))
    if len(places) > len(MARKS):
        places = sorted({*(mark for mark in MARKS if mark <= max(steps)), max(steps)})
    for axes in (left, right):
        axes.set_xscale("symlog", linthresh=LINEAR, linscale=0.5)
        axes.set_xticks(places, list(map(str, places)))
        axes.minorticks_off()
        axes.set(xlabel="steps, on a log scale", xlim=(-0.06 * LINEAR, 1.1 * max(steps)))
        axes.grid(axis="y", lw=0.8)
    left.set_yscale("log")
    left.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    style.plain(left.yaxis)
    left.set_ylabel("perplexity")
    right.set(ylabel="facts right, of 256", ylim=(-6, 262), yticks=range(0, 257, 64))


def _words(mark):
    return f"perplexity {mark.perplexity:.1f}, {mark.facts} facts"


def _ends(name, line):
    first, last = line[0], line[-1]
    return f"{name}: step {first.step} {_words(first)}, step {last.step} {_words(last)}"


def texts_table(marks):
    """Return the table of what a model writes after some steps. marks: of a `Film`."""
    marks = _marks("marks", marks)
    rows = [[str(m.step), f"{m.perplexity:.1f}", str(m.facts), m.text] for m in marks]
    return matrix.table(rows, ("steps", "perplexity", "facts, of 256", "what it writes"))


class LiveCurve:
    """A curve that grows in its cell while a model trains: pass it as ``progress=``.

    reference: the unquantized `Model`. at: the steps after which is measured (`look`); the last
    step is one of them. start: None, or the `Mark` of the model before. title, levels: as for
    `against_steps`. What was measured is in `marks`, the loss of each step in `losses`.
    """

    def __init__(self, reference, at, title, start=None, levels=None):
        self.reference, self.at = reader(reference), {whole("a step of at", n, 1) for n in at}
        self.title, self.levels = text("title", title), levels
        self.marks = [] if start is None else list(_marks("start", [start]))
        self.losses, self._handle = [], None

    def __call__(self, done, steps, loss, model):
        """Note a step; measure and draw if it is one to look at."""
        self.losses.append(loss)
        if done in self.at or done == steps:
            self.marks.append(look(model, self.reference, done))
            self._show()

    def _show(self):
        picture = against_steps({"while it trains": self.marks}, self.title, self.levels)
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(picture)
        else:
            self._handle.update(picture)
