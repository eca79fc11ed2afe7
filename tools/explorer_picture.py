"""Take docs/explorer.png, the README's picture: the bit explorer in JupyterLab, in Chromium.

    python tools/explorer_picture.py

It needs what the browser tests need: Chromium and Playwright.
"""

import io
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "browser")]

import lab  # noqa: E402

PICTURE = ROOT / "docs" / "explorer.png"
WIDTH = 1010  # CSS pixels: leaves 830 for the cell, the column of a README on GitHub
COLORS = 192  # more cannot be told apart here, and the file is a third of the size
CELL = """from quantlab import show

show.bits.bit_explorer(20.23, "FP16", formats=["FP32", "FP16", "BF16", "FP8_E4M3", "int8"])"""


@contextmanager
def jupyterlab():
    """A JupyterLab with a folder of its own: (its address, the folder)."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "notebooks").mkdir()
        port = lab._free_port()
        server = lab._start(work, port)
        try:
            lab._wait_until_up(f"http://127.0.0.1:{port}", server, work / "server.log")
            yield f"http://127.0.0.1:{port}", work / "notebooks"
        finally:
            server.terminate()
            server.wait(timeout=30)


def photograph(page):
    """Return a PNG of the first cell with its explorer, without the margin of the notebook."""
    page.locator(".ql-bits").wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # the table of other formats follows with the next frame
    code = page.locator(".jp-Cell .jp-InputArea-editor").first.bounding_box()
    shown = page.locator(".ql-bits").bounding_box()
    left, top, edge = code["x"], code["y"], 4  # the frame of the chosen cell stays out
    clip = {
        "x": left - edge,
        "y": top - edge,
        "width": max(code["width"], shown["x"] + shown["width"] - left) + 2 * edge,
        "height": shown["y"] + shown["height"] - top + 2 * edge,
    }
    return page.screenshot(clip=clip)


def main():
    """Take the picture and write the file."""
    with jupyterlab() as (url, folder), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=lab.find_chromium(), args=lab.FLAGS)
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 1400}, device_scale_factor=2, color_scheme="light"
        )
        notebook = lab.Lab(page, url, folder)
        notebook.write(CELL)
        notebook.run_all()
        png = photograph(page)
        notebook.shut_down()
        browser.close()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLORS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {image.width} x {image.height} pixels, {size:,} bytes")


if __name__ == "__main__":
    main()
