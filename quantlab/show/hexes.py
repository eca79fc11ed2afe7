"""Bytes in hexadecimal, each with its name: below the pointer, at the keyboard, in a table."""

from html import escape

from IPython.display import HTML

from quantlab.show import html

MONO = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'
LONGEST = 24  # characters of a value that a table has room for


def view(fields, across=8):
    """Return fields of a file as bytes and a table of their names, for the end of a cell.

    fields: `experiments.gguf_bytes.Field`s; where the next one starts further on, the lines are
    parted. across: bytes in a line. The bytes of a field and its row of the table are marked while
    the pointer is on one of them, or the keyboard's focus. Without style sheets, as on GitHub, the
    bytes and the table stand there all the same.
    """
    rows = [(field.name, _cropped(field.value), f"{field.start:,}") for field in fields]
    header = ("from byte", "what it is", "what it says")
    return HTML(render(fields, range(len(fields)), rows, header, across, "max(14px,.8em)"))


def _cropped(text):
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def render(fields, groups, rows, header, across=16, size="16px"):
    """Return the HTML of fields: bytes on the left, a table on the right, joined by the pointer.

    groups: for each field the number of its row. rows: (name, value, place) of each group; no
    place is shown where there is none. header: of the table. size: of the letters, in CSS.
    """
    place = "".join(f"<th scope='col'>{escape(word)}</th>" for word in header)
    body = "".join(_row(number, row) for number, row in enumerate(rows))
    table = f"<table><thead><tr>{place}</tr></thead><tbody>{body}</tbody></table>"
    lines = "".join(_lines(fields, groups, across))
    return (
        f'<div class="ql-hex"><style>{_css(len(rows), size)}</style>'
        f'<div class="ql-dump" role="group" aria-label="bytes in hexadecimal">{lines}</div>'
        f"{table}</div>"
    )


def _row(number, row):
    name, value, *place = row
    cells = "".join(f"<td>{escape(text)}</td>" for text in (name, value))
    first = f"<td>{escape(place[0])}</td>" if place else ""
    return f'<tr data-f="{number}">{first}{cells}</tr>'


def _lines(fields, groups, across):
    """Yield lines of bytes, each after the place of its first one."""
    line, room, end, odd = [], across, None, False
    for field, group in zip(fields, groups, strict=True):
        if end is not None and field.start != end:
            yield _line(line)
            yield '<div class="ql-gap">⋯</div>'
            line, room = [], across
        at, data, first, odd = field.start, field.bytes, True, not odd
        while data:
            if not line:
                line = [f'<span class="ql-at">{at:>7,}</span>']
            part = data[:room]
            line.append(_bytes(part, group, f"{field.name}: {field.value}", first, odd))
            at, data, room, first = at + len(part), data[room:], room - len(part), False
            if not room:
                yield _line(line)
                line, room = [], across
        end = at
    if line:
        yield _line(line)


def _bytes(part, group, said, first, odd):
    """The bytes of a field on one line; the first of its lines can have the focus."""
    focus = f' tabindex="0" aria-label="{escape(said)}"' if first else ""
    look = "ql-odd" if odd else "ql-even"
    text = part.hex(" ")
    return f'<span class="{look}" data-f="{group}" title="{escape(said)}"{focus}>{text}</span>'


def _line(pieces):
    return f"<div>{' '.join(pieces)}</div>"


def _css(groups, size):
    """What marks a field everywhere at once: one rule for each."""
    marked = ",".join(
        f'.ql-hex:has([data-f="{n}"]:is(:hover,:focus)) [data-f="{n}"]' for n in range(groups)
    )
    return (
        ".ql-hex{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start;"
        f"font-size:{size};line-height:1.3;color:{html.INK}}}"
        f".ql-dump{{font-family:{MONO};white-space:pre;overflow-x:auto}}"
        f".ql-hex .ql-at,.ql-hex .ql-gap{{color:{html.QUIET}}}"
        f".ql-hex .ql-odd{{background:{html.PALE}}}"
        ".ql-hex table{border-collapse:collapse;margin:0;font-size:inherit}"
        f".ql-hex :is(td,th){{text-align:left;padding:0 8px;border-bottom:1px solid {html.GRID};"
        "font-size:inherit;line-height:inherit}"
        f".ql-hex [data-f]:focus{{outline:2px solid {html.INK}}}"
        f"{marked}{{background:{html.INK};color:{html.GROUND}}}"
    )
