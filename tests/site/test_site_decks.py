"""Where a deck is cut: by the slide type of each cell, which each cell of a notebook has."""

import re
from dataclasses import replace

import pytest
import slides
from web import cells, guide, lectures, notebooks


def code(id, output):
    return cells.Cell(id, "code", "x", [f'<pre class="output scroll">{output}</pre>'], "x")


def words(id, text):
    return cells.Cell(id, "markdown", cells.markdown(text), text=text)


@pytest.mark.parametrize("book", notebooks.read(), ids=lambda book: book.stem)
def test_every_cell_of_a_notebook_has_its_place_in_the_slides(book):
    without = [c.id for c in book.node.cells if "slide_type" not in c.metadata.get("slideshow", {})]
    assert without == []


@pytest.fixture(scope="module")
def columns():
    return {book.stem: slides.columns(cells.render(book)[0][1:]) for book in notebooks.read()}


@pytest.fixture(scope="module")
def decks(columns):
    """Every deck: its notebook, the cells of its slides in order, and its slides."""
    made = {}
    for book in notebooks.read():
        slides_of = [slide for column in columns[book.stem] for slide in column]
        made[book.stem] = book, [cell for s in slides_of for cell, _ in s.cells], slides_of
    return made


STEMS = [book.stem for book in notebooks.read()]


@pytest.mark.parametrize("stem", STEMS)
def test_every_figure_table_and_explorer_of_a_notebook_is_in_its_deck(stem, decks):
    book, shown, _ = decks[stem]
    drawn = {
        cell.id
        for cell in cells.render(book)[0]
        if any("<img" in output or "<table" in output for output in cell.outputs) or cell.explorer
    }
    assert drawn - {cell.id for cell in shown} == set()


@pytest.mark.parametrize("stem", STEMS)
def test_each_prediction_on_a_slide_is_followed_by_its_result(stem, decks):
    _, shown, _ = decks[stem]
    asked = None
    for cell in shown:
        if 'class="predict"' in cell.source:
            assert asked is None, f"{asked} has no result before {cell.id}"
            asked = cell.id
        elif cell.outputs:
            asked = None
    assert asked is None


@pytest.mark.parametrize("stem", STEMS)
def test_the_label_of_a_slide_is_the_section_that_its_cells_are_in(stem, decks):
    book, _, slides_of = decks[stem]
    section, home = "", {}
    for cell in cells.render(book)[0]:
        found = re.search(r'<h2 id="[^"]*">(.*?)</h2>', cell.source)
        section = found[1] if found and cell.kind == "markdown" else section
        home[cell.id] = section
    for one in slides_of:
        assert home[one.cells[0][0].id] == one.section


def test_no_slide_shows_an_assert_or_a_lone_pair_of_numbers(decks):
    for stem in STEMS:
        for cell in decks[stem][1]:
            words = re.sub(r"<[^>]+>", "", cell.source) if cell.kind == "code" else ""
            assert not re.search(r"^\s*assert\b", words, re.MULTILINE), (stem, cell.id)
            lone = [o for o in cell.outputs if slides._bare(o) and not words]
            assert lone == [], (stem, cell.id)


def test_a_tall_table_goes_on_under_its_heads():
    rows = "".join(f"<tr><td>{i}</td></tr>" for i in range(30))
    table = f"<table><thead><tr><th>n</th></tr></thead><tbody>{rows}</tbody></table>"
    one = cells.Cell("a", "code", "", [table], "x", slide="slide")
    parts = [s.cells[0][0].outputs[0] for s in slides.columns([one])[0]]
    assert [part.count("<td>") for part in parts] == [10, 10, 10]
    assert all(part.count("<th>") == 1 and part.endswith("</table>") for part in parts)


def test_a_long_printed_list_goes_on_without_its_code():
    one = replace(code("a", "\n".join(map(str, range(30)))), slide="slide")
    parts = [made.cells[0][0] for made in slides.columns([one])[0]]
    assert [part.outputs[0].count("\n") + 1 for part in parts] == [10, 10, 10]
    assert [bool(part.source) for part in parts] == [True, False, False]


def test_what_is_too_much_for_a_slide_goes_on_to_the_next():
    text = words("a", "Some words. " * 200)
    text.slide = "slide"
    more = replace(text, id="b", slide="-")
    assert [len(made.cells) for made in slides.columns([text, more])[0]] == [1, 1]


def test_a_deck_is_cut_where_the_cells_say():
    made = [words("a", "## One"), code("b", output="1"), words("c", "> Box"), words("d", "Shh.")]
    for cell, kind in zip(made, ("slide", "fragment", "subslide", "notes"), strict=True):
        cell.slide = kind
    [[first, second]] = slides.columns([*made, cells.Cell("e", "code", "", slide="skip")])
    assert [(cell.id, late) for cell, late in first.cells] == [("a", False), ("b", True)]
    assert [cell.id for cell, _ in second.cells] == ["c"]
    assert [cell.id for cell in second.notes] == ["d"]
    assert (second.section, second.new_topic) == ("One", False)


def figure(id, width, height):
    image = f'<p class="output picture"><img src="a.png" width="{width}" height="{height}"></p>'
    return cells.Cell(id, "code", "x", [image], "x", slide="-")


@pytest.mark.parametrize("height, slides_", [(400, 2), (90, 1)])
def test_a_figure_that_would_be_narrow_beside_a_text_has_a_slide_of_its_own(height, slides_):
    text = words("a", "## One\n\n" + "Some words. " * 60)
    text.slide = "slide"
    [made] = slides.columns([text, figure("b", 760, height)])
    assert len(made) == slides_
    assert made[-1].cells[-1][0].id == "b"


def long(output, id="b", **more):
    """A cell whose code is too long to stand above its result."""
    made = replace(code(id, output), text="\n".join("abcdefghij"), slide="subslide")
    return replace(made, **more)


def test_a_lone_printed_result_stands_under_its_question():
    asked = words("a", "> **Predict.** How many?")
    asked.slide = "slide"
    [[_, answer]] = slides.columns([asked, long("7", answers=1)])
    shown = [re.sub(r"<[^>]+>", "", cell.source + "".join(cell.outputs)).strip()
             for cell, _ in answer.cells]  # fmt: skip
    assert shown == ["How many?", "7"]


def test_a_lone_printed_result_without_a_question_keeps_its_code():
    [[one]] = slides.columns([long("7")])
    assert "".join(re.sub(r"<[^>]+>", "", one.cells[0][0].source).split()) == "abcdefghij"


def lecture(name, columns):
    plan = next(one for one in lectures.read() if one.name == name)
    return [slide for part in plan.parts for slide in part.choose(columns[part.notebook])]


OF_90_MINUTES = [one.name for one in lectures.read() if one.after == "minute"]


@pytest.mark.parametrize("name", OF_90_MINUTES)
def test_each_prediction_of_a_lecture_is_followed_by_its_result(name, columns):
    before = None
    for slide in lecture(name, columns):
        if before:
            assert any(cell.outputs for cell, _ in slide.cells), f"{before} has no result"
        asks = [cell.id for cell, _ in slide.cells if 'class="predict"' in cell.source]
        before = asks[0] if asks else None


def test_a_lecture_names_the_notebook_of_each_slide_and_counts_them_with_its_title(
    columns, tmp_path
):
    made = [(book, cells.render(book)[0]) for book in notebooks.read()]
    slides.write_decks(tmp_path, made)
    page = (tmp_path / "lecture-90.slides.html").read_text(encoding="utf-8")
    count = page.count('<section class="slide"')
    assert f"{count + 1} slides" in page
    assert len(re.findall(r'<p class="topic">Notebook \d+ · ', page)) == count


def test_the_guide_shows_the_plans_with_the_numbers_of_their_slides(columns):
    guide = lectures.GUIDE.read_text(encoding="utf-8")
    assert lectures.in_guide(guide, columns) == guide  # python tools/slides.py --guide


@pytest.mark.parametrize("name", OF_90_MINUTES)
def test_a_lecture_of_90_minutes_has_about_40_slides(name, columns):
    least = 35 if name == "lecture-90" else 30
    assert least <= len(lecture(name, columns)) <= 45


def test_a_lecture_that_names_a_slide_which_is_not_there_says_so(columns):
    part = lectures.Part(0, "04_absmax_and_zero_point", "x", "y", cells=("rulers",))
    with pytest.raises(ValueError, match="has no rulers"):
        part.choose(columns["04_absmax_and_zero_point"])


def notes_of(slide):
    return [re.sub(r"<[^>]+>", "", cell.source).strip() for cell in slide.notes]


GUIDE = """### 04 · A name

| section | ask | see |
|---|---|---|
| Two | How many? | seven |

## Wrong answers that you will hear

| exercise | wrong answer | what the check replies |
|---|---|---|
| 4.1 | `8` | look again |
| 5.1 | `9` | not here |
"""


def a_deck():
    made = [words("a", "## 1 · One"), words("b", "## 2 · Two"), words("c", "**4.1** Count.")]
    for cell in made:
        cell.slide = "slide"
    return slides.columns(made)


def test_what_to_ask_and_to_see_is_in_the_notes_of_a_sections_first_slide():
    deck = a_deck()
    guide.add_notes(deck, 4, GUIDE)
    [[one], [two, *_]] = deck[:2]
    assert notes_of(one) == []
    assert notes_of(two) == ["Ask: How many?\nSee: seven"]


def test_a_wrong_answer_is_in_the_notes_of_its_exercise():
    deck = a_deck()
    guide.add_notes(deck, 4, GUIDE)
    assert notes_of(deck[2][0]) == ["A wrong answer: 8\nAsk back: look again"]


def test_a_section_of_the_guide_that_no_slide_has_is_named():
    with pytest.raises(ValueError, match="04: Three"):
        guide.add_notes(a_deck(), 4, GUIDE.replace("| Two |", "| Three |"))


def test_every_section_and_exercise_of_the_guide_has_its_slide():
    text = lectures.GUIDE.read_text(encoding="utf-8")
    asked = 0
    for book in notebooks.read():
        deck = slides.columns(cells.render(book)[0][1:])
        before = sum(len(slide.notes) for column in deck for slide in column)
        guide.add_notes(deck, book.number, text)
        asked += sum(len(slide.notes) for column in deck for slide in column) - before
    sections = text.split("## What to ask before each figure")[1].split("## An exam")[0]
    rows = re.findall(r"^\| (?!section|exercise).*\|$", sections, re.MULTILINE)
    assert asked == len(rows) > 80
