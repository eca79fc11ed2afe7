"""What the commands read and write: sizes, counts and lists of names, as people write them."""

import re

from quantlab._checks import shown

UNITS = {"mb": 1e6, "gb": 1e9, "tb": 1e12, "mib": 2**20, "gib": 2**30, "tib": 2**40}
TIMES = {"": 1, "k": 1024, "m": 1024**2}


def size(text, names):
    """Return "24GB" as a number of bytes, and a text of `names` as it is.

    >>> size("24GB", ()), size("8 GiB", ()), size("RTX 4090", ["RTX 4090"])
    (24000000000.0, 8589934592.0, 'RTX 4090')
    """
    if text.lower() in (name.lower() for name in names):
        return text
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+)", text.lower())
    if not found or found[2] not in UNITS:
        raise ValueError(
            f"--device must be a size such as 24GB or 16GiB, or one of {', '.join(names)}; "
            f"got {shown(text)}"
        )
    return float(found[1]) * UNITS[found[2]]


def tokens(name, text):
    """Return "32k" as 32768: a k is 1024 tokens, an m 1024 of these.

    >>> tokens("--context", "32k"), tokens("--context", "100_000")
    (32768, 100000)
    """
    found = re.fullmatch(r"([0-9][0-9_,]{0,20})([km]?)", text.lower())
    if not found:
        raise ValueError(
            f"{name} must be a number of tokens such as 8192 or 32k, got {shown(text)}"
        )
    return int(re.sub("[_,]", "", found[1])) * TIMES[found[2]]


def gigabytes(bytes):
    """Return a number of bytes in GB, of 10^9.

    >>> gigabytes(25_757_220_864)
    '25.8 GB'
    """
    return f"{bytes / 1e9:,.1f} GB"


def columns(names, width=27, count=3):
    """Return names in columns, indented as a page of help has them."""
    names = list(names)
    rows = [names[i : i + count] for i in range(0, len(names), count)]
    return "\n".join(
        "         " + "".join(name.ljust(width) for name in row).rstrip() for row in rows
    )
