"""Floats with a shared scale on a layer and on a model: what is measured is what quantlab does."""

from dataclasses import replace

import numpy as np
import pytest

import quantlab as ql
from quantlab import lm
from quantlab._data import path as data_path
from quantlab.experiments import shared_scales
from quantlab.experiments.shared_scales import BLOCKS, ELEMENTS, SCALES, Setting, explore
from quantlab.experiments.whole_model import reader
from quantlab.scaled import FORMATS

WEIGHTS = np.random.default_rng(13).normal(size=(64, 128)).astype(np.float32) * np.float32(0.1)
every_scale = pytest.mark.parametrize("scale", SCALES)
every_element = pytest.mark.parametrize("element", ELEMENTS)


def with_one_moved(largest):
    flat = WEIGHTS.ravel().copy()
    flat[flat.size // 2] = largest * float(flat.std())
    return flat


@every_scale
@every_element
@pytest.mark.parametrize("block", BLOCKS)
def test_the_error_is_that_of_the_format_without_the_moved_weight(element, scale, block):
    found = explore(WEIGHTS, element, block, scale, largest=5.0)
    flat = with_one_moved(5.0)
    q = ql.scaled.quantize(flat, found.format)
    back = q.dequantize()
    assert found.moved_to == pytest.approx(back[flat.size // 2] / WEIGHTS.std(), rel=1e-6)
    back[flat.size // 2] = flat[flat.size // 2] = 0
    assert found.error == ql.errors.relative(back, flat)
    assert found.bits == q.bits_per_value and found.format.block == block


@every_element
def test_the_codes_are_counted_by_their_magnitude(element):
    found = explore(WEIGHTS, element)
    assert found.counts.sum() == WEIGHTS.size and len(found.counts) <= len(found.magnitudes)


@pytest.mark.parametrize(
    ("element", "scale", "rule", "taken"),
    [("FP4", "E8M0", "even", "even"), ("FP4", "E8M0", "amax", "floor"),
     ("FP4", "E4M3", "floor", "amax"), ("FP4", "E4M3", "four_over_six", "four_over_six"),
     ("FP6", "E4M3", "four_over_six", "amax"), ("FP8", "FP32", "rceil", "amax")],
)  # fmt: skip
def test_a_rule_that_does_not_go_with_the_scale_is_replaced_and_said(element, scale, rule, taken):
    found = explore(WEIGHTS, element, 16, scale, rule)
    assert found.format.rule == taken and bool(found.note) == (taken != rule)


def test_a_large_weight_doubles_the_scale_when_it_passes_a_power_of_two():
    low, high = (explore(WEIGHTS, largest=size).scale for size in (3.0, 6.0))
    assert high == 2 * low


@pytest.mark.parametrize(
    ("options", "says"),
    [({"element": "FP5"}, "FP4, FP6, FP8"), ({"scale": "E5M2"}, "E8M0, E4M3, FP32"),
     ({"rule": "up"}, "floor, ceil"), ({"block": 1}, "block"), ({"largest": -1.0}, "largest")],
)  # fmt: skip
def test_what_is_not_served_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        explore(WEIGHTS, **options)


def test_a_small_layer_is_refused():
    with pytest.raises(ValueError, match="4096 values"):
        explore(WEIGHTS[:2])


def test_shares_of_the_error_add_up():
    q = ql.scaled.quantize(WEIGHTS, "MXFP4")
    shares = np.array(shared_scales.share_of_error(WEIGHTS, q, [0, 2, 4, 6]))
    assert np.allclose(shares.sum(axis=0), 1)
    with pytest.raises(ValueError, match="made of x"):
        shared_scales.share_of_error(WEIGHTS[:2], q, [0])


def test_settings_say_what_is_done():
    assert Setting("NVFP4", True, True, True).words == "W and A, turned, GPTQ"
    assert Setting("MXFP8").words == "W, plain"
    kinds = {(s.format, s.words) for s in shared_scales.SETTINGS}
    assert len(kinds) == len(shared_scales.SETTINGS) == 16


def test_the_rule_even_puts_mxfp8_before_mxfp6_and_leaves_mxfp4_behind_nvfp4(monkeypatch):
    model = lm.load("tiny-lm", "fp32", device="cpu")
    text = (data_path("texts") / "evaluation.txt").read_text(encoding="utf-8")[:2500]
    for name in ("MXFP8", "MXFP6", "MXFP4"):
        monkeypatch.setitem(FORMATS, name, replace(FORMATS[name], rule="even"))
    lost, reference, stride = [], reader(model), model.window - 1
    for name in ("MXFP8", "MXFP6", "NVFP4", "MXFP4"):
        small = lm.quantize(model, name.lower(), activation_bits=name)
        pieces = lm.measure.window_divergences(reader(small), reference, text, stride=stride)
        lost.append(sum(nats for nats, _ in pieces))
    assert sorted(lost) == lost
