"""Every notebook runs in JupyterLab, in Chromium, and its explorers show what quantlab computes.

Each notebook is run once: its tests share the run, and set the controls that they rely on. Where
these tests run, tests/notebooks leaves its own run out: what it asks of a run is asked here.
"""

import sys
from fractions import Fraction

import nbformat
import numpy as np
import pytest
from lab import NOTEBOOKS, REPOSITORY, of_notebook

import quantlab as ql

sys.path[:0] = [str(REPOSITORY / "tests" / "notebooks"), str(REPOSITORY / "tools")]

import anatomy  # noqa: E402
import run_notebooks  # noqa: E402

every_notebook = pytest.mark.parametrize(
    "notebook", NOTEBOOKS, ids=lambda path: path.stem, indirect=True, scope="session"
)


@every_notebook
def test_it_runs_without_an_error_or_a_warning(notebook):
    assert (notebook.errors(), notebook.stderr()) == ([], [])


@every_notebook
def test_rerun_gives_the_committed_outputs_byte_for_byte(notebook):
    assert run_notebooks.differences(notebook.committed, notebook.executed) == []


@every_notebook
def test_torch_is_loaded_where_a_cell_imports_it_and_nowhere_else(notebook):
    loaded = notebook.execute("import sys\nprint('torch' in sys.modules)")
    assert loaded == str(anatomy.has_torch(notebook.committed))


# ---------------------------------------------------------------- 00, the memory calculator

CALCULATOR = "How much memory do the weights take?"


@of_notebook("00")
@pytest.mark.parametrize(
    "model, billions, format, block, double",
    [
        ("BLOOM-176B (176.2 billion)", 176.247271424, "FP16", "none", False),
        ("Llama 2 7B (6.738 billion)", 6.738415616, "NF4", "64", True),
        ("GPT-2 (0.1244 billion)", 0.124439808, "int3", "128", False),
    ],
)
def test_the_calculator_shows_the_bytes(notebook, model, billions, format, block, double):
    for label, option in (("Model", model), ("Format", format), ("Block size", block)):
        notebook.choose(label, option)
    box = notebook.page.locator(".widget-checkbox", has_text="Double").locator("input")
    box.set_checked(double)
    notebook.settle()
    blocks = None if block == "none" else int(block)
    size = ql.memory.weight_bytes(billions * 1e9, format.lower(), blocks, double)
    assert f"{size:,.0f}" in notebook.render(CALCULATOR).inner_text()


@of_notebook("00")
def test_the_calculator_takes_a_size_that_is_typed(notebook):
    notebook.type("Billion weights", 3.5)
    notebook.choose("Format", "int8")
    notebook.choose("Block size", "none")
    notebook.settle()
    assert "3,500,000,000" in notebook.render(CALCULATOR).inner_text()


@of_notebook("00")
def test_the_calculator_counts_devices_with_room_kept_free(notebook):
    notebook.choose("Model", "BLOOM-176B (176.2 billion)")
    notebook.choose("Format", "FP16")
    notebook.choose("One device", "32 GB (the article's machine)")
    counts = {}
    for free in (0, 20):
        notebook.slide_to("Kept free", free)
        notebook.settle()
        counts[free] = ql.memory.devices_needed(2 * 176_247_271_424, 32e9, free / 100)
        assert f"{counts[free]} devices of 32 GB" in notebook.render(CALCULATOR).inner_text()
    assert counts == {0: 12, 20: 14}


# ---------------------------------------------------------------- 01, repeated division

DIVISION = "Repeated division, step by step"


@of_notebook("01")
def test_next_halves_once_more(notebook):
    notebook.press("First")
    shown = []
    for step, (number, quotient, bit) in enumerate(ql.binary.halve(2023)[:3], 1):
        notebook.press("Next")
        notebook.settle()
        shown += [str(step), f"{number} ÷ 2", f"= {quotient}", "remainder", str(bit)]
        assert notebook.render(DIVISION).locator("svg text").all_text_contents() == shown


@of_notebook("01")
@pytest.mark.parametrize("number", [5, 65535, 2023])
def test_a_typed_number_is_halved_to_its_digits(notebook, number):
    notebook.type("number", number)
    notebook.settle()
    notebook.slide_to("step", len(ql.binary.halve(number)))
    notebook.settle()
    digits = ql.binary.to_bits(number, number.bit_length(), signed=False)
    assert f"{number} is {digits}." in notebook.render(DIVISION).inner_text()


# ---------------------------------------------------------------- 02, repeated doubling

DOUBLING = "Repeated doubling, step by step"


@of_notebook("02")
@pytest.mark.parametrize("steps", [1, 7, 24])
def test_each_step_doubles_once_more(notebook, steps):
    notebook.slide_to("step", steps)
    notebook.settle()
    bits = [bit for _, _, bit in ql.binary.double(0.23, steps)]
    worth = sum(Fraction(bit, 2**place) for place, bit in enumerate(bits, 1))
    shown = notebook.render(DOUBLING).inner_text()
    assert f"So far {float(worth):.10g}; " in shown and shown.count("× 2") == steps


@of_notebook("02")
def test_a_fraction_of_powers_of_two_comes_to_an_end(notebook):
    notebook.type("fraction", 0.625)
    notebook.slide_to("step", 24)
    notebook.settle()
    assert notebook.render(DOUBLING).inner_text().count("× 2") == 3
    notebook.type("fraction", 0.23)


# ---------------------------------------------------------------- 04, the article's product

PRODUCT = "The article's product at any width, scale and method"


@of_notebook("04")
@pytest.mark.parametrize("method", ["absmax", "zero-point"])
@pytest.mark.parametrize(
    "scales, x_axis, w_axis",
    [("one scale for all", None, None), ("per row of X, per column of W", 1, 0)],
)
@pytest.mark.parametrize("bits", [8, 3])
def test_the_product_is_quantlabs(notebook, bits, scales, x_axis, w_axis, method):
    notebook.slide_to("bits", bits)
    notebook.choose("scales", scales)
    notebook.press(method)
    notebook.settle()
    quantize = {"absmax": ql.quantize_absmax, "zero-point": ql.quantize_zero_point}[method]
    x = quantize(ql.article.X, bits=bits, axis=x_axis)
    w = quantize(ql.article.W, bits=bits, axis=w_axis)
    pictures = notebook.render(PRODUCT).locator("svg")
    assert numbers(pictures.nth(0)) == [*x.codes.flat]
    assert numbers(pictures.nth(2)) == [*np.round(ql.quantized_matmul(x, w), 2).flat]


def numbers(picture):
    """The cells of a matrix on the page, row by row; its name stands first."""
    _, *cells = picture.locator("text").all_text_contents()
    return [float(text.replace("−", "-")) for text in cells]


# ---------------------------------------------------------------- every control of every notebook

_CONTROLS = ".jp-OutputArea :is(.noUi-handle, .widget-dropdown select, button.jupyter-button)"


def use(control):
    """Slide right and back, go through a menu, press a button: what a reader tries first."""
    kind = control.evaluate("(node) => node.tagName")
    if kind == "SELECT":
        for option in control.locator("option").all_inner_texts():
            control.select_option(option)
    elif kind == "BUTTON":
        control.click()
    else:
        control.press("ArrowRight")
        control.press("ArrowLeft")


@every_notebook
def test_every_control_answers_without_an_error(notebook):
    for control in notebook.page.locator(_CONTROLS).all():
        if control.is_visible() and control.is_enabled():
            use(control)
    notebook.settle()
    alerts = notebook.page.locator('.jp-OutputArea [role="alert"]').all_inner_texts()
    assert (alerts, notebook.errors(), notebook.stderr()) == ([], [], [])


# ---------------------------------------------------------------- last: it redefines names


@every_notebook
def test_every_solution_passes_its_check(notebook):
    solutions = anatomy.solution_cells(notebook.committed)
    states = {id: said(notebook.execute(source)) for id, source in solutions.items()}
    ids = [id for id, _, _ in anatomy.checks(notebook.committed)]
    assert states == dict.fromkeys(ids, "right")


def said(text):
    """What a solution's cell came to, from what it printed."""
    printed = nbformat.v4.new_output("stream", name="stdout", text=text)
    return anatomy.said(nbformat.v4.new_code_cell(outputs=[printed]))
