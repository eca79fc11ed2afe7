"""Every explorer in JupyterLab by keyboard and by screen reader."""

import pytest
from lab import Lab, _window
from published import faults, npm

from quantlab.show import registry

# What a reader may press: in the notebook these delete, insert, change, restart, move, edit.
KEYS = ["x", "d", "d", "a", "b", "v", "m", "0", "0", "1", "Shift+M", "ArrowDown", "ArrowUp",
        "ArrowLeft", "ArrowRight", "Enter"]  # fmt: skip
BY_ITSELF = [name for name, make in registry.explorers().items() if callable(make)]
SHOW = "from quantlab.show import registry\n\nregistry.explorers()[{!r}]()"
# The kinds of controls of the explorers whose notebooks have to be run; the last is slow.
KINDS = """
import time
import ipywidgets as widgets
from quantlab.show.explorer import Explorer, control

def answer(slow, **settings):
    time.sleep(2 * slow)
    return f"<p data-said>{slow} {settings}</p>"

Explorer({
    "menu": control(widgets.Dropdown, "a menu", options=["one", "two"]),
    "buttons": control(widgets.ToggleButtons, "buttons", options=["one", "two"]),
    "choice": control(widgets.SelectionSlider, "a choice", options=["one", "two"]),
    "number": control(widgets.FloatSlider, "a number", min=0, max=1),
    "slow": widgets.Checkbox(description="slow"),
}, answer, "Every kind")
"""
REACHED = "button, select, input, [tabindex='0'], .noUi-handle"
STATE = """() => {
  const {model, activeCellIndex} = window.jupyterapp.shell.currentWidget.content;
  const cells = [...model.cells].map((cell) => [cell.id, cell.type, cell.sharedModel.source]);
  return [cells, activeCellIndex, document.querySelectorAll(".jp-Dialog").length];
}"""
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
BEFORE = "(node) => getComputedStyle(node, '::before').content"


@pytest.fixture(scope="module")
def explorers(jupyter, chromium):
    """A notebook with one explorer in each cell, run once for all tests here."""
    one = Lab(_window(chromium, "explorers").get({"width": 1280, "height": 9000}), *jupyter)
    one.write(*(SHOW.format(name) for name in BY_ITSELF), KINDS)
    one.run_all()
    one.page.locator(".ql-explorer, .ql-bits").nth(len(BY_ITSELF)).wait_for()
    one.settle()
    yield one
    one.shut_down()


def place(explorers, title):
    """The explorer with this title."""
    return explorers.page.locator(".ql-explorer", has_text=title)


def said(place, words):
    """Wait until an explorer has read out these words; an error if it doesn't."""
    place.locator(".ql-said[aria-live=polite]", has_text=words).wait_for(state="attached")


@pytest.mark.skipif(not npm.can_run(), reason=npm.HOW_TO_GET_THEM)
def test_axe_finds_no_fault_in_any_explorer(explorers):
    assert faults(explorers.page, {"include": [[".jp-OutputArea"]]}) == []


def test_nothing_is_read_out_before_something_changes(explorers):
    assert set(explorers.page.locator(".ql-said").all_text_contents()) == {""}


def test_a_new_result_is_read_out_politely_in_one_sentence(explorers):
    stepper = place(explorers, "GPTQ, row by row")
    stepper.get_by_role("button", name="Next").click()
    said(stepper, "Step 2 of 6: row 2 is rounded. Layer error so far: GPTQ 0.001626")
    calculator = place(explorers, "How much memory")
    calculator.get_by_label("Format").select_option("FP16")
    said(calculator, "176.2 billion weights in FP16 take 352 GB: 12 devices of 32 GB.")


def test_the_icons_of_play_have_names_and_the_slider_counts_from_1(explorers):
    stepper = place(explorers, "GPTQ, row by row")
    for name in ("Play", "Stop", "Loop"):
        assert stepper.get_by_role("button", name=name, exact=True).count() == 1
    stepper.get_by_role("button", name="First").click()
    explorers.settle()
    assert stepper.get_by_role("slider", name="step").get_attribute("aria-valuetext") == "1"


def test_what_is_being_computed_anew_is_dimmed_until_it_is_there(explorers):
    kinds = place(explorers, "Every kind")
    kinds.get_by_label("slow").check()
    kinds.locator(".ql-busy").wait_for()
    said(kinds, "True {")
    assert kinds.locator(".ql-busy").count() == 0
    kinds.get_by_label("slow").uncheck()


def test_no_key_on_any_control_of_any_explorer_changes_the_notebook(explorers):
    page, tried = explorers.page, 0
    for control in page.locator(f":is(.ql-explorer, .ql-bits) :is({REACHED})").all():
        if control.is_visible() and control.is_enabled():
            control.focus()
            before = page.evaluate(STATE)
            for key in KEYS:
                page.keyboard.press(key)
            assert page.evaluate(STATE) == before, control.evaluate("(node) => node.outerHTML")
            tried += 1
    assert tried > 10 * len(BY_ITSELF)


def test_ctrl_s_saves_the_notebook_from_within_an_explorer(explorers):
    place(explorers, "Every kind").get_by_label("a menu").focus()
    explorers.page.keyboard.press("Control+s")
    explorers.page.wait_for_function(
        "() => !window.jupyterapp.shell.currentWidget.context.model.dirty"
    )


def test_after_a_restart_of_the_kernel_it_says_to_run_the_cell_again(explorers):
    page = explorers.page
    page.evaluate(RESTART)
    boxes = page.locator(".ql-explorer, :has(> .ql-bits)")
    assert boxes.count() == len(BY_ITSELF) + 1
    gone = page.locator(":is(.ql-explorer, :has(> .ql-bits)).jupyter-widgets-disconnected")
    gone.nth(boxes.count() - 1).wait_for()
    shown = boxes.evaluate_all(f"(all) => all.map({BEFORE})")
    assert set(shown) == {'"The kernel was started anew: run this cell again."'}
    explorers.execute("0")  # JupyterLab has done with the new kernel
