"""Absmax and zero-point codes against torchao and torch: per tensor, per row and in groups.

Ours multiplies by (1 / range) * levels, as bitsandbytes does; torchao by 1 / (range / levels).
Each is three roundings, so a quotient q is off by at most 3 * 2^-24 * |q| in either; where it lies
that close to a half, the two may choose different neighbours, and nowhere else.
"""

import numpy as np
import pytest

import quantlab as ql

torch = pytest.importorskip("torch")
import peers  # noqa: E402

SLACK = 2 * 3 * 2.0**-24 * 256
TINY = float(np.finfo(np.float32).tiny)


@pytest.fixture(scope="module", autouse=True)
def torchao():
    return pytest.importorskip("torchao", reason="torchao is not installed")


def cases():
    """Large random, adversarial and constant matrices of 128 columns, by name."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 128)).astype(np.float32)
    sizes = np.exp(rng.uniform(-20, 20, (2000, 1))).astype(np.float32)
    ties = np.tile(np.arange(-64, 64) + 0.5, (2000, 1)).astype(np.float32)
    yield "normal", x
    yield "of all sizes", x * sizes
    yield "all positive", np.abs(x) + 3
    yield "with outliers", np.where(rng.uniform(size=x.shape) < 0.01, 1000 * x, x)
    yield "between two codes", ties * sizes
    yield "with rows of zeros", x * (np.arange(2000) % 3 > 0)[:, None].astype(np.float32)


every_case = pytest.mark.parametrize("x", [pytest.param(x, id=name) for name, x in cases()])


def assert_same_but_at_ties(x, ours, codes, scale, zero_point, group_size):
    """Equal steps; codes equal, or one beside the other where the quotient is at a half."""
    blocks = x.reshape(len(x), -1, group_size)
    scale = scale.numpy().reshape(len(x), -1, 1)
    assert np.array_equal(ours.scale.reshape(scale.shape), scale)
    zeros = [np.asarray(z, int).reshape(scale.shape) for z in (ours.zero_point, zero_point)]
    quotient = blocks.astype(np.float64) / scale
    lowest = np.minimum(blocks.min(axis=2, keepdims=True), 0) / scale.astype(np.float64)
    assert np.all(at_a_tie(lowest)[zeros[0] != zeros[1]])
    difference = ours.codes.reshape(blocks.shape).astype(int) - zeros[0]
    difference -= codes.numpy().astype(int).reshape(blocks.shape) - zeros[1]
    # Where the zero-points differ the last code of one grid is clipped beside the other's.
    apart = (difference != 0) & np.broadcast_to(zeros[0] == zeros[1], blocks.shape)
    assert np.abs(difference).max() <= 1 and np.all(at_a_tie(quotient)[apart])


def at_a_tie(quotient):
    return np.abs(np.abs(quotient - np.trunc(quotient)) - 0.5) <= SLACK


@every_case
@pytest.mark.parametrize("group_size", [128, 32])
@pytest.mark.parametrize("bits", [8, 4])
def test_absmax_codes_are_the_librarys(x, group_size, bits):
    high = 2 ** (bits - 1) - 1
    ours = ql.quantize_absmax(x, bits, axis=1, group_size=group_size)
    theirs = peers.torchao_quantize(
        torch.from_numpy(x), "SYMMETRIC", group_size, -high, high, eps=TINY
    )
    zeros = ours.scale.reshape(-1, 1) == 1  # all-zero groups: our step is 1, theirs the least
    theirs[1].view(-1, 1)[zeros] = 1
    assert_same_but_at_ties(x, ours, *theirs, group_size)


@every_case
@pytest.mark.parametrize("group_size", [128, 32])
@pytest.mark.parametrize("bits", [8, 4])
def test_zero_point_codes_are_the_librarys(x, group_size, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    ours = ql.quantize_zero_point(x, bits, axis=1, group_size=group_size)
    theirs = peers.torchao_quantize(
        torch.from_numpy(x), "ASYMMETRIC", group_size, low, high, eps=TINY
    )
    zeros = ours.scale.reshape(-1, 1) == 1
    theirs[1].view(-1, 1)[zeros] = 1
    assert_same_but_at_ties(x, ours, *theirs, group_size)


@pytest.mark.parametrize("kind", ["SYMMETRIC", "ASYMMETRIC"])
def test_rows_of_every_matrix_of_the_model_have_the_librarys_codes(kind, tiny_lm):
    quantize = ql.quantize_absmax if kind == "SYMMETRIC" else ql.quantize_zero_point
    for matrix in tiny_lm.values():
        x = matrix.float()
        theirs = peers.torchao_quantize(x, kind, low=-127 if kind == "SYMMETRIC" else -128)
        ours = quantize(x.numpy(), axis=1)
        assert_same_but_at_ties(x.numpy(), ours, *theirs, x.shape[1])


def test_groups_of_every_matrix_of_the_model_have_the_librarys_codes(tiny_lm):
    for matrix in tiny_lm.values():
        x = matrix.float()
        theirs = peers.torchao_quantize(x, "ASYMMETRIC", 64, -8, 7, eps=TINY)
        ours = ql.quantize_zero_point(x.numpy(), bits=4, axis=1, group_size=64)
        assert_same_but_at_ties(x.numpy(), ours, *theirs, 64)


@every_case
def test_on_our_grid_torch_itself_finds_the_same_values(x):
    ours = ql.quantize_zero_point(x, axis=1)
    values = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(x),
        torch.from_numpy(ours.scale.ravel()),
        torch.from_numpy(ours.zero_point.ravel().astype(np.int32)),
        0, -128, 127,
    ).numpy()  # fmt: skip
    different = values != ours.dequantize()
    assert np.all(at_a_tie(x / ours.scale.astype(np.float64))[different])
