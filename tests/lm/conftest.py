"""Models that the tests share. Nothing here may reach the network."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from quantlab import _data, lm


@pytest.fixture(scope="session")
def text():
    """The evaluation text: stories that the model has never seen."""
    return (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def short_text(text):
    """Its first 4,000 characters, for what runs in bf16, which is slow on many CPUs."""
    return text[:4000]


@pytest.fixture(scope="session")
def exact():
    """tiny-lm in fp32: the bf16 weights of the file, computed with in fp32."""
    return lm.load("tiny-lm", quantization="fp32", device="cpu")


@pytest.fixture(scope="session")
def half():
    return lm.load("tiny-lm", quantization="bf16", device="cpu")


@pytest.fixture(scope="session")
def four_bit():
    return lm.load("tiny-lm", quantization="nf4", device="cpu")


@pytest.fixture(scope="session")
def quantized(exact):
    """Return a function: tiny-lm quantized in some way, each way once."""
    known = {}

    def of(*method, **options):
        key = (method, tuple(sorted(options.items())))
        if key not in known:
            known[key] = lm.quantize(exact, *method, **options) if method else exact
        return known[key]

    return of
