"""Labels beside the points of a figure: none covers another label, a point, or leaves the axes."""

from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from quantlab.show import style

GAP = 4  # px between a label and anything else
RADIUS = 7  # px that the mark of a point takes
#: Where a label may stand: px from its point, nearest first; each in sixteen directions.
DISTANCES = (13, 20, 28, 38, 50, 64, 80, 98, 118, 140)
DIRECTIONS = np.radians([0, 180, 45, 315, 135, 225, 90, 270, 22, 338, 158, 202, 68, 292, 112, 248])

#: White behind a label hides the grid; marks and curves, drawn later, stay whole.
LOOK = {
    "fontsize": style.SMALLEST_TEXT,
    "bbox": {"fc": "white", "ec": "none", "pad": 0},
    "zorder": 1.5,
}


def place(axes, points, names, others=(), lines=()):
    """Write each of `names` beside its point, with a thin line to it where it stands apart.

    Call it last: the layout of the figure is fixed here. points: (x, y) in the units of the axes.
    others: further points that no label may cover. lines: corners of curves that labels avoid
    where they can. Returns the texts. Raises ValueError for a label that finds no room.
    """
    fig = axes.figure
    FigureCanvasAgg(fig).draw()
    fig.set_layout_engine("none")
    spots, dots = (_pixels(axes, of) for of in (points, [*points, *others]))
    curve = np.concatenate([np.empty((0, 2)), *(_along(_pixels(axes, of)) for of in lines)])
    inside = axes.get_window_extent()
    whole = fig.bbox.size
    texts, taken, leaders = [], [], []
    for spot, name in _crowded_first(spots, names, dots):
        text = axes.annotate(name, (0, 0), xycoords="figure fraction", va="bottom", **LOOK)
        size = text.get_window_extent()
        box = _best(spot, size.width, size.height, dots, curve, taken, leaders, inside)
        if box is None:
            raise ValueError(f"no room for the label {name!r}: fewer labels or a larger figure")
        text.set_position(box[:2] / whole)
        end = np.clip(spot, box[:2], box[2:])
        if np.linalg.norm(end - spot) > DISTANCES[1]:
            _leader(axes, spot / whole, end / whole)
            leaders.append((spot, end))
        taken.append(box)
        texts.append(text)
    return texts


def _pixels(axes, points):
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    return axes.transData.transform(points)


def _along(corners, every=5.0):
    """Return points every few pixels along a line of straight pieces."""
    pieces = []
    for start, end in pairwise(corners):
        count = max(2, int(np.linalg.norm(end - start) / every))
        pieces.append(np.linspace(start, end, count))
    return np.concatenate(pieces)


def _crowded_first(spots, names, dots):
    """Order the labels by how near the other points are: who has little room chooses first."""
    nearest = [np.sort(np.linalg.norm(dots - spot, axis=1))[1:4].sum() for spot in spots]
    return [(spots[i], names[i]) for i in np.argsort(nearest, kind="stable")]


def _best(spot, width, height, dots, curve, taken, leaders, inside):
    best, least = None, np.inf
    for distance in DISTANCES:
        for angle in DIRECTIONS:
            box = _beside(spot, width, height, distance, angle)
            end = np.clip(spot, box[:2], box[2:])
            if not _free(box, spot, end, dots, taken, leaders, inside):
                continue
            crossed = _inside(curve, box, GAP).sum()
            cost = distance + 12 * crossed + 8 * _nearer(dots, spot, box)
            if cost < least:
                best, least = box, cost
    return best


def _beside(spot, width, height, distance, angle):
    """Return the box (left, low, right, high) of a label whose near side is `distance` away."""
    x, y = spot + distance * np.array([np.cos(angle), np.sin(angle)])
    left = x - width * (1 - np.cos(angle)) / 2
    low = y - height * (1 - np.sin(angle)) / 2
    return np.array([left, low, left + width, low + height])


def _free(box, spot, end, dots, taken, leaders, inside):
    frame = (inside.x0 + GAP, inside.y0 + GAP, inside.x1 - GAP, inside.y1 - GAP)
    if (box[:2] < frame[:2]).any() or (box[2:] > frame[2:]).any():
        return False
    if _inside(dots, box, RADIUS + 1).any() or any(_overlap(box, other) for other in taken):
        return False
    if any(_inside(_along(np.array(leader)), box, 2).any() for leader in leaders):
        return False
    path = _along(np.array([spot, end]))
    if any(_inside(path, other, 1).any() for other in taken):
        return False
    beyond = path[np.linalg.norm(path - spot, axis=1) > RADIUS]
    dots = dots[_others(dots, spot)]
    return not (np.linalg.norm(beyond[:, None] - dots[None], axis=2) < RADIUS - 1).any()


def _inside(points, box, margin):
    low, high = box[:2] - margin, box[2:] + margin
    return ((points > low) & (points < high)).all(axis=1)


def _overlap(a, b):
    return bool((a[:2] < b[2:] + GAP).all() and (b[:2] < a[2:] + GAP).all())


def _nearer(dots, spot, box):
    """Return how many pixels the label is nearer to some other point than to its own."""
    apart = np.linalg.norm(dots - np.clip(dots, box[:2], box[2:]), axis=1)
    own = np.linalg.norm(spot - np.clip(spot, box[:2], box[2:]))
    return max(0.0, own + GAP - apart[_others(dots, spot)].min(initial=np.inf))


def _others(dots, spot):
    return np.linalg.norm(dots - spot, axis=1) > 1


def _leader(axes, spot, end):
    look = {"arrowstyle": "-", "color": style.QUIET, "lw": 1, "shrinkA": RADIUS * 0.75}
    where = {"xycoords": "figure fraction", "textcoords": "figure fraction"}
    axes.annotate("", end, spot, arrowprops={**look, "shrinkB": 0}, **where)
