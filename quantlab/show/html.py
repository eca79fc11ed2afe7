"""Small pieces of HTML for explorers: text in, text out, no browser needed."""

import re
from html import escape
from math import ceil

from quantlab.show import style

#: What the variables of JupyterLab's themes are called: a page follows its dark theme.
_THEME = {
    "ink": "content-font-color1", "quiet": "content-font-color2", "grid": "border-color2",
    "pale": "layout-color2", "ground": "layout-color1",
}  # fmt: skip
INK, QUIET, GRID, PALE, GROUND = (
    f"var(--jp-{name}, {style.ROLES[role]})" for role, name in _THEME.items()
)
RED = style.RED
#: The colours of `style.ROLES` on a page.
COLORS = style.ROLES | dict(zip(_THEME, (INK, QUIET, GRID, PALE, GROUND), strict=True))
COLORS["error"] = RED
_NUMBER = re.compile("\N{FIGURE SPACE}*[-−+]?[\\d,]+(\\.\\d+)?( ?%| dB| ×)?\N{FIGURE SPACE}*|–")


def number(value, digits=4):
    """Return `value` with `digits` significant digits, zeros kept, no exponent from 1e-5 to 1e6.

    >>> number(3.14159), number(1000), number(-0.00123456), number(7)
    ('3.142', '1000', '−0.001235', '7')
    >>> number(3.0), number(1.5e9), number(float("nan")), number(17250.4), number(0.00001234)
    ('3.000', '1.500e9', 'nan', '17250', '0.00001234')
    """
    if isinstance(value, (bool, str)):
        return str(value)
    if value != value or value in (float("inf"), float("-inf")):
        text = str(float(value)).replace("inf", "∞")
    elif hasattr(value, "__index__") and abs(value) < 10**6:
        text = str(int(value))
    else:
        mantissa, exponent = f"{float(value):.{digits - 1}e}".split("e")
        plain = value == 0 or 1e-5 <= abs(value) < 1e6
        places = max(0, digits - 1 - int(exponent))
        text = f"{float(value):.{places}f}" if plain else f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def span(text, color=None, bold=False):
    """Return escaped `text`, coloured or bold."""
    style = (f"color:{color};" if color else "") + ("font-weight:600;" if bold else "")
    return f'<span style="{style}">{escape(str(text))}</span>'


def facts(pairs):
    """Return pairs (name, text) in a line that wraps between them: an explorer's answer."""
    inside = " ".join(
        f'<span style="white-space:nowrap">{span(name, QUIET)} {span(text, bold=True)}</span>'
        for name, text in pairs
    )
    look = "display:flex;flex-wrap:wrap;gap:2px 24px;margin:8px 0"
    return f'<div data-said style="{look}">{inside}</div>'


def table(rows, header=(), caption="", row_names=False, widths=(), quiet=()):
    """Return an HTML table; strings stand left, numbers right with digits under digits.

    rows: lists of strings and numbers; a string that is a number with its unit stands right too.
    header: the column titles. caption: what the table shows. row_names: True marks the first cell
    of each row as that row's title. widths: of the columns in CSS pixels, so that none moves; less
    on a phone, where a number beside a wide name would be out of sight.
    quiet: the places of rows in quiet text.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    kinds = [_are_numbers(column) for column in columns]
    widths = [f"min-width:min({w}px,40vw);" for w in widths] or [""] * len(columns)
    parts = ['<table style="border-collapse:collapse;font-variant-numeric:tabular-nums;">']
    if caption:
        parts.append(f'<caption style="text-align:left;color:{INK};">{escape(caption)}</caption>')
    if header:
        tags = ['th scope="col"' if title else "td" for title in header]
        cells = map(_cell, tags, header, kinds, widths)
        parts.append(f"<thead><tr>{''.join(cells)}</tr></thead>")
    first = ['th scope="row"'] if row_names else []
    parts.append("<tbody>")
    for place, row in enumerate(rows):
        tags = [*first, *["td"] * (len(row) - len(first))]
        color = QUIET if place in quiet else INK
        cells = map(_cell, tags, row, kinds, widths, [color] * len(row))
        parts.append(f"<tr>{''.join(cells)}</tr>")
    return "".join([*parts, "</tbody></table>"])


def message(text):
    """Return `text` as an error message, red and with the word."""
    return f'<div role="alert" style="color:{RED};font-weight:600;">Error: {escape(text)}</div>'


def svg(width, height, body, label):
    """Return an SVG that shrinks on narrow screens, until its text of 16 px is 12 px high.

    body: SVG elements. label: its alt text.
    """
    least = f"min-width:{ceil(0.75 * float(width))}px;" if "<text" in body else ""
    return (
        f'<svg role="img" aria-label="{escape(label, quote=True)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" style="max-width:100%;{least}height:auto;'
        'display:block;font-variant-numeric:tabular-nums" '
        f'font-family="var(--jp-ui-font-family, sans-serif)" font-size="16" fill="{INK}">'
        f"{body}</svg>"
    )


def _are_numbers(column):
    """Whether most of what stands in a column are numbers, or text that is one."""
    shown = [value for value in column if value != ""]
    numbers = [not isinstance(v, (str, bool)) or _NUMBER.fullmatch(str(v)) for v in shown]
    return 2 * sum(map(bool, numbers)) > len(shown)


def _cell(tag, value, right, more, color=INK):
    text = escape(value if isinstance(value, str) else number(value))
    side = "right" if right else "left"
    look = f"text-align:{side};padding:2px 10px;color:{color};border-bottom:1px solid {GRID};{more}"
    light = "font-weight:400;" if "row" in tag else ""
    return f'<{tag} style="{look}{light}">{text}</{tag.split()[0]}>'
