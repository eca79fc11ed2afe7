"""Cells as HTML: boxes, links, formulas, pictures, and nothing that a page would have to fetch."""

import base64
import struct
import zlib

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from web import cells, npm
from web.notebooks import Notebook

from quantlab.course import address

needs_npm = pytest.mark.skipif(not npm.can_run(), reason=npm.HOW_TO_GET_THEM)


def render(*made):
    book = Notebook("07_x", "X", "Why?", nbformat.v4.new_notebook(cells=list(made)))
    return cells.render(book)


def prose(text):
    return render(new_markdown_cell(text))[0][0].source


def outputs(*made):
    return render(new_code_cell("1", outputs=list(made)))[0][0].outputs


def png(width, height):
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    head = struct.pack(">I", 13) + b"IHDR" + size + struct.pack(">I", zlib.crc32(b"IHDR" + size))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head).decode()


def test_a_prediction_and_a_box_about_the_article_are_named_for_the_style():
    assert '<blockquote class="predict">' in prose("> **Predict.** How many?")
    assert '<blockquote class="article">' in prose("> **The article says** 12.")
    assert "<blockquote>" in prose("> Neither.")


def test_what_code_says_to_a_formatter_is_not_shown():
    code = "x = [1,\n     2]  # fmt: skip\n# fmt: off\ny = 3  # a comment: fmt"
    shown = render(new_code_cell(code))[0][0].source
    assert "fmt: " not in shown and "a comment: fmt" in shown


def test_a_heading_can_be_linked_to():
    assert prose("## 4 · GB & `GiB`") == '<h2 id="4-gb-gib">4 · GB &amp; <code>GiB</code></h2>\n'


def test_a_link_to_a_notebook_leads_to_its_page():
    assert 'href="05_outliers.html#one"' in prose("[Outliers](05_outliers.ipynb#one)")


def test_a_link_to_a_file_leads_to_the_repository():
    expected = f'href="{address.repository()}/blob/main/docs/teaching.md"'
    assert expected in prose("[the guide](../docs/teaching.md)")


def test_a_picture_from_elsewhere_becomes_its_words():
    made = prose("[![Open in Colab](https://example.org/badge.svg)](https://example.org/nb)")
    assert "<img" not in made
    assert ">Open in Colab</a>" in made


@needs_npm
def test_a_formula_is_typeset_and_has_mathml_for_screen_readers():
    made = prose("The step $s_i$ and $$a < b$$")
    assert made.count('class="katex"') == 2
    assert "katex-display" in made
    assert "<math" in made
    assert "<tex" not in made


@needs_npm
def test_a_formula_that_is_none_stops_with_its_text():
    with pytest.raises(RuntimeError, match=r"\\nosuch"):
        prose(r"$\nosuch{1}$")


def test_printed_text_is_escaped_and_its_colours_are_dropped():
    [shown] = outputs(new_output("stream", name="stdout", text="\x1b[31ma < b\x1b[0m\n"))
    assert shown == '<pre class="output scroll">a &lt; b</pre>'


LONG = "One day, when the king's son was sitting in the palace, he said to"
NOTE = "○ 0.1  not answered yet. Hint: BF16 has 16 bits, and a byte has 8."
COLUMNS = "5 bits,    29,791 choices: best [-10  15  -7] [15  5  2] = to nearest"


@pytest.mark.parametrize(("text", "wraps"), [(LONG, True), (NOTE, True), (COLUMNS, False)])
def test_printed_prose_wraps_and_printed_columns_do_not(text, wraps):
    [shown] = outputs(new_output("stream", name="stdout", text=f"{text}\n"))
    assert ('class="output scroll prose"' in shown) == wraps


def test_the_titles_of_a_table_name_their_columns():
    made = prose("| format | bits |\n|---|---:|\n| FP16 | 16 |")
    assert made.count('<th scope="col"') == 2 and "<th>" not in made


def test_a_picture_has_its_words_and_its_size_so_that_nothing_jumps():
    about = {"image/png": {"alt": 'Two "codes"', "width": 300}}
    data = {"image/png": png(600, 400), "text/plain": "Figure"}
    made, pictures = render(
        new_code_cell(
            "1", outputs=[new_output("display_data", data=data, metadata=about)], id="fig"
        )
    )
    assert 'alt="Two &quot;codes&quot;" width="300" height="200"' in made[0].outputs[0]
    assert [picture.name for picture in pictures] == ["07_x-fig.png"]


def test_an_explorer_is_found_by_what_it_says_of_itself():
    text = "Explorer: The flags (run this notebook to move its controls)"
    data = {"text/plain": text, "text/html": "<b>still</b>"}
    cell = render(new_code_cell("1", outputs=[new_output("display_data", data=data)], id="ex"))[0][
        0
    ]
    assert cell.explorer == "The flags"
    assert 'data-explorer="07_x-ex"' in cell.outputs[0]
    assert "<b>still</b>" in cell.outputs[0]
