"""The look of every figure: colours with one meaning each, sizes, and pictures with alt text."""

import io
import sys
import textwrap

import matplotlib
import numpy as np
from IPython.display import Image
from matplotlib.figure import Figure
from matplotlib.text import Text

from quantlab._checks import text as checked_text

# Okabe and Ito's palette: these four differ for every common kind of colour vision.
SIGN = "#0072B2"
EXPONENT = "#E69F00"
MANTISSA = "#009E73"
ERROR = "#D55E00"
RED = "#D9480F"  # ERROR on a page: a contrast over 4 on white and on JupyterLab's dark ground
DIGIT = "#6B7785"  # the bits of a whole number
# Greys: text, lines, quiet text (these three are legible on white), grid, the ground of a cell.
INK, LINE, QUIET, GRID, PALE = "#222222", "#555555", "#6B6B6B", "#D0D0D0", "#F2F2F2"
MIDDLE, LIGHT = "#7A7A7A", "#B5B5B5"  # two greys that differ in print, for areas
#: The colours of a drawing by what they are for; `html.COLORS` has them for a page.
ROLES = {
    "ink": INK, "line": LINE, "quiet": QUIET, "grid": GRID, "pale": PALE, "ground": "#FFFFFF",
    "error": ERROR, "sign": SIGN, "exponent": EXPONENT, "mantissa": MANTISSA,
}  # fmt: skip

PIXELS_PER_INCH = 96  # CSS: 12 pt are 16 px, whatever the screen
WIDEST = 760  # px: a notebook column, and a slide
SMALLEST_TEXT = 12  # pt at the size shown
TITLE = 11.5  # px of a letter of a title, on average

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": GRID,
    "lines.linewidth": 2,
    "axes.prop_cycle": matplotlib.cycler(color=[LINE, SIGN, EXPONENT, MANTISSA, ERROR]),
    "figure.facecolor": "white",  # opaque: legible on a dark page too
    "figure.dpi": PIXELS_PER_INCH,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "svg.hashsalt": "quantlab",
}


def apply():
    """Make this style matplotlib's default in the running kernel."""
    matplotlib.rcParams.update(RC)


def figure(width=720, height=300, rows=1, columns=1, title="", flat=False, **subplots):
    """Return (figure, axes) in the course's style, `width` x `height` CSS pixels.

    title: the message, bold above all axes. flat: True leaves out the vertical axis.

    The figure is not known to pyplot, so nothing shows it twice and nothing has to be closed.
    `subplots` goes to ``Figure.subplots`` (``sharex``, ``width_ratios`` ...).
    Raises ValueError if `width` is over 760, the width of a notebook column.
    """
    _check_width(width)
    with matplotlib.rc_context(RC):
        fig = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH))
        axes = fig.subplots(rows, columns, **subplots)
    headline(fig, title)
    for one in np.ravel(axes) if flat else ():
        one.set_yticks([])
        one.spines["left"].set_visible(False)
    return fig, axes


def headline(fig, title):
    """Put `title` above `fig`, in as many lines as it takes."""
    if checked_text("title", title):
        lines = textwrap.fill(title, int(fig.get_figwidth() * PIXELS_PER_INCH / TITLE))
        fig.suptitle(lines, x=0.01, ha="left", fontsize=14, fontweight="bold", color=INK)


def marks(axes, rows, width=2):
    """Draw each of `rows`, words by their values, as marks on a line with the words below it."""
    for row, (words, values) in enumerate(rows.items()):
        axes.vlines(values, row - 0.3, row + 0.12, color=INK, lw=width)
        look = {"ha": "center", "va": "top", "fontsize": 12, "annotation_clip": False}
        axes.annotate(words, (0, row + 0.16), **look)
    axes.set_ylim(len(rows) - 0.3, -0.5)
    plain(axes.xaxis)


def plain(*axes):
    """Give each axis numbers without an exponent and without zeros at their end."""
    for axis in axes:
        axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


def contrast(color):
    """Return the text colour, INK or white, that is easier to read on `color`.

    >>> contrast("#0072B2"), contrast("#E69F00")
    ('#FFFFFF', '#222222')
    """
    light, dark = (_luminance(c) for c in ("#FFFFFF", INK))
    ground = _luminance(color)
    return "#FFFFFF" if (light + 0.05) / (ground + 0.05) > (ground + 0.05) / (dark + 0.05) else INK


def picture(fig, alt, width=None):
    """Return `fig` as a PNG at twice its size, with alt text, ready to be a cell's last value.

    fig: a matplotlib Figure. alt: the message and the numbers that matter, as text. width: in CSS
    pixels; None is the size the figure was made with. The same figure gives the same bytes.
    Raises ValueError for an empty `alt`, a width over 760, or a text under 12 pt at the size shown.
    """
    if not isinstance(alt, str) or len(alt.split()) < 3:
        raise ValueError(f"alt must say what the figure shows, in words, got {alt!r}")
    natural = fig.get_figwidth() * PIXELS_PER_INCH
    width = round(natural) if width is None else width
    _check_width(width)
    _check_text(fig, width / natural)
    png = io.BytesIO()
    with matplotlib.rc_context(RC):
        fig.savefig(
            png,
            format="png",
            dpi=2 * PIXELS_PER_INCH * width / natural,
            facecolor="white",
            metadata={"Software": None},
        )
    _forget(fig)
    return Picture(_with_palette(png), width=width, alt=alt)


def _with_palette(png):
    """Return the bytes of a PNG with 256 colours at most: less than half, and few pixels change."""
    import PIL.Image as pillow  # matplotlib needs it too, but only to save

    small = io.BytesIO()
    colors = pillow.open(png).convert("RGB").quantize(256, dither=pillow.Dither.NONE)
    colors.save(small, format="png", optimize=True)
    return small.getvalue()


class Picture(Image):
    """A PNG that says its alt text where only text can be shown."""

    def __init__(self, png, width, alt):
        # As metadata: the IPython of Colab, 7.34, takes no alt argument.
        super().__init__(data=png, format="png", width=width, metadata={"alt": alt})
        self.alt = alt

    def __repr__(self):
        return f"Figure: {self.alt}"


def _check_width(width):
    if not 0 < width <= WIDEST:
        raise ValueError(f"width must be above 0 and at most {WIDEST} px, got {width!r}")


def _check_text(fig, zoom):
    for text in fig.findobj(Text):
        shown = text.get_visible() and text.get_text().strip()
        if shown and text.get_fontsize() * zoom < SMALLEST_TEXT - 1e-6:
            raise ValueError(
                f"text must be {SMALLEST_TEXT} pt or more at the size shown, "
                f"{text.get_text()!r} is {text.get_fontsize() * zoom:.3g} pt"
            )


def _forget(fig):
    """Close `fig` if pyplot made it: the notebook would show it a second time."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(fig)


def _luminance(color):
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    channels = matplotlib.colors.to_rgb(color)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
