"""Notebook 12's explorers in JupyterLab: dragged and moved, they show the experiments' numbers."""

import pytest

from quantlab.experiments.lattice import FIRST, lattice
from quantlab.experiments.turning import HADAMARD, RANDOM, explore

CELLS = (
    "from quantlab import show\nshow.turning_figures.explorer()",
    "show.lattice_figures.explorer()",
)


@pytest.fixture
def faces(lab):
    one = lab(viewport={"width": 1280, "height": 2400})
    one.write(*CELLS)
    one.run_all()
    one.page.locator(".ql-handle").nth(1).wait_for()
    yield [Face(one, place) for place in (0, 1)]
    assert one.errors() == [] and one.stderr() == []


class Face:
    """One of the explorers by what a person sees and touches."""

    def __init__(self, lab, place):
        self.lab, self.page = lab, lab.page
        self.box = lab.page.locator(".ql-explorer").nth(place)

    def numbers(self):
        """The cells of the table, row by row, as they are written; the answer of all moves."""
        self.lab.execute("0")
        self.page.wait_for_timeout(150)
        rows = self.box.locator("tbody tr").all()
        return [row.locator("td").all_inner_texts() for row in rows]

    def drag(self, by):
        """Take the handle and move it to the right by so many of its units."""
        handle = self.box.locator(".ql-handle")
        box, unit = handle.bounding_box(), float(handle.get_attribute("data-unit"))
        svg = handle.locator("xpath=ancestor::*[local-name()='svg']")
        scale = svg.bounding_box()["width"] / 740
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by * unit * scale, y + 20, steps=8)
        self.page.mouse.up()


def sides(*settings):
    found = explore(*settings)
    rows = ((s.largest, s.step, 100 * s.lost, s.kurtosis, 100 * s.error) for s in
            (found.before, found.after))  # fmt: skip
    return [[f"{a:.2f}", f"{b:.2f}"] for a, b in zip(*rows, strict=True)]


def choices(*settings):
    found = lattice(*settings)
    rows = []
    for choice in (found.rounded, found.gptq, found.best):
        codes = [str(code).replace("-", "−") for code in choice.codes]
        reach = "–" if choice is found.best else f"{choice.reach:.2f}"
        rows.append([*codes, f"{choice.error:.2f}", reach])
    return rows


def test_the_token_follows_the_dragged_outlier_and_the_controls(faces):
    token, _ = faces
    assert token.numbers() == sides(20, 1.0, HADAMARD, 4)
    token.drag(-8)
    assert token.numbers() == sides(12, 1.0, HADAMARD, 4)
    token.drag(100)  # beyond the end: it stops there
    token.lab.move_slider("how far turned", -5)
    token.lab.choose("which turn", RANDOM)
    assert token.numbers() == sides(30, 0.5, RANDOM, 4)


def test_the_lattice_follows_the_dragged_arrow_and_the_controls(faces):
    _, points = faces
    assert points.numbers() == choices(0.8, (0.4, 0.4))
    points.drag(-1.2)
    assert points.numbers() == choices(-0.4, (0.4, 0.4))
    points.lab.move_slider("weight 2", 2)
    points.lab.press("weight 2")
    assert points.numbers() == choices(-0.4, (0.4, 0.8), FIRST[1])
