"""Notebook 07's settings, frontier, tables, pictures and explorer."""

import re

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments import one_layer
from quantlab.experiments.in_print import printed
from quantlab.experiments.one_layer import METHODS, RULES, SETTINGS, Point, Setting
from quantlab.methods import CALIBRATION, WEIGHT_ONLY
from quantlab.show import comparison

FOUR = Setting("absmax", 4)
NESTED = Setting("NF4", 4, 64, double_quant=True)


@pytest.fixture(scope="module")
def layer():
    rng = np.random.default_rng(7)
    mix = rng.normal(size=(128, 128))
    seen, new = (rng.normal(size=(400, 128)) @ mix for _ in range(2))
    return rng.normal(size=(128, 24)), ql.hessian(seen), new


@pytest.fixture(scope="module")
def points(layer):
    return one_layer.measure(*layer)


# ------------------------------------------------------------------------- settings and points


def test_every_method_at_every_width_is_measured():
    found = {(s.method, s.bits) for s in SETTINGS}
    for method in ("absmax", "zero-point", "GPTQ"):
        assert {(method, bits) for bits in (8, 6, 5, 4, 3, 2)} <= found
    assert {("NF4", 4), ("FP4", 4)} <= found
    assert len(set(SETTINGS)) == len(SETTINGS)


@pytest.mark.parametrize("options", [{"method": "AWQ"}, {"method": "GPTQ", "grid": "NF4"}])
def test_an_unknown_name_says_what_there_is(options):
    with pytest.raises(ValueError, match="must be one of absmax, zero-point"):
        Setting(bits=4, **options)


def test_a_setting_is_what_the_core_does(layer):
    w, h, _ = layer
    pairs = {
        FOUR: ql.quantize_absmax(w, 4, axis=0),
        Setting("zero-point", 3, 64): ql.quantize_zero_point(w, 3, axis=0, group_size=64),
        Setting("GPTQ", 3, 64, "absmax"): ql.quantize_gptq(w, h, 3, 64),
        Setting("GPTQ", 2, act_order=True): ql.quantize_gptq(
            w, h, 2, act_order=True, symmetric=False
        ),
        NESTED: ql.quantize_blockwise(w.T, ql.NF4, 64, double_quant=True),  # blocks run along w.T
        Setting("FP4", 4, 64): ql.quantize_blockwise(w.T, ql.FP4, 64),
    }
    for setting, expected in pairs.items():
        found = one_layer.quantize(setting, w, h)
        codes = getattr(found, "stored", found).codes
        assert np.array_equal(codes, expected.codes), setting
        assert found.bits_per_value == expected.bits_per_value, setting


def test_gptq_without_a_hessian_says_what_it_needs(layer):
    with pytest.raises(ValueError, match=r"gptq needs the hessian"):
        one_layer.quantize(Setting("GPTQ", 4), layer[0])


@pytest.mark.parametrize("setting", [FOUR, NESTED], ids=str)
def test_a_point_has_the_error_of_the_output_and_the_true_bits(layer, setting):
    w, h, x = layer
    (point,) = one_layer.measure(w, h, x, (setting,))
    q = one_layer.quantize(setting, w)
    back = q.dequantize()
    assert point == Point(setting, q.bits_per_value, ql.errors.relative(x @ back, x @ w))


def test_names_tell_settings_of_one_width_apart():
    for bits in one_layer.WIDTHS:
        names = [s.name for s in SETTINGS if s.bits == bits]
        assert len(set(names)) == len(names)


# ------------------------------------------------------------------------------------ frontier


def named(*pairs):
    return [Point(name, bits, error) for name, bits, error in pairs]


def test_the_frontier_of_the_notebooks_five():
    five = named(("A", 4.06, 14), ("B", 4.13, 11), ("C", 4.25, 12), ("D", 4.5, 10), ("E", 4.5, 14))
    assert "".join(p.setting for p in one_layer.frontier(five)) == "ABD"


def test_no_point_of_the_frontier_is_beaten_and_every_other_is(points):
    kept = one_layer.frontier(points)

    def beaten(p):
        return any(
            q.bits <= p.bits and q.error <= p.error and (q.bits, q.error) != (p.bits, p.error)
            for q in points
        )

    assert {p.setting for p in points if not beaten(p)} == {p.setting for p in kept}


def test_of_twins_one_stays():
    assert len(one_layer.frontier(named(("A", 4, 1.0), ("B", 4, 1.0)))) == 1


def test_the_best_within_a_budget_is_on_the_frontier(points):
    for budget in (2.3, 3.6, 4.2, 9.0):
        assert one_layer.best(points, budget) in one_layer.frontier(points)


def test_a_budget_below_everything_buys_nothing(points):
    assert one_layer.best(points, 2.0) is None


# -------------------------------------------------------------------------------------- tables

EXACT = ql.article.X @ ql.article.W
ABSMAX = ql.quantized_matmul(
    ql.quantize_absmax(ql.article.X, axis=1), ql.quantize_absmax(ql.article.W, axis=0)
)
ROWS = [("exact", "as is", "as is", EXACT), ("absmax", 8, 8, ABSMAX), ("absmax", 8, 4, EXACT + 1)]


def lines_of(table):
    rows = re.findall("<tr>(.*?)</tr>", table, re.DOTALL)
    return [[re.sub("<[^>]+>", "", c) for c in re.findall("<t[hd].*?</t[hd]>", r)] for r in rows]


def article_lines(published):
    return lines_of(comparison.article_table(ROWS, EXACT, published).data)


def test_the_article_table_has_all_six_results_and_the_error():
    lines = article_lines({})
    assert lines[2][:3] == ["absmax", "8", "8"]
    assert lines[2][5:7] == ["−1565.66", "−1786.22"]
    assert lines[2][-1] == "0.6028 %"
    assert lines[1][-1] == "0.0000 %"


def test_published_numbers_keep_their_digits_and_get_a_difference():
    lines = article_lines({"absmax": printed()["absmax: product"]})
    assert lines[3][:1] + lines[3][3:9] == [
        "published", "2.573", "−15.73", "−1565", "−1786", "−6.499", "10.63"
    ]  # fmt: skip
    assert lines[4][5:7] == ["−0.66", "−0.22"]
    assert len(lines) == 1 + len(ROWS) + 2  # under the first absmax only


def test_a_row_that_was_not_published_stays_empty():
    big = ql.article.published["zero_point"]["big_row"]
    lines = article_lines({"absmax": [None, big, None]})
    assert lines[3][3:9] == ["", "", "−1579", "−1752", "", ""]
    assert lines[4][3:9] == ["", "", "+13.34", "−34.22", "", ""]


def test_the_product_figure_tells_every_error_but_the_exact_ones():
    alt = comparison.product_figure(ROWS, EXACT, "Errors differ").alt
    assert "absmax, X 8, W 8: 0.60 %" in alt and "exact" not in alt


def test_the_point_table_marks_the_frontier_with_a_word():
    table = comparison.point_table([Point(FOUR, 4.06, 0.144), Point(NESTED, 4.13, 0.15)]).data
    lines = lines_of(table)
    assert [line[-1] for line in lines] == ["on the frontier", "yes", "no"]


def test_each_method_of_the_comparison_is_in_the_table_of_needs():
    shown = comparison.needs_table().data
    assert all(method in shown for method in (*METHODS, "LLM.int8()"))
    assert all((row[1] == "yes") == row[0].startswith("GPTQ") for row in comparison.NEEDS)


def test_claims_are_counted_by_their_verdicts():
    claims = comparison.Claims()
    claims.add("2023 needs 12 bits", "true", "12", 1)
    claims.add("202.3 needs FP32", "wrong", "202.25", 2)
    shown = claims._repr_html_()
    assert "2 claims: 1 true, 1 wrong." in shown
    assert lines_of(shown)[2] == ["202.3 needs FP32", "wrong", "202.25", "02"]
    assert "202.3 needs FP32 | wrong | 202.25 | 02" in repr(claims)


def test_a_verdict_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"verdict must be one of true, .* got 'maybe'"):
        comparison.Claims().add("it rains", "maybe", "1", 1)


# ------------------------------------------------------------------------------------ pictures


def test_the_pareto_figure_is_the_same_bytes_each_time(points):
    first, second = (comparison.pareto_figure(points, "The same", [FOUR]) for _ in range(2))
    assert first.data == second.data


def test_the_pareto_figure_tells_every_point_and_the_frontier(points):
    alt = comparison.pareto_figure(points, "All of them", [FOUR]).alt
    assert all(f"{p.setting}: {p.bits:.2f} bits" in alt for p in points)
    assert alt.index("Frontier:") < alt.rindex(str(one_layer.frontier(points)[0].setting))


def test_a_window_shows_and_tells_only_what_is_in_it(points):
    alt = comparison.pareto_figure(points, "Four", window=(3.7, 4.9), height=560).alt
    assert "absmax, 4 bits" in alt and "absmax, 5 bits" not in alt


# ---------------------------------------------------------------------------------- explorer


def test_a_choice_has_the_best_of_each_method(points):
    choice = one_layer.choose(points, 4.3)
    for method, point in choice.by_method.items():
        own = [p for p in points if p.setting.method == method and p.bits <= 4.3]
        assert point == min(own, key=lambda p: p.error)
    assert choice.best.error == min(p.error for p in choice.by_method.values())


def test_a_rule_leaves_what_it_says(points):
    allowed = one_layer.choose(points, 4.3, "no calibration text").allowed
    free = {row.label for row in WEIGHT_ONLY if row.needs != CALIBRATION}
    assert {p.setting.method for p in allowed} == free and "GPTQ" not in free
    allowed = one_layer.choose(points, 4.3, "one scale per output").allowed
    assert {p.setting.group for p in allowed} == {None}


def test_a_rule_that_is_unknown_says_what_there_is(points):
    with pytest.raises(ValueError, match="allowed must be one of everything, no calibration"):
        one_layer.choose(points, 4.3, "nothing")


def text_of(face):
    return re.sub("<[^>]+>", " ", face)


def test_the_face_has_the_numbers_of_the_choice(points):
    choice = one_layer.choose(points, 4.3)
    face = comparison.render(choice)
    assert f"{100 * choice.best.error:.3f} %" in text_of(face)
    assert text_of(face).count("least error") == 1
    assert f"budget 4.30 bits: {choice.best.setting}" in face  # the picture's label


def test_a_budget_that_buys_nothing_says_the_least(points):
    face = text_of(comparison.render(one_layer.choose(points, 2.0)))
    least = min(p.bits for p in points)
    assert f"nothing fits into 2.00 bits: the least is {least:.2f}" in face


def test_every_face_has_as_many_rows_so_that_nothing_jumps(points):
    counts = {
        comparison.render(one_layer.choose(points, budget, rule)).count("<tr>")
        for budget in (2.0, 4.2, 8.7)
        for rule in RULES
    }
    assert counts == {1 + len(METHODS)}


def test_each_point_is_drawn_once_with_a_ring_around_the_best(points):
    face = comparison.render(one_layer.choose(points, 4.3))
    rings = face.count('r="11"')
    marks = face.count("<circle") - rings + face.count("<polygon")
    assert (marks, rings) == (len(points), 1)


def test_the_explorer_moves_between_layers_budgets_and_rules(points):
    few = [p for p in points if p.setting.method == "absmax"]
    explorer = comparison.explorer({"all": points, "absmax alone": few})
    assert "least error" in explorer.set(budget=8.5)
    shown = explorer.set(layer="absmax alone")
    assert "absmax, 8 bits" in shown and "act-order" not in shown
    assert "not allowed" in explorer.set(layer="all", allowed="no calibration text")


def test_the_explorer_has_a_still(points):
    explorer = comparison.explorer({"up": points}, budget=4.2)
    best = one_layer.best(points, 4.2)
    assert f"4.20 bits buy an error of {100 * best.error:.3f} %" in explorer.static.alt


def test_an_explorer_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        comparison.explorer({})
