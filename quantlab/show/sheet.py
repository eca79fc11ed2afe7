"""A figure to write on: coordinates are CSS pixels from the upper left corner, under a title."""

from quantlab.show import style


def sheet(width, height, title):
    """Return (figure, axes), `width` x `height` CSS pixels, y downwards, with its title.

    It grows to the width of its title. Raises ValueError if it would be over 760 pixels wide.
    """
    fig, axes = style.figure(max(width, min(11 * len(title) + 24, style.WIDEST)), height)
    fig.set_layout_engine("none")
    shown = fig.get_figwidth() * style.PIXELS_PER_INCH
    axes.set(position=[0, 0, 1, 1], xlim=(0, shown), ylim=(height, 0))
    axes.axis("off")
    write(axes, 8, 20, title, fontsize=14, fontweight="bold")
    return fig, axes


def write(axes, x, y, text, **look):
    """Write `text` with its middle at height y, 12 pt unless told otherwise.

    look: as for ``Axes.text``. The size does not depend on matplotlib's own settings.
    """
    axes.text(x, y, text, **({"va": "center", "fontsize": 12, "color": style.INK} | look))
