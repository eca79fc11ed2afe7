"""Both renderers of a drawing put the same marks in the same places."""

import re

import matplotlib
import pytest

from quantlab.show import drawing, html, style
from quantlab.show.drawing import SHAPES, Box, Drawing, Line, Mark, Scale, Text

WORDS = (Text(20, 30, "a < b", key="claim"), Text(180, 60, "−0.5", "end", "quiet", bold=True))
SHOWN = Drawing(
    200, 90, (Box(10, 15, 100, 30), *WORDS, Line(((10, 70), (90, 75))), Mark(90, 75)), "A claim"
)


def drawn(one, monkeypatch, title="Three words here"):
    """The matplotlib axes of a drawing's picture."""
    seen = []
    keep = style.picture
    monkeypatch.setattr(style, "picture", lambda fig, alt: seen.append(fig) or keep(fig, alt))
    one.picture(title, "A drawing in words")
    return seen[0].axes[0]


def test_both_renderers_put_the_same_texts_in_the_same_places(monkeypatch):
    svg = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', SHOWN.svg())
    below = [t for t in drawn(SHOWN, monkeypatch).texts if t.get_position()[1] > 0]
    assert [t.get_text() for t in below] == [text.replace("&lt;", "<") for _, _, text in svg]
    assert [t.get_position() for t in below] == [(float(x), float(y)) for x, y, _ in svg]


def test_both_renderers_put_the_same_boxes_lines_and_marks_in_the_same_places(monkeypatch):
    svg, axes = SHOWN.svg(), drawn(SHOWN, monkeypatch)
    box, mark = axes.patches
    assert f'x="{box.get_x()}" y="{box.get_y()}" width="100" height="30"' in svg
    assert 'cx="90" cy="75" r="5"' in svg and (mark.center, mark.radius) == ((90, 75), 5)
    assert 'points="10,70 90,75"' in svg
    assert axes.lines[0].get_xydata().tolist() == [[10, 70], [90, 75]]


def test_a_pixel_is_a_pixel_in_both(monkeypatch):
    axes = drawn(SHOWN, monkeypatch)
    a, b = axes.transData.transform([(0, 0), (100, 50)])
    dpi = axes.figure.dpi / style.PIXELS_PER_INCH
    assert (b - a).tolist() == pytest.approx([100 * dpi, -50 * dpi])
    assert axes.texts[-1].get_fontsize() * dpi == 12 * dpi  # 16 px, as html.svg says


@pytest.mark.parametrize("shape", SHAPES)
def test_both_renderers_have_the_same_corners(shape, monkeypatch):
    one = Drawing(40, 40, (Mark(20, 20, shape, 10),), "A shape")
    corners = re.search(r'points="([^"]+)"', one.svg())[1].split()
    xy = drawn(one, monkeypatch).patches[0].get_xy()[:-1]
    assert [[float(v) for v in corner.split(",")] for corner in corners] == xy.tolist()


@pytest.mark.parametrize("role", style.ROLES)
def test_every_role_has_a_colour_on_a_page_and_in_a_picture(role, monkeypatch):
    one = Drawing(40, 40, (Box(0, 0, 9, 9, role),), "A colour")
    assert f'fill="{html.COLORS[role]}"' in one.svg()
    face = drawn(one, monkeypatch).patches[0].get_facecolor()
    assert matplotlib.colors.to_hex(face).upper() == style.ROLES[role]


def test_what_comes_later_lies_above_in_both(monkeypatch):
    marks = (Line(((0, 5), (9, 5))), Text(0, 5, "hidden"), Box(0, 0, 9, 9))
    axes = drawn(Drawing(40, 40, marks, "A pile"), monkeypatch)
    assert {a.get_zorder() for a in (*axes.texts, *axes.patches, *axes.lines)} == {1}
    assert [type(a).__name__ for a in axes._children][1:] == ["Line2D", "Text", "Rectangle"]


def test_a_shade_is_of_the_fill_alone(monkeypatch):
    one = Drawing(40, 40, (Box(0, 0, 9, 9, "error", "ink", 0.25),), "A shade")
    assert 'fill-opacity="0.25"' in one.svg()
    box = drawn(one, monkeypatch).patches[0]
    assert (box.get_facecolor()[3], box.get_edgecolor()[3]) == (0.25, 1)


def test_an_arrow_points_on_from_its_line_in_both(monkeypatch):
    one = Drawing(90, 90, (Line(((10, 10), (10, 50)), arrow=True),), "An arrow")
    head = [[10, 55], [15, 45], [5, 45]]
    assert 'points="10,55 15,45 5,45"' in one.svg()
    assert drawn(one, monkeypatch).patches[0].get_xy()[:3].tolist() == head


def test_a_long_title_is_broken_above_the_drawing(monkeypatch):
    axes = drawn(SHOWN, monkeypatch, "A title of many words " * 5)
    lines = [t.get_position()[1] for t in axes.texts if t.get_position()[1] < 0]
    assert len(lines) == 2 and axes.get_ylim()[1] < min(lines)


def test_drawings_go_on_below_where_a_line_is_full():
    two = drawing.flow([Drawing(400, 50, (Text(8, 8, str(i)),), str(i)) for i in range(2)])
    assert [(m.x, m.y) for m in two.marks] == [(8, 8), (8, 74)]
    assert (two.width, two.height, two.label) == (760, 116, "0; 1")


def test_a_scale_spans_its_pixels():
    line, log = Scale(-1, 1, 0, 100), Scale(1, 100, 80, 0, log=True)
    assert [line(v) for v in (-1, 0, 1)] == [0, 50, 100]
    assert [round(log(v), 9) for v in (1, 10, 100)] == [80, 40, 0]


def test_an_axis_has_its_numbers_where_its_scale_puts_them():
    scale = Scale(0, 4, 50, 250)
    texts = [m for m in drawing.across(scale, 90, drawing.ticks((0, 2, 4)), "n") if hasattr(m, "x")]
    assert [(m.text, m.x) for m in texts] == [("0", 50), ("2", 150), ("4", 250), ("n", 150)]


def test_a_figure_is_left_to_no_other_style():
    with matplotlib.rc_context({"font.size": 5, "font.family": "monospace"}):
        other = SHOWN.picture("Three words here", "A drawing in words")
    assert other.data == SHOWN.picture("Three words here", "A drawing in words").data
