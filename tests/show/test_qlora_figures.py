"""Notebook 15's figures of training memory, marks and merges: what they show is what was given."""

import pytest

from quantlab import fit, training_memory
from quantlab.experiments import qlora
from quantlab.lm.training_tracker import Measured
from quantlab.show import qlora_figures as figures

PLAN = training_memory.plan("Llama 2 7B", batch=1, window=512)
MEASURED = Measured(3_000_000, 655_360, 655_360, 1_310_720, 18_000_000, 6_000_000, 1, 28_966_080)
MARKS = qlora.Marks(old=250, taught=100, held_out=7, perplexity=33.333)


def words(shown):
    """What a table says, as text."""
    return shown._repr_html_() if hasattr(shown, "_repr_html_") else shown.data


def test_the_figure_of_memory_says_each_part_and_the_peak():
    alt = figures.memory_figure({"qlora": PLAN}, "A title of words", fit.devices()["T4"]).alt
    assert alt.startswith("A title of words. T4, 16.1 GB; qlora: weights 3.87 GB")
    assert "activations 4.49 GB" in alt and "at most 8.80 GB at once" in alt


def test_the_figure_of_memory_takes_what_was_measured():
    alt = figures.memory_figure({"a": MEASURED, "b": MEASURED}, "A title of words").alt
    assert alt.count("activations 18.0 MB") == 2


def test_the_table_of_parts_has_both_numbers_of_each():
    one = qlora.Memory("qlora", PLAN, MEASURED)
    shown = words(figures.parts_table([one]))
    pairs = zip(PLAN.parts.values(), MEASURED.parts.values(), strict=True)
    assert all(f"{a / 1e6:.2f} / {b / 1e6:.2f}" in shown for a, b in pairs)
    assert f"{PLAN.peak / 1e6:.2f} / 28.97" in shown


def test_the_tables_of_flags_and_of_marks_have_their_numbers():
    shown = words(figures.flags_table([qlora.Flag("fp4", 2_800_000, 6_500_000, 0.04444)]))
    assert all(part in shown for part in ("fp4", "2.800", "6.500", "0.0444"))
    shown = words(figures.marks_table({"before": MARKS}))
    assert all(part in shown for part in ("250 of 256", "100 of 224", "7 of 32", "33.33"))


def test_the_figure_of_merges_has_each_loss():
    losses = {"FP32": -3e-9, "BF16": 0.00012, "NF4 anew": 0.05}
    alt = figures.merge_figure(losses, "A title of words").alt
    assert "FP32 under 0.000001" in alt
    assert "BF16 0.00012" in alt and "NF4 anew 0.05" in alt


@pytest.mark.parametrize("part", figures.PARTS)
def test_every_part_of_a_plan_has_a_colour(part):
    assert part in PLAN.parts and part in MEASURED.parts and len(PLAN.parts) == len(figures.PARTS)
