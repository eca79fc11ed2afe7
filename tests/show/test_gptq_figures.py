"""The stepper shows what `gptq_steps` yields, and the figures of notebook 06 say what they draw."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.walk import DAMPINGS, EXAMPLES, best_answer, walk
from quantlab.show import gptq_figures as figures
from quantlab.show import gptq_stepper

SETTINGS = [
    (name, bits, damping) for name in EXAMPLES for bits in range(2, 9) for damping in DAMPINGS
]
every_setting = pytest.mark.parametrize("example, bits, damping", SETTINGS)
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "06_gptq.ipynb"


def steps_of(example, bits, damping):
    x, w = EXAMPLES[example]
    return list(ql.gptq_steps(w, ql.hessian(x), bits=bits, damping=damping))


def shown(step, example, bits, damping):
    """The texts of a face that carry a number, by what they show."""
    face = gptq_stepper.render(step, example, bits, damping)
    return dict(re.findall(r'data-key="([^"]+)">([^<]*)<', face))


def agrees(text, value):
    """Whether a text is `value` rounded to the decimals that it has."""
    text = text.strip("\N{FIGURE SPACE}").replace("−", "-")
    half = 0.5 * 10.0 ** -len(text.partition(".")[2])
    return abs(float(text) - value) <= half * (1 + 1e-9) + 1e-15


def digits(text):
    return len(re.sub(r"^0+", "", re.sub(r"\D", "", text)))


# ------------------------------------------------------------------------------- what is shown


@every_setting
def test_every_step_shows_the_numbers_of_gptq_steps(example, bits, damping):
    w = EXAMPLES[example][1]
    scale, before = ql.quantize_absmax(w, bits, axis=0).scale[0], w
    for i, step in enumerate(steps_of(example, bits, damping)):
        texts = shown(i, example, bits, damping)
        lost = step.weights - step.quantized
        for j in range(w.shape[1]):
            assert agrees(texts[f"weight-{j}"], step.weights[j])
            assert agrees(texts[f"back-{j}"], step.quantized[j])
            assert agrees(texts[f"lost-{j}"], lost[j])
            assert agrees(texts[f"error-{j}"], step.error[j])
            code, times = texts[f"times-{j}"].split(" × ")
            assert agrees(code, step.codes[j]) and agrees(times, scale[j])
            for row in range(len(w)):
                assert agrees(texts[f"stands-{row}-{j}"], before[row, j])
                assert (f"added-{row}-{j}" in texts) == (row > step.row)
                if row > step.row:
                    assert agrees(texts[f"added-{row}-{j}"], step.compensation[row, j])
        for row in range(step.row, len(w)):
            assert agrees(texts[f"inverse-{row}-0"], step.inverse_row[row])
        before = step.after


@pytest.mark.parametrize("example", EXAMPLES)
def test_codes_stay_once_their_row_is_done(example):
    steps = steps_of(example, 3, 0.01)
    for i in range(len(steps)):
        texts = shown(i, example, 3, 0.01)
        codes = {key: text for key, text in texts.items() if key.startswith("code-")}
        assert len(codes) == (i + 1) * len(steps[0].codes)
        for done in steps[: i + 1]:
            for j, code in enumerate(done.codes):
                assert agrees(codes[f"code-{done.row}-{j}"], code)


@every_setting
def test_the_layer_errors_end_at_those_of_the_two_quantizers(example, bits, damping):
    x, w = EXAMPLES[example]
    texts = shown(len(w) - 1, example, bits, damping)
    for key, q in (
        ("error-gptq", ql.quantize_gptq(w, ql.hessian(x), bits, damping=damping)),
        ("error-rounded", ql.quantize_absmax(w, bits, axis=0)),
    ):
        assert agrees(texts[key], np.sum((x @ (q.dequantize() - w)) ** 2) / len(x))


def test_the_layer_errors_on_the_way_are_those_of_the_rows_done_so_far():
    x, w = EXAMPLES["correlated inputs"]
    found = walk("correlated inputs", 3, 0.01)
    nearest = ql.quantize_absmax(w, 3, axis=0).dequantize()
    for i, step in enumerate(found.steps):
        rounded = np.vstack([nearest[: i + 1], w[i + 1 :]])
        for error, back in ((found.gptq[i], step.after), (found.rounded[i], rounded)):
            assert error == pytest.approx(np.mean(((x @ (back - w)) ** 2).sum(axis=1)), rel=1e-12)


def test_the_codes_that_are_not_the_nearest_are_framed_and_counted():
    found = walk("correlated inputs", 3, 0.01)
    framed = {2: [(2, 0), (2, 1)], 3: [(2, 0), (2, 1), (3, 0)]}
    framed |= {4: framed[3], 5: framed[3]}
    for i in range(6):
        marks = gptq_stepper.draw(found, i).marks
        frames = [m for m in marks if isinstance(m, gptq_stepper.Box) and m.edge == "ink"]
        inside = [
            tuple(map(int, m.key.split("-")[1:]))
            for m in marks
            if isinstance(m, gptq_stepper.Text)
            and m.key.startswith("code-")
            and any(
                f.x < m.x <= f.x + f.width and f.y < m.y < f.y + f.height and f.width < 60
                for f in frames
            )
        ]
        assert inside == framed.get(i, [])
        said = shown(i, "correlated inputs", 3, 0.01)["flips"]
        assert f"So far: {len(inside)}." in said


@every_setting
def test_the_largest_number_of_each_kind_has_four_digits(example, bits, damping):
    for i, step in enumerate(steps_of(example, bits, damping)):
        texts = shown(i, example, bits, damping)
        kinds = ["stands-", "inverse-", "error-gptq", "error-rounded"]
        if step.error.any():
            kinds.append(r"error-\d")
        for kind in kinds:
            of_kind = [text.strip() for key, text in texts.items() if re.match(kind, key)]
            assert max(map(digits, of_kind)) >= 4 or of_kind == ["0.000"], (kind, of_kind)


def test_digits_stand_under_each_other():
    texts = shown(2, "correlated inputs", 3, 0.01)
    after = {
        kind: {len(text.partition(".")[2]) for key, text in texts.items() if re.match(kind, key)}
        for kind in ("stands", "inverse", "added", "lost", r"error-\d", "error-(gptq|rounded)")
    }
    assert all(len(decimals) == 1 for decimals in after.values()), after


# ---------------------------------------------------------------------------- where it stands


@pytest.mark.parametrize("example", EXAMPLES)
def test_nothing_moves_from_step_to_step(example):
    """Same size, and a number that stays on the page stays at its place."""
    found = walk(example, 3, 0.01)
    places = {}
    for i in range(len(found.steps)):
        for mark in gptq_stepper.draw(found, i).marks:
            if isinstance(mark, gptq_stepper.Text) and mark.key:
                assert places.setdefault(mark.key, (mark.x, mark.y)) == (mark.x, mark.y)
    sizes = {
        re.search(r'viewBox="([^"]+)"', gptq_stepper.render(i, example, 3, 0.01))[1]
        for i in range(len(found.steps))
    }
    assert sizes == {f"0 0 {gptq_stepper.WIDTH} {gptq_stepper.HEIGHT}"}


@every_setting
def test_no_text_reaches_over_an_edge_or_into_its_neighbour(example, bits, damping):
    """A digit is 10.2 px wide, a sign 13.4 (DejaVu Sans, the widest font of them all)."""
    found = walk(example, bits, damping)
    for i in range(len(found.steps)):
        spans = {}
        for mark in gptq_stepper.draw(found, i).marks:
            if isinstance(mark, gptq_stepper.Text) and re.search(r"\d", mark.text):
                width = sum(5.1 if c in ". " else 13.4 if c in "−×÷=" else 10.2 for c in mark.text)
                start = mark.x - {"start": 0, "middle": 0.5, "end": 1}[mark.anchor] * width
                spans.setdefault(mark.y, []).append((start, start + width))
                assert start >= 0 and start + width <= gptq_stepper.WIDTH
                assert 0 < mark.y < gptq_stepper.HEIGHT - 8
        for line in spans.values():
            line.sort()
            assert all(a[1] <= b[0] for a, b in pairwise(line)), line


# ---------------------------------------------------------------------------------- the wiring


def test_a_shorter_example_has_fewer_steps_and_starts_again():
    explorer = gptq_stepper.explorer()
    stepper = explorer.controls["step"]
    explorer.set(step=5)
    explorer.set(example="the article's X and W")
    assert (stepper.value, stepper.slider.max, stepper.play.max) == (0, 4, 4)
    assert "Step 1 of 4" in explorer.html.value
    explorer.set(example="equal inputs")
    assert (stepper.value, stepper.slider.max, stepper.play.max) == (0, 6, 6)
    assert "Step 1 of 6" in explorer.html.value


def test_the_buttons_walk_through_the_steps():
    explorer = gptq_stepper.explorer()
    stepper = explorer.controls["step"]
    seen = []
    for name in ("Next", "Next", "Back", "Next", "First", "Back"):
        stepper.buttons[name].click()
        seen.append(stepper.value)
        assert explorer.html.value == gptq_stepper.render(**explorer.settings)
    assert seen == [1, 2, 1, 2, 0, 0]


def test_no_setting_of_the_explorer_ends_in_an_error():
    explorer = gptq_stepper.explorer()
    for example, bits, damping in SETTINGS:
        assert 'role="alert"' not in explorer.set(example=example, bits=bits, damping=damping)


@pytest.mark.parametrize(
    "setting, says",
    [
        ({"example": "BLOOM"}, "example must be one of correlated inputs, .*got 'BLOOM'"),
        ({"bits": 17}, "bits must be 2 to 16, got 17"),
        ({"damping": -1}, "damping must be a finite number, 0 or more, got -1"),
        ({"step": 6}, "step must be 0 to 5, got 6"),
    ],
)
def test_a_setting_that_is_not_served_is_named(setting, says):
    good = {"step": 0, "example": "correlated inputs", "bits": 3, "damping": 0.01}
    with pytest.raises(ValueError, match=says):
        gptq_stepper.render(**(good | setting))


def test_the_still_says_the_step_and_both_layer_errors_and_is_the_same_each_time():
    first, second = gptq_stepper.snapshot(), gptq_stepper.snapshot()
    assert first.data == second.data
    assert "Step 3 of 6" in first.alt and "GPTQ 0.004782, round to nearest 0.05553" in first.alt


def test_the_correlated_example_is_the_one_that_the_notebook_builds():
    cells = {c["id"]: "".join(c["source"]) for c in json.loads(NOTEBOOK.read_text())["cells"]}
    names = {"np": np}
    for id in ("small", "inputs"):
        exec(cells[id], names)
    x, w = EXAMPLES["correlated inputs"]
    assert np.array_equal(names["X"], x) and np.array_equal(names["W"], w)


# ---------------------------------------------------------------------------------- the figures


@pytest.mark.parametrize("h", [[[2.18, 2.0], [2.0, 2.18]], [[1.0, -0.9], [-0.9, 3.0]]])
def test_the_best_answer_is_the_lowest_point_and_the_inverses_share(h):
    answers = np.linspace(-1, 1, 20_001)
    h = np.array(h)
    changes = np.stack([np.full_like(answers, 0.3), -answers])
    lowest = answers[np.argmin(np.einsum("ia,ij,ja->a", changes, h, changes))]
    best, inverse = best_answer(h, 0.3), np.linalg.inv(h)
    assert best == pytest.approx(-0.3 * inverse[0, 1] / inverse[0, 0], rel=1e-12)
    assert abs(best - lowest) <= 1e-4 / 2 + 1e-12  # half the distance of two tries


def test_the_answer_needs_two_inputs():
    with pytest.raises(ValueError, match=r"two inputs, \(2, 2\), got \(3, 3\)"):
        best_answer(np.eye(3), 0.3)


def test_the_valley_says_both_layer_errors():
    alt = figures.answer_curve([[2.18, 2.0], [2.0, 2.18]], 0.3, "A valley with a floor").alt
    assert "nothing gives 0.0981, adding 0.2752 gives 0.0155" in alt


def test_the_totals_say_where_they_end():
    lost = {"one": np.array([0.25, 0.5]), "two": np.array([0.25, -0.5])}
    assert "one +0.75, two -0.25" in figures.running_totals(lost, "Two totals").alt


def test_the_damping_curves_say_the_best_damping():
    left = {"seen": [0.1, 0.2], "new": [0.9, 0.4]}
    alt = figures.damping_curves([0.01, 1], left, "Two curves").alt
    assert "seen: least at damping 0.01, 10%; new: least at damping 1, 40%" in alt


def test_the_moved_weights_say_how_many_moved_far():
    changes = {"near": np.array([0.1, -0.4]), "far": np.array([0.1, -0.6])}
    alt = figures.weight_changes(changes, "Two outlines").alt
    assert "near: 0% moved by more than half a step; far: 50% moved" in alt


def test_a_tie_that_a_rounding_put_beyond_half_a_step_is_drawn_within():
    ties = np.array([0.5, -0.5, 0.5, -0.5], dtype=np.float32) * np.float32(1 + 2**-22)
    within = {"ties": np.array([0.49, -0.49, 0.49, -0.49])}
    drawn = figures.weight_changes({"ties": ties}, "All of them ties")
    assert np.abs(ties).max() > 0.5 and "ties: 0% moved" in drawn.alt
    assert drawn.data == figures.weight_changes(within, "All of them ties").data


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.answer_curve([[2.0, 1.0], [1.0, 2.0]], 0.3, "A valley with a floor"),
        lambda: figures.running_totals({"one": np.array([0.25, 0.5])}, "One total only"),
        lambda: figures.damping_curves([0.01, 1], {"new": [0.9, 0.4]}, "One curve only"),
        lambda: figures.weight_changes({"near": np.array([0.1, -0.4])}, "One outline only"),
    ],
)
def test_a_figure_is_the_same_each_time_and_fits_a_column(draw):
    first, second = draw(), draw()
    assert first.data == second.data and first.width <= 760
