"""What answers a prediction in JupyterLab: closed when a notebook opens, and how it opens."""

import pytest


@pytest.fixture
def course(lab):
    """Notebook 00, opened and not run: its cells' outputs are the stored ones."""
    one = lab(viewport={"width": 1280, "height": 20_000})
    one.open("00_why_quantize.ipynb")
    one.page.locator(".jp-OutputPlaceholder").first.wait_for()
    return one


def closed(course):
    """The ids of the code cells whose outputs are hidden now."""
    return course.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
          .filter((cell) => cell.outputHidden).map((cell) => cell.model.id)"""
    )


def folded(course):
    """The ids of the code cells that the file folds."""
    return [c.id for c in course.content().cells if c.metadata.get("collapsed")]


def output(course, id):
    """The output area of a cell, as it is on the page."""
    place = course.page.evaluate(
        """(id) => window.jupyterapp.shell.currentWidget.content.widgets
          .findIndex((cell) => cell.model.id === id)""",
        id,
    )
    return course.page.locator(f'.jp-Notebook [data-windowed-list-index="{place}"]')


def test_answers_are_closed_and_one_click_opens_one(course):
    ids = folded(course)
    assert len(ids) >= 3 and closed(course) == ids
    cell = output(course, ids[0])
    assert not cell.locator(".jp-OutputArea-output").filter(visible=True).count()
    assert cell.locator(".jp-OutputPlaceholder").inner_text().strip() == ""  # no first line of it
    cell.locator(".jp-OutputPlaceholder").click()
    assert cell.locator(".jp-OutputArea-output").first.is_visible()
    assert closed(course) == ids[1:]


def test_view_expand_all_outputs_opens_all(course):
    course.page.get_by_role("menuitem", name="View", exact=True).click()
    course.page.get_by_role("menuitem", name="Expand All Outputs").click()
    assert closed(course) == []


def test_running_a_cell_opens_its_output(course):
    ids = folded(course)
    course.run_all()
    assert closed(course) == []
    assert course.errors() == []
    assert output(course, ids[0]).locator(".jp-OutputArea-output").first.is_visible()
