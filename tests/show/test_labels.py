"""Labels beside points: none covers another, a point or the edge of the axes."""

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from quantlab.show import labels, style


def figure_with(points, names, width=720, height=400, others=(), lines=()):
    with matplotlib.rc_context(style.RC):
        fig, axes = style.figure(width, height)
        axes.plot(*zip(*[*points, *others], strict=True), "o", ms=8)
        axes.margins(0.3)
        texts = labels.place(axes, points, names, others, lines)
        FigureCanvasAgg(fig).draw()
    return axes, texts


def boxes(texts):
    return [text.get_window_extent().extents for text in texts]


CROWD = [(float(x), float(y)) for x, y in np.random.default_rng(7).normal(size=(14, 2))]
NAMES = [f"a label, {i}" for i in range(len(CROWD))]


def test_every_point_gets_its_label():
    _, texts = figure_with(CROWD, NAMES)
    assert sorted(text.get_text() for text in texts) == sorted(NAMES)


def test_no_label_covers_another():
    _, texts = figure_with(CROWD, NAMES)
    for i, a in enumerate(boxes(texts)):
        for b in boxes(texts)[:i]:
            assert not ((a[:2] < b[2:]).all() and (b[:2] < a[2:]).all())


def test_no_label_covers_a_point_named_or_not():
    others = [(0.4, 0.1), (-0.3, -0.6)]
    axes, texts = figure_with(CROWD[:8], NAMES[:8], others=others)
    for dot in axes.transData.transform([*CROWD[:8], *others]):
        for box in boxes(texts):
            assert not ((dot > box[:2]).all() and (dot < box[2:]).all())


def test_every_label_stays_inside_the_axes():
    axes, texts = figure_with(CROWD, NAMES)
    frame = axes.get_window_extent().extents
    for box in boxes(texts):
        assert (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()


def test_a_lonely_label_stands_beside_its_point_without_a_leader():
    axes, texts = figure_with([(0.0, 0.0)], ["alone"])
    (box,) = boxes(texts)
    dot = axes.transData.transform((0.0, 0.0))
    gap = np.linalg.norm(dot - np.clip(dot, box[:2], box[2:]))
    assert gap <= labels.DISTANCES[0] + 1
    assert len(axes.texts) == 1


def test_a_label_avoids_a_curve_where_it_can():
    line = [(0.0, 0.0), (1.0, 0.0)]  # runs where the label would stand first
    axes, (text,) = figure_with([(0.0, 0.0)], ["beside"], others=[(1.0, 1.0)], lines=[line])
    low, high = text.get_window_extent().extents[[1, 3]]
    level = axes.transData.transform((0.5, 0.0))[1]
    left = text.get_window_extent().x1 < axes.transData.transform((0.0, 0.0))[0]
    assert left or not low < level < high


def test_a_label_without_room_is_named():
    with pytest.raises(ValueError, match="no room for the label 'a very long label"):
        figure_with([(0.0, 0.0)], ["a very long label that is wider than the axes"], width=240)
