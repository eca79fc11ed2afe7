"""The handouts: whole, in one piece, legible without colour."""

import re

import pytest
from published import cut_off, npm, site

pytestmark = pytest.mark.skipif(not npm.can_run(), reason=npm.HOW_TO_GET_THEM)


@pytest.fixture
def paper(open_page):
    """A page as it is printed, in the width of an A4 sheet less its margins."""
    page = open_page(viewport={"width": 665, "height": 980}, color_scheme="dark")
    cut_off(page)
    page.goto((site() / "04_absmax_and_zero_point.html").as_uri())
    page.emulate_media(media="print")
    return page


def test_it_is_black_on_white_whatever_the_theme(paper):
    look = "getComputedStyle(document.body)"
    assert paper.evaluate(f"[{look}.color, {look}.backgroundColor]") == [
        "rgb(0, 0, 0)",
        "rgb(255, 255, 255)",
    ]


def test_what_only_a_screen_needs_is_gone_and_the_stills_are_there(paper):
    assert not paper.locator(".top, .turn, .live").filter(visible=True).count()
    assert paper.locator("#cell-explorer .still img").is_visible()


def test_each_link_has_a_number_and_its_address_stands_at_the_end(paper):
    text = paper.locator("main").inner_text()
    numbers = {int(n) for n in re.findall(r"\[(\d+)\]", text)}
    listed = paper.locator(".addresses li").all_inner_texts()
    assert set(range(1, len(listed) + 1)) <= numbers
    assert "https://arxiv.org/abs/2208.07339" in listed


def test_solutions_stand_at_the_end(paper):
    end = paper.locator("section.on-paper", has=paper.get_by_role("heading", name="Solutions"))
    assert end.locator("h3").all_inner_texts() == ["4.1", "4.2", "4.3", "4.4"]
    assert not paper.locator(".cell details").filter(visible=True).count()


def test_each_prediction_has_a_line_to_write_on_and_its_answer_at_the_end(paper):
    asked = paper.locator("blockquote.predict").count()
    lines = paper.locator(".guess").filter(visible=True).all_inner_texts()
    assert lines == [f"{n}. My guess:" for n in range(1, asked + 1)]
    end = paper.locator("section.on-paper", has=paper.get_by_role("heading", name="What happens"))
    assert end.locator("h3").all_inner_texts() == [f"Guess {n}" for n in range(1, asked + 1)]
    assert end.locator(".output").count() >= asked - 1
    assert not paper.locator("details.answer").filter(visible=True).count()


def test_no_figure_and_no_table_is_torn_apart(paper):
    kept = paper.locator("img, pre, blockquote, table, tr").evaluate_all(
        "all => all.map((node) => getComputedStyle(node).breakInside)"
    )
    assert set(kept) == {"avoid"}
    heights = paper.locator("img").evaluate_all("all => all.map((image) => image.clientHeight)")
    assert max(heights) < 980


def test_code_stays_with_what_comes_of_it_and_not_with_the_next_cell(paper):
    stays = """all => all.map((pre) => [
      getComputedStyle(pre).breakAfter === "avoid",
      Boolean(pre.closest(".cell")) && pre.nextElementSibling !== null,
    ])"""
    code = paper.locator("pre.code").evaluate_all(stays)
    assert [one for one in code if one[0] != one[1]] == []


def test_an_exercise_stays_with_the_cell_to_answer_it_in(paper):
    tasks = paper.locator(".cell.markdown[id^=cell-exercise]")
    assert tasks.count() >= 4
    kept = tasks.evaluate_all("all => all.map((one) => getComputedStyle(one).breakAfter)")
    assert set(kept) == {"avoid"}


def test_a_handout_has_its_pages_its_title_and_its_outline(paper):
    pdf = paper.pdf(prefer_css_page_size=True, outline=True, tagged=True)
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 8 <= pages <= 30
    assert b"/Outlines" in pdf
    assert b"/StructTreeRoot" in pdf
