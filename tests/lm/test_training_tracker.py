"""What a step of training takes is what `quantlab.training_memory` says, part by part."""

import pytest
import torch

from quantlab import lm, training_memory
from quantlab.experiments import qlora
from quantlab.lm import training_tracker

pytest.importorskip("peft")

METHODS = tuple(training_memory.METHODS)
WITHIN = 0.1  # the aim of the plan; below 1 MB the tables beside the codes count
#: Not tiny-lm: heads share keys, the output head is a weight of its own, no size is a power of 2.
OTHER = {
    "hidden_size": 192, "intermediate_size": 640, "num_hidden_layers": 3, "head_dim": 32,
    "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 2048,
    "tie_word_embeddings": False, "max_position_embeddings": 256,
}  # fmt: skip


def random_model(kind, folder, words, **more):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **OTHER, **more))
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llama(exact, tmp_path_factory):
    return random_model("llama", tmp_path_factory.mktemp("llama"), exact.tokenizer)


def check(found):
    planned, measured = found.planned, found.measured
    assert planned.peak == pytest.approx(measured.peak, rel=WITHIN)
    for name, size in measured.parts.items():
        if max(size, planned.parts[name]) > 1e6:
            assert planned.parts[name] == pytest.approx(size, rel=WITHIN), name


@pytest.mark.parametrize("method", METHODS)
def test_tiny_lm_takes_what_is_planned(method):
    check(qlora.memory(method, batch=2, window=128))


@pytest.mark.parametrize("method", METHODS)
def test_a_llama_of_another_shape_takes_what_is_planned(method, llama):
    check(qlora.memory(method, llama, batch=2, window=128))


@pytest.mark.parametrize("kind, more", [("mistral", {"sliding_window": 64}), ("qwen2", {})])
def test_the_other_models_take_what_is_planned(kind, more, exact, tmp_path):
    folder = random_model(kind, tmp_path, exact.tokenizer, **more)
    for method in ("full-fp32", "lora-bf16"):
        check(qlora.memory(method, folder, batch=2, window=128))


def test_few_tokens_are_planned_by_the_optimizers_step(llama):
    found = qlora.memory("full-fp32", llama, batch=1, window=16)
    assert found.planned.peak > found.planned.weights + found.planned.states * 1.4
    check(found)


def test_a_training_as_it_is_called_takes_what_is_planned(exact):
    model, batch, window = lm.add_lora(exact), 2, 128
    settings = {"steps": 2, "batch": batch, "window": window, "progress": lambda *_: None}
    config = exact.network.config.to_dict()
    planned = training_memory.plan(config, "lora-fp32", 8, batch, window)
    peak = training_tracker.peak_bytes(lambda: lm.train(model, **settings))
    assert peak == pytest.approx(planned.peak, rel=WITHIN)


def test_the_watch_counts_memory_once_and_takes_it_off_again():
    live = training_tracker.live_tensors()
    with live:
        x = torch.zeros(1000)
        assert live.size == 4000
        half = x[:500]
        assert live.size == 4000, "a view has no memory of its own"
        y = half + 1
        assert live.size == 6000
        del x, half
        assert live.size == 2000
        del y
    assert (live.size, live.peak) == (0, 6000)


def test_the_model_stays_as_it_is(exact):
    before = [value.clone() for value in exact.network.parameters()]
    flags = [value.requires_grad for value in exact.network.parameters()]
    training_tracker.step_memory(exact, "all", batch=1, window=16)
    after = list(exact.network.parameters())
    assert all(map(torch.equal, before, after))
    assert flags == [value.requires_grad for value in after]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({}, "the model has no adapters"),
        ({"trained": "norms"}, "trained must be one of all, adapters"),
        ({"trained": "all", "window": 257}, "window must be 2 to 256, got 257"),
        ({"trained": "all", "batch": 0}, "batch must be at least 1"),
    ],
)
def test_what_cannot_be_trained_is_refused(exact, settings, words):
    with pytest.raises(ValueError, match=words):
        training_tracker.step_memory(exact, **settings)


def test_all_of_a_model_in_codes_is_refused(four_bit):
    with pytest.raises(ValueError, match="no gradient can move"):
        training_tracker.step_memory(four_bit, "all")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_the_allocator_of_a_gpu_gives_what_is_planned():
    model = lm.add_lora(lm.load("tiny-lm", "nf4", device="cuda", double_quant=True))
    settings = {"steps": 2, "batch": 4, "window": 256, "progress": lambda *_: None}
    lm.train(model, **settings)  # cuBLAS takes its workspace once and keeps it
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    lm.train(model, **settings)
    taken = torch.cuda.max_memory_allocated() - before
    planned = training_memory.plan(model.network.config.to_dict(), "qlora")
    # The call makes a copy of the model, and that is the one it trains.
    assert planned.peak == pytest.approx(taken, rel=WITHIN)
