"""The bits of a number in a float format: sign, exponent, mantissa, and what is lost.

A value is (-1)^sign x 2^(exponent - bias) x 1.mantissa; the number that you give is rounded to the
nearest one that the format has. "step" is the gap to the next value away from zero.
"""

from quantlab import formats

from .texts import columns

SHORT = "the bits of a number in FP32, FP16, BF16, FP8 ..."
MORE = f"""\
FORMAT   one of these; without one, all of them:
{columns(formats.ALL, width=12, count=6)}

  python -m quantlab bits 20.23 --format FP16
  python -m quantlab bits 1e-8
  python -m quantlab bits -- -1e-8        (after --, a minus is no option)
"""


def arguments(page):
    """Add the arguments of the command to its page."""
    page.add_argument("number", metavar="NUMBER", type=float, help="such as 20.23, -1e-8 or inf")
    page.add_argument("--format", metavar="FORMAT", type=str.upper, choices=formats.ALL,
                      help="one of the names below")  # fmt: skip


def run(given):
    """Print a row for each format; return 0."""
    names = [given.format] if given.format else list(formats.ALL)
    widest = max(len(formats.ALL[name].bits(given.number)) for name in names)
    print(f"{'format':<10}{'sign exponent mantissa':<{max(widest, 22)}}  {'value':<24}{'step'}")
    for name in names:
        format = formats.ALL[name]
        value = float(format.round(given.number))
        step = float(format.spacing(given.number))
        bits = format.bits(given.number)
        print(f"{name:<10}{bits:<{max(widest, 22)}}  {value!r:<24}{step:.4g}")
    return 0
