"""Notebook 14's measurements: small ones, and what must hold of them on any machine."""

import re
from pathlib import Path

import numpy as np
import pytest

from quantlab import _data, fit, lm
from quantlab.experiments import fits
from quantlab.lm import CacheFormat, cache, untrained


@pytest.fixture(scope="module")
def tiny():
    """The course's model."""
    return lm.load("tiny-lm", "fp32", device="cpu")


@pytest.fixture(scope="module")
def text():
    """The first 1,500 characters of the evaluation text."""
    return (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")[:1500]


def test_a_random_model_has_the_tokens_of_the_model_and_other_weights(tiny):
    model = untrained.random_model(tiny, width=192, layers=2)
    assert model.tokenizer is tiny.tokenizer
    assert model.network.config.num_hidden_layers == 2
    assert model.network.config.vocab_size == tiny.network.config.vocab_size


def test_a_speed_has_the_bytes_of_its_file(tiny, tmp_path):
    [speed] = fits.speeds([tiny], tmp_path, types=("Q8_0",), runs=1)
    assert speed.bytes == (tmp_path / "tiny-lm-Q8_0.gguf").stat().st_size
    assert speed.bytes_per_second == speed.bytes * speed.tokens_per_second > 0


def test_memory_can_be_copied():
    assert fits.bandwidth(2**20, runs=1) > 0


def test_every_number_of_texts_is_measured(tiny):
    assert [n for n, speed in fits.together(tiny, (1, 2), 2) if speed > 0] == [1, 2]


def test_keys_and_values_are_those_of_every_token_and_head(tiny, text):
    keys, values = cache.keys_and_values(tiny, text, layer=1)
    config = tiny.network.config
    assert keys.shape == values.shape == (256, config.num_key_value_heads * config.head_dim)
    assert not np.array_equal(keys, values)


def test_a_loss_is_the_mean_over_all_tokens_and_wins_where_it_is_smaller():
    one = fits.Loss("keys", CacheFormat(2), ((1.0, 10), (4.0, 10)))
    other = fits.Loss("keys", CacheFormat(2), ((2.0, 10), (1.0, 10)))
    assert one.nats == 0.25 and one.wins(other) == (1, 2)


def test_keys_and_values_are_rounded_in_four_ways_each(tiny, text):
    losses = fits.cache_losses(tiny, text)
    ways = {(x.part, x.format.along, x.format.turned) for x in losses}
    assert len(losses) == len(ways) == 8 and all(x.nats > 0 for x in losses)
    held = {x.format.along: x.format.recent for x in losses}
    assert held == {"token": 32, "channel": 16}


def test_a_plan_is_the_first_choice_that_fits_or_none():
    found = fits.plans(["Llama 3.1 8B", "gpt-oss-20b", "DeepSeek-V3"], ["laptop 16GB", "H100"])
    assert {key: format for key, (format, _) in found.items()} == {
        ("Llama 3.1 8B", "laptop 16GB"): "bf16", ("Llama 3.1 8B", "H100"): "bf16",
        ("gpt-oss-20b", "laptop 16GB"): "mxfp4", ("gpt-oss-20b", "H100"): "bf16",
        ("DeepSeek-V3", "laptop 16GB"): None, ("DeepSeek-V3", "H100"): None,
    }  # fmt: skip
    assert set(fits.CHOICES) <= set(fit.FORMATS)


def test_what_is_too_much_is_that_of_the_formats_that_are_tried():
    # Q4_0, which is not among them, would fit: by it "too much" came out below zero.
    name, device = "Gemma 3 27B (text)", "laptop 16GB"
    assert fit.plan(name, device, 8192).fits["Q4_0"]
    [(format, plan)] = fits.plans([name], [device]).values()
    assert format is None and set(plan.weight_bytes) <= set(fits.CHOICES)
    assert max(plan.spare_bytes.values()) < 0


def test_what_a_format_costs_is_what_notebook_09_measured():
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    table = {
        (name, scale): float(divergence)
        for name, scale, divergence in re.findall(
            r"^\| ([^|]+) \| ([^|]+) \| [\d.]+ \| [\d.,]+ \| ([\d.]+) \|", readme, re.MULTILINE
        )
    }
    expected = {
        "bf16": table["16 bits", "none"], "int8": table["LLM.int8()", "output"],
        "int4-g128": table["GPTQ, 4 bits", "64"], "nf4": table["NF4", "64"],
        "nf4-nested": table["NF4", "64, quantized"],
    }  # fmt: skip
    assert expected == fits.COST
