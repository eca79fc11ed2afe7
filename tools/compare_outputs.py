"""Say where a fresh run of a notebook gives something else than what is committed.

Most cells give the same bytes. Three kinds don't, and carry a tag: `timing` (how long something
took) and `machine` (what this computer is or has) are not compared; `hardware` (what depends on
the order in which a processor adds: a whole model in bf16, or GPTQ on a real layer) is compared
word by word, and number by number within the cell's own tolerance, which stands in its metadata:

    "tolerance": {"relative": 0.02, "whole": 3, "words": 0.5}

relative, absolute: how far a number may be off, the larger of the two; one in its last printed
decimal is always allowed. whole: the same for numbers printed without decimals, such as facts.
words: the share of words that may be others, for text that a model writes.
"""

import re
from difflib import SequenceMatcher
from importlib.metadata import version
from pathlib import Path

NOT_COMPARED = {"timing", "machine"}
WITHIN_TOLERANCE = "hardware"
SET_UP = "course.setup("
TOLERANCE_KEYS = {"relative", "absolute", "whole", "words"}
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:[eE][-+]?\d+)?")
#: A zero with a minus: to a reader 0 has no sign, and another processor adds none.
MINUS_ZERO = re.compile(r"(?<![\w.)\]])[-−]0(?:\.0*)?(?:e[-+]?\d+)?(?![.,]?\w)")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")  # of an object, in its repr


def libraries_as_committed():
    """Return whether figures are drawn here with the versions that drew the committed ones.

    Another matplotlib draws the same figures with other bytes, and another Pillow packs them so.
    """
    pinned = (Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8").split()
    return {f"{name}=={version(name)}" for name in ("matplotlib", "pillow")} <= set(pinned)


def tags(cell):
    """Return the set of a cell's tags."""
    return set(cell.metadata.get("tags", ()))


def changes(before, after, same_libraries=True):
    """Return what differs between two runs of one code cell, as lines; none if nothing does.

    same_libraries: False where other versions of them draw other pictures: then these count by
    their alt text, and the set-up cell, which names versions, not at all.
    """
    kinds = tags(before)
    if kinds & NOT_COMPARED:
        return []
    if WITHIN_TOLERANCE in kinds:
        return _beyond(shown(before), shown(after), before.metadata.get("tolerance", {}))
    if same_libraries:
        same = (before.outputs, before.execution_count) == (after.outputs, after.execution_count)
    else:
        same = SET_UP in before.source or shown(before) == shown(after)
    return [] if same else [_other(shown(before), shown(after))]


def _other(old, new):
    return "another output" + (f": {_where(old, new)}" if old != new else ", in the same words")


def shown(cell):
    """Return what a reader of a cell's outputs sees as text: a picture counts by its alt text."""
    pieces = []
    for output in cell.outputs:
        if output.output_type == "stream":
            pieces.append(output.text)
        for kind, value in sorted(output.get("data", {}).items()):  # as a file has them
            if kind.startswith("image/"):
                pieces.append(output.metadata.get(kind, {}).get("alt", ""))
            elif kind == "text/html":
                pieces.append(_readable(value))
            elif kind.startswith("text/"):
                pieces.append(value)
    return _ADDRESS.sub("0x", "\n".join(pieces))


def _readable(html):
    """Drop tags and styles; keep the alt text of pictures."""
    html = re.sub(r"<(style|script)\b.*?</\1>", " ", html, flags=re.DOTALL)
    html = re.sub(r"<img\b[^>]*?\balt=(['\"])(.*?)\1[^>]*>", r" \2 ", html, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", " ", html)


def _beyond(old, new, tolerance):
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip() for text in (old, new)]
    if words[0] != words[1]:
        alike = SequenceMatcher(None, *(text.split() for text in words), autojunk=False).ratio()
        fine = alike >= 1 - tolerance.get("words", 0)
        return [] if fine else [f"other words: {_where(*words)}"]
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
    return [f"{a} is now {b}" for a, b in pairs if not _near(a, b, tolerance)]


def _near(old, new, tolerance):
    a, b = _value(old), _value(new)
    place = _last_place(old)
    near = tolerance.get("relative", 0) * abs(a), tolerance.get("absolute", 0)
    allowed = max(*near, place or tolerance.get("whole", 0))
    return abs(a - b) <= allowed * (1 + 1e-9)


def _value(text):
    return float(text.replace(",", "").replace("−", "-"))


def _last_place(text):
    """Return the size of one in the last printed place; 0 for a whole number, which is exact."""
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - places) if places else 0


def _where(old, new, beside=40):
    """Return the first place where two texts part."""
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    at = min(len(old), len(new)) if at is None else at
    piece = slice(max(at - beside, 0), at + beside)
    return f"{old[piece]!r} is now {new[piece]!r}"
