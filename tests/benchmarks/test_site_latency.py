"""How long a reader of the website waits: for the first page, and for a bit to flip.

pytest tests/benchmarks/test_site_latency.py -o addopts= -s
"""

import statistics
import time

from published import WIDE
from test_website import address, alive, visit  # noqa: F401


def test_a_bit_flips_in_under_5_ms(visit):  # noqa: F811
    bit = alive(visit("02_fractions"), 1).locator(".ql-bit").nth(3)
    times = bit.evaluate(
        """(bit) => Array.from({length: 21}, () => {
          const before = bit.getAttribute("aria-pressed");
          const start = performance.now();
          bit.click();
          const end = performance.now();
          if (bit.getAttribute("aria-pressed") === before) throw new Error("did not flip");
          return end - start;
        })"""
    )
    assert statistics.median(times) < 5


def test_the_first_page_shows_in_under_2_seconds(open_page, address):  # noqa: F811
    page = open_page(viewport=WIDE)
    start = time.monotonic()
    page.goto(f"{address}/index.html")
    page.locator(".course").wait_for()
    assert time.monotonic() - start < 2
