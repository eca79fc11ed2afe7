"""The figures of notebook 06: the answer to an error, running totals, damping, moved weights."""

import matplotlib
import numpy as np

from quantlab.experiments.walk import best_answer, pair_error
from quantlab.show import given, style

#: One look per line, in the order in which lines are named: grey tones, dashes and marks differ.
LOOKS = (
    {"color": style.QUIET, "ls": "--", "marker": "s"},
    {"color": style.INK, "ls": "-", "marker": "o"},
    {"color": style.LINE, "ls": ":", "marker": "^"},
)


@matplotlib.rc_context(style.RC)
def answer_curve(h, lost, title):
    """Return the picture of the layer error against the change of weight 2: a valley.

    h, lost: as for `quantlab.experiments.walk.best_answer`. title: the message, a sentence.
    """
    h, lost = given.numbers("h", h, 2), float(given.numbers("lost", lost, 0))
    if h.shape != (2, 2) or not h[1, 1] > 0:
        raise ValueError(f"h must be the Hessian of two weights, (2, 2), got shape {h.shape}")
    best = best_answer(h, lost)
    reach = max(abs(best), abs(lost)) * 0.7
    answers = np.linspace(min(0, best) - reach, max(0, best) + reach, 201)
    errors = pair_error(h, lost, answers)
    fig, axes = style.figure(style.WIDEST, 330, title=title)
    axes.plot(answers, errors, color=style.LINE)
    top = errors.max()
    for answer, words, lift in ((0.0, "no answer", 0.2), (best, "the best answer", 0.3)):
        error = pair_error(h, lost, answer)
        axes.plot(answer, error, "o", color=style.ERROR, ms=9)
        label = f"{words}\n{answer:+.4f} → error {error:.4f}".replace("-", "−")
        label = label.replace("+0.0000", "0")
        place = (answer + 0.02 * reach, error + lift * top)
        axes.annotate(label, (answer, error), place, ha="left", va="bottom", arrowprops=_stem())
    axes.set(xlabel="added to weight 2", ylabel="layer error", ylim=(0, top))
    ends = [pair_error(h, lost, answer) for answer in (0.0, best)]
    said = f"Adding nothing gives {ends[0]:.4f}, adding {best:.4f} gives {ends[1]:.4f}, the least."
    return style.picture(fig, f"{title}. A parabola. {said}")


def _stem():
    return {"arrowstyle": "-", "color": style.LINE, "lw": 1}


@matplotlib.rc_context(style.RC)
def running_totals(lost, title):
    """Return the picture of what a column has lost in total, row after row.

    lost: a dict of name -> (rows,), what rounding took from each weight, in steps; three at most.
    title: the message, a sentence.
    """
    fig, axes = style.figure(style.WIDEST, 400, title=title)
    axes.axhspan(-0.5, 0.5, color=style.PALE, label="half a step either way")
    lost = given.by_name("lost", lost, 1)
    totals = {name: np.cumsum(values) for name, values in lost.items()}
    rows = len(next(iter(totals.values())))
    for look, (name, total) in zip(LOOKS, totals.items(), strict=False):
        label = f"{name}, {total[-1]:+.2f} at the end".replace("-", "−")
        line = {"color": look["color"], "ls": look["ls"], "label": label}
        axes.plot(np.arange(rows + 1), np.r_[0, total], **line)
    axes.set(xlabel="rows done", ylabel="lost in total, in steps", xlim=(0, rows))
    fig.legend(loc="outside lower center", ncols=2)
    said = ", ".join(f"{name} {total[-1]:+.2f}" for name, total in totals.items())
    return style.picture(fig, f"{title}. In total at the end, in steps: {said}.")


@matplotlib.rc_context(style.RC)
def damping_curves(dampings, left, title):
    """Return the picture of the squared error that GPTQ leaves against the damping.

    dampings: above 0. left: a dict of name -> one share for each damping, 1 for plain rounding; two
    at most. title: the message, a sentence.
    """
    dampings, left = given.numbers("dampings", dampings, 1), given.by_name("left", left, 1)
    for shares in left.values():
        if dampings.min() <= 0 or shares.shape != dampings.shape:
            got = f"dampings {dampings} and shares of shape {shares.shape}"
            raise ValueError(f"dampings must be above 0 and left hold a share for each, got {got}")
    fig, axes = style.figure(style.WIDEST, 380, title=title)
    axes.axhline(1, color=style.GRID, lw=2)
    axes.text(dampings[0], 1.015, "plain rounding", va="bottom", color=style.QUIET)
    for look, (name, shares) in zip(LOOKS, left.items(), strict=False):
        axes.plot(dampings, shares, label=name, ms=8, **look)
    axes.set_xscale("log")
    axes.set(xlabel="damping", ylabel="squared error left")
    axes.set_ylim(0, 1.15 * max(1, *(max(shares) for shares in left.values())))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    style.plain(axes.xaxis)
    fig.legend(loc="outside lower center", ncols=2)
    best = {name: int(np.argmin(shares)) for name, shares in left.items()}
    said = "; ".join(
        f"{name}: least at damping {dampings[i]:g}, {left[name][i]:.0%}" for name, i in best.items()
    )
    return style.picture(fig, f"{title}. Squared error left, of plain rounding's. {said}.")


@matplotlib.rc_context(style.RC)
def weight_changes(changes, title):
    """Return the picture of how far weights moved, as one outline for each method.

    changes: a dict of name -> weights less the original ones, in steps, any shape; two at most.
    title: the message, a sentence.
    """
    fig, axes = style.figure(style.WIDEST, 360, title=title)
    bins = np.linspace(-2, 2, 81)
    # A tie moves by half a step, where two bins meet, give or take a rounding: it is put inside.
    changes = given.by_name("changes", changes)
    changes = {name: np.ravel(moved) * (1 - 1e-6) for name, moved in changes.items()}
    for look, (name, moved) in zip(LOOKS, changes.items(), strict=False):
        heights, _ = np.histogram(moved, bins)
        axes.stairs(
            heights / np.size(moved), bins, color=look["color"], ls=look["ls"], lw=2, label=name
        )
    axes.set(xlabel="change of a weight, in steps", ylabel="share of the weights", ylim=(0, None))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    fig.legend(loc="outside lower center", ncols=2)
    said = "; ".join(
        f"{name}: {np.mean(np.abs(moved) > 0.5):.0%} moved by more than half a step"
        for name, moved in changes.items()
    )
    return style.picture(fig, f"{title}. {said}.")
