"""Notebook 15's film in JupyterLab: stored runs, step by step, and no bar below on a phone."""

import pytest

from quantlab.experiments.training_runs import Run, stored

CELL = "from quantlab import show\nshow.training.explore_training()"


@pytest.fixture
def film(lab):
    """Return a function that opens the explorer in a window so wide."""
    opened = []

    def of_width(width):
        one = lab(viewport={"width": width, "height": 1600})
        one.write(CELL)
        one.run_all()
        one.page.locator(".ql-explorer svg").nth(2).wait_for()
        opened.append(one)
        return one

    yield of_width
    assert all(one.errors() == [] and one.stderr() == [] for one in opened)


def said(lab):
    """The line of numbers, once the kernel has answered."""
    lab.execute("0")
    lab.page.wait_for_timeout(150)
    return " ".join(lab.page.locator(".ql-explorer [data-said]").inner_text().split())


def numbers(run, place):
    mark = stored()[1][run].marks[place]
    return f"steps {mark.step} of 300 divergence {mark.divergence:.3f}"


def test_its_controls_show_other_runs_and_the_arrow_keys_go_back_in_steps(film):
    lab = film(1280)
    assert said(lab).startswith(numbers(Run("2 bits", 1e-3), -1))
    lab.press("ternary")
    assert said(lab).startswith(numbers(Run("ternary", 1e-3), -1))
    lab.move_slider("steps", -6)
    assert said(lab).startswith(numbers(Run("ternary", 1e-3), 0))
    face = lab.page.locator(".ql-explorer")
    assert "After 0 steps it writes" in face.inner_text()


def test_nothing_moves_from_step_to_step_nor_is_wider_than_a_phone(film):
    lab = film(390)
    said(lab)
    face = lab.page.locator(".ql-explorer .widget-html-content").last
    heights = set()
    for _ in range(7):
        room = face.evaluate("node => [node.scrollWidth - node.clientWidth, node.clientHeight]")
        assert room[0] <= 0
        heights.add(room[1])
        lab.move_slider("steps", -1)
        said(lab)
    assert len(heights) == 1
