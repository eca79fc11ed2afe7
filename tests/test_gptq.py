"""GPTQ against a slow reference that follows the paper's equations, and the story of its steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantlab as ql


def problem(rows=24, columns=5, seed=0, tokens=None):
    """Weights and correlated inputs: a third as many causes as features, and a little noise."""
    rng = np.random.default_rng(seed)
    tokens = tokens or 4 * rows
    causes = rng.standard_normal((tokens, rows // 3 + 1))
    x = causes @ rng.standard_normal((rows // 3 + 1, rows))
    x += 0.3 * rng.standard_normal((tokens, rows))
    return rng.standard_normal((rows, columns)), x


def grid_of(group, bits, symmetric):
    """The step, the zero-point and the code range of each column, from the definitions."""
    high = 2 ** (bits - 1) - 1
    if symmetric:
        return np.abs(group).max(axis=0) / high, 0, -high, high
    low = np.minimum(group.min(axis=0), 0)
    scale = (np.maximum(group.max(axis=0), 0) - low) / (2**bits - 1)
    return scale, -high - 1 - np.round(low / scale), -high - 1, high


def slow_gptq(
    w,
    h,
    bits,
    group_size=None,
    damping=0.01,
    act_order=False,
    symmetric=True,
    static_groups=False,
):
    """One row at a time, from equations 2 and 3 of the paper (Optimal Brain Quantization's).

    For the row q that is next and the rows F that are left (q among them), with H_F the damped
    Hessian of F alone, inverted afresh:  d_F = -(w_q - quant(w_q)) / [H_F^-1]_qq * (H_F^-1)_:,q.
    No Cholesky factor, no blocks. Returns codes and values in the order of w.
    """
    w, rows, diagonal = w.copy(), len(w), np.diag(h)
    order = np.argsort(-diagonal, kind="stable") if act_order else np.arange(rows)
    h = h + damping * np.mean(diagonal[diagonal > 0]) * np.eye(rows)
    original, size = w.copy(), group_size or rows
    codes, values = np.empty(w.shape, int), np.empty(w.shape)
    for position, q in enumerate(order):
        left = order[position:]
        if static_groups:
            first = q // size * size
            scale, zero, low, high = grid_of(original[first : first + size], bits, symmetric)
        elif position % size == 0:
            group = order[position : position + size]
            scale, zero, low, high = grid_of(w[group], bits, symmetric)
        codes[q] = np.clip(np.round(w[q] / scale) + zero, low, high)
        values[q] = (codes[q] - zero) * scale
        inverse = np.linalg.inv(h[np.ix_(left, left)])
        w[left] -= np.outer(inverse[:, 0] / inverse[0, 0], w[q] - values[q])
    return codes, values


both_grids = pytest.mark.parametrize("symmetric", [True, False], ids=["absmax", "zero_point"])
orders = pytest.mark.parametrize("act_order", [False, True], ids=["in_order", "act_order"])
scales = pytest.mark.parametrize("static_groups", [False, True], ids=["dynamic", "static"])


@both_grids
@orders
@pytest.mark.parametrize("group_size", [None, 2, 4, 8])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@scales
def test_codes_are_those_of_the_slow_reference(
    bits, group_size, act_order, symmetric, static_groups
):
    w, x = problem(rows=24, seed=bits)
    settings = {"bits": bits, "group_size": group_size, "static_groups": static_groups}
    settings |= {"act_order": act_order, "symmetric": symmetric}
    q = ql.quantize_gptq(w, ql.hessian(x), **settings)
    codes, values = slow_gptq(w, ql.hessian(x), **settings)
    assert np.array_equal(q.codes, codes)
    # Equal codes; the values differ by the rounding of their scales, some 24 updates deep.
    assert np.allclose(q.dequantize(), values, rtol=1e-9, atol=1e-12)


@both_grids
@orders
@pytest.mark.parametrize(("rows", "group_size"), [(300, None), (300, 30), (300, 150), (256, 32)])
@scales
def test_codes_are_those_of_the_slow_reference_over_several_blocks(
    rows, group_size, act_order, symmetric, static_groups
):
    w, x = problem(rows=rows, columns=3, seed=rows)
    settings = {"bits": 3, "group_size": group_size, "static_groups": static_groups}
    settings |= {"act_order": act_order, "symmetric": symmetric}
    codes, _ = slow_gptq(w, ql.hessian(x), **settings)
    assert np.array_equal(ql.quantize_gptq(w, ql.hessian(x), **settings).codes, codes)


@pytest.mark.parametrize("damping", [0.001, 0.1, 1.0])
def test_codes_are_those_of_the_slow_reference_at_other_dampings(damping):
    w, x = problem(seed=11)
    codes, _ = slow_gptq(w, ql.hessian(x), bits=4, damping=damping)
    assert np.array_equal(ql.quantize_gptq(w, ql.hessian(x), damping=damping).codes, codes)


@orders
def test_codes_are_those_of_the_slow_reference_with_dead_inputs(act_order):
    w, x = problem(seed=12)
    x[:, [0, 7, 23]] = 0
    codes, _ = slow_gptq(w, ql.hessian(x), bits=4, group_size=8, act_order=act_order)
    q = ql.quantize_gptq(w, ql.hessian(x), bits=4, group_size=8, act_order=act_order)
    assert np.array_equal(q.codes, codes)


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300, 700])  # around a strip and a wide part
def test_the_factor_is_that_of_the_inverse_however_it_is_cut(rows):
    _, x = problem(rows, tokens=2 * rows)
    h = ql.hessian(x)
    damped = h + 0.01 * np.diag(h).mean() * np.eye(rows)
    expected = np.linalg.cholesky(np.linalg.inv(damped)).T
    factor = ql.gptq.inverse_factor(h.copy(), 0.01)
    assert np.allclose(factor, expected, rtol=1e-9, atol=1e-12)
    assert not np.tril(factor, -1).any()


@orders
def test_the_arguments_stay_as_they_were(act_order):
    w, x = problem(rows=40)
    h = ql.hessian(x)
    before = w.copy(), h.copy()
    ql.quantize_gptq(w, h, act_order=act_order)
    assert np.array_equal(w, before[0]) and np.array_equal(h, before[1])


# What calibration did not see, and the unit in which it saw the rest.


def nearest_codes(w, q):
    """Round w to nearest, each row on the grid that `q` has for its group."""
    rows = len(w)
    size = q.group_size or rows
    group = q.group_index if q.group_index is not None else np.arange(rows) // size
    high = 2 ** (q.bits - 1) - 1
    low = -high if q.symmetric else -high - 1
    return np.clip(np.round(w / q.scale[group]) + q.zero_point[group], low, high)


@both_grids
@orders
@scales
@pytest.mark.parametrize("group_size", [None, 8])
def test_rows_of_dead_inputs_are_rounded_to_nearest(
    symmetric, act_order, static_groups, group_size
):
    w, x = problem(rows=40, seed=13)  # over one block of the quick form
    dead = [0, 7, 23, 39]
    x[:, dead] = 0
    settings = {"symmetric": symmetric, "act_order": act_order, "group_size": group_size}
    q = ql.quantize_gptq(w, ql.hessian(x), 3, static_groups=static_groups, **settings)
    assert np.array_equal(q.codes[dead], nearest_codes(w, q)[dead])


@pytest.mark.parametrize("rows", [6, 40])
def test_without_any_live_input_gptq_is_plain_rounding(rows):
    w, _ = problem(rows=rows)
    q = ql.quantize_gptq(w, np.zeros((rows, rows)))
    assert np.array_equal(q.codes, ql.quantize_absmax(w, bits=4, axis=0).codes)


def test_dead_inputs_need_no_damping():
    w, x = problem(seed=13)
    x[:, 7] = 0
    q = ql.quantize_gptq(w, ql.hessian(x), damping=0)
    assert np.array_equal(q.codes[7], nearest_codes(w, q)[7])


def test_dead_inputs_come_last_in_act_order_whatever_the_unit():
    w, x = problem(seed=14)
    x[:, [0, 7]] = 0
    steps = ql.gptq_steps(w, ql.hessian(0.01 * x), act_order=True)
    assert [step.row for step in steps][-2:] == [0, 7]


def any_settings():
    """Settings of GPTQ for 24 rows."""
    yes_or_no = st.booleans()
    return st.fixed_dictionaries(
        {
            "bits": st.integers(2, 8),
            "group_size": st.sampled_from([None, 6]),
            "act_order": yes_or_no,
            "symmetric": yes_or_no,
            "static_groups": yes_or_no,
        }
    )


seeds = st.integers(0, 2**32 - 1)


@given(seeds, any_settings(), st.integers(-500, 500), st.sampled_from([np.float32, np.float64]))
def test_the_unit_of_the_inputs_does_not_matter(seed, settings, power, kind):
    # A power of two, so no digit changes: c X has the Hessian c^2 H, its factor is that of H over
    # c, and every share is a quotient of two of its numbers.
    w, x = problem(seed=seed)
    x[:, seed % 24] = 0
    w = w.astype(kind)
    found = [ql.quantize_gptq(w, ql.hessian(x * c), **settings) for c in (1.0, 2.0**power)]
    assert np.array_equal(found[0].codes, found[1].codes)
    assert np.array_equal(found[0].scale, found[1].scale)


@given(seeds, any_settings(), st.integers(-450, 450))
def test_the_unit_of_the_inputs_scales_the_errors_of_the_steps(seed, settings, power):
    w, x = problem(seed=seed)
    one, other = (list(ql.gptq_steps(w, ql.hessian(x * c), **settings)) for c in (1, 2.0**power))
    for ours, theirs in zip(one, other, strict=True):
        assert np.array_equal(ours.error * 2.0**power, theirs.error)
        assert np.array_equal(ours.inverse_row, theirs.inverse_row * 2.0**power)
        assert ours.loss * 4.0**power == theirs.loss


def test_inputs_whose_squares_leave_float64_are_refused():
    with pytest.raises(ValueError, match=r"2/n X\^T X must be finite, got inf"):
        ql.hessian([[1e200, 1.0], [1.0, 1.0]])


def test_what_is_returned_holds_whole_numbers_and_bools():
    w, x = problem()
    for group_size in (6.0, np.int64(6), np.float32(6)):
        q = ql.quantize_gptq(w, ql.hessian(x), group_size=group_size, symmetric=np.True_)
        assert type(q.group_size) is int and type(q.symmetric) is bool
        assert q.dequantize().shape == w.shape


@given(seeds, any_settings(), st.floats(1e-6, 1e6))
def test_any_other_unit_moves_only_what_last_places_decide(seed, settings, c):
    # c X is rounded, so H is c^2 H but for its last digits, and a code could differ where a weight
    # stood so near a middle. Random weights never do: about 1 in 10^12.
    w, x = problem(seed=seed)
    x[:, seed % 24] = 0
    found = [ql.quantize_gptq(w, ql.hessian(x * unit), **settings) for unit in (1.0, c)]
    assert np.array_equal(found[0].codes, found[1].codes)


@given(seeds, any_settings(), st.integers(0, 24), st.floats(0, 1), st.sampled_from([24, 40]))
def test_an_input_that_is_always_0_does_not_matter(seed, settings, place, share, rows):
    # One scale for each column: a group would have to take the new row in and give another away.
    settings["group_size"] = None
    w, x = problem(rows=rows, seed=seed)
    # Its weights lie within their columns' ranges, so that the scales stay as they are.
    row = share * w.max(axis=0) + (1 - share) * w.min(axis=0)
    more_w, more_x = np.insert(w, place, row, axis=0), np.insert(x, place, 0, axis=1)
    few = ql.quantize_gptq(w, ql.hessian(x), **settings)
    more = ql.quantize_gptq(more_w, ql.hessian(more_x), **settings)
    assert np.array_equal(np.delete(more.codes, place, axis=0), few.codes)
    assert np.array_equal(more.codes[place], nearest_codes(more_w, more)[place])


@given(seeds, any_settings())
def test_a_group_of_inputs_that_are_always_0_does_not_matter(seed, settings):
    settings["group_size"] = 6
    w, x = problem(seed=seed)
    more_w = np.insert(w, [6] * 6, 9 * w[:6], axis=0)  # a group has scales of its own
    more_x = np.insert(x, [6] * 6, 0, axis=1)
    few = ql.quantize_gptq(w, ql.hessian(x), **settings)
    more = ql.quantize_gptq(more_w, ql.hessian(more_x), **settings)
    assert np.array_equal(np.delete(more.codes, np.s_[6:12], axis=0), few.codes)


@both_grids
def test_groups_of_one_row_give_every_weight_back(symmetric):
    # Each group is a constant, which comes back exactly, so there is never an error to spread.
    w, x = problem(seed=23)
    q = ql.quantize_gptq(w, ql.hessian(x), bits=3, group_size=1, symmetric=symmetric)
    assert np.array_equal(q.dequantize(), w)


# The Hessian.


def test_the_hessian_is_the_mean_over_tokens_of_twice_the_outer_products():
    x = np.random.default_rng(1).standard_normal((50, 6))
    slow = sum(2 * np.outer(row, row) for row in x) / 50
    # Sums of 50 products in another order: each is off by at most 50 eps of its magnitudes.
    assert np.allclose(ql.hessian(x), slow, rtol=0, atol=50 * 2.3e-16 * 2 * np.max(x**2))


def test_the_layer_error_of_a_change_is_half_its_quadratic_form():
    rng = np.random.default_rng(2)
    x, change = rng.standard_normal((50, 6)), rng.standard_normal((6, 3))
    quadratic = np.trace(change.T @ ql.hessian(x) @ change) / 2
    assert quadratic == pytest.approx(np.sum((x @ change) ** 2) / 50, rel=1e-12)


def test_an_identity_hessian_gives_round_to_nearest():
    w, _ = problem(seed=3)
    for bits in (2, 3, 4, 8):
        nearest = ql.quantize_absmax(w, bits=bits, axis=0)
        q = ql.quantize_gptq(w, np.eye(len(w)), bits=bits)
        assert np.array_equal(q.codes, nearest.codes)
        assert np.array_equal(q.dequantize(), nearest.dequantize())


def test_independent_inputs_of_different_size_give_round_to_nearest_too():
    w, _ = problem(seed=4)
    h = np.diag(np.random.default_rng(4).uniform(0.1, 10, len(w)))
    for act_order in (False, True):
        q = ql.quantize_gptq(w, h, act_order=act_order, symmetric=False)
        assert np.array_equal(q.codes, ql.quantize_zero_point(w, bits=4, axis=0).codes)


def test_an_all_ones_hessian_spreads_each_error_evenly_over_the_rows_left():
    w, _ = problem(rows=6, seed=5)
    damping = 0.01
    for step in ql.gptq_steps(w, np.ones((6, 6)), damping=damping):
        left = 5 - step.row
        change = step.quantized - step.weights
        # With k rows left, each moves by c: (change + k c)^2 + damping k c^2 is least at
        # c = -change / (k + damping).
        even = np.tile(-change / (left + damping), (left, 1))
        assert np.allclose(step.compensation[step.row + 1 :], even, rtol=1e-9, atol=1e-14)
        assert not step.compensation[: step.row + 1].any()


# The steps.


def all_settings():
    for group_size in (None, 6):
        for act_order in (False, True):
            for symmetric in (True, False):
                yield {"group_size": group_size, "act_order": act_order, "symmetric": symmetric}
    yield {"group_size": 6, "act_order": True, "static_groups": True}


every_setting = pytest.mark.parametrize("settings", list(all_settings()), ids=str)


@every_setting
def test_the_steps_end_where_the_quantizer_does(settings):
    w, x = problem(seed=6)
    x[:, [3, 20]] = 0
    q = ql.quantize_gptq(w, ql.hessian(x), **settings)
    steps = list(ql.gptq_steps(w, ql.hessian(x), **settings))
    codes = np.empty(w.shape, int)
    for step in steps:
        codes[step.row] = step.codes
    assert np.array_equal(codes, q.codes)
    assert np.array_equal(steps[-1].after, q.dequantize())


@every_setting
def test_the_losses_add_up_to_the_damped_quadratic_form(settings):
    w, x = problem(seed=7)
    x[:, 5] = 0
    h = ql.hessian(x)
    steps = list(ql.gptq_steps(w, h, **settings))
    damped = h + 0.01 * np.diag(h)[np.diag(h) > 0].mean() * np.eye(len(h))
    change = w - steps[-1].after
    total = np.trace(change.T @ damped @ change)
    assert sum(step.loss for step in steps) == pytest.approx(total, rel=1e-9)


@every_setting
def test_each_step_starts_from_what_the_one_before_left(settings):
    w, x = problem(seed=8)
    before = w
    for step in ql.gptq_steps(w, ql.hessian(x), **settings):
        assert np.array_equal(step.weights, before[step.row])
        changed = before + step.compensation
        changed[step.row] = step.quantized
        # after - before is rounded, and added again: one eps of the larger of the two each.
        assert np.allclose(changed, step.after, rtol=0, atol=4 * 2.3e-16 * np.abs(w).max() * 4)
        before = step.after


@every_setting
def test_each_compensation_is_the_error_times_the_row_of_the_inverse_factor(settings):
    w, x = problem(seed=9)
    done = []
    for step in ql.gptq_steps(w, ql.hessian(x), **settings):
        done.append(step.row)
        left = np.setdiff1d(np.arange(len(w)), done)
        expected = -np.outer(step.inverse_row[left], step.error)
        assert np.allclose(step.compensation[left], expected, rtol=1e-9, atol=1e-13)
        assert not step.compensation[done].any() and not step.inverse_row[done[:-1]].any()
        difference = (step.weights - step.quantized) / step.inverse_row[step.row]
        assert np.allclose(step.error, difference, rtol=1e-12, atol=0)


def test_the_inverse_rows_are_a_factor_of_the_inverse_hessian():
    w, x = problem(seed=10)
    h = ql.hessian(x)
    upper = np.array([step.inverse_row for step in ql.gptq_steps(w, h)])
    damped = h + 0.01 * np.diag(h).mean() * np.eye(len(h))
    assert np.array_equal(upper, np.triu(upper))
    assert np.allclose(upper.T @ upper @ damped, np.eye(len(h)), atol=1e-9)


def test_act_order_takes_the_largest_inputs_first():
    w, x = problem(seed=14)
    h = ql.hessian(x)
    rows = [step.row for step in ql.gptq_steps(w, h, act_order=True)]
    assert np.all(np.diff(np.diag(h)[rows]) <= 0) and sorted(rows) == list(range(len(w)))


# What it is good for.


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_on_correlated_inputs_the_layer_error_is_far_below_round_to_nearest(bits):
    w, x = problem(rows=96, columns=32, seed=15)
    exact = x @ w
    near = x @ ql.quantize_absmax(w, bits=bits, axis=0).dequantize()
    ours = x @ ql.quantize_gptq(w, ql.hessian(x), bits=bits).dequantize()
    assert ql.errors.relative(ours, exact) < ql.errors.relative(near, exact) / 2


def test_its_weights_are_farther_off_than_round_to_nearest():
    w, x = problem(rows=96, columns=32, seed=16)
    near = ql.quantize_absmax(w, bits=4, axis=0).dequantize()
    ours = ql.quantize_gptq(w, ql.hessian(x), bits=4).dequantize()
    assert ql.errors.relative(ours, w) > ql.errors.relative(near, w)


def test_float32_weights_stay_float32_and_lose_no_quality():
    w, x = problem(rows=96, columns=32, seed=17)
    wide = ql.quantize_gptq(w, ql.hessian(x), bits=4)
    narrow = ql.quantize_gptq(w.astype(np.float32), ql.hessian(x), bits=4)
    assert narrow.dequantize().dtype == np.float32
    # A value near a tie may round the other way and send its error elsewhere: few codes do.
    assert np.mean(narrow.codes != wide.codes) < 0.02


@both_grids
def test_the_scales_have_one_row_for_each_group(symmetric):
    w, x = problem(seed=18)
    q = ql.quantize_gptq(w, ql.hessian(x), group_size=8, symmetric=symmetric)
    assert q.scale.shape == q.zero_point.shape == (3, 5) and q.axis == 0 and q.group_size == 8


def test_static_scales_are_those_of_plain_rounding_in_any_order():
    w, x = problem(seed=18)
    plain = ql.quantize_absmax(w, 4, axis=0, group_size=8)
    for act_order in (False, True):
        settings = {"group_size": 8, "act_order": act_order, "static_groups": True}
        q = ql.quantize_gptq(w, ql.hessian(x), **settings)
        assert np.array_equal(q.scale, plain.scale)
        assert q.group_index is None and q.bits_per_value == plain.bits_per_value


def test_only_act_order_with_dynamic_groups_stores_each_rows_group():
    w, x = problem(seed=18)
    stored = {
        (act_order, static): ql.quantize_gptq(
            w, ql.hessian(x), group_size=8, act_order=act_order, static_groups=static
        ).group_index
        is not None
        for act_order in (False, True)
        for static in (False, True)
    }
    assert [setting for setting, has_index in stored.items() if has_index] == [(True, False)]


def test_one_scale_for_each_column_is_static_as_it_is():
    w, x = problem(seed=18)
    found = [
        ql.quantize_gptq(w, ql.hessian(x), act_order=True, static_groups=static).codes
        for static in (False, True)
    ]
    assert np.array_equal(*found)


def test_the_arguments_are_left_alone():
    w, x = problem(seed=19)
    x[:, 3] = 0
    h = ql.hessian(x)
    before = w.copy(), h.copy()
    ql.quantize_gptq(w, h, group_size=8, act_order=True)
    list(ql.gptq_steps(w, h))
    assert np.array_equal(w, before[0]) and np.array_equal(h, before[1])


def test_an_all_zero_column_stays_zero():
    w, x = problem(seed=20)
    w[:, 2] = 0
    assert not ql.quantize_gptq(w, ql.hessian(x)).dequantize()[:, 2].any()


# The article's idea.


@given(st.integers(1, 40), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_diffused_errors_of_a_column_total_at_most_half_a_step(rows, bits, seed):
    w = np.random.default_rng(seed).standard_normal((rows, 4))
    q = ql.error_diffusion(w, bits=bits)
    total = np.abs((q.dequantize() - w).sum(axis=0))
    # No clipping is worse: a target is within half a step of the range, so its end is as near.
    # Each of the rows' additions rounds by at most eps of the column's sum of magnitudes.
    slack = 4 * rows * 2.3e-16 * np.abs(w).sum(axis=0)
    assert np.all(total <= q.scale[0] / 2 + slack)


def test_error_diffusion_carries_each_error_into_the_next_row():
    w = np.random.default_rng(21).standard_normal((12, 3))
    q = ql.error_diffusion(w, bits=3)
    carried = np.zeros(3)
    for row, codes in zip(w, q.codes, strict=True):
        target = row + carried
        assert np.array_equal(codes, np.clip(np.round(target / q.scale[0]), -3, 3))
        carried = target - codes * q.scale[0]


def test_error_diffusion_uses_the_grid_of_absmax_per_column():
    w = np.random.default_rng(22).standard_normal((12, 3))
    assert np.array_equal(ql.error_diffusion(w).scale, ql.quantize_absmax(w, bits=4, axis=0).scale)
