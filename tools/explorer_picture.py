"""Take docs/explorer.png, the README's picture: the bit explorer in Chromium.

python tools/explorer_picture.py
"""

import io
from pathlib import Path

from PIL import Image
from web import chromium

from quantlab import show

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "explorer.png"
SIZE = {"width": 860, "height": 900}  # the column of a README on GitHub is 830 wide
COLORS = 192  # more cannot be told apart here, and the file is a third of the size


def photograph():
    """Return a PNG of the explorer's own page: 20.23 in FP16."""
    strip = show.bits.bit_explorer(20.23, "FP16", ["FP32", "FP16", "BF16", "FP8_E4M3", "int8"])
    with chromium.browser() as browser:
        page = browser.new_page(viewport=SIZE, device_scale_factor=2, color_scheme="light")
        page.set_content(strip.page())
        page.locator(".ql-bits").wait_for()
        page.wait_for_timeout(500)  # the table of other formats follows with the next frame
        return page.locator(".ql-bits").screenshot()


def main():
    """Take the picture and write the file."""
    image = Image.open(io.BytesIO(photograph())).convert("RGB")
    image.quantize(COLORS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    print(f"{PICTURE.name}: {image.width} x {image.height} pixels, {size:,} bytes")


if __name__ == "__main__":
    main()
