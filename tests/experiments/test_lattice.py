"""Two weights in a plane: GPTQ's walk is that of quantlab, and each choice lies in its cell."""

import itertools

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.lattice import FIRST, lattice

LEANS = (-0.9, -0.35, 0.0, 0.55, 1.0)
WEIGHTS = list(itertools.product((0.07, 0.41, 0.83), repeat=2))
CASES = list(itertools.product(LEANS, WEIGHTS, FIRST))


@pytest.mark.parametrize(("lean", "weights", "first"), CASES)
def test_the_walk_gives_the_codes_of_quantize_gptq(lean, weights, first):
    found = lattice(lean, weights, first)
    order = [0, 1] if first == FIRST[0] else [1, 0]
    x = np.eye(3)
    x[:2, :2] = found.arrows.T[:, order]
    w = np.append(np.array(weights)[order], 7.0)[:, None]  # a third weight makes the step 1
    q = ql.quantize_gptq(w, ql.hessian(x), bits=4, damping=0)
    assert q.scale.item() == 1
    assert found.gptq.codes[order].tolist() == q.codes[:2, 0].tolist()


@pytest.mark.parametrize(("lean", "weights", "first"), CASES)
def test_no_error_is_beyond_its_bound_or_below_the_best(lean, weights, first):
    found = lattice(lean, weights, first)
    for choice in (found.rounded, found.gptq):
        assert found.best.error - 1e-12 <= choice.error <= choice.reach + 1e-12


def _inside(point, cell):
    """Whether a point lies in a four-sided cell: on one side of all its edges."""
    edges, to = np.roll(cell, -1, axis=0) - cell, point - cell
    turns = edges[:, 0] * to[:, 1] - edges[:, 1] * to[:, 0]
    return (turns >= -1e-9).all() or (turns <= 1e-9).all()


@pytest.mark.parametrize(("lean", "weights", "first"), CASES)
def test_the_target_lies_in_the_cells_of_both_choices(lean, weights, first):
    found = lattice(lean, weights, first)
    assert _inside(found.target, found.rounded.cell) and _inside(found.target, found.gptq.cell)


def test_gptqs_cell_is_a_brick_and_both_cells_have_the_area_of_one_point():
    found = lattice(0.8, (0.4, 0.4), FIRST[1])
    for choice in (found.rounded, found.gptq):
        one, other = choice.cell[1] - choice.cell[0], choice.cell[3] - choice.cell[0]
        assert abs(one[0] * other[1] - one[1] * other[0]) == pytest.approx(0.4)
    assert one @ other == pytest.approx(0)


def test_at_a_right_angle_the_walk_is_rounding():
    for weights in WEIGHTS:
        found = lattice(0.0, weights)
        assert np.array_equal(found.gptq.codes, found.rounded.codes)


def test_the_foot_is_straight_across_from_the_target():
    found = lattice(0.8, (0.4, 0.4))
    assert (found.target - found.foot) @ found.arrows[1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((0.5, (1, 2, 3)), "two numbers"), ((0.5, (1, 2), "both"), "weight 1, weight 2")],
)
def test_a_bad_setting_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        lattice(*arguments)
