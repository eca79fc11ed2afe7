"""Script tags in every name, label, text and error that becomes HTML: all are text there."""

import struct
from dataclasses import replace

import ipywidgets as widgets
import numpy as np
import pytest
from test_random_walks import OURS, SCRIPT, Reader

from quantlab import course, formats, lm, show
from quantlab.course import exercise
from quantlab.experiments import codes, gguf_bytes, whole_model
from quantlab.experiments.gguf_bytes import Field
from quantlab.experiments.loads import Load, Trial
from quantlab.lm.loading import HUB_ID
from quantlab.show import drawing, hexes, html, matrix, model
from quantlab.show.drawing import Box, Drawing, Line, Mark, Text

EVIL = "\"'</text></td></title>--><img src=x onerror=alert(1)><script>alert(1)</script>&lt;"
ONE = np.ones((3, 2))
LOAD = Load(EVIL, 10, 2, 3, 7.0)
TRIAL = Trial(EVIL, False, 1, 1, 1, None, 1.0, 1.0, 1.0, 1.0, EVIL)
RESULT = whole_model.Result(whole_model.Setting("GPTQ", 3), 3.1, 21.0, 200, EVIL, 0.1)
EVIL_FORMAT = formats.MiniFloat(EVIL, 4, 3, 7)


class Evil:
    """An object whose words are markup."""

    def __repr__(self):
        return EVIL


def gguf_file():
    """The first bytes of a file of llama.cpp whose names and texts are markup."""

    def text(words):
        data = words.encode()
        return struct.pack("<Q", len(data)) + data

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    entries = text(EVIL) + struct.pack("<I", 8) + text(EVIL)
    entries += text(f"{EVIL}2") + struct.pack("<IIQ", 9, 8, 1) + text(EVIL)
    tensor = text(EVIL) + struct.pack("<IQIQ", 1, 32, 0, 0)
    return head + entries + tensor + bytes(4096)


def explorer_with_an_evil_error():
    def render(number):
        if number:
            raise ValueError(EVIL)
        return html.span(EVIL)

    made = show.Explorer({"number": widgets.IntSlider(description="n")}, render, EVIL)
    title = made.widget.children[0].value
    return (
        title
        + made.html.value
        + made.set(number=3)
        + show.explorer._snapshot(EVIL, "")[0]["text/html"]
    )


def all_marks():
    """Every kind of mark with markup wherever it takes a text."""
    marks = (
        Text(1, 1, EVIL, EVIL, EVIL, key=EVIL),
        Box(0, 0, 1, 1, EVIL, EVIL),
        Line(((0, 0), (1, 1)), EVIL, arrow=True),
        Mark(1, 1, fill=EVIL, edge=EVIL, drag={"drag": EVIL}),
        Mark(1, 1, "square", drag={"name": EVIL}),
    )
    one = Drawing(100, 100, marks, EVIL)
    return one.svg() + drawing.page([one]) + drawing.named([one]) + drawing.flow([one]).svg()


#: What makes HTML, each called with markup in all of its texts.
PAGES = {
    "table": lambda: html.table([[EVIL, 1], [EVIL, EVIL]], [EVIL, EVIL], EVIL, row_names=True),
    "message": lambda: html.message(EVIL),
    "span": lambda: html.span(Evil(), bold=True),
    "facts": lambda: html.facts([(EVIL, EVIL)]),
    "matrix.table": lambda: matrix.table([[EVIL, 2.0]], [EVIL, "x"], EVIL).data,
    "matrices": lambda: matrix.to_html([matrix.Panel(EVIL, ONE)]),
    "drawings": all_marks,
    "article_table": lambda: show.comparison.article_table(
        [(EVIL, EVIL, EVIL, ONE)], ONE, {EVIL: [None, None, None]}
    ).data,
    "compare": lambda: show.outliers_figures.compare({EVIL: ONE}, ONE, 1).data,
    "loads": lambda: show.load.table([LOAD, LOAD]).data + show.load.render(LOAD, LOAD),
    "trials": lambda: show.load.trials_table([TRIAL]).data + show.load.side_by_side([TRIAL]).data,
    "models": lambda: model.texts([RESULT], RESULT).data
    + model.render(RESULT, replace(RESULT, text=f"x {EVIL}"), [RESULT], [], EVIL),
    "bits": lambda: show.bits.snapshot(EVIL_FORMAT, 3, EVIL)
    + show.bits.BitStrip(1, EVIL_FORMAT)._repr_mimebundle_()["text/html"],
    "hexes": lambda: (
        hexes.view([Field(0, b"ab", EVIL, EVIL), Field(9, b"c" * 99, EVIL, EVIL)]).data
    ),
    "a file of llama.cpp": lambda: hexes.view(gguf_bytes.read(gguf_file()).fields).data
    + hexes.view(gguf_bytes.read(gguf_file()).tensors[0].fields).data,
    "an explorer": explorer_with_an_evil_error,
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_markup_in_a_text_is_a_text(name):
    reader = Reader()
    reader.feed(PAGES[name]())
    reader.close()
    assert (reader.faults, reader.open) == ([], [])
    assert "alert(1)" in PAGES[name]()  # it was shown at all


def test_the_reader_of_these_tests_sees_what_leaks():
    for leak in (SCRIPT, "<b onclick=alert(1)>x</b>", "<b>", "</td>", EVIL):
        reader = Reader()
        reader.feed(leak)
        assert reader.faults or reader.open, leak
    assert not {"script", "img", "a", "iframe"} & OURS


def test_the_page_of_the_bit_explorer_keeps_names_out_of_its_script():
    page = show.bits.BitStrip(1, EVIL_FORMAT, [EVIL_FORMAT]).page()
    assert page.count("<script") == page.count("</script>") == 1 and "<img" not in page


# ----------------------------------------------------------------------------------- answers


class EvilError(Exception):
    """An error that can't say what it is."""

    def __str__(self):
        raise self

    __repr__ = __str__


class Hostile:
    """An answer that raises wherever it is touched."""

    def touched(self, *_):
        raise EvilError

    __repr__ = __str__ = __eq__ = __len__ = __iter__ = __array__ = __float__ = __bool__ = touched
    __hash__ = None


def hostile_function(*_):
    raise EvilError


def every_exercise():
    for module in exercise._chapters():
        yield from exercise.import_module(f"{exercise.exercises.__name__}.{module}").EXERCISES


ANSWERS = {"text": EVIL, "evil": Evil(), "hostile": Hostile(), "function": hostile_function,
           "list": [Hostile()], "returns": lambda *_: Hostile(), "class": Hostile}  # fmt: skip


@pytest.mark.parametrize("id", [*every_exercise()])
def test_no_answer_makes_a_check_raise(id, capsys):
    for answer in ANSWERS.values():
        assert exercise.verdict(id, answer, misses=3).state in ("wrong", "unanswered")
    course.check(id, EVIL)
    assert capsys.readouterr().out.startswith(("✗", "○"))


def test_the_name_of_a_format_is_no_markup_in_an_error():
    with pytest.raises(ValueError, match="format must be") as caught:
        codes.named(EVIL)
    assert "<script" not in html.message(str(caught.value))


@pytest.mark.parametrize("mark", "<>&\"'` \n")
def test_no_id_of_a_hub_can_hold_markup(mark):
    assert HUB_ID.fullmatch("owner/model")
    for place in range(len("owner/model") + 1):
        assert not HUB_ID.fullmatch("owner/model"[:place] + mark + "owner/model"[place:])


def test_a_folder_with_markup_in_its_name_is_named_as_text(tmp_path):
    folder = tmp_path / "<script>alert(1)<" / "script>"
    folder.mkdir(parents=True)
    for name in (folder, str(folder), "<script>alert(1)</script>"):
        with pytest.raises(ValueError, match=r"script>.*has no config|no folder") as caught:
            lm.load(name)
        assert "<script" in str(caught.value) and "<script" not in html.message(str(caught.value))
