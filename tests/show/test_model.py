"""Notebook 09's tables, pictures and explorer: they say what was measured, and compute it once."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from quantlab import _data, lm
from quantlab.experiments import whole_model
from quantlab.experiments.whole_model import SETTINGS, Result, Setting
from quantlab.show import html, model
from quantlab.show.model import Bench

EXACT = Result(Setting("16 bits", 16), 16.0, 20.0, 250, "Once upon a time there was a king.")
ROWS = Result(Setting("GPTQ", 3), 3.11, 21.04, 200, "Once upon a time there was an old king.", 0.1)
BROKEN = Result(Setting("absmax", 2), 2.05, 1451.3, 0, "Once upon a a a")
NESTED = Result(Setting("NF4", 4, 64, True), 4.127, 20.2, 244, EXACT.text)
RESULTS = [EXACT, NESTED, ROWS, BROKEN]


@pytest.fixture(scope="module")
def tiny():
    return lm.load("tiny-lm", "fp32", device="cpu")


@pytest.fixture
def bench(tiny, monkeypatch):
    """A bench that counts: the facts, two seconds each, are left out."""
    monkeypatch.setattr(lm.Model, "facts", lambda self: lm.Facts(("00000000",)))
    monkeypatch.setattr(whole_model, "NEW_TOKENS", 4)
    text = (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")[:3000]
    return Bench(tiny, text)


@pytest.fixture
def explorer(bench):
    for setting in (Setting("16 bits", 16), Setting("GPTQ", 3)):
        bench.results[setting] = EXACT if setting.method == "16 bits" else ROWS
    return model.explorer(bench)


def test_every_method_at_every_width_is_in_the_table():
    widths = {(s.method, s.bits) for s in SETTINGS}
    for method in ("absmax", "zero-point", "GPTQ"):
        assert {(method, bits) for bits in (8, 4, 3, 2)} <= widths
    assert {("LLM.int8()", 8), ("NF4", 4), ("FP4", 4)} <= widths


def test_no_setting_is_in_the_table_twice():
    assert len(set(SETTINGS)) == len(SETTINGS)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting("absmax", 3), {"method": "absmax", "bits": 3}),
        (Setting("zero-point", 2, 64), {"method": "zero_point", "bits": 2, "group_size": 64}),
        (Setting("NF4", 4, 32, True), {"method": "nf4", "block_size": 32, "double_quant": True}),
    ],
)
def test_a_setting_is_what_lm_quantize_does(tiny, setting, expected):
    ours, theirs = whole_model.quantized(tiny, setting), lm.quantize(tiny, **expected)
    for (name, a), (_, b) in zip(ours.linears(), theirs.linears(), strict=True):
        assert torch.equal(a.weight, b.weight), name


def test_gptq_of_the_table_works_on_the_zero_point_grid(tiny):
    scales_and_zeros = (16 + 3) * sum(layer.out_features for _, layer in tiny.linears())
    weights = sum(layer.weight.numel() for _, layer in tiny.linears())
    small = whole_model.quantized(tiny, Setting("GPTQ", 3))
    assert small.bits_per_weight == pytest.approx(3 + scales_and_zeros / weights)


def test_an_unknown_method_says_what_there_is(tiny):
    with pytest.raises(ValueError, match=r"method must be one of absmax, .* got 'AWQ'"):
        whole_model.quantized(tiny, Setting("AWQ", 4))


def test_a_result_has_the_numbers_of_the_model(bench):
    setting = Setting("absmax", 4)
    small = whole_model.quantized(bench.model, setting)
    result = bench.result(setting)
    assert result.perplexity == small.perplexity(bench.text, stride=small.window - 1)
    assert result.bits == small.bits_per_weight
    assert result.text == small.generate_text(bench.prompt, 4)


def test_a_divergence_is_that_of_the_two_models(bench):
    setting, stride = Setting("absmax", 4), bench.model.window - 1
    small = model.quantized(bench.model, setting)
    expected = lm.measure.window_divergences(small, bench.model, bench.text, stride=stride)
    assert bench.result(setting).windows == tuple(expected)


def test_the_exact_model_reads_the_text_once_for_all_settings(bench):
    exact, read = bench.model.network, []
    hook = exact.register_forward_hook(lambda network, *_: read.append(network is exact))
    bench.result(Setting("absmax", 4))
    once = sum(read)
    bench.result(Setting("absmax", 3))
    hook.remove()
    assert sum(read) == once > 0


def test_the_unquantized_model_counts_as_the_16_bits_of_its_file(bench):
    assert bench.result(Setting("16 bits", 16)).bits == 16


def test_a_setting_is_computed_once(bench, monkeypatch):
    calls = []
    measure = model.measure
    monkeypatch.setattr(whole_model, "measure", lambda *a: calls.append(a) or measure(*a))
    first = bench.result(Setting("absmax", 5))
    assert bench.result(Setting("absmax", 5)) is first
    assert len(calls) == 1


def test_progress_rises_from_0_to_1(bench):
    parts = []
    bench.result(Setting("absmax", 6), lambda part, words: parts.append(part))
    assert parts[0] == 0 and parts[-1] == 1 and parts == sorted(parts)
    assert len(parts) > len(bench.model.linears())


def test_the_table_has_a_row_per_result_with_its_numbers():
    lines = str(model.Table(RESULTS)).splitlines()
    assert lines[2] == "| 16 bits | none | 16.00 | 20.0 | 0.0000 | 250 |"
    assert lines[3] == "| NF4 | 64, quantized | 4.13 | 20.2 | 0.0000 | 244 |"
    assert lines[4] == "| GPTQ, 3 bits | output | 3.11 | 21.0 | 0.1000 | 200 |"
    assert lines[5] == "| absmax, 2 bits | output | 2.05 | 1,451 | 0.0000 | 0 |"
    assert len(lines) == 2 + len(RESULTS)


def test_the_table_is_what_a_notebook_shows():
    table = model.Table(RESULTS)
    assert table._repr_markdown_() == str(table) == str(model.Table(RESULTS))


@pytest.mark.parametrize(
    ("text", "start", "rest"),
    [
        (EXACT.text, EXACT.text, ""),
        (ROWS.text, "Once upon a time there was", " an old king."),
        ("Twice", "", "Twice"),
        ("Once  upon\na time. There", "Once  upon\na", " time. There"),
    ],
)
def test_texts_part_between_words(text, start, rest):
    assert model.parted(text, EXACT.text) == (start, rest)


def test_a_line_break_parts_words_as_a_blank_does():
    ours, theirs = "three sons. They were", "three sons.\nOne day"
    assert model.parted(ours, theirs) == ("three sons.", " They were")


def test_a_bar_stands_where_a_text_leaves_the_reference():
    shown = model.texts([EXACT, ROWS], EXACT).data
    assert shown.count("┃") == 1
    assert re.sub("<[^>]+>", "", shown).count("there was ┃ an old king.") == 1


def test_texts_are_escaped():
    risky = Result(Setting("absmax", 2), 2.0, 99.0, 0, "a <b> & c")
    assert "&lt;b&gt; &amp; c" in model.texts([risky], EXACT).data


@pytest.mark.parametrize(
    "draw",
    [
        lambda: model.cost_figure(RESULTS, "Fewer bits cost more"),
        lambda: model.layer_figure(COSTS, "One layer costs most"),
        lambda: model.activation_figure({Q: 9.0}, {Q: 0.5}, "The largest is nine"),
    ],
)
def test_a_figure_is_the_same_bytes_each_time(draw):
    assert draw().data == draw().data


Q = "model.layers.0.self_attn.q_proj"
COSTS = {Q: 0.25, "model.layers.1.mlp.down_proj": 0.01}


def test_the_cost_figure_tells_every_result_in_its_alt_text():
    alt = model.cost_figure(RESULTS, "Fewer bits cost more").alt
    assert "GPTQ, 3 bits, one scale per output: 3.11 bits, 0.1000, 200 facts" in alt


def test_a_difference_comes_with_its_standard_error():
    nats = (3.0, 5.0, 4.0), (2.0, 2.0, 2.0)
    one, other = (replace(ROWS, windows=tuple((n, 10) for n in of)) for of in nats)
    mean, error = whole_model.further(one, other)
    assert mean == pytest.approx(0.2)
    assert error == pytest.approx(0.1 / np.sqrt(3))  # differences 0.1, 0.3, 0.2


def test_a_short_window_counts_by_its_tokens(bench):
    one, other = (bench.result(Setting("absmax", bits)) for bits in (3, 4))
    assert len({tokens for _, tokens in one.windows}) > 1
    mean, _ = whole_model.further(one, other)
    assert mean == pytest.approx(one.divergence - other.divergence)


def test_a_result_does_not_differ_from_itself(bench):
    result = bench.result(Setting("absmax", 3))
    assert whole_model.further(result, result) == (0.0, 0.0)
    assert result.divergence == pytest.approx(
        whole_model.quantized(bench.model, result.setting).divergence(
            bench.model, bench.text, stride=bench.model.window - 1
        )
    )


def test_the_16_bit_model_diverges_from_nothing(bench):
    assert bench.result(Setting("16 bits", 16)).divergence == 0


def test_the_layer_figure_tells_every_layer_in_its_alt_text():
    alt = model.layer_figure(COSTS, "One layer costs most").alt
    assert "q_proj of block 0 0.250, down_proj of block 1 0.010" in alt


def test_nf4_stays_at_4_bits_and_64_weights_and_says_so():
    setting, note = whole_model.normal("NF4", 3, 0)
    assert setting == Setting("NF4", 4, 64)
    assert "bits stay there" in note and "64 is taken" in note


def test_other_methods_take_every_control():
    assert whole_model.normal("GPTQ", 5, 32) == (Setting("GPTQ", 5, 32), "")
    assert whole_model.normal("absmax", 2, 0) == (Setting("absmax", 2, None), "")


def circles(face):
    return face.count("<circle") - face.count('r="12"')


def test_each_setting_tried_adds_a_point(explorer):
    before = circles(explorer.html.value)
    shown = explorer.set(method="absmax")
    assert circles(shown) == before + 1
    assert "absmax, 3 bits, one scale per output" in shown
    assert circles(explorer.set(bits=4)) == before + 2


def test_coming_back_to_a_setting_adds_none_and_computes_none(explorer, bench, monkeypatch):
    explorer.set(method="absmax")
    monkeypatch.setattr(whole_model, "measure", lambda *a: pytest.fail("computed again"))
    explorer.set(method="GPTQ")
    assert circles(explorer.set(method="absmax")) == 3  # one small, two tried


def test_the_face_has_the_numbers_of_the_result():
    face = re.sub("<[^>]+>", "", model.render(ROWS, EXACT, [ROWS]))
    assert "bits per weight 3.110" in face
    assert "perplexity 21.0 (16 bits: 20.0)" in face
    assert "facts right 200 of 256 (16 bits: 250)" in face


def test_the_bar_follows_and_is_empty_afterwards(explorer):
    seen = []
    explorer.bar.observe(lambda change: seen.append(change["new"]), names="value")
    explorer.set(method="absmax")
    assert max(seen) == 1 and explorer.bar.value == 0


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, RuntimeError("out of memory")])
def test_after_trouble_the_explorer_goes_on(explorer, monkeypatch, trouble):
    def fail(*args):
        raise trouble

    with monkeypatch.context() as patch:
        patch.setattr(whole_model, "measure", fail)
        assert html.RED in explorer.set(method="absmax")
    assert explorer.bar.value == 0
    explorer.set(method="GPTQ")
    assert "absmax, 3 bits" in explorer.set(method="absmax")


def test_the_still_says_what_it_shows(explorer):
    assert (
        "GPTQ, 3 bits, one scale per output: bits per weight 3.110, perplexity 21.0"
        in explorer.static.alt
    )
