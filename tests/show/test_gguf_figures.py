"""Notebook 11: its explorer shows what llama.cpp would store, its tables what was measured."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from quantlab import gguf
from quantlab.experiments.gguf_bytes import Contents, Tensor
from quantlab.experiments.gguf_runs import Cost, Speed
from quantlab.experiments.super_block import explore
from quantlab.show import gguf_figures as figures

WEIGHTS = np.random.default_rng(11).normal(size=(8, 512)).astype(np.float32) * np.float32(0.1)
every_type = pytest.mark.parametrize("type", gguf.TYPES)


def words(table):
    return re.sub(r"<[^>]+>", " ", table.data)


@every_type
def test_the_face_shows_the_bytes_of_the_block(type):
    found = explore(WEIGHTS, type)
    dump = figures.render(found).split('class="ql-dump"')[1].split("<table")[0]
    digits = " ".join(re.findall(r'data-f="\d+"[^>]*>([0-9a-f ]+)<', dump))
    assert bytes.fromhex(digits) == found.blocks.tobytes()


@every_type
def test_the_face_shows_the_numbers_that_were_computed(type):
    found = explore(WEIGHTS, type, 9.0)
    face = figures.render(found)
    for name, number, _ in figures.facts(found):
        assert f"{name}</th>" in face and f"{number:.2f}".replace("-", "−") in face


@every_type
@pytest.mark.parametrize("outlier", [0, 12])
def test_nothing_is_drawn_outside_the_picture(type, outlier):
    for mark in figures.draw(explore(WEIGHTS, type, outlier)).marks:
        for x, y in getattr(mark, "points", None) or [(mark.x, mark.y)]:
            assert 0 <= x <= figures.WIDTH and 0 <= y <= figures.HEIGHT


def test_each_weight_has_its_dot_and_its_error():
    found = explore(WEIGHTS, "Q4_0")
    marks = list(figures._weights(found))
    dots = [mark.x for mark in marks if hasattr(mark, "x")]
    errors = [mark.points for mark in marks if hasattr(mark, "points")]
    assert dots == [figures.SIZES(value) for value in found.values]
    assert {a[0] for a, _ in errors} <= set(dots) and len(errors) > 100


def test_levels_that_are_too_close_become_a_band():
    kinds = {type: [m for m in figures._levels(explore(WEIGHTS, type)) if hasattr(m, "shade")]
             for type in ("Q8_0", "Q4_0")}  # fmt: skip
    assert len(kinds["Q8_0"]) == 8 and kinds["Q4_0"] == []


def test_the_handle_moves_the_outlier():
    svg = figures.draw(explore(WEIGHTS, outlier=6.0)).svg()
    assert 'data-drag="outlier"' in svg and 'data-max="12"' in svg
    shown = figures.explorer(WEIGHTS).set(type="Q6_K", outlier=3.25)
    assert shown == figures.render(explore(WEIGHTS, "Q6_K", 3.25))


def test_the_rooms_add_up_to_the_file():
    tensors = tuple(
        Tensor(name, "Q4_0", (1,), start, ())
        for name, start in (("token_embd.weight", 100), ("blk.0.attn_q.weight", 300))
    )
    alt = figures.rooms(Contents({}, tensors, ()), 1000).alt
    sizes = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) bytes", alt)]
    assert sum(sizes) == 1000 and alt.startswith("70% of the file")


def test_the_types_stand_from_many_bits_to_few():
    found = {kind: {"a": 0.1, "b": 0.2} for kind in [*gguf.TYPES, "NF4"]}
    text = words(figures.types_table(found, "a"))
    assert re.findall(r"Q8_0|Q6_K|MXFP4", text) == ["Q8_0", "Q6_K", "MXFP4"]
    assert text.count("10.00% to 20.00%") == 7


def test_the_mix_names_the_type_of_each_matrix():
    parts = [f"blk.0.{part}.weight" for part in figures.MATRICES]
    text = words(figures.mix_table({"Q4_K": tuple(parts[:6]), "Q6_K": (parts[6],), "F32": ("n",)}))
    assert text.count("Q4_K") == 6 and re.search(r"ffn_down\s+down\s+Q6_K", text)


def test_the_likeliest_tokens_come_first_with_everyone_s_chances():
    chances = np.array([0.1, 0.6, 0.3])
    opened = {"F16": SimpleNamespace(
        log_probabilities=lambda prompt, top: [(i, "", np.log(p)) for i, p in enumerate(chances)]
    )}  # fmt: skip
    tokenizer = SimpleNamespace(decode=lambda ids: "abc"[ids[0]])
    text = words(figures.chances_table("x", tokenizer, chances, opened, top=2))
    assert re.findall(r"“(\w)”|(\d+\.\d+%)", text) == [
        ("b", ""), ("", "60.00%"), ("", "60.00%"), ("c", ""), ("", "30.00%"), ("", "30.00%"),
    ]  # fmt: skip


COSTS = {
    name: Cost(name, bits, tuple((nats * n, n) for n in (10, 20)), 256)
    for name, bits, nats in (("F16", 16, 2.0), ("Q4_0", 4.5, 2.1))
}


def test_a_cost_says_how_far_it_is_above_the_first_and_how_sure():
    text = words(figures.cost_table(COSTS))
    assert "0.1000 ± 0.0000" in text and f"{np.exp(2.1):.2f}" in text


def test_one_table_has_what_is_known_of_each():
    files = {"Q4_0": SimpleNamespace(bytes=2_400_000)}
    text = words(figures.one_table(COSTS, files, {"Q4_0": Speed((900.0, 1000.0))}))
    assert re.search(r"Q4_0\s+4.5\s+2.40\s+8.17\s+256\s+1,000", text)


def test_the_speed_figure_says_how_many_times_as_fast():
    alt = figures.speed_figure({"tiny": {"F16": (100.0, 8e6), "Q4_0": (150.0, 2e6)}}).alt
    assert "1.5 times as fast for tiny" in alt and "0.8 GB per second" in alt
