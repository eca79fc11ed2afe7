"""Where a deck is cut: by the slide type of each cell, which each cell of a notebook has."""

import pytest
import slides
from web import cells, notebooks


def code(id, output):
    return cells.Cell(id, "code", "x", [f'<pre class="output scroll">{output}</pre>'], "x")


def words(id, text):
    return cells.Cell(id, "markdown", cells.markdown(text), text=text)


@pytest.mark.parametrize("book", notebooks.read(), ids=lambda book: book.stem)
def test_every_cell_of_a_notebook_has_its_place_in_the_slides(book):
    without = [c.id for c in book.node.cells if "slide_type" not in c.metadata.get("slideshow", {})]
    assert without == []


def test_a_deck_is_cut_where_the_cells_say():
    made = [words("a", "## One"), code("b", output="1"), words("c", "> Box"), words("d", "Shh.")]
    for cell, kind in zip(made, ("slide", "fragment", "subslide", "notes"), strict=True):
        cell.slide = kind
    [[first, second]] = slides.columns([*made, cells.Cell("e", "code", "", slide="skip")])
    assert [(cell.id, late) for cell, late in first.cells] == [("a", False), ("b", True)]
    assert [cell.id for cell, _ in second.cells] == ["c"]
    assert [cell.id for cell in second.notes] == ["d"]
    assert (second.section, second.new_topic) == ("One", False)
