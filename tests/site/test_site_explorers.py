"""Explorers without Python: every setting that a page can show gives what Python gives."""

import base64
import itertools
import json

import compare_outputs
import ipywidgets as widgets
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output
from web import explorers, notebooks
from web.notebooks import Notebook

from quantlab import show
from quantlab.show import gptq_stepper, memory_figures, registry


def look_up(data, *positions):
    """What the page shows with its controls at these positions, as explorers.js finds it."""
    node = data["tree"]
    for position in positions:
        assert position < len(data["labels"][node[0]])
        node = node[position + 1]
    return "".join(data["pieces"][place] for place in data["faces"][node])


def walk():
    return gptq_stepper.explorer()


def test_every_setting_looks_as_in_python():
    data, made = explorers.record(walk()), walk()
    names = [control["name"] for control in data["controls"]]
    options = [explorers.choices(made.controls[name]) for name in names]
    shown = 0
    for positions in itertools.product(*(range(len(values)) for values in options)):
        settings = {n: v[p][1] for n, v, p in zip(names, options, positions, strict=True)}
        made.set(**settings)
        if made.settings == settings:  # of some examples there are fewer rows
            assert look_up(data, *positions) == made.html.value
            shown += 1
    assert shown == len(data["faces"]) > 50


def test_it_starts_as_the_notebook_does():
    data = explorers.record(walk())
    starts = [control["start"] for control in data["controls"]]
    assert look_up(data, *starts) == walk().html.value


def test_one_control_can_set_the_range_of_another():
    lists = {"of": widgets.IntSlider(2, 2, 3), "step": show.Stepper(2)}
    more = show.Explorer(lists, lambda of, step: f"{step} of {of}")
    lists["of"].observe(lambda c: setattr(lists["step"].slider, "max", c["new"] - 1), "value")
    data = explorers.record(more)
    assert [len(branch) - 1 for branch in data["tree"][1:]] == [2, 3]


def test_what_can_be_typed_is_computed_in_the_page():
    [found] = [explorers.content(memory_figures.calculator())]
    size, *_ = found["controls"]
    assert (found["kind"], found["twin"], size["kind"]) == ("computed", "calculator", "entry")
    assert ("GLM-5 (744 billion)", "744") in size["picks"]
    assert found["rules"]["billions"]["below"] == "1000000"


def test_a_control_beyond_the_limit_stays_and_is_named(monkeypatch):
    menus = {n: widgets.Dropdown(options=range(7), description=n) for n in "abc"}
    menus["c"].value = 3
    monkeypatch.setattr(explorers, "MOST", 49 * len("xyz"))
    data = explorers.record(show.Explorer(menus, lambda a, b, c: f"{a}{b}{c}"))
    assert data["fixed"] == ["c"]
    assert look_up(data, 6, 1) == "613"


def test_a_long_slider_takes_larger_steps_and_keeps_its_start(monkeypatch):
    sliders = {
        "long": widgets.FloatSlider(value=0.3, min=0, max=2, step=0.1, description="long"),
        "short": widgets.IntSlider(min=1, max=3),
    }
    monkeypatch.setattr(explorers, "MANY", 40 * len("0.3 1"))
    data = explorers.record(show.Explorer(sliders, lambda long, short: f"{long:g} {short}"))
    assert data["labels"][data["tree"][0]] == tuple(f"{0.1 + 0.2 * n:g}" for n in range(10))
    assert [control["start"] for control in data["controls"]] == [1, 0]
    assert look_up(data, 1, 2) == "0.3 3"
    assert (data["fixed"], data["thinned"]) == ([], ["long"])


def test_a_kind_of_control_that_is_not_known_stops_the_making():
    controls = {"text": widgets.Text("x", description="words"), "on": widgets.Checkbox()}
    with pytest.raises(TypeError, match=r"count the positions of 'words', .*Text"):
        explorers.record(show.Explorer(controls, lambda text, on: f"{text}{on}"))


KINDS = [
    (widgets.IntSlider(min=2, max=8, step=2), ["2", "4", "6", "8"]),
    (widgets.FloatSlider(min=0, max=1, step=0.25), ["0", "0.25", "0.5", "0.75", "1"]),
    (widgets.FloatLogSlider(min=-1, max=1, step=1), ["0.1", "1", "10"]),
    (widgets.Dropdown(options=[("small", 1), ("large", 9)]), ["small", "large"]),
    (widgets.SelectionSlider(options=["a", "b"]), ["a", "b"]),
    (widgets.Checkbox(), ["off", "on"]),
    (show.Stepper(3), ["0", "1", "2"]),
]


@pytest.mark.parametrize(("control", "labels"), KINDS, ids=lambda x: type(x).__name__)
def test_the_positions_of_each_kind_of_control(control, labels):
    assert [label for label, _ in explorers.choices(control)] == labels


def notebook(*sources):
    made = [new_code_cell(source, id=f"c{place}") for place, source in enumerate(sources)]
    data = {"text/plain": "Explorer: x (run this notebook to move its controls)"}
    made[1].outputs = [new_output("display_data", data=data)]
    return Notebook("07_x", "X", "Why?", nbformat.v4.new_notebook(cells=made))


def test_a_listed_explorer_is_live():
    book = notebook("from quantlab import show", "show.binary_figures.division_explorer(5)")
    listed = {"07_x/c1": lambda: show.binary_figures.division_explorer(5)}
    [found] = explorers.live(book, listed=listed)
    assert (found.id, found.title) == ("07_x-c1", "Repeated division, step by step")
    assert found.script.startswith('quantlab.data("07_x-c1", "computed", "')


def test_an_explorer_that_a_page_cannot_hold_keeps_its_still():
    book = notebook("bench = 1", "show.model.explorer(bench)")
    assert explorers.live(book, listed={"07_x/c1": registry.SNAPSHOT}) == []


def test_an_explorer_that_no_module_lists_stops_the_making():
    with pytest.raises(ValueError, match="lists the explorer '07_x/c1'"):
        explorers.live(notebook("x = 1", "explorer(x)"))


def test_the_explorers_of_the_notebooks_are_those_that_modules_list():
    shown = {
        f"{book.stem}/{node.id}": node
        for book in notebooks.read()
        for node in book.node.cells
        if explorers._shows_an_explorer(node)
    }
    listed = registry.explorers()
    assert shown.keys() == listed.keys()
    for name, make in listed.items():
        if callable(make):
            made, [output] = make(), shown[name].outputs
            if isinstance(made, show.BitStrip):
                assert made._repr_mimebundle_()["text/html"] == output.data["text/html"], name
                continue
            assert made.static.alt == output.metadata["image/png"]["alt"], name
            if compare_outputs.libraries_as_committed():
                assert made.static.data == base64.b64decode(output.data["image/png"]), name


def test_no_browser_is_told_of_the_settings_that_are_recorded(monkeypatch):
    told = []
    monkeypatch.setattr(widgets.Widget, "send_state", lambda self, key=None: told.append(self))
    made = show.Explorer({"n": widgets.IntSlider(max=200)}, lambda n: f"<p>{n}</p>")
    told.clear()
    assert len(explorers.record(made)["faces"]) == 201
    assert max(told.count(one) for one in told) == 1


def test_a_notebook_is_run_for_an_explorer_that_needs_it_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(explorers, "CACHE", tmp_path)
    book = notebook(
        "from quantlab import show\nimport ipywidgets\nsign, _ = 'minus', 7",
        "words = {False: 'plus', True: sign}\n"
        "show.Explorer({'on': ipywidgets.Checkbox()}, lambda on: words[on], 'Signs')",
        "sign = 'changed later'",
    )
    listed = {"07_x/c1": registry.RUN}
    [first] = explorers.live(book, listed=listed)
    [again] = explorers.live(book, listed=listed)
    assert (first, first.title) == (again, "Signs")
    assert capsys.readouterr().out.count("Running 07_x") == 1
    [file] = tmp_path.glob("*.json")
    assert json.loads(file.read_text())["c1"]["pieces"] == ["plus", "minus"]
    assert explorers.live(book, run=False, listed=listed) == []


def test_the_bit_explorer_is_live():
    book = notebook("from quantlab import show", 'show.bits.bit_explorer(-1, "int8")')
    listed = {"07_x/c1": lambda: show.bits.bit_explorer(-1, "int8")}
    [found] = explorers.live(book, listed=listed)
    assert (found.title, '"bits"' in found.script) == ("Bit explorer", True)
