"""Pictures: alt text, size, legible letters, the same bytes; colours that one can tell apart."""

import io
import itertools
import re
import struct
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from quantlab import show
from quantlab.show import html, style

ALT = "A line rises from 1 to 3."


def line(width=600, height=260, **text):
    fig, ax = show.figure(width, height)
    ax.plot([1, 2, 3])
    ax.set_title("A line rises", **text)
    return fig


def size(picture):
    """Width and height of a PNG, from its header."""
    return struct.unpack(">II", picture.data[16:24])


def test_a_picture_has_twice_the_pixels_of_its_shown_width():
    picture = show.picture(line(600, 260), alt=ALT)
    assert (picture.width, size(picture)) == (600, (1200, 520))


def test_a_picture_can_be_shown_smaller_and_stays_twice_as_fine():
    fig, ax = show.figure(600, 260)
    ax.tick_params(labelsize=16)
    picture = show.picture(fig, alt=ALT, width=500)
    assert (picture.width, size(picture)[0]) == (500, 1000)


def test_alt_text_and_width_are_in_the_output_metadata():
    data, metadata = show.picture(line(), alt=ALT)._repr_mimebundle_()
    assert metadata["image/png"] == {"width": 600, "alt": ALT}
    assert data["image/png"]


def test_where_only_text_is_shown_the_alt_text_stands():
    assert repr(show.picture(line(), alt=ALT)) == f"Figure: {ALT}"


def test_the_same_figure_gives_the_same_bytes():
    assert show.picture(line(), alt=ALT).data == show.picture(line(), alt=ALT).data


def test_the_ground_is_opaque_white():
    picture = show.picture(line(), alt=ALT)
    pixels = plt.imread(io.BytesIO(picture.data))
    assert pixels[0, 0].tolist()[:3] == [1, 1, 1]
    assert pixels.shape[2] == 3 or pixels[..., 3].min() == 1


@pytest.mark.parametrize("alt", ["", "figure", None, 3])
def test_a_picture_without_words_is_refused(alt):
    with pytest.raises(ValueError, match="alt must say what the figure shows"):
        show.picture(line(), alt=alt)


def test_text_under_12_points_is_refused_and_named():
    with pytest.raises(ValueError, match="'A line rises' is 11 pt"):
        show.picture(line(fontsize=11), alt=ALT)


def test_text_that_shrinks_under_12_points_is_refused():
    with pytest.raises(ValueError, match="12 pt or more at the size shown"):
        show.picture(line(700), alt=ALT, width=600)


@pytest.mark.parametrize("width", [761, 0, -5])
def test_a_width_that_no_column_holds_is_refused(width):
    with pytest.raises(ValueError, match="at most 760 px"):
        show.figure(width)


def test_a_pyplot_figure_is_closed_so_that_it_is_not_shown_twice():
    with matplotlib.rc_context(style.RC):
        fig, _ = plt.subplots(figsize=(6, 3))
    show.picture(fig, alt=ALT)
    assert plt.get_fignums() == []


def test_apply_makes_the_style_the_default():
    with matplotlib.rc_context():
        style.apply()
        assert matplotlib.rcParams["font.size"] == 12
        assert matplotlib.rcParams["figure.facecolor"] == "white"


def test_a_long_title_is_broken_and_not_cut_off():
    title = "Double quantization: the error of small blocks, the bits of large ones"
    fig, _ = show.figure(740, 200, title=title)
    assert " ".join(fig.get_suptitle().splitlines()) == title
    FigureCanvasAgg(fig).draw()
    assert fig.texts[0].get_window_extent().x1 < fig.bbox.x1


def test_a_flat_figure_has_no_vertical_axis():
    _, ax = show.figure(flat=True)
    assert ax.get_yticks().size == 0 and not ax.spines["left"].get_visible()


def test_figures_have_the_style_without_apply():
    fig, ax = show.figure()
    assert ax.spines["top"].get_visible() is False
    assert fig.get_layout_engine() is not None


def ratio(one, two):
    """Contrast of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted(style._luminance(c) for c in (one, two))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [style.INK, style.LINE, style.QUIET])
def test_greys_for_text_are_legible_on_white(color):
    assert ratio(color, "white") >= 4.5


@pytest.mark.parametrize("color", [style.SIGN, style.EXPONENT, style.MANTISSA, style.ERROR])
def test_text_on_a_colour_is_the_better_of_dark_and_light(color):
    best = max(ratio(color, "white"), ratio(color, style.INK))
    assert ratio(color, style.contrast(color)) == best >= 4


def test_the_four_colours_are_those_of_the_course():
    assert (style.SIGN, style.EXPONENT, style.MANTISSA, style.ERROR) == (
        "#0072B2",
        "#E69F00",
        "#009E73",
        "#D55E00",
    )


# Machado, Oliveira and Fernandes 2009, table 1, severity 1: what a dichromat sees, in linear RGB.
BLIND = {
    "protan": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deutan": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
}


@pytest.mark.parametrize("kind", BLIND)
def test_the_four_colours_differ_for_colour_blind_readers(kind):
    seen = []
    for color in (style.SIGN, style.EXPONENT, style.MANTISSA, style.ERROR):
        rgb = [c**2.2 for c in matplotlib.colors.to_rgb(color)]
        seen.append(
            [
                max(sum(a * b for a, b in zip(row, rgb, strict=True)), 0) ** (1 / 2.2)
                for row in BLIND[kind]
            ]
        )
    distances = [
        sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5
        for pair in itertools.combinations(seen, 2)
    ]
    assert min(distances) > 0.1  # of the 1.73 from black to white


def test_a_picture_has_a_palette_and_keeps_its_colours():
    import PIL.Image

    fig, axes = style.figure(400, 200)
    axes.bar(
        [0, 1, 2, 3], [3, 2, 1, 2], color=[style.SIGN, style.EXPONENT, style.MANTISSA, style.ERROR]
    )
    shown = PIL.Image.open(io.BytesIO(style.picture(fig, "four bars in four colours").data))
    assert shown.mode == "P"
    held = {color for _, color in shown.convert("RGB").getcolors(256)}
    for color in ("#FFFFFF", style.SIGN, style.EXPONENT, style.MANTISSA, style.ERROR):
        assert tuple(bytes.fromhex(color[1:])) in held


ROOT = Path(style.__file__).parents[2]
STYLES = [ROOT / "quantlab/show/static/bits.css", ROOT / "tools/web/static/base.css"]


def variables(path):
    """The colours of a style sheet by name, without "ql-": the light one, then the dark one."""
    found = {}
    for name, color in re.findall(
        r"--(?:ql-)?(\w+): (?:var\([^#\n]*)?(#[0-9a-f]{6})", path.read_text(encoding="utf-8")
    ):
        found.setdefault(name, []).append(color.upper())
    return found


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_the_style_sheets_have_the_colours_of_the_course(path):
    found = variables(path)
    for name in ("SIGN", "EXPONENT", "MANTISSA"):
        assert set(found[name.lower()]) == {getattr(style, name)}
    assert set(found.get("error", found.get("bad"))) == {style.ERROR}
    assert set(found.get("digit", [style.DIGIT])) == {style.DIGIT}


def test_pages_without_jupyter_have_one_ink_and_one_ground():
    ours, site = map(variables, STYLES)
    for here, there in (("ink", "ink"), ("quiet", "quiet"), ("paper", "ground")):
        assert ours[here] == site[there][:2]


def test_a_page_takes_the_colours_of_a_figure_where_it_has_no_theme():
    for role, color in style.ROLES.items():
        assert role == "error" or color in html.COLORS[role]
    grounds = ("#FFFFFF", "#111111")  # JupyterLab's, light and dark
    assert min(ratio(html.RED, ground) for ground in grounds) > 4
