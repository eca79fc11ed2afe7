"""Training through the rounding: the forward pass is the core's, Adam moves what stands before it.

Runs of a few steps of tiny-lm, one window of 32 tokens each.
"""

import math
import signal

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import lm
from quantlab.methods import CALIBRATION, METHODS

from . import architectures

TEXT = "One day a little dog went to the river. The water was cold, and the dog was not glad. "
TWO_BITS = {"method": "zero_point", "bits": 2, "group_size": 64}
QUICK = {"steps": 3, "batch": 1, "window": 32, "rate": 1e-3, "texts": 3 * TEXT}


@pytest.fixture(scope="module")
def trained(exact):
    """Tiny-lm after three steps through 2 bits towards its own predictions."""
    return lm.train(exact, teacher=exact, **QUICK, **TWO_BITS)


def weights_of(model):
    return [weight.read().copy() for weight in model.matrices()]


def same(a, b):
    a, b = weights_of(a), weights_of(b)
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def cases():
    """Matrices (out, in) of all sizes, of zeros, of constants, and between two codes."""
    random = np.random.default_rng(0)
    w = random.standard_normal((24, 128)).astype(np.float32)
    yield "normal", w
    yield "of all sizes", w * np.exp(random.uniform(-60, 60, (24, 1))).astype(np.float32)
    yield "with rows of zeros", w * (np.arange(24) % 3 > 0)[:, None].astype(np.float32)
    yield "constant rows", np.repeat(w[:, :1], 128, axis=1)
    yield "between two codes", np.tile(np.arange(-64, 64, dtype=np.float32) + 0.5, (24, 1))
    yield "float64", w.astype(np.float64)


ROWS = [
    (row.name, settings)
    for row in METHODS.values()
    if row.needs != CALIBRATION
    for settings in (
        [{"bits": 2}, {"bits": 3, "group_size": 32}, {"bits": 8}] if "bits" in row.settings
        else [{}, {"group_size": 32}] if "group_size" in row.settings
        else [{}]
    )
]  # fmt: skip


@pytest.mark.parametrize("w", [pytest.param(w, id=name) for name, w in cases()])
def test_every_row_without_calibration_gives_the_values_of_the_core(w):
    for name, settings in ROWS:
        expected = METHODS[name](w.T, **settings).dequantize().T
        found = lm.fake_quantize(torch.from_numpy(w), name, **settings).numpy()
        if expected.dtype != w.dtype:  # NF4 and the shared scales compute in float32
            expected = expected.astype(w.dtype)
        assert np.array_equal(found, expected), (name, settings)


def test_bf16_weights_are_rounded_in_float32_and_written_in_bf16():
    w = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = ql.quantize_absmax(w.float().numpy(), 4, axis=1).dequantize()
    assert torch.equal(lm.fake_quantize(w, "absmax"), torch.from_numpy(expected).bfloat16())


@pytest.mark.parametrize("name", ["zero_point", "ternary", "nf4"])
def test_the_gradient_passes_as_if_nothing_had_been_rounded(name):
    w = torch.randn(8, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    slope = torch.arange(512.0).reshape(8, 64)
    (lm.fake_quantize(w, name) * slope).sum().backward()
    assert torch.equal(w.grad, slope)


def test_a_row_that_needs_calibration_is_refused():
    with pytest.raises(ValueError, match=r"gptq looks at all inputs.*absmax or zero_point"):
        lm.fake_quantize(torch.ones(2, 4), "gptq")


@pytest.mark.parametrize(
    "w, kind, words",
    [
        (np.ones((2, 4)), TypeError, "torch tensor of floating-point numbers, got ndarray"),
        (torch.ones(2, 4, dtype=torch.int8), TypeError, "got torch.int8"),
        (torch.ones(4), ValueError, r"matrix \(2 dimensions\), got shape \(4,\)"),
        (torch.full((2, 4), math.nan), ValueError, "must be finite"),
    ],
)
def test_what_is_no_matrix_of_finite_numbers_is_refused(w, kind, words):
    with pytest.raises(kind, match=words):
        lm.fake_quantize(w)


def test_group_size_has_to_divide_the_inputs():
    with pytest.raises(ValueError, match="must divide the 4 values, got 3"):
        lm.fake_quantize(torch.ones(2, 4), group_size=3)


def test_ternary_weights_are_three_values_around_the_mean_magnitude():
    w = np.random.default_rng(0).standard_normal((64, 6)).astype(np.float32)
    q = ql.ternary.quantize_ternary(w)
    mean = np.abs(w.astype(np.float64)).mean()
    assert q.scale == np.float32(mean) and {*np.unique(q.codes)} == {-1, 0, 1}
    assert np.array_equal(q.codes == 0, np.abs(w) <= q.scale / 2)
    assert q.bits_per_value == 2 + 16 / w.size


def test_a_ternary_model_is_saved_with_its_scales_in_fp16(exact, tmp_path):
    small = lm.quantize(exact, "ternary")
    assert small.quantization == "ternary, 2 bits"
    again = lm.load(small.save(tmp_path / "ternary"), device="cpu")
    for ours, theirs in zip(weights_of(small), weights_of(again), strict=True):
        scale = np.abs(
            ours
        ).max()  # FP16's half a place, and BF16's, which the loaded one computes in
        assert np.abs(ours - theirs).max() <= (2.0**-11 + 2.0**-8) * scale


def test_a_trained_model_holds_codes_as_a_quantized_one_does(trained, exact):
    plain = lm.quantize(exact, **TWO_BITS)
    assert trained.quantization == plain.quantization == "zero_point, 2 bits, group 64"
    assert trained.bits_per_weight == plain.bits_per_weight
    assert trained.memory_bytes() == plain.memory_bytes()
    for weight in trained.matrices():
        assert np.array_equal(weight.read(), trained.stored[weight.name].dequantize())
    assert not same(trained, plain)


def test_the_model_that_is_trained_stays_as_it_is(trained, exact):
    assert same(exact, lm.load("tiny-lm", "fp32", device="cpu"))
    assert all(p.grad is None and p.requires_grad for p in exact.network.parameters())
    assert all(p.grad is None and p.requires_grad for p in trained.network.parameters())


def test_what_is_measured_while_it_trains_is_the_rounded_model(exact):
    losses, during = [], []

    def note(done, steps, loss, model):
        losses.append(loss)
        if done == steps:
            during.append(model.perplexity(TEXT))

    after = lm.train(exact, teacher=exact, progress=note, **QUICK, **TWO_BITS)
    assert during == [pytest.approx(after.perplexity(TEXT), rel=1e-6)]
    assert len(losses) == 3


def test_the_first_loss_is_the_divergence_of_the_rounded_model(exact):
    losses = []
    run = {"steps": 1, "texts": TEXT}  # one window, which is all of the text
    lm.train(exact, teacher=exact, progress=lambda *seen: losses.append(seen[2]), **run, **TWO_BITS)
    ids = [exact.tokenizer.bos_token_id, *exact.tokenizer(TEXT)["input_ids"]]
    plain = lm.quantize(exact, **TWO_BITS)
    with torch.inference_mode():
        ours, theirs = (
            m.network(input_ids=torch.tensor([ids])).logits.log_softmax(-1) for m in (plain, exact)
        )
    expected = (theirs.exp() * (theirs - ours)).sum(-1).mean().item()
    assert losses == [pytest.approx(expected, rel=1e-4)]


def test_steps_lower_the_divergence_on_the_text_that_they_read(exact):
    run = QUICK | {"steps": 8, "texts": TEXT}
    after = lm.train(exact, teacher=exact, **run, **TWO_BITS)
    before = lm.quantize(exact, **TWO_BITS)
    assert after.divergence(exact, TEXT) < 0.9 * before.divergence(exact, TEXT)


@pytest.mark.parametrize("name", ["gpt2", "mixtral", "gpt_oss", "deepseek_v3"])
def test_matrices_stored_sideways_and_experts_are_trained_through_too(name, text):
    words = architectures.tokenizer([text[:4000]])
    model = lm.Model(architectures.network(name, len(words)), words, name)
    during = []
    after = lm.train(
        model, teacher=model, method="ternary", progress=lambda *seen: during.append(
            seen[3].perplexity(TEXT)), **QUICK,
    )  # fmt: skip
    assert after.stored.keys() == {weight.name for weight in model.matrices()}
    assert during[-1] == pytest.approx(after.perplexity(TEXT), rel=1e-5)


def test_without_a_teacher_the_next_token_is_learned(exact):
    after = lm.train(exact, **QUICK | {"texts": TEXT})
    assert after.perplexity(TEXT) < 0.9 * exact.perplexity(TEXT)
    assert after.quantization == "fp32" and after.stored == {}


def test_the_same_seed_gives_the_same_model_and_another_one_another(trained, exact):
    assert same(trained, lm.train(exact, teacher=exact, **QUICK, **TWO_BITS))
    assert not same(trained, lm.train(exact, teacher=exact, seed=1, **QUICK, **TWO_BITS))


def test_norms_alone_leave_the_codes_of_a_quantized_model(exact):
    coded = lm.quantize(exact, **TWO_BITS)
    after = lm.train(coded, teacher=exact, trained="norms", **QUICK)
    assert same(after, coded) and after.quantization == coded.quantization
    moved = [
        not torch.equal(a, b)
        for a, b in zip(after.network.parameters(), coded.network.parameters(), strict=True)
        if a.ndim == 1
    ]
    assert moved and all(moved)  # fmt: skip


def test_all_trains_the_embeddings_too(exact):
    after = lm.train(exact, trained="all", **QUICK)
    a, b = (m.network.get_input_embeddings().weight for m in (after, exact))
    assert not torch.equal(a, b)


@pytest.fixture
def interrupted():
    """Return a function that presses Ctrl-C in the first step, to be passed as progress."""

    def press(done, steps, loss, model):
        if done == 1:
            signal.raise_signal(signal.SIGINT)

    return press


def test_ctrl_c_leaves_a_model_of_the_steps_so_far(exact, interrupted):
    with pytest.warns(UserWarning, match="stopped after 1 of 3 steps: the model is what came"):
        after = lm.train(exact, teacher=exact, progress=interrupted, **QUICK, **TWO_BITS)
    assert after.quantization == "zero_point, 2 bits, group 64"
    assert after.perplexity(TEXT) < math.inf
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_stopped_run_goes_on_bit_for_bit(trained, exact, interrupted, tmp_path):
    run = QUICK | TWO_BITS | {"teacher": exact, "checkpoint": tmp_path / "run.pt"}
    with pytest.warns(UserWarning, match="the same call goes on from there"):
        lm.train(exact, progress=interrupted, **run)
    steps = []
    whole = lm.train(exact, progress=lambda done, *_: steps.append(done), **run)
    assert steps == [2, 3] and same(whole, trained)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_the_checkpoint_of_another_run_is_refused(exact, tmp_path):
    run = QUICK | {"steps": 1, "checkpoint": tmp_path / "run.pt"}
    lm.train(exact, **run)
    with pytest.raises(ValueError, match=r"of another run, rate: 0.001 there, 0.002 here"):
        lm.train(exact, **run | {"rate": 2e-3})


def test_a_rate_that_breaks_the_model_says_so(exact):
    with pytest.raises((FloatingPointError, ValueError), match="smaller rate"):
        lm.train(exact, **QUICK | {"rate": 1e30, "steps": 3}, **TWO_BITS)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"trained": "scales"}, "trained must be one of weights, norms, all, adapters"),
        ({"trained": "adapters"}, "no adapters to train: put them in with lm.add_lora"),
        ({"trained": "norms", "method": "ternary"}, "trained='norms' leaves them alone"),
        ({"bits": 2}, "bits are settings of a method: name one"),
        ({"method": "gptq"}, "gptq looks at all inputs"),
        ({"method": "ternary", "bits": 2}, "ternary has no setting bits"),
        ({"texts": ""}, "fewer than 2 tokens"),
        ({"window": 10_000}, r"window must be 2 to \d+, got 10000"),
        ({"rate": 0}, "rate must be a finite number, above 0"),
        ({"checkpoint": "nowhere/run.pt"}, r"no folder .*nowhere to put run\.pt into"),
    ],
)
def test_what_cannot_be_trained_is_refused(exact, options, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        lm.train(exact, **QUICK | options)


def test_codes_and_16_bits_are_refused(quantized, half):
    with pytest.raises(ValueError, match=r"holds codes.*which no gradient can move"):
        lm.train(quantized("absmax"), **QUICK)
    with pytest.raises(ValueError, match=r"must be fp32, got torch\.bfloat16"):
        lm.train(half, **QUICK)
