"""Notebook 10: loads in numbers, their table, figure and explorer."""

from types import SimpleNamespace

import pytest
import torch

from quantlab.experiments import loads
from quantlab.experiments.loads import Load
from quantlab.show import load

HALF = Load("BF16", codes=6000, scales=0, kept=2000, perplexity=20.0)
FOUR = Load("NF4", codes=1500, scales=200, kept=2000, perplexity=21.0)


def model(perplexity=7.0):
    """A stand-in for `lm.Model`: one linear layer of 4 x 8 and an embedding of 8, in 16 bits."""
    linear = torch.nn.Linear(8, 4, bias=False, dtype=torch.bfloat16)
    others = torch.nn.Parameter(torch.zeros(8, dtype=torch.bfloat16))
    seen = {}

    def measured(text, stride):
        seen.update(text=text, stride=stride)
        return perplexity

    return SimpleNamespace(
        linears=lambda: [("a", linear)],
        network=SimpleNamespace(parameters=lambda: [linear.weight, others]),
        memory_bytes=lambda: 64 + 16 + 12,
        window=256,
        perplexity=measured,
        seen=seen,
    )


def test_the_three_parts_of_a_model_are_codes_scales_and_what_is_kept():
    assert loads.weigh(model()) == (64, 12, 16)


def test_the_parts_of_the_bundled_4_bit_model_add_up_to_its_memory():
    from quantlab import lm

    four_bit = lm.load("tiny-lm", "nf4", device="cpu")
    codes, scales, kept = loads.weigh(four_bit)
    weights = 2 * codes  # two codes to a byte
    assert scales == weights / 64 * 4
    assert codes + scales + kept == four_bit.memory_bytes()


def test_a_load_reads_the_text_in_windows_side_by_side():
    stand_in = model()
    measured = loads.measure("a load", stand_in, "some words")
    assert stand_in.seen == {"text": "some words", "stride": 255}
    assert (measured.name, measured.bytes, measured.perplexity) == ("a load", 92, 7.0)


def test_the_difference_names_both_values_and_the_change():
    said = load.difference(HALF, FOUR)
    assert "8,000" in said and "3,700  (-4,300)" in said
    assert "20.00" in said and "21.00  (+1.00)" in said


def test_the_table_compares_with_its_first_row():
    shown = load.table([HALF, FOUR]).data
    assert "46.2%" in shown and "+5.00%" in shown.replace("\N{FIGURE SPACE}", "")


def test_the_figure_says_what_stays_in_16_bits():
    alt = load.memory_figure([HALF, FOUR]).alt
    assert alt.startswith("2.2 times smaller, not 4: 54% of the 4-bit model is still 16-bit")


def test_the_same_figure_gives_the_same_bytes():
    assert load.memory_figure([HALF, FOUR]).data == load.memory_figure([HALF, FOUR]).data


def test_the_face_shows_bytes_and_perplexity_beside_16_bits():
    shown = load.render(FOUR, HALF)
    for words in ("3,700", "46.2% of 16 bits", "21.00", "+5.00% against 16 bits", "200"):
        assert words in shown


def test_the_bars_of_the_face_are_parts_of_the_longest():
    kept, codes, scales = load._bar(FOUR, HALF.bytes).marks
    assert (codes.x, scales.x) == (kept.width, kept.width + codes.width)
    assert [part.width / 720 for part in (kept, codes)] == [
        part / HALF.bytes for part in (FOUR.kept, FOUR.codes)
    ]


@pytest.fixture
def calls():
    return []


@pytest.fixture
def explorer(calls):
    def measured(**flags):
        calls.append(flags)
        return FOUR

    return load.explorer(measured, HALF)


def test_the_explorer_names_its_controls_as_the_config_does(explorer):
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_4bit=True, **explorer.settings)
    assert config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype == torch.float32


def test_the_explorer_measures_each_setting_once(explorer, calls):
    for quant_type in ("fp4", "nf4", "fp4", "nf4"):
        explorer.set(bnb_4bit_quant_type=quant_type)
    assert [flags["bnb_4bit_quant_type"] for flags in calls] == ["nf4", "fp4"]


def test_the_explorer_has_a_picture_for_readers_without_a_kernel(explorer):
    assert "NF4" in explorer.static.alt and "BF16" in explorer.static.alt


def tried(on_gpu, name="tiny-lm, nf4", peak=None):
    return loads.Trial(
        name,
        on_gpu,
        2_970_112,
        2_970_112,
        3_000_000,
        peak,
        0.5,
        60.0,
        640.0,
        1.61,
        "Once there was",
    )


def test_the_table_of_trials_says_on_a_cpu_what_is_missing_and_why():
    shown = load.trials_table([tried(False), tried(False)]).data
    assert "the process then held more, MB" in shown and "3.00" in shown
    assert "missing" in shown and "For a CPU torch keeps no such count" in shown
    assert "the most that torch held" not in shown


def test_the_table_of_trials_has_the_allocator_and_its_peak_on_a_gpu():
    shown = load.trials_table([tried(True, peak=9_000_000)]).data
    assert "torch then held more, MB" in shown and "the most that torch held, MB" in shown
    assert "9.00" in shown and "missing" not in shown


def test_the_texts_stand_side_by_side_under_their_loads():
    shown = load.side_by_side([tried(False, "tiny-lm, bf16"), tried(False)]).data
    assert shown.index("tiny-lm, bf16") < shown.index("tiny-lm, nf4") < shown.index("Once there")
    assert shown.count("Once there was") == 2 and shown.count("<tr>") == 2


@pytest.fixture(scope="module")
def trial():
    return loads.trial(
        "tiny-lm", "nf4", "Once upon a time", "A king and a queen.", "cpu", new_tokens=2
    )


def test_a_trial_predicts_from_the_shape_what_the_layers_then_hold(trial):
    assert trial.predicted == trial.counted == 2_970_112


def test_a_trial_on_a_cpu_claims_no_peak(trial):
    assert not trial.on_gpu and trial.peak is None


def test_a_trial_keeps_what_the_model_wrote_and_not_the_model(trial):
    assert trial.text.startswith("Once upon a time") and trial.name == "tiny-lm, nf4"
    assert {type(value) for value in vars(trial).values()} <= {str, bool, int, float, type(None)}


def test_a_load_that_predicts_no_numbers_is_a_result_and_other_errors_are_errors():
    def measured(bnb_4bit_compute_dtype, bnb_4bit_use_double_quant, **flags):
        if bnb_4bit_compute_dtype == "float16":
            raise FloatingPointError("<tiny> predicts NaN or infinity")
        if not bnb_4bit_use_double_quant:
            raise RuntimeError("out of memory")
        return FOUR

    one = load.explorer(measured, HALF)
    said = one.set(bnb_4bit_compute_dtype="float16")
    assert "No perplexity: &lt;tiny&gt; predicts NaN or infinity." in said and "alert" not in said
    assert "2," in one.set(bnb_4bit_compute_dtype="bfloat16")
    said = one.set(bnb_4bit_use_double_quant=False)
    assert "out of memory" in said and 'role="alert"' in said
