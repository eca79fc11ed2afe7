"""Outliers that were put there change no bit of the output; a yardstick measures what rounds."""

import numpy as np
import pytest
import torch

from quantlab import lm
from quantlab.experiments import outlier_model, yardstick
from quantlab.experiments.outlier_model import COLUMNS, GAINS, GATE, inject, inputs_of, weights_of

TEXT = "Once upon a time there lived a king who had three sons, and the youngest was a fool."
Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"


@pytest.fixture(scope="module")
def model():
    return lm.load("tiny-lm", quantization="fp32", device="cpu")


@pytest.mark.parametrize("where", [GAINS, GATE])
def test_the_injected_model_computes_the_same_bits(model, where):
    tokens = torch.tensor([model.tokenizer(TEXT)["input_ids"]])
    with torch.inference_mode():
        before, after = (one.network(tokens).logits for one in (model, inject(model, where)))
    assert torch.equal(before, after)


@pytest.mark.parametrize(("where", "name"), [(GAINS, Q), (GATE, DOWN)])
def test_three_columns_of_the_inputs_are_64_times_as_large(model, where, name):
    one, other = (inputs_of(each, TEXT, [name])[name] for each in (model, inject(model, where)))
    ratio = np.ones(one.shape[1])
    ratio[list(COLUMNS)] = 64
    assert np.array_equal(other, one * ratio.astype(np.float32))


def test_weights_are_in_by_out(model):
    assert weights_of(model, [DOWN])[DOWN].shape == (768, 256)


@pytest.mark.parametrize("arguments", [{"where": "nowhere"}, {"factor": 0.0}])
def test_a_bad_setting_is_named(model, arguments):
    with pytest.raises(ValueError, match=r"where must be|factor must be"):
        inject(model, **arguments)


def test_a_yardstick_measures_what_the_model_itself_says(model):
    small = lm.quantize(model, "absmax", bits=3)
    cost = yardstick.Yardstick(model, TEXT)(small)
    stride = model.window - 1
    assert cost.perplexity == small.perplexity(TEXT, stride=stride)
    assert cost.divergence == pytest.approx(small.divergence(model, TEXT, stride=stride), rel=1e-6)
    assert cost.further_than(cost)[0] == 0
    assert outlier_model.COLUMNS == (20, 100, 200)  # those of notebook 05
