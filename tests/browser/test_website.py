"""The website in Chromium, cut off from the network: pages, a phone, the dark, explorers."""

import re

import pytest
from published import PHONE, WIDE, cut_off, faults, npm, served, site, stems, too_wide

pytestmark = pytest.mark.skipif(not npm.can_run(), reason=npm.HOW_TO_GET_THEM)
PAGES = ["index", "explorers", *stems()]
#: What a person may type into a box, and what nobody should.
TYPED = ["", " ", "0", "-0", "12", "0.23", "1/3", "1/0", "2^10", "1e400", "nan", "inf", "٣", "½",
         "1,5", "0x10", "abc", "9" * 400, "\"'&", "<script>alert(1)</script>",
         "<img src=x onerror=alert(1)>"]  # fmt: skip


@pytest.fixture(scope="module")
def address():
    with served(site()) as url:
        yield url


@pytest.fixture
def visit(open_page, address):
    """Open a page of the site; at the end, a request that left this machine fails the test."""
    tries = []

    def go(name, **options):
        page = open_page(**({"viewport": WIDE} | options))
        tries.append(cut_off(page))
        page.goto(f"{address}/{name}.html")
        return page

    yield go
    assert [url for tried in tries for url in tried] == []


def alive(page, number=0):
    """The live explorer with this number on the page, once it is there."""
    page.evaluate(
        "document.querySelectorAll('details.answer').forEach((one) => { one.open = true; })"
    )
    place = page.locator(".explorer[data-live]").nth(number)
    place.scroll_into_view_if_needed()
    live = place.locator(".live")
    live.wait_for()
    return live


def all_alive(page):
    """Open every answer of the page, and mount every explorer that it has."""
    for number in range(page.locator(".explorer[data-live]").count()):
        alive(page, number)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_has_no_fault_of_accessibility(name, visit):
    page = visit(name)
    assert too_wide(page) == []
    all_alive(page)
    assert faults(page) == []
    page.set_viewport_size(PHONE)
    assert too_wide(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_on_a_tablet_a_line_of_code_fits_as_on_a_desk(visit):
    page = visit(stems()[8])
    scrolling = """() => [...document.querySelectorAll("pre")]
        .filter((code) => code.scrollWidth > code.clientWidth).length"""
    desk = page.evaluate(scrolling)
    for width in (900, 1024, 1112, 1180, 1204, 1205):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(scrolling) == desk, width


@pytest.mark.parametrize("name", ["index", "explorers", stems()[-1]])
def test_the_dark_pages_have_no_fault_of_accessibility(name, visit):
    page = visit(name, color_scheme="dark")
    all_alive(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert faults(page) == []


def folded(page):
    """(how many answers there are, how many of them are open)."""
    return page.evaluate(
        "[document.querySelectorAll('details.answer').length, "
        "document.querySelectorAll('details.answer[open]').length]"
    )


@pytest.mark.parametrize("name", stems())
def test_what_answers_a_prediction_is_closed_until_it_is_asked_for(name, visit):
    page = visit(name)
    asked = page.locator("blockquote.predict").count()
    total, shown = folded(page)
    assert asked >= 3 and total >= asked and shown == 0
    # What stands under a question before its answer is opened: code, and no output.
    under = page.locator(".cell:has(blockquote.predict) + .cell > .output").count()
    assert under == 0


def test_one_key_and_one_button_open_all_answers_and_close_them(visit):
    page = visit(stems()[3])
    total, _ = folded(page)
    page.keyboard.press("o")
    assert folded(page) == [total, total]
    page.locator("#answers[aria-pressed=true]").click()
    assert folded(page) == [total, 0]
    page.locator("#answers").click()
    assert folded(page) == [total, total]


def test_a_single_answer_opens_by_key_and_has_what_is_said_about_it(visit):
    page = visit(stems()[0])
    answer = page.locator("details.answer").first
    answer.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded(page)[1] == 1
    assert answer.locator(".output").first.is_visible()
    assert "Each further bit doubles" in answer.inner_text()


def test_the_theme_that_was_chosen_stays(visit):
    page = visit("index", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.click("#theme")
    page.reload()
    assert page.evaluate(ground) == "rgb(22, 24, 27)"


def test_next_leads_through_the_course_and_previous_leads_back(visit):
    page = visit(stems()[0])
    seen = [stems()[0]]
    while page.locator("a[rel=next]").count():
        seen.append(page.get_attribute("a[rel=next]", "href").removesuffix(".html"))
        page.click("a[rel=next]")
        page.wait_for_url(f"**/{seen[-1]}.html")
    assert seen == stems()
    page.click("a[rel=prev]")
    page.wait_for_url(f"**/{stems()[-2]}.html")


def test_the_first_page_is_the_course_map(visit):
    page = visit("index")
    links = page.locator(".course h3 a").evaluate_all(
        "all => all.map((a) => a.getAttribute('href'))"
    )
    assert links == [f"{stem}.html" for stem in stems()]


def test_every_link_within_the_site_leads_to_something():
    from html.parser import HTMLParser

    ids, links = {}, []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found = dict(attributes)
            ids[path.name].add(found.get("id"))
            target = found.get("href") or found.get("src") or ""
            if target and "//" not in target:
                links.append((path.name, target))

    for path in site().glob("*.html"):
        ids[path.name] = {None}
        Reader().feed(path.read_text(encoding="utf-8"))
    dead = []
    for where, target in links:
        file, _, anchor = target.partition("#")
        file = file or where
        known = file in ids and (not anchor or anchor in ids[file] or anchor.startswith("/"))
        if not known and not ((site() / file).is_file() and not anchor):
            dead.append((where, target))
    assert dead == []


def test_search_finds_a_word_and_leads_to_its_section(visit):
    page = visit("index")
    page.keyboard.press("/")
    page.keyboard.type("subnorm")
    first = page.locator(".search li a").first
    first.wait_for()
    assert "subnormal" in first.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/03_float_formats.html#*")
    heading = page.locator(page.evaluate("'#' + CSS.escape(location.hash.slice(1))"))
    assert heading.evaluate("(node) => node.tagName") == "H2"
    assert 0 <= heading.bounding_box()["y"] < WIDE["height"]


def test_search_says_how_many_there_are_and_how_many_it_shows(visit):
    page = visit("index")
    page.click("#search")
    page.keyboard.type("bits")
    page.get_by_text("sections found, the first 12 are shown").wait_for()
    found = int(page.locator(".search [role=status]").inner_text().split()[0])
    assert found > page.locator(".search li").count() == 12


def test_search_says_when_there_is_nothing(visit):
    page = visit("index")
    page.click("#search")
    page.keyboard.type("xyzzyx")
    page.get_by_text("no sections found").wait_for()


def test_an_explorer_answers_as_python_does(visit):
    from quantlab.show import grid

    live = alive(visit("04_absmax_and_zero_point"))
    live.get_by_label("zero-point").check()
    live.get_by_role("slider", name="bits").press("Home")
    live.get_by_role("combobox", name="scales").select_option("one scale for all")
    assert shows(live, grid.render(bits=2, axis="one scale for all", method="zero-point"))


def shows(live, expected):
    """Whether the face of a live explorer is this HTML."""
    return live.page.evaluate(
        "([a, b]) => { const box = document.createElement('div'); box.innerHTML = b;"
        " return a === box.innerHTML; }",
        [live.locator(".live-face").inner_html(), expected],
    )


@pytest.mark.parametrize(
    "name",
    [
        "00_why_quantize/calculator-explorer",
        "01_whole_numbers/division-explorer",
        "02_fractions/doubling-explorer",
        "04_absmax_and_zero_point/explorer",
    ],
)
def test_any_number_that_is_typed_is_answered_as_python_does(visit, name):
    from quantlab.show import registry

    made, page = registry.explorers()[name](), visit(name.split("/")[0])
    places = page.locator(".explorer[data-live]").evaluate_all(
        "(all) => all.map((one) => one.dataset.explorer)"
    )
    live = alive(page, places.index(name.replace("/", "-")))
    box = live.locator("input[type=text]")
    entry = next(n for n, c in made.controls.items() if hasattr(getattr(c, "box", c), "rules"))
    for text in ("1/3", "0.7", "12", "20000000", "1,5"):
        box.fill(text)
        box.press("Enter")
        expected = made.set(**{entry: text})
        assert shows(live, expected), text
        assert (box.get_attribute("aria-invalid") == "true") == ('role="alert"' in expected)


def test_a_number_sets_how_many_steps_there_are(visit):
    live = alive(visit("01_whole_numbers"))
    slider = live.get_by_role("slider", name="step")
    slider.press("End")
    for text, last in (("2000000000", "11"), ("6", "3"), ("abc", "3"), ("255", "3")):
        live.get_by_role("textbox", name="number").fill(text)
        live.get_by_role("textbox", name="number").press("Enter")
        assert live.locator("output").inner_text() == last
    slider.press("End")
    assert "255 is 11111111." in live.locator(".live-face").inner_text()


def test_a_model_of_the_menu_fills_the_box_and_another_size_leaves_the_menu(visit):
    live = alive(visit("00_why_quantize"))
    menu, box = live.get_by_label("Model"), live.get_by_label("Billion weights")
    menu.select_option(label="GLM-5 (744 billion)")
    assert box.input_value() == "744"
    box.fill("33.3")
    box.press("Enter")
    assert menu.evaluate("(menu) => menu.selectedOptions[0].label") == "a size of your own"


def test_a_new_answer_is_read_out_and_the_first_is_not(visit):
    live = alive(visit("06_gptq"))
    spoken = live.locator("[aria-live=polite]")
    live.page.wait_for_timeout(600)  # the first answer would have been read out by now
    assert spoken.text_content() == "" and live.locator("output").last.inner_text() == "1"
    live.get_by_role("button", name="Next step").click()
    spoken.get_by_text("Step 2 of 6: row 2 is rounded.").wait_for(state="attached")


@pytest.mark.parametrize(
    "format, number, flip", [("FP16", "20.23", None), ("FP64", "-1/3", 0), ("int8", "-5", 7)]
)
def test_a_link_to_a_number_opens_the_same_number(visit, format, number, flip):
    live = alive(visit("01_whole_numbers"), 1)
    live.get_by_label("number format").select_option(label=format)
    box = live.get_by_label("number", exact=True)
    box.fill(number)
    box.press("Enter")
    if flip is not None:
        live.locator(f'.ql-bit[data-index="{flip}"]').click()
    shown = live.locator(".ql-strip").inner_text(), live.locator(".ql-error").inner_text()
    link = live.get_by_role("link", name="Link to this number")
    name = link.get_attribute("href").removeprefix("?")
    live.page.goto(f"{live.page.url}?{name}")
    again = live.page.locator(".live.bits")
    again.wait_for()
    found = again.locator(".ql-strip").inner_text(), again.locator(".ql-error").inner_text()
    assert (found, again.bounding_box()["y"] < 720) == (shown, True)


def test_a_link_to_widths_of_your_own_opens_them(visit):
    page = visit("01_whole_numbers")
    explorer = page.locator(".explorer[data-live]").nth(1).get_attribute("data-explorer")
    query = f"explorer={explorer}&format=4+5+none&number=0.3&bits=0010100110"
    page.goto(f"{page.url}?{query}")
    strip = page.locator(".live.bits .ql-strip")
    strip.wait_for()
    assert re.sub(r"[^01]", "", strip.inner_text().split("5")[-1]) == "00110"


def test_a_broken_link_to_a_number_leaves_a_live_explorer(visit):
    page = visit("01_whole_numbers")
    explorer = page.locator(".explorer[data-live]").nth(1).get_attribute("data-explorer")
    page.goto(f"{page.url}?explorer={explorer}&format=x&number=%3Cb%3E&bits=012")
    page.locator(".live.bits .ql-bit").first.click()


def test_steps_go_on_and_back_and_stop_at_the_ends(visit):
    live = alive(visit("01_whole_numbers"))
    first, back, following = (live.get_by_role("button", name=n) for n in ("First", "Back", "Next"))
    assert first.is_disabled() and back.is_disabled()
    for _ in range(11):
        following.click()
    assert following.is_disabled()
    assert "11111100111" in live.locator(".live-face").inner_text()
    back.click()
    assert live.locator("output").inner_text() == "10"


def test_play_goes_on_by_itself_until_it_is_stopped(visit):
    live = alive(visit("01_whole_numbers"))
    live.get_by_role("button", name="Play").click()
    live.locator("output", has_text="1").wait_for()
    stop = live.get_by_role("button", name="Stop")
    stop.click()
    assert live.get_by_role("button", name="Play").is_visible()


def test_on_a_phone_a_figure_opens_at_the_size_that_it_was_drawn_for(visit):
    page = visit("07_comparison", viewport=PHONE)
    figure = page.get_by_role("button", name="Show large").first
    drawn = int(figure.locator("img").get_attribute("width"))
    figure.click()
    assert page.locator(".large img").bounding_box()["width"] == drawn > PHONE["width"]
    assert faults(page) == []
    page.locator(".large").get_by_role("button", name="Close").click()
    assert not page.locator(".large").is_visible()


_OPEN = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
_WIDE = """() => [...document.querySelectorAll(".scroll:has(table)")]
  .find((box) => box.scrollWidth > box.clientWidth + 100)"""


def test_on_a_phone_the_first_column_of_a_wide_table_stays_in_sight(visit):
    page = visit("07_comparison", viewport=PHONE)
    page.evaluate(_OPEN)
    box = page.evaluate_handle(_WIDE).as_element()
    left = "(box) => box.querySelector('tbody tr').firstElementChild.getBoundingClientRect().left"
    before = box.evaluate(left)
    box.evaluate("(box) => { box.scrollLeft = 100; }")
    assert box.evaluate(left) == pytest.approx(before, abs=12)  # less than its padding


# Texts of live explorers that are smaller than 12 px on the screen, drawings scaled as they are.
_SMALL = """() => [...document.querySelectorAll(".live-face :is(text, p, td), .live .name")]
  .filter((node) => {
    const svg = node.closest("svg");
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    return node.checkVisibility() && parseFloat(getComputedStyle(node).fontSize) * scale < 11.95;
  }).map((node) => node.textContent)"""


@pytest.mark.parametrize("name", ["00_why_quantize", "04_absmax_and_zero_point", "06_gptq"])
def test_on_a_phone_an_explorers_text_is_at_least_12_pixels(name, visit):
    page = visit(name, viewport=PHONE)
    alive(page)
    assert page.evaluate(_SMALL) == []


@pytest.mark.parametrize("fraction", ["1/3", "0.000123456789012", "1.23456789012e-15"])
def test_on_a_phone_a_doubling_is_as_wide_as_its_page_whatever_is_typed(fraction, visit):
    page = visit("02_fractions", viewport=PHONE)
    alive(page)
    live = page.locator(".live").filter(has_text="digits after the point")
    live.get_by_role("textbox", name="fraction").fill(fraction)
    live.get_by_role("slider", name="step").press("End")
    face = live.locator(".live-face")
    face.get_by_text("24", exact=True).wait_for()
    assert face.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    assert page.evaluate(_SMALL) == []


def test_every_explorer_is_alive_or_says_how_to_run_it(visit):
    page = visit("explorers")
    for place in page.locator("section:has(.explorer)").all():
        if place.locator("[data-live]").count():
            place.scroll_into_view_if_needed()
            place.locator(".live").wait_for()
        else:
            assert "Its controls need Python" in place.inner_text()
            assert place.locator("a[href*='colab']").count() == 1


# 50 random moves of what an explorer has: menus, sliders, boxes, buttons, bits. Play is left out:
# its clock would go on in between.
_WALK = r"""async (live, [seed, typed]) => {
  const random = () => { // mulberry32: the same walk in every run
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const one = (list) => list[Math.floor(random() * list.length)];
  const told = (node, ...names) => {
    for (const name of names) node.dispatchEvent(new Event(name, { bubbles: true }));
  };
  const done = [];
  for (let i = 0; i < 50; i += 1) {
    const all = [...live.querySelectorAll("select, input, button")].filter((node) =>
      node.checkVisibility() && !node.disabled && !/play|stop|copy/i.test(node.ariaLabel ?? ""));
    const node = one(all);
    if (node.matches("select")) {
      node.selectedIndex = Math.floor(random() * node.length);
      told(node, "input", "change");
    } else if (node.matches("[type=range], [type=number]")) {
      const [low, high] = [Number(node.min), Number(node.max)];
      node.value = String(low + Math.floor(random() * (high - low + 1)));
      told(node, "input", "change");
    } else if (node.matches("[type=text]")) {
      node.focus();
      node.value = one(typed);
      told(node, "input", "change");
      node.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    } else {
      node.click();
    }
    done.push(`${node.tagName} ${node.ariaLabel ?? ""} ${node.value}`);
    await new Promise(requestAnimationFrame);
    const foreign = live.querySelector("script, img, iframe, object, [onerror], [onload]");
    if (foreign) throw new Error(`${foreign.outerHTML} after ${done.slice(-3).join("; ")}`);
  }
  return live.innerText;
}"""


@pytest.mark.parametrize("name", stems())
def test_no_walk_over_an_explorer_of_a_page_fails(name, visit):
    page = visit(name)
    for number in range(page.locator(".explorer[data-live]").count()):
        live = alive(page, number)
        shown = live.evaluate(_WALK, [number + int(name[:2]), TYPED])
        assert not re.search(r"\bundefined\b|\[object|loading", shown, re.IGNORECASE), shown
        assert live.locator("[aria-busy=true], .ql-busy").count() == 0
        assert too_wide(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDE["width"]


def test_it_works_when_it_is_opened_as_files(open_page):
    page = open_page(viewport=WIDE)
    tried = cut_off(page)
    page.goto((site() / "01_whole_numbers.html").as_uri())
    alive(page)
    page.click("#search")
    page.keyboard.type("byte")
    page.locator(".search li a").first.wait_for()
    assert tried == []


def test_the_site_is_under_25_mb():
    assert sum(path.stat().st_size for path in site().rglob("*") if path.is_file()) < 25e6
