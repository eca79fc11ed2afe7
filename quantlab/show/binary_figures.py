"""Notebooks 01 and 02: numbers in base two, worked out one pencil step at a time.

`render_division` and `render_doubling` turn a number and a step into HTML; `division_explorer` and
`doubling_explorer` wire them to controls. The pictures are for readers without a kernel. Every
digit comes from `quantlab.binary`.
"""

import math
from contextlib import suppress
from fractions import Fraction

from quantlab import binary
from quantlab._checks import flag, whole
from quantlab._checks import text as checked_text
from quantlab.show import html, style
from quantlab.show.drawing import Box, Drawing, Line, Mark, Text
from quantlab.show.explorer import Entry, Explorer, Stepper

ROW = 26  # CSS pixels of one line of a worked calculation
PHONE = 452  # CSS pixels: a wider drawing with text of 12 px would be scrolled on a phone
DIGITS = 32  # of the division explorer's largest number
DOUBLINGS = 24  # what the doubling explorer shows: enough for 0.23 to repeat

# ------------------------------------------------------------------------ repeated division


def render_division(number, step):
    """Return the first `step` halvings of a whole number as HTML, and the digits they gave.

    Steps beyond the last change nothing. Source: Knuth, The Art of Computer Programming 2, 4.4.
    """
    steps = binary.halve(number)
    done = steps[:step]
    left = done[-1][1] if done else number
    digits = "".join(str(bit) for _, _, bit in reversed(done))
    if not done:
        words = f"Start: {number}. Halve it and write down what is left over, 0 or 1."
    elif len(done) < len(steps):
        so_far = binary.from_bits(digits, signed=False)
        words = f"So far {number} = {left} × {2 ** len(done)} + {so_far}. Go on with {left}."
    else:
        words = f"Nothing is left to halve. Read the remainders upwards: {number} is {digits}."
    return _face(words, "digits so far, the newest on the left", digits, _halvings(done))


def division_explorer(number=2023):
    """Return the `Explorer` that halves a whole number, of up to `DIGITS` digits, step by step."""
    entry = Entry("number", number, "number", 0, 2**DIGITS, only_whole=True, label="5em")
    stepper = Stepper(len(binary.halve(number)) + 1)

    def fit(_):
        with suppress(ValueError):  # what is no such number is said in the face; its steps stay
            last = len(binary.halve(entry.value))
            stepper.value = min(stepper.value, last)
            stepper.slider.max = stepper.play.max = last

    entry.observe(fit)
    return Explorer(
        {"number": entry, "step": stepper},
        render_division,
        title="Repeated division, step by step",
        static=division_picture(number),
        height=ROW * (len(binary.halve(number)) + 4),
        twin=("division", {}),
    )


def division_picture(number):
    """Return all halvings of a whole number as a picture, the remainders to be read upwards."""
    steps = binary.halve(number)
    digits = "".join(str(bit) for _, _, bit in reversed(steps))
    title = f"{number} halved {_times(len(steps))} leaves its {len(digits)} binary digits"
    total = f"{number} = {digits} in base two"
    return _calculation(title, _halvings(steps), "upwards", total, f"Read upwards: {digits}")


def _halvings(steps):
    return [(f"{n} ÷ 2", f"= {quotient}", "remainder", str(bit)) for n, quotient, bit in steps]


# ------------------------------------------------------------------------ repeated doubling


def render_doubling(fraction, step):
    """Return the first `step` doublings of a fraction as HTML, and what its digits are worth.

    fraction: 0 to below 1, taken at its word: 0.23 is 23/100. Where a rest comes back, it says so.
    Raises ValueError for another number.
    """
    rows, back = _doublings(fraction, step)
    digits = "".join(row[-1] for row in rows)
    words = _doubling_words(fraction, rows, back)
    start = '<span style="font-family:monospace">0.</span>'
    return _face(words, "digits after the point", digits, rows, start)


def _doublings(fraction, count):
    """Rows (calculation, result, "digit", bit), and the two places of the first rest seen twice."""
    rows, seen, back = [], {}, None
    steps = binary.double(fraction, max(count, 1))  # none asked for: the fraction is checked
    for place, (rest, doubled, bit) in enumerate(steps[:count], 1):
        if rest in seen and back is None:
            back = (seen[rest], place)
        seen.setdefault(rest, place)
        rows.append((f"{rest:.12g} × 2", f"= {doubled:.12g}", "digit", str(bit)))
        if doubled == bit:  # nothing is left: every further digit is 0
            break
    return rows, back


def _doubling_words(fraction, rows, back):
    if not rows:
        return f"Start: {fraction}. Double it: a whole part of 1 is the digit 1, and is taken off."
    worth = sum(int(row[-1]) / 2**place for place, row in enumerate(rows, 1))
    missing = float(Fraction(str(fraction)) - Fraction(worth))
    if missing == 0:
        return f"Nothing is left over: the digits are {fraction}, exactly."
    words = f"So far {worth:.10g}; {missing:.2g} is missing."
    if back:
        words += " Step {1} starts where step {0} did: from here the digits repeat.".format(*back)
    return words


def doubling_explorer(fraction=0.23):
    """Return the `Explorer` that doubles a fraction, 0 to below 1, step by step."""
    entry = Entry("fraction", fraction, "fraction", 0, 1, label="5em")
    return Explorer(
        {"fraction": entry, "step": Stepper(DOUBLINGS + 1)},
        render_doubling,
        title="Repeated doubling, step by step",
        static=doubling_picture(fraction),
        height=ROW * (DOUBLINGS + 4),
        twin=("doubling", {}),
    )


def doubling_picture(fraction):
    """Return the first ten doublings of a fraction as a picture, its digits read downwards."""
    rows, _ = _doublings(fraction, 10)
    digits = "".join(row[-1] for row in rows)
    worth = int(digits, 2) / 2 ** len(digits)
    equal = Fraction(worth) == Fraction(str(fraction))
    says = "equal it" if equal else "come close and do not reach it"
    title = f"{fraction} doubled {_times(len(rows))}: {len(rows)} digits {says}"
    total = f"0.{digits} in base two is {worth:.10g}"
    return _calculation(title, rows, "downwards", total, total)


# ------------------------------------------------------------------------ what a digit is worth


def places_picture(bits, signed=False):
    """Return binary digits as a picture with the worth of each place below it, and their sum.

    bits: such as "11111100111" or "10100.0011"; spaces are dropped. signed: two's complement, so
    the first place counts negative. Raises ValueError for what is not 1 to 16 such digits.
    """
    bits, signed = checked_text("bits", bits).replace(" ", ""), flag("signed", signed)
    whole, point, fraction = bits.partition(".")
    digits = whole + fraction
    if not 1 <= len(digits) <= 16 or set(digits) - set("01"):
        raise ValueError(f"bits must be 1 to 16 digits 0 or 1, got {bits!r}")
    worths = [Fraction(2) ** (len(whole) - 1 - i) for i in range(len(digits))]
    if signed:
        worths[0] = -worths[0]
    chosen = [worth for worth, digit in zip(worths, digits, strict=True) if digit == "1"]
    total = f"{float(sum(chosen)):.17g}"  # all digits: 1/8 is 0.125
    title = f"{bits} in base two is {_minus(total)}"
    marks = [Text(16 + 48 * len(whole), 34, ".", "middle", size=26)] if point else []
    for i, (worth, digit) in enumerate(zip(worths, digits, strict=True)):
        x = 8 + 48 * i + (16 if i >= len(whole) else 0)
        marks += _cell(x + 2, 4, 44, 40, digit, "sign" if signed and i == 0 else "line")
        marks += _worth(x + 24, 64, worth, digit == "1")
    terms = " + ".join(map(_minus, chosen)) or "0"
    alt = f"{title}: the places with a 1 add up, {terms}."
    size = (48 * len(worths) + (16 if point else 0) + 16, 104 if fraction else 80)
    return Drawing(*size, tuple(marks), alt).picture(title, alt)


def _worth(x, y, worth, counts):
    """The worth of a place below its digit: 1/1024 with a line, so that it fits."""
    look = {"anchor": "middle", "role": "ink" if counts else "quiet", "bold": counts}
    if worth.denominator == 1:
        yield Text(x, y, _minus(worth), **look)
        return
    yield Text(x, y, "1", **look)
    yield Line(((x - 20, y + 11), (x + 20, y + 11)), look["role"], width=1.3)
    yield Text(x, y + 24, str(worth.denominator), **look)


def byte_picture(high, low):
    """Return two signed 4-bit numbers, -8 to 7, in the one byte that holds both, as a picture."""
    high, low = whole("high", high, -8, 7), whole("low", low, -8, 7)
    halves = [binary.to_bits(number, 4) for number in (high, low)]
    names = [_minus(number) for number in (high, low)]
    title = f"One byte holds two numbers of 4 bits: {names[0]} and {names[1]}"
    marks = []
    for x, digits, number, name in zip((40, 280), halves, names, ("high", "low"), strict=True):
        for i, digit in enumerate(digits):
            marks += _cell(x + 48 * i, 4, 46, 40, digit, "sign" if i == 0 else "line")
        marks.append(Line(((x, 54), (x + 190, 54)), "line", width=2.7))
        marks.append(Text(x + 95, 72, f"{name} half: {digits} = {number}", "middle"))
    alt = f"{title}. High half {halves[0]}, low half {halves[1]}: the byte {''.join(halves)}."
    return Drawing(560, 92, tuple(marks), alt).picture(title, alt)


def wheel_picture(bits=4):
    """Return the numbers of a signed width, 2 to 4 bits, on a wheel, as a picture.

    One step clockwise adds 1; the seam lies between the largest and the smallest number.
    """
    bits = whole("bits", bits, 2, 4)
    count, top = 2**bits, 2 ** (bits - 1) - 1
    title = f"int{bits} is a wheel: one step past {top} lies {_minus(-top - 1)}"
    x0, y0, marks = 260, 206, []
    for code in range(count):
        angle = 2 * math.pi * (code + 0.5) / count
        x, y = math.sin(angle), -math.cos(angle)
        digits = format(code, f"0{bits}b")
        value = binary.from_bits(digits)
        fill, ink = ("sign", "#FFFFFF") if value < 0 else ("pale", "ink")
        place = (x0 + 128 * x, y0 + 128 * y)
        marks.append(Mark(*place, size=20, fill=fill, edge="line"))
        marks.append(Text(*place, _minus(value), "middle", ink))
        marks.append(Text(x0 + 180 * x, y0 + 180 * y, digits, "middle", mono=True))
    marks.append(Line(((x0, y0 + 92), (x0, y0 + 206)), "error", width=4))
    marks.append(Text(x0, y0 + 76, "the seam", "middle", "error", bold=True))
    marks.append(Text(x0, y0 - 20, "+1 goes", "middle", "quiet"))
    marks.append(Text(x0, y0, "clockwise", "middle", "quiet"))
    alt = f"{title}. Codes 0 to {count - 1} run clockwise; blue ones are negative."
    return Drawing(520, 418, tuple(marks), alt).picture(title, alt)


# ------------------------------------------------------------------------ pieces


def _face(words, label, digits, rows, start=""):
    """A sentence, the digits under their label, the worked lines; the last line stands out."""
    looks = {"0": (html.PALE, html.INK), "1": (style.LINE, style.contrast(style.LINE))}
    cells = "".join(
        '<span style="display:inline-block;min-width:22px;text-align:center;'
        f"background:{looks[digit][0]};color:{looks[digit][1]};"
        f'font-family:monospace;font-size:16px;border:1px solid {style.LINE}">{digit}</span>'
        for digit in digits
    )
    size = (_columns(rows)[-1], max(ROW * len(rows), 1))
    marks = [Box(0, size[1] - ROW, size[0], ROW - 2)] if rows else []
    said = "; ".join(map(" ".join, rows))
    lines = Drawing(*size, (*marks, *_lines(rows)), f"The calculation, line by line. {said}")
    return (
        # On a slide the lines are scrolled; the answer stays in sight above them.
        f'<div style="position:sticky;top:0;background:{html.GROUND}">'
        f'<p data-said style="color:{html.INK};font-size:16px;min-height:1.5em;'
        f'margin:8px 0">{html.escape(words)}</p>'
        # A wrapped row of digits is no harm: they are read in order.
        f'<p style="color:{html.INK};font-size:16px;margin:10px 0;line-height:28px">'
        f'<span style="color:{html.QUIET}">{label}:</span> {start}'
        f"{cells or 'none yet'}</p></div>{lines.svg()}"
    )


def _calculation(title, rows, way, total, said):
    """Return worked lines as a picture, with an arrow along which to read their digits.

    total: stands below them. said: the last that its alt text says.
    """
    floor, width = ROW * len(rows), _columns(rows)[-1]
    marks = [*_lines(rows), Text(8, floor + 16, total, bold=True)]
    if len(rows) > 1:
        ends = (8, floor - 10) if way == "downwards" else (floor - 8, 10)
        marks.append(Line(tuple((width + 20, y) for y in ends), "line", arrow=True))
        for y, text in ((-10, "read"), (10, way)):
            marks.append(Text(width + 36, floor / 2 + y, text, role="quiet"))
    lines = "; ".join("{} {}, {} {}".format(*row) for row in rows)
    alt = f"{title}: {lines}. {said}."
    return Drawing(width + 150, floor + 32, tuple(marks), alt).picture(title, alt)


def _columns(rows):
    """Return x of a line: number's and calculation's ends, result, word, bit, and its own end.

    The word is None where a line with it would be wider than a phone shows: the bit says enough.
    """
    longest = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:2]] or (0, 0)
    left, right = (10 * max(size - room, 0) for size, room in zip(longest, (12, 9), strict=True))
    if 410 + left + right <= PHONE:
        at = left + right
        return 32, 170 + left, 180 + left, 274 + at, 376 + at, 410 + at
    end = 24 + 9.75 * longest[0]  # 21 characters, 19 in the result: 0.000123456789012 × 2
    return 22, end, end + 7, None, PHONE - 28, PHONE


def _lines(rows):
    """Yield the marks of worked lines (calculation, result, word, bit)."""
    number, end, start, saying, digit, _ = _columns(rows)
    for place, (calculation, result, word, bit) in enumerate(rows, 1):
        y = ROW * (place - 0.5) - 1
        yield Text(number, y, str(place), "end", "quiet")
        yield Text(end, y, calculation, "end")
        yield Text(start, y, result)
        if saying is not None:
            yield Text(saying, y, word, role="quiet")
        yield from _cell(digit, y - 12, 26, 24, bit)


def _cell(x, y, width, height, digit, color="line"):
    """Yield the marks of one binary digit: a 1 is filled with its colour."""
    fill, ink = (color, "#FFFFFF") if digit == "1" else ("pale", "ink")
    yield Box(x, y, width, height, fill, color, line=1.3)
    yield Text(x + width / 2, y + height / 2, digit, "middle", ink, mono=True)


def _times(count):
    return "once" if count == 1 else f"{count} times"


def _minus(number):
    return str(number).replace("-", "−")


EXPLORERS = {
    "01_whole_numbers/division-explorer": division_explorer,
    "02_fractions/doubling-explorer": doubling_explorer,
}
