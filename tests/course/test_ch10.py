"""Exercises of notebook 10: right answers pass, and each known mistake gets its own advice."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import course


def config(**changes):
    """Return a config as exercise 10.3 asks for it, with some flags changed."""
    from transformers import BitsAndBytesConfig

    flags = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.float16,
    }
    return BitsAndBytesConfig(**flags | changes)


def model_bytes(linear, others):
    return linear * 4.126953125 / 8 + others * 2


def weights(packed, absmax, values):
    return values[np.stack([packed >> 4, packed & 15], axis=1).ravel()] * absmax


def weights_one_by_one(packed, absmax, values):
    codes = [half for byte in packed.tolist() for half in divmod(byte, 16)]
    return [float(values[code]) * float(absmax) for code in codes]


def low_half_first(packed, absmax, values):
    return values[np.stack([packed & 15, packed >> 4], axis=1).ravel()] * absmax


def without_scale(packed, absmax, values):
    return weights(packed, 1, values)


RIGHT = {
    "10.1": [
        model_bytes,
        lambda linear, others: linear * 4.127 / 8 + others * 2,
        lambda linear, others: (
            ql.memory.weight_bytes(linear, "nf4", 64, double_quant=True)
            + ql.memory.weight_bytes(others, "bf16")
        ),
    ],
    "10.2": [0.40625, 0.41, 0.406, Fraction(13, 32), 6.5e9 / 64 * 4 / ql.memory.GB],
    "10.3": [
        config(),
        config(bnb_4bit_compute_dtype="float16"),
        config(bnb_4bit_quant_storage=torch.uint8),
    ],
    "10.4": [weights, weights_one_by_one, lambda *args: torch.tensor(weights_one_by_one(*args))],
}

WRONG = [
    ("10.1", lambda linear, others: linear * 4.5 / 8 + others * 2, "without double quantization"),
    ("10.1", lambda linear, others: linear * 4.13 / 8 + others * 2, "8/64 for the scales"),
    ("10.1", lambda linear, others: (linear + others) * 4.126953125 / 8, "2 bytes each"),
    ("10.1", lambda linear, others: linear * 4.126953125 + others * 16, "these are bits"),
    ("10.2", 406_250_000, "these are bytes"),
    ("10.2", 0.1015625, "one byte a scale"),
    ("10.2", 3.25, "billions of bits"),
    ("10.2", 406_250_000 / 2**30, "this is in GiB"),
    ("10.2", 0.4, "weights / 64 scales"),
    ("10.3", config(bnb_4bit_quant_type="fp4"), "the default is fp4"),
    ("10.3", config(bnb_4bit_use_double_quant=False), "scales can be 8-bit codes"),
    ("10.3", config(bnb_4bit_compute_dtype=torch.bfloat16), "a T4 has no bfloat16"),
    ("10.3", config(bnb_4bit_compute_dtype=torch.float32), "its 16-bit units are many times"),
    ("10.3", config(bnb_4bit_compute_dtype=None), "its 16-bit units are many times"),
    ("10.3", config(load_in_4bit=False), "without this flag"),
    ("10.3", type(config()), "call the class"),
    ("10.3", {"load_in_4bit": True}, "not a dict of flags"),
    ("10.3", "float16", "pass the config itself"),
    ("10.4", low_half_first, "high half"),
    ("10.4", without_scale, "times the absmax"),
    ("10.4", lambda packed, absmax, values: packed, "the shape"),
]


def test_an_object_with_some_of_the_flags_is_refused():
    verdict = course.verdict("10.3", SimpleNamespace(load_in_4bit=True))
    assert verdict.state == "wrong"
    assert "pass the config itself" in verdict.text


def test_the_prediction_of_exercise_1_is_that_of_the_memory_module():
    expected = ql.memory.weight_bytes(1e9, "nf4", 64, double_quant=True)
    assert model_bytes(1e9, 0) == pytest.approx(expected, rel=1e-12)
