"""Notebook 15: memory of training by part and method, marks before and after, losses of a merge.

What is drawn is planned by `quantlab.training_memory` and measured in `quantlab.experiments.qlora`.
"""

from quantlab.show import matrix, style
from quantlab.show.memory_figures import size_text

#: The parts of a bar, in their order, and the colour of each.
PARTS = {
    "weights": style.LINE, "adapters": style.MANTISSA, "gradients": style.SIGN,
    "states": style.EXPONENT, "activations": style.LIGHT, "logits": style.PALE,
}  # fmt: skip
LEAST = 0.045  # of the longest bar: in a narrower part there is no room for its number


def memory_figure(found, title, device=None):
    """Return the picture of what training takes: a bar of parts for each method, with its peak.

    found: `training_memory.Plan`s or `Measured`s, a dict by name. title: the message. device: a
    `fit.Device`, drawn as a line behind all bars, or None.
    """
    fig, axes = style.figure(740, 130 + 46 * len(found))
    longest = max(sum(one.parts.values()) for one in found.values())
    unit, name = (1e9, "GB") if longest > 1e9 else (1e6, "MB")
    for row, one in enumerate(found.values()):
        _bar(axes, row, one, longest, unit)
    axes.set_yticks(range(len(found)), list(found))
    axes.set(xlim=(0, 1.02 * longest), ylim=(len(found) - 0.4, -0.75))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / unit:g}")
    axes.set_xlabel(f"{name}; ▼ the most at once: gradients come when activations go")
    card = "" if device is None else f"{device.name}, {device.bytes / unit:.1f} {name}"
    if card:
        axes.axvline(device.bytes, color=style.ERROR, linestyle="--", zorder=0)
        axes.annotate(card, (device.bytes, len(found) - 0.5), (8, 4), textcoords="offset points",
                      color=style.ERROR, fontsize=12)  # fmt: skip
    handles = axes.get_legend_handles_labels()[0][: len(PARTS)]
    fig.legend(handles, list(PARTS), loc="outside lower center", ncols=6, columnspacing=1.2,
               handlelength=1.2, fontsize=12, frameon=False)  # fmt: skip
    style.headline(fig, title)
    said = f"{card}; " * bool(card) + "; ".join(
        f"{name}: {', '.join(f'{part} {size_text(size)}' for part, size in one.parts.items())}, "
        f"at most {size_text(one.peak)} at once"
        for name, one in found.items()
    )
    return style.picture(fig, alt=f"{title}. {said}.")


def _bar(axes, row, one, longest, unit):
    """Draw the parts of one method side by side, and a mark at its peak."""
    left = 0
    for part, size in one.parts.items():
        look = {"color": PARTS[part], "edgecolor": style.LINE, "linewidth": 0.6}
        axes.barh(row, size, 0.6, left, label=part, **look)
        if size > LEAST * longest:
            color, middle = style.contrast(PARTS[part]), left + size / 2
            words = {"ha": "center", "va": "center", "color": color, "fontsize": 12}
            axes.text(middle, row, f"{size / unit:.1f}", **words)
        left += size
    axes.plot(one.peak, row - 0.44, marker="v", color=style.INK, markersize=9, clip_on=False)
    side = -1 if one.peak > 0.9 * longest else 1  # at the right end there is no room for a number
    axes.annotate(f"{one.peak / unit:.1f}", (one.peak, row - 0.48), (8 * side, 0), fontsize=12,
                  textcoords="offset points", ha="left" if side > 0 else "right", va="center",
                  bbox={"color": "white", "pad": 0}, zorder=0.5)  # fmt: skip


def parts_table(found):
    """Return each part in MB as planned and as measured, by method: a table of `Memory`s."""
    names = list(PARTS)
    rows = []
    for one in found:
        pairs = [(one.planned.parts[name], one.measured.parts[name]) for name in names]
        pairs.append((one.planned.peak, one.measured.peak))
        rows.append([one.method, *(f"{a / 1e6:.2f} / {b / 1e6:.2f}" for a, b in pairs)])
    return matrix.table(rows, ("planned / measured, MB", *names, "peak"))


def flags_table(flags):
    """Return the `Flag`s as a table."""
    rows = [
        [f.changed, f"{f.weights / 1e6:.3f}", f"{f.peak / 1e6:.3f}", f"{f.divergence:.4f}"]
        for f in flags
    ]
    header = ("changed", "weights, MB", "peak of 16 tokens, MB", "divergence, untrained")
    return matrix.table(rows, header)


def marks_table(marks):
    """Return `Marks`, a dict by what was done, as a table."""
    rows = [
        [
            name,
            f"{m.old} of 256",
            f"{m.taught} of 224",
            f"{m.held_out} of 32",
            f"{m.perplexity:.2f}",
        ]
        for name, m in marks.items()
    ]  # fmt: skip
    header = ("", "old facts", "taught", "held out", "perplexity of stories")
    return matrix.table(rows, header)


def merge_figure(losses, title):
    """Return the picture of what a merge loses: a bar for each way, with its number.

    losses: divergence from the model with adapters, in nats per token, by the way it was merged.
    """
    fig, axes = style.figure(720, 90 + 46 * len(losses))
    largest = max(losses.values())
    for row, loss in enumerate(losses.values()):
        axes.barh(row, loss, 0.6, color=style.ERROR)
        axes.text(loss + largest / 80, row, _loss_text(loss), va="center", fontsize=12)
    axes.set_yticks(range(len(losses)), list(losses))
    axes.set_ylim(len(losses) - 0.4, -0.6)
    axes.set_xlim(0, 1.15 * largest)
    axes.set_xlabel("divergence from the model with adapters, nats per token")
    style.headline(fig, title)
    said = "; ".join(f"{name} {_loss_text(loss)}" for name, loss in losses.items())
    return style.picture(fig, alt=f"{title}. {said} nats per token.")


def _loss_text(loss):
    """Return a loss with two digits; what is under a millionth is the noise of sums in FP32."""
    return f"{loss:.2g}" if loss > 1e-6 else "under 0.000001"
