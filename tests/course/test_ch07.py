"""The exercises of notebook 07 accept what is right and name the usual mistakes."""

import numpy as np

import quantlab as ql
from quantlab.course.exercises import ch07


def right_bits(bits, inputs, outputs, group_size, zero_points):
    groups = inputs // group_size * outputs
    shared = groups * (16 + (bits if zero_points else 0))
    return (bits * inputs * outputs + shared) / (inputs * outputs)


def right_frontier(pairs):
    kept = []
    for bits, error in sorted(pairs):
        if not kept or error < kept[-1][1]:
            kept.append((bits, error))
    return kept


def right_choice(rows, weights, most_bytes, have_text):
    fits = [r for r in rows if weights * r[1] / 8 <= most_bytes and (have_text or not r[3])]
    return min(fits, key=lambda r: r[2])[0] if fits else "none"


def comparison(axis=0, group_size=None, on_new=True, turned=False, learns="seen", rounds=None):
    """rounds: what rounds, and GPTQ's further options, in place of absmax per output."""

    def compare(W, X_seen, X_new):
        x = X_new if on_new else X_seen
        both = np.vstack([X_seen, X_new])
        H = ql.hessian({"seen": X_seen, "new": X_new, "both": both}[learns])
        method, options, gptqs = rounds or (ql.quantize_absmax, {}, {})
        rounded = method(W, bits=4, axis=axis, **options)
        gptq = ql.quantize_gptq(W, H, bits=4, group_size=group_size, **gptqs)
        found = [ql.errors.relative(x @ q.dequantize(), x @ W) for q in (rounded, gptq)]
        return found[::-1] if turned else found

    return compare


def bits_alone(pairs):
    """Walks by rising bits, but takes pairs of equal bits as they come."""
    kept = []
    for bits, error in sorted(pairs, key=lambda pair: pair[0]):
        if not kept or error < kept[-1][1]:
            kept.append((bits, error))
    return kept


def better_in_both(pairs):
    return sorted(p for p in pairs if not any(q[0] < p[0] and q[1] < p[1] for q in pairs))


def hull(pairs):
    """The frontier without what lies above a line between two others."""
    kept = []
    for bits, error in right_frontier(pairs):
        while len(kept) > 1:
            (a, first), (b, second) = kept[-2:]
            if (second - first) * (bits - a) < (error - first) * (b - a):
                break
            kept.pop()
        kept.append((bits, error))
    return kept


def in_whole_bytes(rows, weights, most_bytes, have_text):
    fits = [r for r in rows if weights * r[1] // 8 <= most_bytes and (have_text or not r[3])]
    return min(fits, key=lambda r: r[2])[0] if fits else "none"


def in_whole_bits(rows, weights, most_bytes, have_text):
    return right_choice([(n, int(b), e, t) for n, b, e, t in rows], weights, most_bytes, have_text)


def only_with_text(rows, weights, most_bytes, have_text):
    return right_choice([r for r in rows if r[3] == have_text], weights, most_bytes, have_text)


def most_bits(rows, weights, most_bytes, have_text):
    fits = [r for r in rows if weights * r[1] / 8 <= most_bytes and (have_text or not r[3])]
    return max(fits, key=lambda r: r[1])[0] if fits else "none"


def row_itself(rows, weights, most_bytes, have_text):
    fits = [r for r in rows if weights * r[1] / 8 <= most_bytes and (have_text or not r[3])]
    return min(fits, key=lambda r: r[2], default="none")


GROUPS = (ql.quantize_absmax, {"group_size": 32}, {})
GRIDS = (ql.quantize_zero_point, {}, {"symmetric": False})
GRID_OF_GPTQ = (ql.quantize_absmax, {}, {"symmetric": False})
GRID_OF_ROUNDING = (ql.quantize_zero_point, {}, {})

RIGHT = {
    "7.1": [right_bits, lambda b, i, o, g, z: b + (16 + b * z) / g, ch07._true_bits],
    "7.2": [right_frontier, ch07._frontier, lambda pairs: np.array(right_frontier(pairs))],
    "7.3": [
        right_choice,
        lambda rows, n, most, text: min(
            [(e, name) for name, b, e, t in rows if n * b <= 8 * most and text >= t],
            default=(0, "none"),
        )[1],
        lambda *args: f" {right_choice(*args)} ",
    ],
    "7.4": [
        comparison(),
        lambda *args: tuple(comparison()(*args)),
        lambda *args: np.array(comparison()(*args)),
    ],
}

WRONG = [
    ("7.1", lambda bits, *_: bits, "the code alone"),
    ("7.1", lambda b, i, o, g, z: b + 16 + b * z, "a group of weights shares"),
    ("7.1", lambda b, i, o, g, z: b + (16 + b * z) / i, "how many groups"),
    ("7.1", lambda b, i, o, g, z: b + 16 / g, "take bits as well"),
    ("7.1", lambda b, i, o, g, z: b + (32 if z else 16) / g, "as many bits as one, not 16"),
    ("7.1", lambda b, i, o, g, z: b + (16 + 4 * z) / g, "as a code: here 2, not 4"),
    ("7.1", lambda b, i, o, g, z: b + (32 + b * z) / g, "a scale has 16 bits here"),
    ("7.1", lambda b, i, o, g, z: b + (16 + b) / g, "count scales alone"),
    ("7.1", lambda b, i, o, g, z: b + (16 + b * z) / 64, "is an argument"),
    ("7.2", sorted, "fewer (or equal) bits"),
    ("7.2", hull, "above the line between the others"),
    ("7.2", lambda pairs: right_frontier(pairs)[::-1], "sorted by bits"),
    ("7.2", bits_alone, "better in the other"),
    ("7.2", better_in_both, "better in the other"),
    ("7.2", lambda pairs: [bits for bits, _ in right_frontier(pairs)], "stays if no other"),
    ("7.2", lambda pairs: (pair for pair in right_frontier(pairs)), "a list is asked for"),
    ("7.2", lambda pairs: set(right_frontier(pairs)), "a list is asked for"),
    ("7.3", lambda rows, *_: min(rows, key=lambda r: r[2])[0], "error decides"),
    ("7.3", most_bits, "the error decides, not bits"),
    ("7.3", lambda rows, n, most, text: right_choice(rows, n, most, True), "without text no"),
    ("7.3", lambda rows, n, most, text: right_choice(rows, n, most - 0.01, text), "that fits"),
    ("7.3", lambda *args: right_choice(*args).replace("none", "absmax, 3"), "nothing fits"),
    ("7.3", row_itself, "its name alone"),
    ("7.3", lambda rows, n, *rest: right_choice(rows, 1000, *rest), "is an argument"),
    ("7.3", in_whole_bytes, "516.25 bytes"),
    ("7.3", in_whole_bits, "true bits have a fraction"),
    ("7.3", lambda rows, n, most, text: right_choice(rows, n, most, False), "there is text"),
    ("7.3", only_with_text, "are there as well"),
    ("7.3", lambda *args: list(row_itself(*args)), "its name alone"),
    ("7.4", comparison(on_new=False), "measured on"),
    ("7.4", comparison(axis=None), "share a scale"),
    ("7.4", comparison(axis=1), "one scale per input"),
    ("7.4", comparison(group_size=32), "still has groups"),
    ("7.4", comparison(turned=True), "rounding comes first"),
    ("7.4", comparison(axis=None, group_size=32, on_new=False), "groups, rounding has none. And"),
    ("7.4", comparison(group_size=32, on_new=False), "And which inputs"),
    ("7.4", comparison(learns="new"), "GPTQ may not see X_new"),
    ("7.4", comparison(learns="both"), "GPTQ may not see X_new"),
    ("7.4", comparison(learns="new", on_new=False), "And GPTQ may not see X_new"),
    ("7.4", comparison(group_size=32, rounds=GROUPS), "one scale per output is asked for"),
    ("7.4", comparison(rounds=GRIDS), "the absmax grid is asked for"),
    ("7.4", comparison(rounds=GRID_OF_GPTQ), "the absmax grid is asked for"),
    ("7.4", comparison(rounds=GRID_OF_ROUNDING), "the absmax grid is asked for"),
]


def test_true_bits_are_what_the_quantizers_count():
    w = np.random.default_rng(7).normal(size=(256, 8))
    for group in (32, 256):
        plain = ql.quantize_absmax(w, bits=3, axis=0, group_size=group).bits_per_value
        with_zero = ql.quantize_zero_point(w, bits=3, axis=0, group_size=group).bits_per_value
        assert plain == ch07._true_bits(3, 256, 8, group, False)
        assert with_zero == ch07._true_bits(3, 256, 8, group, True)


def test_the_frontier_by_its_definition_is_the_one_in_a_single_pass():
    rng = np.random.default_rng(7)
    for _ in range(50):
        pairs = [(int(b), int(e)) for b, e in {tuple(p) for p in rng.integers(0, 9, (12, 2))}]
        assert ch07._frontier(pairs) == right_frontier(pairs)


def test_a_fair_comparison_still_has_gptq_ahead():
    case = ch07._comparison_case(64, 8, 7)
    rounded, gptq = case.expected
    assert gptq < rounded
