"""Scales and rotations: the product stays, the matrices are orthogonal, the walk is the matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantlab as ql
from quantlab import transforms
from quantlab.transforms import (
    awq_scales,
    awq_search,
    block_size,
    hadamard,
    hadamard_product,
    orthogonal,
    rescale,
    smooth_scales,
    turn,
)

EPS = 2.0**-53
#: Every size up to 512 that there is a matrix for, and some widths of released models.
SIZES = sorted(base * 2**k for base in (1, 12, 20, 28) for k in range(10) if base * 2**k <= 512)
seeds = st.integers(0, 2**32 - 1)


def layer(seed, tokens=20, inputs=16, outputs=6, large=(3,)):
    """Inputs (tokens, in) with large columns, and a weight (in, out); float64."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((tokens, inputs)), rng.standard_normal((inputs, outputs))
    x[:, list(large)] *= 50
    return x, w


# Scaling.


@given(seeds, st.floats(0, 1))
def test_a_scaled_product_is_the_product_to_its_roundings(seed, alpha):
    x, w = layer(seed)
    scaled_x, scaled_w = rescale(x, w, smooth_scales(x, w, alpha))
    # Each of n terms has a division, a multiplication and its product rounded, and n - 1 sums; the
    # other product has the last two: (2 n + 2) EPS of the sum of the magnitudes in all, to first
    # order, which a factor of 1.01 more than covers.
    bound = 1.01 * (2 * x.shape[1] + 2) * EPS * (np.abs(x) @ np.abs(w))
    assert np.all(np.abs(scaled_x @ scaled_w - x @ w) <= bound)


@given(seeds)
def test_scaled_by_powers_of_two_the_product_stays_in_every_bit(seed):
    x, w = layer(seed)
    scales = 2.0 ** np.random.default_rng(seed).integers(-20, 20, x.shape[1])
    assert np.array_equal(np.matmul(*rescale(x, w, scales)), x @ w)


@given(seeds)
def test_with_alpha_one_half_inputs_and_weights_reach_the_same(seed):
    x, w = layer(seed)
    scaled_x, scaled_w = rescale(x, w, smooth_scales(x, w))
    assert np.allclose(np.abs(scaled_x).max(0), np.abs(scaled_w).max(1), rtol=1e-14, atol=0)


@given(seeds)
def test_alpha_1_puts_every_column_of_x_at_1_and_alpha_0_every_row_of_w(seed):
    x, w = layer(seed)
    scaled_x, _ = rescale(x, w, smooth_scales(x, w, 1))
    _, scaled_w = rescale(x, w, smooth_scales(x, w, 0))
    assert np.allclose(np.abs(scaled_x).max(axis=0), 1, rtol=1e-15, atol=0)
    assert np.allclose(np.abs(scaled_w).max(axis=1), 1, rtol=1e-15, atol=0)


def test_an_input_that_is_always_0_and_a_row_of_zeros_are_not_scaled():
    x, w = layer(0)
    x[:, 1], w[2] = 0, 0
    scales = smooth_scales(x, w)
    assert scales[1] == scales[2] == 1 and np.isfinite(scales).all()


def test_smoothing_undoes_an_injection():
    x, w = layer(1, large=())
    factor = np.ones(16)
    factor[[2, 5]] = 64
    smoothed = rescale(x, w, smooth_scales(x, w))
    injected = rescale(x, w, 1 / factor)
    again = rescale(*injected, smooth_scales(*injected))
    for one, other in zip(smoothed, again, strict=True):
        assert np.allclose(one, other, rtol=1e-14, atol=0)


def test_float32_stays_float32():
    x, w = (part.astype(np.float32) for part in layer(2))
    for part in (*rescale(x, w, smooth_scales(x, w)), awq_scales(x, w), *turn(x, w)):
        assert part.dtype == np.float32


# AWQ.


@given(seeds, st.integers(2, 5), st.sampled_from([None, 4, 8]))
def test_awq_never_loses_more_than_rounding_without_scales(seed, bits, group_size):
    x, w = layer(seed)
    plain = ql.quantize_zero_point(w, bits, axis=0, group_size=group_size).dequantize()
    scales = awq_scales(x, w, bits, group_size)
    _, scaled = rescale(x, w, scales)
    rounded = ql.quantize_zero_point(scaled, bits, axis=0, group_size=group_size).dequantize()
    lost = [np.sum((x @ (values - w)) ** 2) for values in (plain, rounded / scales[:, None])]
    assert lost[1] <= lost[0] * (1 + 1e-9)


def test_awq_tries_20_powers_of_the_mean_magnitudes():
    x, w = layer(3)
    tried = list(awq_search(x, w))
    assert [one.power for one in tried] == [i / 20 for i in range(20)]
    mean = np.abs(x).mean(axis=0)
    for one in tried:
        assert np.allclose(one.scales / one.scales[0], (mean / mean[0]) ** one.power)
        assert one.scales.max() * one.scales.min() == pytest.approx(1)


def test_the_error_of_a_try_is_the_mean_square_of_what_the_outputs_are_off_by():
    x, w = layer(4)
    for tried in awq_search(x, w, 3, 8):
        scaled_x, scaled_w = rescale(x, w, tried.scales)
        rounded = ql.quantize_zero_point(scaled_w, 3, axis=0, group_size=8).dequantize()
        assert tried.error == pytest.approx(np.mean((scaled_x @ rounded - x @ w) ** 2))


def test_awq_protects_rows_that_meet_large_inputs():
    x, w = layer(5, tokens=200, inputs=64, large=(7,))
    tried = list(awq_search(x, w, 3))
    best = min(tried, key=lambda one: one.error)
    assert best.power > 0 and best.error < 0.7 * tried[0].error
    assert np.argmax(best.scales) == 7


def test_awq_takes_an_input_that_is_always_0():
    x, w = layer(6)
    x[:, 1] = 0
    scales = awq_scales(x, w)
    assert np.isfinite(scales).all() and scales.min() > 0


# Turning.


@pytest.mark.parametrize("n", SIZES)
def test_entries_are_signs_and_rows_are_at_right_angles(n):
    signs = hadamard(n) * np.sqrt(n)
    assert np.allclose(np.abs(signs), 1, rtol=1e-14, atol=0)
    assert np.array_equal(signs.round() @ signs.round().T, n * np.eye(n))


@pytest.mark.parametrize("n", [*SIZES, 100, 172, 63])
@pytest.mark.parametrize("seed", [None, 3])
def test_the_fast_walk_is_the_product_with_the_matrix(n, seed):
    x = np.random.default_rng(n).standard_normal((2, n))
    # Two sums of n terms in different orders: each is off by at most (n + 2) EPS of the magnitudes.
    matrix = hadamard(n, seed)
    bound = 2 * (n + 2) * EPS * (np.abs(x) @ np.abs(matrix))
    assert np.all(np.abs(hadamard_product(x, seed) - x @ matrix) <= bound)


@given(seeds, st.sampled_from([1, 2, 7, 12, 16, 20, 28, 60, 100]))
def test_a_turned_product_is_the_product_to_its_roundings(seed, n):
    x, w = layer(seed, inputs=n, large=(0,))
    turned_x, turned_w = turn(x, w, seed)
    # A turned value is a sum of up to n terms of size |x| / sqrt(n), off by (n + 2) EPS of the
    # token's sum of magnitudes over sqrt(n), and so is one of the weight; n products of both make
    # (2 n + 4) EPS times the sums' product, and the last sum n EPS more of no more than that.
    size = np.abs(x).sum(axis=1)[:, None] * np.abs(w).sum(axis=0)
    assert np.all(np.abs(turned_x @ turned_w - x @ w) <= (4 * n + 6) * EPS * size)


@given(seeds, st.sampled_from([2, 12, 20, 28, 100, 256]))
def test_lengths_stay(seed, n):
    x = np.random.default_rng(seed).standard_normal((3, n))
    turned = hadamard_product(x, seed)
    assert np.allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(x, axis=1), rtol=1e-13)


@pytest.mark.parametrize("n", [100, 172, 11008])
def test_other_sizes_are_turned_block_by_block(n):
    size = block_size(n)
    x = np.random.default_rng(0).standard_normal((1, n))
    blocks = hadamard_product(x.reshape(-1, size)).reshape(1, n)
    assert 1 < size < n and np.array_equal(hadamard_product(x), blocks)
    if n < 1000:
        assert np.array_equal(hadamard(n), np.kron(np.eye(n // size), hadamard(size)))


@pytest.mark.parametrize("block", [1, 2, 4, 12, 48, 96])
def test_a_smaller_block_mixes_its_neighbours_alone(block):
    matrix = hadamard(96, block=block)
    assert np.count_nonzero(matrix) == 96 * block
    x = np.random.default_rng(1).standard_normal((5, 96))
    assert np.allclose(hadamard_product(x, block=block), x @ matrix, rtol=0, atol=1e-13)


def test_one_large_value_is_shared_out_evenly():
    x = np.zeros((1, 256))
    x[0, 17] = 32
    assert np.array_equal(np.abs(hadamard_product(x, seed=5)), np.full((1, 256), 2.0))


def test_a_seed_gives_the_same_signs_each_time_and_another_seed_others():
    assert np.array_equal(hadamard(64, seed=1), hadamard(64, seed=1))
    assert not np.array_equal(hadamard(64, seed=1), hadamard(64, seed=2))
    assert np.array_equal(np.abs(hadamard(64, seed=1)), np.abs(hadamard(64)))


@given(st.integers(1, 40), seeds)
def test_a_rotation_that_is_drawn_is_orthogonal(n, seed):
    q = orthogonal(n, seed)
    assert np.allclose(q @ q.T, np.eye(n), rtol=0, atol=1e-13)


def test_the_arguments_are_left_alone():
    x, w = layer(7)
    before = x.copy(), w.copy()
    rescale(x, w, smooth_scales(x, w)), awq_scales(x, w), turn(x, w, 0)
    assert np.array_equal(x, before[0]) and np.array_equal(w, before[1])


def test_turning_outliers_away_makes_4_bits_lose_less():
    x, w = layer(8, tokens=64, inputs=256, large=(3,))
    lost = []
    for a, b in ((x, w), turn(x, w, 0)):
        a, b = (ql.quantize_absmax(part, 4, axis) for part, axis in ((a, 1), (b, 0)))
        lost.append(ql.errors.relative(ql.quantized_matmul(a, b), x @ w))
    assert lost[1] < lost[0] / 1.5


def test_every_public_function_says_its_source():
    for function in (rescale, smooth_scales, awq_scales, hadamard, hadamard_product, turn):
        assert "Source" in function.__doc__ and "Raises" in function.__doc__
    assert "product stays" in transforms.rescale.__doc__ and "product stays" in turn.__doc__
