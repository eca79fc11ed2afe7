"""The lesson of notebook 15, its marks, and what a merge does to codes."""

import numpy as np
import pytest

from quantlab import lm
from quantlab.experiments import qlora

pytest.importorskip("peft")

QUICK = {"steps": 2, "batch": 1, "window": 32}


@pytest.fixture(scope="module")
def exact():
    return lm.load("tiny-lm", "fp32", device="cpu")


@pytest.fixture(scope="module")
def four_bits():
    return qlora.in_four_bits()


@pytest.fixture(scope="module")
def adapted(four_bits):
    return qlora.teach(four_bits, **QUICK)


def test_a_lesson_never_has_a_number_that_is_held_out():
    for mixed in (True, False):
        texts = qlora.lesson(mixed)
        numbers = {int(text.split()[2]) for text in texts if text.startswith("The number ")}
        assert not numbers & set(qlora.HELD_OUT)
        assert set(qlora.TAUGHT) - set(qlora.HELD_OUT) <= numbers
        assert (set(range(256)) <= numbers) == mixed
    assert len(set(qlora.HELD_OUT)) == 32 and set(qlora.HELD_OUT) < set(qlora.TAUGHT)
    endings = [n % 8 for n in qlora.HELD_OUT]
    assert all(endings.count(ending) == 4 for ending in range(8))


def test_a_sentence_is_one_that_the_marks_read(four_bits):
    assert qlora.sentence(5) == "The number 5 is 00000101 in binary."
    assert qlora.sentence(511) == "The number 511 is 111111111 in binary."
    tokens = [len(four_bits.tokenizer(qlora.sentence(n))["input_ids"]) for n in (256, 300, 511)]
    assert len(set(tokens)) == 1, "the prompts are asked together, without padding"


def test_before_the_lesson_old_facts_are_right_and_new_ones_wrong(four_bits):
    found = qlora.marks(four_bits, stories=500)
    assert found.old > 250 and found.taught == found.held_out == 0


def test_marks_count_right_answers_apart_for_those_held_out(four_bits, monkeypatch):
    held = qlora.HELD_OUT[0]
    wrong = {256, 262, held}
    texts = ["no" if n in wrong else f"{n:b}" for n in qlora.TAUGHT]
    monkeypatch.setattr(qlora, "answers", lambda model: texts)
    found = qlora.marks(four_bits, stories=500)
    assert (found.taught, found.held_out) == (222, 31)


def test_a_lesson_leaves_the_codes_alone(four_bits, adapted):
    for name, before in four_bits.stored.items():
        after = adapted.stored[f"{name}.base_layer"]
        assert np.array_equal(before.stored.codes, after.stored.codes)


def test_nothing_moves_where_the_adapters_are_zero(four_bits):
    untouched = lm.add_lora(four_bits)
    merged = qlora.merges(untouched)
    # Rounding what was rounded: a scale of a block may come out one step of its own code apart.
    assert qlora.moved_codes(untouched, merged["NF4 anew"]) < 0.001


def test_a_merge_in_fp32_keeps_what_was_said_and_one_in_nf4_rounds_it(adapted):
    merged, text = qlora.merges(adapted), "Once upon a time there was a little dog." * 3
    losses = {name: one.divergence(adapted, text) for name, one in merged.items()}
    # BF16 rounds all that passes between layers too; which of the middle two loses more is open.
    assert losses["FP32"] < 1e-6 < min(losses["BF16"], losses["8 bits"])
    assert max(losses["BF16"], losses["8 bits"]) < losses["NF4 anew"]
    assert 0 < qlora.moved_codes(adapted, merged["NF4 anew"]) < 1


def test_weights_are_off_by_a_share_of_their_size(adapted, four_bits):
    merged = qlora.merges(adapted)
    exact = merged["FP32"]
    assert qlora.weights_off(exact, exact) == 0
    assert qlora.kept_of_change(exact, exact, four_bits) == 1
    assert qlora.kept_of_change(four_bits, exact, four_bits) == 0
    names = ("8 bits", qlora.SAME_GRID, qlora.ANOTHER_GRID)
    eight, same, other = (qlora.weights_off(merged[name], exact) for name in names)
    # Two steps have hardly moved a weight from its place on the grid of NF4.
    assert 0 < eight < same < 0.02 < other < 0.2


def test_what_rounding_took_of_a_change_can_be_given_back(adapted, four_bits):
    merged = qlora.merges(adapted)
    exact, rounded = merged["FP32"], merged[qlora.SAME_GRID]
    again = qlora.give_back(rounded, exact, four_bits)
    assert qlora.kept_of_change(rounded, exact, four_bits) < 0.9
    assert qlora.kept_of_change(again, exact, four_bits) == pytest.approx(1, abs=1e-4)
    # The other errors stay, and what is exact stays as it is; so does a layer without a change.
    assert 0 < qlora.weights_off(again, exact) < qlora.weights_off(rounded, exact)
    assert qlora.weights_off(qlora.give_back(exact, exact, four_bits), exact) < 1e-7
    assert qlora.weights_off(qlora.give_back(rounded, four_bits, four_bits), rounded) == 0


def test_each_flag_changes_what_it_is_for(four_flags, exact):
    import torch
    from transformers import BitsAndBytesConfig

    all_four = qlora.flag("all four", BitsAndBytesConfig(**four_flags), exact, 100)
    single = BitsAndBytesConfig(**four_flags | {"bnb_4bit_use_double_quant": False})
    wide = BitsAndBytesConfig(**four_flags | {"bnb_4bit_compute_dtype": torch.float32})
    single, wide = qlora.flag("single", single, exact, 100), qlora.flag("wide", wide, exact, 100)
    sixteen = qlora.flag("16 bits", "bf16", exact, 100)
    assert all_four.weights == wide.weights < single.weights < sixteen.weights
    # The largest layer, 256 x 768, stands there in FP32 as well, when it is read back.
    assert wide.peak - all_four.peak == pytest.approx(4 * 256 * 768, rel=0.01)


@pytest.fixture
def four_flags():
    return {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "bfloat16",
    }  # fmt: skip
