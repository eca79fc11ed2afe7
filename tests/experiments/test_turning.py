"""A token turned part of the way: every dial position is a turn, and the numbers are quantlab's."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments import turning
from quantlab.experiments.turning import HADAMARD, KINDS, RANDOM, explore, kurtosis, part_of_a_turn


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_every_part_of_a_turn_keeps_lengths_and_right_angles(kind, share):
    turn = part_of_a_turn(share, kind)
    # Of 64 products of unit length, each off by a few roundings; the random one is a matrix power.
    assert np.allclose(turn @ turn.T, np.eye(64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_no_turn_at_all_changes_nothing(kind):
    assert np.allclose(part_of_a_turn(0, kind), np.eye(64), rtol=0, atol=1e-12)


def test_the_whole_turn_is_the_hadamard_matrix_but_for_signs_of_rows():
    ours, theirs = part_of_a_turn(1), ql.transforms.hadamard(64)
    signs = np.sign(ours[:, :1] * theirs[:, :1])
    assert np.allclose(ours, theirs * signs, rtol=0, atol=1e-15)


def test_half_a_random_turn_twice_is_a_whole_one():
    half = part_of_a_turn(0.5, RANDOM)
    assert np.allclose(half @ half, part_of_a_turn(1, RANDOM), rtol=0, atol=1e-12)


def test_turned_by_half_the_angle_a_lone_value_keeps_its_share_in_each_of_six_rounds():
    spike = np.eye(64)[20]
    assert np.abs(spike @ part_of_a_turn(0.5)).max() == pytest.approx(np.cos(np.pi / 8) ** 6)


@pytest.mark.parametrize("kind", KINDS)
def test_step_and_error_are_those_of_quantlab(kind):
    found, (x, w) = explore(12.0, 0.6, kind, 4), turning.layer(12.0)
    turn = part_of_a_turn(0.6, kind)
    for side, (a, b) in ((found.before, (x, w)), (found.after, (x @ turn, turn.T @ w))):
        qa, qb = ql.quantize_absmax(a, 4, axis=1), ql.quantize_absmax(b, 4, axis=0)
        assert side.step == qa.scale[0, 0]
        assert side.error == ql.errors.relative(ql.quantized_matmul(qa, qb), a @ b)
        assert side.lost == np.mean(qa.codes[0] == 0)


def test_the_outlier_is_that_of_the_token_drawn_and_stands_in_one_column():
    x, _ = turning.layer(25.0)
    assert x[0].max() == 25.0 and np.abs(x).argmax(axis=1).tolist() == [20] * 64


@pytest.mark.parametrize(("values", "known"), [([1, -1, 1, -1], 1), ([0, 0, 5, 0, 0], 5)])
def test_kurtosis_is_1_for_equal_sizes_and_n_for_a_single_one(values, known):
    assert kurtosis(values) == pytest.approx(known)


def test_kurtosis_of_normal_numbers_is_near_3():
    many = np.random.default_rng(0).normal(size=100_000)
    assert kurtosis(many) == pytest.approx(3, abs=5 * np.sqrt(24 / many.size))  # its standard error


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "mirror"}, "Hadamard, random rotation"),
        ({"outlier": -1}, "0 or more"),
        ({"share": 1.1}, "share must be 0 to 1, got 1.1"),
        ({"bits": 1}, "bits must be 2 to 16, got 1"),
    ],
)
def test_a_bad_setting_is_named(settings, says):
    with pytest.raises(ValueError, match=says):
        explore(**settings)


def test_a_turn_helps_most_where_the_outlier_is_large():
    won = [explore(size, 1.0, HADAMARD, 4) for size in (3, 10, 20)]
    gains = [one.before.error / one.after.error for one in won]
    assert gains == sorted(gains) and gains[-1] > 2
