"""The decks in Chromium, cut off from the network: every slide, explorers, keys, a phone."""

import pytest
from published import PHONE, WIDE, cut_off, faults, npm, site, stems, too_wide

pytestmark = pytest.mark.skipif(not npm.can_run(), reason=npm.HOW_TO_GET_THEM)
READABLE = 20  # pixels of 720: what is smaller, the last row of a lecture hall cannot read

# Texts that are too small on the screen, drawings scaled as they are. Powers may be smaller.
_TOO_SMALL = """() => { window.tooSmall = (root, READABLE) => {
  const words = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), small = [];
  const skip = ".katex, aside, [hidden], .ql-live, .unseen, .still, option, sup";
  for (let node = words.nextNode(); node; node = words.nextNode()) {
    const holder = node.parentElement, svg = holder.closest("svg[viewBox]");
    const word = node.textContent.trim().slice(0, 40);
    if (!word || holder.closest(skip) || !holder.checkVisibility()) continue;
    const drawn = svg && svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const size = parseFloat(getComputedStyle(holder).fontSize) * (drawn || holder.currentCSSZoom);
    if (size < READABLE - 0.05) small.push(`${size.toFixed(1)} px: ${word}`);
  }
  return small;
}; }"""

# Goes to every slide with all that comes on clicks, waits for its explorers, and measures.
_EVERY_SLIDE = """async (READABLE) => {
  const found = [];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  for (const slide of Reveal.getSlides()) {
    const { h, v } = Reveal.getIndices(slide);
    Reveal.slide(h, v, 99);
    await frame();
    for (const place of slide.querySelectorAll(".explorer[data-live]")) {
      while (!place.querySelector(".live")) await frame();
    }
    await Promise.all([...slide.querySelectorAll("img")].map((image) => image.decode()));
    await frame();
    const body = slide.querySelector(".body");
    const edge = slide.getBoundingClientRect();
    const outside = [...body.querySelectorAll("*")].filter((node) => {
      const box = node.getBoundingClientRect();
      const scrolled = "[hidden], svg, .katex, .ql-live, .live-face, .ql-formula, .ql-dump";
      const hidden = box.width < 2 || node.closest(scrolled);
      return !hidden && (box.right > edge.right + 1 || box.bottom > edge.bottom + 1);
    });
    const pictures = [...body.querySelectorAll(".picture img")]
      .filter((image) => image.getBoundingClientRect().width)
      .map((image) => image.getBoundingClientRect().width / image.getAttribute("width"));
    const small = tooSmall(slide, READABLE);
    found.push({
      small,
      name: slide.dataset.cell ?? "title",
      over: Math.max(body.scrollHeight - body.clientHeight, body.scrollWidth - body.clientWidth),
      outside: outside.map((node) => `${node.tagName}.${node.className}`).slice(0, 3),
      scale: Number(body.dataset.scale ?? 1),
      picture: Math.min(...pictures, 9),
      empty: body.innerText.trim() === "" && !body.querySelector("img"),
    });
  }
  return found;
}"""


# Moves every control of an explorer to its ends, a menu through all it has, and looks each time.
_USE = """async ([cell, READABLE]) => {
  const slide = Reveal.getSlides().find((one) => one.dataset.cell === cell);
  const { h, v } = Reveal.getIndices(slide);
  Reveal.slide(h, v);
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const place = slide.querySelector(".explorer[data-live]");
  while (!place.querySelector(".live")) await frame();
  const edge = slide.getBoundingClientRect(), faults = new Set();
  const look = async (what) => {
    await frame();
    for (const text of tooSmall(place, READABLE)) faults.add(`${what}: ${text}`);
    for (const node of place.querySelectorAll("*")) {
      const box = node.getBoundingClientRect();
      const scrolled = ".live-face *, .ql-formula *, [hidden], .ql-live, .unseen, option";
      if (node.closest(scrolled) || box.width < 2) continue;
      const out = box.right > edge.right + 1 || box.bottom > edge.bottom + 1;
      if (out) faults.add(`${what}: ${node.className} is out`);
    }
  };
  const set = (control, name, value, kind) => {
    control[name] = value;
    control.dispatchEvent(new Event(kind, { bubbles: true }));
  };
  await look("start");
  const boxes = "[type=range], [type=radio], [type=checkbox]";
  const controls = place.querySelectorAll(`select, input:is(${boxes})`);
  for (const control of controls) {
    if (!control.checkVisibility()) continue;
    const name = control.ariaLabel ?? control.parentElement.textContent;
    if (control.tagName === "SELECT") {
      for (let at = 0; at < control.options.length; at += 1) {
        const option = control.options[at];
        if (option.hidden || !option.value) continue;
        set(control, "selectedIndex", at, "change");
        await look(`${name} ${option.textContent}`);
      }
    } else if (control.type === "range") {
      for (const end of [control.max, 0, control.max]) {
        set(control, "value", end, "input");
        await look(`${name} ${end}`);
      }
    } else {
      control.click();
      await look(name);
    }
  }
  return [...faults];
}"""


@pytest.fixture
def show(open_page):
    """Open a deck; at the end, a request that left this machine fails the test."""
    tries = []

    def go(stem, **options):
        page = open_page(**({"viewport": WIDE} | options))
        tries.append(cut_off(page))
        page.goto((site() / f"{stem}.slides.html").as_uri())
        page.evaluate(_TOO_SMALL)
        return page

    yield go
    assert [url for tried in tries for url in tried] == []


def go_to(page, cell):
    """Go to the slide that begins with this cell."""
    page.evaluate(
        """(cell) => {
          const slide = Reveal.getSlides().find((one) => one.dataset.cell === cell);
          const { h, v } = Reveal.getIndices(slide);
          Reveal.slide(h, v);
        }""",
        cell,
    )


@pytest.mark.parametrize("stem", stems())
def test_nothing_on_a_slide_is_cut_off_or_too_small(stem, show):
    slides = show(stem).evaluate(_EVERY_SLIDE, READABLE)
    assert len(slides) > 15
    assert [s for s in slides if s["over"] > 1 or s["outside"]] == []
    assert [s for s in slides if s["small"] or s["picture"] < 0.6] == []
    assert [s["name"] for s in slides if s["empty"]] == []


# Printed slides whose cells are larger than they are; explorers are for a screen.
_PRINTED_OVER = """() => [...document.querySelectorAll(".pdf-page section > .sheet > .body")]
  .filter((body) => !body.querySelector(".explorer[data-live]"))
  .filter((body) => body.scrollHeight > body.clientHeight + 1
    || body.scrollWidth > body.clientWidth + 1)
  .map((body) => body.closest("section").dataset.cell)"""


@pytest.mark.parametrize("stem", ["03_float_formats", "13_floats_with_a_shared_scale"])
def test_nothing_is_cut_off_where_a_deck_is_printed(stem, show):
    page = show(stem)
    page.goto(f"{page.url.partition('#')[0]}?print-pdf")
    page.wait_for_function("document.querySelectorAll('.pdf-page .body[data-scale]').length > 15")
    assert page.evaluate(_PRINTED_OVER) == []


@pytest.mark.parametrize("stem", stems())
def test_an_explorer_can_be_read_and_stays_on_its_slide_while_it_is_used(stem, show):
    page = show(stem)
    live = page.locator("section[data-cell]:has(> .sheet .explorer[data-live])")
    for cell in live.evaluate_all("(all) => all.map((one) => one.dataset.cell)"):
        assert page.evaluate(_USE, [cell, READABLE]) == []


def test_on_a_slide_a_bit_is_40_pixels_and_a_value_60(show):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    assert page.locator(".present .ql-bit").first.bounding_box()["width"] == pytest.approx(40)
    size = "(node) => parseFloat(getComputedStyle(node).fontSize) * node.currentCSSZoom"
    assert page.locator(".present .ql-short").evaluate(size) == pytest.approx(60)


def test_the_table_of_the_bit_explorer_comes_when_it_is_asked_for(show):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    table = page.locator(".present .ql-bits > .ql-table")
    assert not table.is_visible()
    page.locator(".present").get_by_role("button", name="In every format").click()
    assert table.is_visible()
    assert page.evaluate("tooSmall(Reveal.getCurrentSlide(), 20)") == []


# The questions that have an output after them on the same slide, without a click between.
_TOGETHER = """() => Reveal.getSlides().filter((slide) => {
  const asked = slide.querySelector("blockquote.predict");
  const shown = [...slide.querySelectorAll(".output, .explorer")];
  return asked && shown.some((one) => !one.closest(".fragment")
    && asked.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING);
}).map((slide) => slide.dataset.cell)"""


@pytest.mark.parametrize("stem", stems())
def test_no_question_is_on_the_screen_together_with_its_answer(stem, show):
    page = show(stem)
    assert page.locator("blockquote.predict").count() >= 3
    assert page.evaluate(_TOGETHER) == []


@pytest.mark.parametrize("stem", stems())
def test_on_a_phone_a_deck_is_a_page_that_fits(stem, show):
    page = show(stem, viewport=PHONE)
    assert too_wide(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollHeight") > 5 * PHONE["height"]


def test_slides_have_no_fault_of_accessibility(show):
    page = show("04_absmax_and_zero_point")
    for cell in ("product-text", "ruler", "published-table", "explorer", "exercises"):
        go_to(page, cell)
        assert faults(page, within=".slides .present:not(.stack)") == []


def test_a_bit_flips_on_a_slide(show):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    bit = page.locator(".present .ql-bit").nth(2)
    bit.click()
    assert bit.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("name", ["FP64", "FP32", "int32"])
def test_the_bit_explorer_stays_on_its_slide_with_wide_bits_in_every_format(show, name):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    page.locator(".present .ql-format").select_option(label=name)
    sheet = page.locator(".present .sheet:has(.ql-bits)")
    assert sheet.evaluate("(node) => node.scrollHeight <= node.clientHeight")
    bits = page.locator(".present .ql-bit")
    assert {round(bit.bounding_box()["width"]) for bit in bits.all()} == {40}
    assert sheet.evaluate("(node) => tooSmall(node, 20)") == []


# For each slide with a dump: is the first byte of every row of its table in sight?
_BYTES = """() => Reveal.getSlides().filter((slide) => slide.querySelector(".ql-hex"))
.map((slide) => {
  const { h, v } = Reveal.getIndices(slide);
  Reveal.slide(h, v);
  const dump = slide.querySelector(".ql-dump"), edge = dump.getBoundingClientRect();
  return [...slide.querySelectorAll("tr[data-f]")].every((row) => {
    const box = dump.querySelector(`[data-f="${row.dataset.f}"]`).getBoundingClientRect();
    return box.top > edge.top - 2 && box.bottom < edge.bottom + 2;
  });
})"""


def test_the_bytes_that_a_slide_has_names_for_are_in_sight(show):
    assert show("11_a_file_that_runs").evaluate(_BYTES) == [True, True]


def test_a_printed_line_that_fits_is_not_enlarged_until_it_breaks(show):
    page = show("12_scale_turn_round")
    go_to(page, "awq-scale")
    printed = page.locator(".present pre.prose")
    printed.evaluate("(pre) => { pre.style.whiteSpace = 'pre'; }")
    assert printed.evaluate("(pre) => pre.scrollWidth <= pre.clientWidth")


def test_code_is_written_smaller_before_a_line_of_it_breaks(show):
    page = show("10_load_in_4_bits")
    for cell in ("codes", "speed"):
        go_to(page, cell)
        code = page.locator(".present pre.code").first
        code.evaluate("(pre) => { pre.style.whiteSpace = 'pre'; }")
        assert code.evaluate("(pre) => pre.scrollWidth <= pre.clientWidth")


def test_the_face_of_the_stepper_is_not_scrolled_on_its_slide(show):
    page = show("06_gptq")
    go_to(page, "explorer")
    face = page.locator(".present .live-face")
    assert face.evaluate("(node) => node.scrollHeight <= node.clientHeight")


def test_rounding_range_and_sums_come_in_place_of_the_number_when_they_are_asked_for(show):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    bits = page.locator(".present .ql-bits")
    bits.get_by_text("More").click()
    assert bits.get_by_role("button", name="toward zero").is_visible()
    assert not bits.locator(".ql-value-box").is_visible()
    assert bits.locator(".ql-more").evaluate("(node) => node.scrollHeight <= node.clientHeight")
    assert page.evaluate("tooSmall(Reveal.getCurrentSlide(), 20)") == []
    bits.get_by_text("More").click()
    assert bits.locator(".ql-value-box").is_visible()


@pytest.mark.parametrize("name", ["FP64", "FP32", "int32"])
def test_what_is_folded_is_whole_on_a_slide_with_wide_bits_too(show, name):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    bits = page.locator(".present .ql-bits")
    bits.get_by_text("More").click()
    bits.locator(".ql-format").select_option(label=name)
    for number in ("20.23", "1/3", "-1.2345678901234567e-5"):
        bits.get_by_role("textbox").first.fill(number)
        bits.locator("caption", has_text="by each rule").wait_for()
        more = bits.locator(".ql-more")
        assert more.evaluate("(node) => node.scrollHeight <= node.clientHeight")
    assert page.evaluate("tooSmall(Reveal.getCurrentSlide(), 20)") == []


def test_a_number_of_the_audience_is_typed_on_a_slide_and_no_slide_turns(show):
    page = show("01_whole_numbers")
    go_to(page, "division-explorer")
    box = page.locator(".present").get_by_role("textbox", name="number")
    box.fill("")
    page.keyboard.type("2^20 ")
    page.keyboard.press("Enter")
    assert "Start: 1048576." in page.locator(".present .live-face").inner_text()
    page.locator(".present").get_by_role("slider", name="step").press("End")
    words, edge = (
        page.locator(f".present {one}") for one in ("[data-said]", ".sheet:has([data-said])")
    )
    assert "100000000000000000000" in words.inner_text()  # in sight, though the lines are scrolled
    assert words.bounding_box()["y"] >= edge.bounding_box()["y"]
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") == "division-explorer"


def test_a_slider_moves_on_a_slide_and_its_keys_do_not_turn_it(show):
    page = show("04_absmax_and_zero_point")
    go_to(page, "explorer")
    slider = page.locator(".present").get_by_role("slider", name="bits")
    before = page.locator(".present .live-face").inner_text()
    slider.press("ArrowLeft")
    assert page.locator(".present .live-face").inner_text() != before
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") == "explorer"


@pytest.mark.parametrize("key", ["ArrowRight", " "])
def test_keys_turn_slides_after_a_click_on_a_bit(show, key):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    page.locator(".present .ql-bit").nth(2).click()
    page.keyboard.press(key)
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") != "bit-explorer"


def test_a_bit_that_was_reached_by_tab_keeps_its_keys(show):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    page.locator(".present .ql-bit").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert page.locator(".present .ql-bit").nth(1).get_attribute("aria-pressed") == "false"
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") == "bit-explorer"


def test_esc_lets_go_of_a_slider_and_arrows_turn_slides_again(show):
    page = show("04_absmax_and_zero_point")
    go_to(page, "explorer")
    page.locator(".present").get_by_role("slider", name="bits").click()
    page.keyboard.press("Escape")
    assert not page.evaluate("Reveal.isOverview()")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") != "explorer"


def test_space_turns_the_slide_from_a_slider(show):
    page = show("04_absmax_and_zero_point")
    go_to(page, "explorer")
    page.locator(".present").get_by_role("slider", name="bits").click()
    page.keyboard.press(" ")
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") != "explorer"


def test_a_remote_turns_slides_wherever_the_focus_is(show):
    page = show("02_fractions")
    go_to(page, "bit-explorer")
    page.locator(".present .ql-bit").first.focus()
    page.keyboard.press("PageDown")
    assert page.evaluate("Reveal.getCurrentSlide().dataset.cell") == "explorer-try"


def test_the_arrow_goes_through_the_whole_deck(show):
    page = show("00_why_quantize")
    for _ in range(200):
        if page.evaluate("Reveal.isLastSlide() && !Reveal.availableFragments().next"):
            break
        page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.isLastSlide()")


def test_solutions_are_in_the_speakers_notes(show):
    page = show("04_absmax_and_zero_point")
    notes = page.locator("aside.notes", has_text="Solution 4.1")
    assert notes.count() == 1
    assert not notes.is_visible()
