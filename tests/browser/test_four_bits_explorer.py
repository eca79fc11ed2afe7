"""The explorer of notebook 08 in JupyterLab, moved as a person would, shows quantlab's numbers."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.four_bits import INT4

CELL = """
import numpy as np
from quantlab import show

weights = np.random.default_rng(8).normal(size=16384).astype(np.float32)
show.codebooks_figures.explorer(weights)
"""
WEIGHTS = np.random.default_rng(8).normal(size=16384).astype(np.float32)
PLACE = WEIGHTS.size // 2


@pytest.fixture
def face(lab):
    one = lab(viewport={"width": 1280, "height": 1600})
    one.write(CELL)
    one.run_all()
    one.page.locator(".ql-handle").wait_for()
    return Face(one)


class Face:
    """The explorer by what a person sees and touches."""

    def __init__(self, lab):
        self.lab, self.page, self.heights = lab, lab.page, set()

    def wait(self):
        """Wait until the kernel has answered all moves and the page shows it."""
        self.lab.execute("0")
        self.page.wait_for_timeout(150)

    def numbers(self):
        """The numbers of the table in order."""
        self.heights.add(self.page.locator(".jp-OutputArea").first.bounding_box()["height"])
        cells = self.page.locator(".jp-OutputArea table td:nth-child(2)").all_inner_texts()
        return [float(text.strip("\N{FIGURE SPACE}\n ")) for text in cells]

    def drag(self, typical):
        """Take the large dot and move it to the right by so many typical weights."""
        handle = self.page.locator(".ql-handle")
        box, unit = handle.bounding_box(), float(handle.get_attribute("data-unit"))
        frame = handle.locator("xpath=ancestor::*[local-name()='svg']").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + typical * unit * frame["width"] / 740, y + 30, steps=12)
        self.page.mouse.up()
        self.wait()

    def choose(self, codebook):
        self.page.locator(".widget-toggle-buttons button", has_text=codebook).click()

    @property
    def outlier(self):
        slider = self.page.locator(".widget-slider", has_text="the dragged weight")
        return float(slider.locator(".widget-readout").inner_text())


def expected(outlier, table=ql.NF4, block_size=64, double_quant=False):
    """What the table should show, from quantlab alone, to four digits."""
    x = WEIGHTS.copy()
    typical = float(x.std())
    x[PLACE] = outlier * typical
    q = ql.quantize_blockwise(x, table, block_size, double_quant)
    back, others = q.dequantize(), np.arange(x.size) != PLACE
    mine = others & (np.arange(x.size) // block_size == PLACE // block_size)
    absmax = q.absmax[PLACE // block_size] / typical
    error, near = (ql.errors.relative(back[some], x[some]) for some in (others, mine))
    lost = np.mean(back[mine] == 0)
    return [float(f"{v:.4g}") for v in (q.bits_per_value, 100 * error, absmax, 100 * near,
                                        100 * lost)]  # fmt: skip


def test_it_is_moved_by_dragging_and_by_its_controls_and_shows_quantlabs_numbers(face):
    assert face.numbers() == expected(6.0)

    face.drag(-3)
    assert face.outlier == pytest.approx(3.0, abs=0.1)
    assert face.numbers() == expected(face.outlier)

    face.drag(30)  # beyond the end: it stops there
    assert face.outlier == 12.0
    assert face.numbers() == expected(12.0)

    face.lab.move_slider("the dragged weight", -5)
    face.wait()
    assert face.outlier == pytest.approx(11.5)
    face.lab.move_slider("block size", 2)
    face.page.get_by_text("double quantization", exact=True).first.click()
    face.choose("FP4")
    face.wait()
    assert face.numbers() == expected(11.5, ql.FP4, 256, True)

    face.drag(0)  # the pointer rests on the dot: nothing moves
    assert face.outlier == pytest.approx(11.5)

    face.choose("int4")
    face.wait()
    assert face.numbers() == expected(11.5, INT4, 256, True)
    assert len(face.heights) == 1  # the page below never jumped
    assert face.lab.errors() == [] and face.lab.stderr() == []
