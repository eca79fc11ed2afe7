"""Notebooks 02 and 03: strips, gaps, values on a line, running sums and blocks."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from quantlab import formats
from quantlab.show import formats_figures as figures
from quantlab.show import style


def drawn(monkeypatch, call, *arguments, **options):
    """The matplotlib figure that a picture was made of, and the picture."""
    seen = []
    real = style.picture

    def keep(fig, alt, width=None):
        seen.append(fig)
        return real(fig, alt, width)

    monkeypatch.setattr(style, "picture", keep)
    picture = call(*arguments, **options)
    return seen[0], picture


ALL = list(formats.ALL.values())


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.name)
def test_a_strip_has_one_cell_for_each_bit_in_the_colour_of_its_field(f, monkeypatch):
    fig, _ = drawn(monkeypatch, figures.strips_picture, [f])
    colors = [to_hex(patch.get_facecolor()).upper() for patch in fig.axes[0].patches]
    assert colors.count(style.SIGN) == 1
    assert colors.count(style.EXPONENT) == f.exponent_bits
    assert colors.count(style.MANTISSA) == f.mantissa_bits


@pytest.mark.parametrize("number", [20.23, 202.3, 2023.0, -0.1])
def test_the_digits_in_a_strip_are_the_bits_of_the_format(number, monkeypatch):
    f = formats.FP16
    fig, picture = drawn(monkeypatch, figures.strips_picture, [f], number)
    digits = "".join(t.get_text() for t in fig.axes[0].texts if t.get_text() in ("0", "1"))
    assert digits == f.bits(number).replace(" ", "")
    assert f"FP16 {f.bits(number)}: {f.round(number):.9g}".replace("-", "−") in picture.alt.replace(
        "-", "−"
    )


def test_a_strip_says_how_far_off_its_value_is():
    alt = figures.strips_picture([formats.FP16, formats.BF16], 202.3).alt
    assert "202.25, off by −0.05" in alt
    assert "202, off by −0.3" in alt
    assert "FP16 comes closest" in alt


def test_what_a_format_cannot_hold_is_said_as_infinity():
    assert "inf" in figures.strips_picture([formats.FP16], 1e6).alt


def test_every_line_of_the_gap_figure_is_the_spacing_of_its_format(monkeypatch):
    fig, _ = drawn(monkeypatch, figures.spacing_picture, ALL, "every gap")
    lines = [line for line in fig.axes[0].lines if len(line.get_xdata()) > 2]
    assert len(lines) == len(ALL)
    for f, line in zip(ALL, lines, strict=True):
        x, y = line.get_data()
        assert np.array_equal(y, f.spacing(x))


def test_a_line_ends_where_its_format_ends(monkeypatch):
    fig, _ = drawn(monkeypatch, figures.spacing_picture, ALL, "every gap")
    ends = {line.get_xdata()[0] for line in fig.axes[0].lines if len(line.get_xdata()) == 1}
    assert ends == {f.max for f in ALL if f.max <= 1e6}


def test_every_format_is_named_once_in_the_gap_figure(monkeypatch):
    fig, picture = drawn(monkeypatch, figures.spacing_picture, ALL, "every gap")
    texts = [t.get_text().split(",")[0] for t in fig.axes[0].texts if t.get_text()]
    assert sorted(texts) == sorted(f.name.split("_")[-1] for f in ALL)
    assert all(f"{f.name} " in picture.alt for f in ALL)


def test_the_names_in_the_gap_figure_do_not_overlap(monkeypatch):
    fig, _ = drawn(monkeypatch, figures.spacing_picture, ALL, "every gap")
    renderer = FigureCanvasAgg(fig).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in fig.axes[0].texts if t.get_text()]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    # Line heights may touch by a sixth: the letters themselves are a quarter lower than their box.
    shared = [min(a.y1, b.y1) - max(a.y0, b.y0) for a, b in pairs if a.overlaps(b)]
    assert all(height <= boxes[0].height / 6 for height in shared)


def test_fixed_point_is_level_and_ends_at_its_last_place(monkeypatch):
    fig, picture = drawn(
        monkeypatch, figures.spacing_picture, [formats.FP16], "two gaps", fixed=(5, 10)
    )
    level = next(line for line in fig.axes[0].lines if line.get_linestyle() == "--")
    assert set(level.get_ydata()) == {2.0**-10}
    assert max(level.get_xdata()) == 32
    assert "nothing from 32 on" in picture.alt


def test_each_value_within_reach_is_a_mark(monkeypatch):
    chosen = [formats.FP4_E2M1, formats.FP8_E4M3]
    fig, picture = drawn(monkeypatch, figures.values_picture, chosen, 8, "values")
    for f, marks in zip(chosen, fig.axes[0].collections, strict=True):
        values = f.finite_values()
        shown = sorted(segment[0][0] for segment in marks.get_segments())
        assert shown == sorted(values[np.abs(values) <= 8])
    assert "FP4_E2M1: 15 values from −6 to 6" in picture.alt


def test_a_total_that_is_off_is_red_and_says_where_it_stopped(monkeypatch):
    exact = np.arange(1.0, 101)
    totals = {"good": exact, "bad": np.minimum(exact, 50)}
    fig, picture = drawn(monkeypatch, figures.sums_picture, totals, exact, "two sums")
    colors = {t.get_text(): t.get_color() for t in fig.axes[0].texts}
    assert colors == {"good: 100": style.INK, "bad: 50": style.ERROR}
    assert "bad: 50 after 100 terms" in picture.alt


def test_a_block_is_drawn_with_its_own_ruler_and_its_errors(monkeypatch):
    f, scales = formats.FP4_E2M1, np.array([1.0, 0.25])
    values = np.array([0.4, 5.9, -1.2, 3.0, 0.1, -0.3, 1.4, 0.0])
    fig, picture = drawn(monkeypatch, figures.blocks_picture, values, scales, f, 4, "two blocks")
    rulers = [c for c in fig.axes[0].collections if len(c.get_segments()) == 15]
    heights = [sorted(s[0][1] for s in ruler.get_segments()) for ruler in rulers]
    assert [h[-1] for h in heights] == [6.0, 1.5]
    errors = [c for c in fig.axes[0].collections if len(c.get_segments()) == 4]
    ends = np.concatenate([[s[1][1] for s in c.get_segments()] for c in errors])
    assert np.array_equal(ends, np.concatenate([f.round(values[:4]), f.round(values[4:] * 4) / 4]))
    assert "their scales are 1, 0.25" in picture.alt


def test_the_same_figure_gives_the_same_bytes():
    first, second = (figures.strips_picture([formats.FP16], 20.23) for _ in range(2))
    assert first.data == second.data
