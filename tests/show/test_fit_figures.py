"""Notebook 14's tables, figures and planner: what they show is what was planned."""

import numpy as np
import pytest

from quantlab import fit
from quantlab.experiments import fits
from quantlab.lm import CacheFormat
from quantlab.show import fit_figures as figures


def words(shown):
    """What a table says, as text."""
    return shown._repr_html_() if hasattr(shown, "_repr_html_") else shown.data


def test_a_table_of_speeds_has_the_bytes_read():
    shown = words(figures.speed_table([fits.Speed("a", "Q8_0", 4_000_000, 500.0)]))
    assert all(part in shown for part in ("Q8_0", "4.0", "500", "2.0"))


def test_a_table_of_texts_has_the_speed_of_each():
    shown = words(figures.together_table([(1, 60.0), (16, 640.0)]))
    assert "640" in shown and "40" in shown


def test_the_figure_of_growth_names_each_model_with_its_size():
    names = ["Llama 2 7B", "DeepSeek-V3"]
    alt = figures.growth_figure(names, 1000).alt
    for name in names:
        assert f"{name} {fit.cache_bytes(name, 1000) / 1e9:.2f} GB" in alt


def test_the_figure_of_channels_says_by_how_much_the_largest_sticks_out():
    keys, values = np.ones((4, 8)), np.ones((4, 8))
    keys[:, 3] = 5
    assert "5.0 times the median, of the values 1.0 times" in figures.channels_figure(
        keys, values
    ).alt.replace("\n", " ")


def test_a_table_of_losses_has_each_of_them():
    loss = fits.Loss("keys", CacheFormat(2, "channel", turned=True), ((0.5, 10),))
    shown = words(figures.losses_table([loss]))
    assert all(part in shown for part in ("keys", "a channel", "yes", "0.0500"))


def test_a_table_of_plans_says_what_fits_and_by_how_much_nothing_does():
    shown = words(figures.plans_table(fits.plans(["Llama 3.1 8B", "DeepSeek-V3"], ["H100"])))
    assert "bf16, 17.2 GB, at most 208 tokens/s" in shown and "too much" in shown


@pytest.mark.parametrize("format", figures.FORMATS)
def test_the_planner_says_what_the_plan_says(format):
    shown = figures.planned("Llama 3.1 8B", format, "q8_0", 8192, 16, "RTX 4090")
    _, _, plan = shown
    whole = fit.plan("Llama 3.1 8B", "RTX 4090", 8192, 16, cache="q8_0")
    assert plan.total_bytes[format] == whole.total_bytes[format]
    html = figures.render(*shown)
    assert figures.size_text(plan.cache_bytes) in html and f"{figures.COST[format]:.4f}" in html
    speed = f"at most {plan.tokens_per_second[format]:,.0f} tokens per second"
    assert (speed in html) == plan.fits[format] != ("too much" in html)


def test_the_planner_says_by_how_much_a_model_is_too_large():
    said = figures.sentence(*figures.planned("DeepSeek-V3", "bf16", "bf16", 1024, 1, "H100"))
    assert said.endswith("too much.")


def test_a_bar_has_weights_texts_and_activations_to_scale():
    _, format, plan = figures.planned("Qwen3-32B", "nf4-nested", "bf16", 8192, 16, "RTX 4090")
    weights, kept, _, frame, *_ = figures.bar(format, plan).marks
    assert weights.width / kept.width == pytest.approx(plan.weight_bytes[format] / plan.cache_bytes)
    assert weights.width / frame.width == pytest.approx(
        plan.weight_bytes[format] / plan.device.bytes
    )


def test_every_setting_of_the_planner_can_be_shown():
    explorer = figures.planner()
    assert len(explorer.controls) == 6
    for name, options in (("model", figures.MODELS), ("device", figures.MACHINES)):
        for option in options:
            assert "took" not in explorer.set(**{name: option}) and explorer.html.value
    assert set(figures.MODELS) <= set(fit.shipped()) and set(figures.MACHINES) <= set(fit.devices())


def test_the_still_of_the_planner_says_what_it_shows():
    assert "Still of the planner. Llama 3.1 8B in bf16" in figures.planner().static.alt
