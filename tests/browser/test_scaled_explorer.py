"""The explorer of notebook 13 in JupyterLab, moved as a person would, shows quantlab's numbers."""

import numpy as np
import pytest

from quantlab.experiments.shared_scales import explore
from quantlab.show import scaled_figures as figures

CELL = """
import numpy as np
from quantlab import show

weights = np.random.default_rng(13).normal(size=16384).astype(np.float32)
show.scaled_figures.explorer(weights)
"""
WEIGHTS = np.random.default_rng(13).normal(size=16384).astype(np.float32)


@pytest.fixture
def one(lab):
    one = lab(viewport={"width": 1280, "height": 1600})
    one.write(CELL)
    one.run_all()
    one.page.locator(".ql-handle").wait_for()
    return one


def wait(one):
    """Wait until the kernel has answered all moves and the page shows it."""
    one.execute("0")
    one.page.wait_for_timeout(150)


def shown(one):
    """The texts of the table in order."""
    return one.page.locator(".jp-OutputArea table td:nth-child(2)").all_inner_texts()


def expected(*settings):
    return [text for _, text in figures.facts(explore(WEIGHTS, *settings))]


def test_it_is_moved_by_dragging_and_by_its_controls_and_shows_quantlabs_numbers(one):
    assert shown(one) == expected("FP4", 32, "E8M0", "floor", 4.0)

    handle = one.page.locator(".ql-handle")
    box, unit = handle.bounding_box(), float(handle.get_attribute("data-unit"))
    frame = handle.locator("xpath=ancestor::*[local-name()='svg']").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    one.page.mouse.move(x, y)
    one.page.mouse.down()
    one.page.mouse.move(x + 3 * unit * frame["width"] / figures.WIDTH, y + 30, steps=12)
    one.page.mouse.up()
    wait(one)
    slider = one.page.locator(".widget-slider", has_text="the dragged weight")
    largest = float(slider.locator(".widget-readout").inner_text())
    assert largest == pytest.approx(7.0, abs=0.1)
    assert shown(one) == expected("FP4", 32, "E8M0", "floor", largest)

    one.page.locator(".widget-toggle-buttons button", has_text="FP6").click()
    one.page.locator(".widget-dropdown select").select_option("E4M3, amax")
    one.move_slider("block size", -1)
    wait(one)
    assert shown(one) == expected("FP6", 16, "E4M3", "amax", largest)
    assert one.errors() == [] and one.stderr() == []
