"""Measuring: loss, facts, text, memory."""

import copy
import math
import mmap

import pytest
import torch

import quantlab as ql
from quantlab import lm
from quantlab.lm import machine, measure


def test_tiny_lm_knows_at_least_240_of_the_256_facts(half):
    assert half.facts().right >= 240


def test_a_wrong_fact_is_reported_with_its_answer():
    answers = [f"{n:08b}" for n in range(256)]
    answers[3] = "00000111"
    facts = lm.Facts(tuple(answers))
    assert facts.right == 255 and facts.wrong == [(3, "00000111")]


def test_perplexity_is_the_exponential_of_the_mean_loss_that_torch_gives(exact):
    text = "The little girl opened the door and looked into the garden."
    ids = exact.tokenizer(text, return_tensors="pt")["input_ids"]
    ids = torch.cat([torch.tensor([[exact.tokenizer.bos_token_id]]), ids], dim=1)
    with torch.inference_mode():
        mean = exact.network(input_ids=ids, labels=ids).loss.item()
    assert exact.perplexity(text) == pytest.approx(math.exp(mean), rel=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(64, 32), (64, 63), (100, 7), (256, 128)])
def test_every_token_is_scored_exactly_once(exact, short_text, window, stride):
    text = short_text[:1500]
    count = len(exact.tokenizer(text)["input_ids"])
    assert exact.text_loss(text, window, stride).tokens == count


def naive_loss(model, text, window, stride):
    """Score one token after the other with the context that the windows give it."""
    tokens = [model.tokenizer.bos_token_id, *model.tokenizer(text)["input_ids"]]
    total = 0.0
    for i in range(1, len(tokens)):
        steps = max(0, -(-(i + 1 - window) // stride))
        first = 0 if steps == 0 else window + (steps - 1) * stride - (window - stride - 1)
        context = tokens[first:i] if first == 0 else [tokens[0], *tokens[first:i]]
        with torch.inference_mode():
            logits = model.network(input_ids=torch.tensor([context])).logits[0, -1]
        total -= torch.log_softmax(logits, 0)[tokens[i]].item()
    return total


def test_windows_give_the_loss_of_scoring_token_by_token(exact, short_text):
    text = short_text[:400]
    loss = exact.text_loss(text, window=32, stride=12)
    assert loss.nats == pytest.approx(naive_loss(exact, text, 32, 12), rel=1e-5)


def largest(monkeypatch):
    """Return a list that collects how many logits are turned into chances at once."""
    found, real = [], torch.log_softmax

    def watched(logits, **options):
        found.append(logits.numel())
        return real(logits, **options)

    monkeypatch.setattr(torch, "log_softmax", watched)
    return found


def test_a_budget_for_logits_changes_no_loss(monkeypatch, exact, short_text):
    small = lm.quantize(exact, "absmax", bits=4)
    settings = short_text[:600], 64, 32
    losses = exact.text_loss(*settings), measure.window_divergences(small, exact, *settings)
    monkeypatch.setattr(measure, "LOGITS_BYTES", 4 * 64 * 2048 * 3)  # three windows at once
    monkeypatch.setattr(measure, "CHANCES_BYTES", 4 * 2048 * 25)  # 8 tokens of each
    found = largest(monkeypatch)
    loss, divergences = (
        exact.text_loss(*settings),
        measure.window_divergences(small, exact, *settings),
    )
    assert max(found) <= 25 * 2048
    # Products of another height may round otherwise in the last place.
    assert loss.nats == pytest.approx(losses[0].nats, rel=1e-6) and loss.tokens == losses[0].tokens
    assert [tokens for _, tokens in divergences] == [tokens for _, tokens in losses[1]]
    nats = [nats for nats, _ in losses[1]]
    assert [nats for nats, _ in divergences] == pytest.approx(nats, rel=1e-4, abs=1e-6)


def test_a_large_vocabulary_is_read_one_window_at_a_time_and_scored_in_pieces(monkeypatch, exact):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = Qwen2Config(
        vocab_size=152_000, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=1024,
    )  # fmt: skip
    model = lm.Model(Qwen2ForCausalLM(shape).eval(), exact.tokenizer)
    found = largest(monkeypatch)
    model.perplexity("The king had a garden. " * 100, window=512)
    assert len(found) > 4 and max(found) <= measure.CHANCES_BYTES / 4


def test_a_network_that_gives_all_logits_is_measured_too(exact, short_text):
    class Plain(torch.nn.Module):
        config = exact.network.config

        def __init__(self):
            super().__init__()
            self.inner = exact.network

        def forward(self, input_ids, use_cache):
            return self.inner(input_ids=input_ids, use_cache=use_cache)

    plain, text = lm.Model(Plain(), exact.tokenizer), short_text[:800]
    assert plain.text_loss(text).nats == pytest.approx(exact.text_loss(text).nats, rel=1e-6)


def test_more_context_lowers_the_perplexity(exact, short_text):
    assert exact.perplexity(short_text, stride=64) < exact.perplexity(short_text, window=32)


def test_bits_per_byte_is_the_loss_in_bits_over_the_bytes(exact):
    text = "Für Elise: a song about a girl."
    loss = exact.text_loss(text)
    assert loss.bytes == len(text) + 1  # ü takes two bytes
    assert exact.bits_per_byte(text) == loss.nats / math.log(2) / loss.bytes


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("",), ValueError, "the text has 0 tokens"),
        ((["a text"],), TypeError, "text must be a string, got list"),
        (("a text", 257), ValueError, "window must be 2 to 256 tokens"),
        (("a text", 64, 64), ValueError, "stride must be 1 to 63"),
    ],
)
def test_texts_and_windows_that_do_not_fit_are_refused(exact, arguments, error, message):
    with pytest.raises(error, match=message):
        exact.perplexity(*arguments)


def test_a_model_diverges_from_itself_by_nothing(exact, short_text):
    assert exact.divergence(exact, short_text[:800]) == 0


def test_divergence_is_the_mean_kullback_leibler_divergence_that_torch_gives(exact):
    small, text = lm.quantize(exact, "absmax", bits=3), "Once upon a time there was a king."
    ids = torch.tensor([[0, *exact.tokenizer(text)["input_ids"]]])
    with torch.inference_mode():
        ours, theirs = (
            torch.log_softmax(m.network(ids).logits[0, :-1], -1) for m in (small, exact)
        )
    expected = torch.nn.functional.kl_div(ours, theirs, log_target=True, reduction="sum")
    # Sums over 2,048 chances in float32: an error of 1e-6 of a nat at most.
    mean = expected.item() / (ids.shape[1] - 1)
    assert small.divergence(exact, text) == pytest.approx(mean, abs=1e-6)


def test_models_with_different_tokens_cannot_be_compared(exact):
    class Other:
        def get_vocab(self):
            return {"a": 0}

    other = lm.Model(exact.network, Other(), name="other")
    with pytest.raises(ValueError, match="need the same tokens, got tiny-lm and other"):
        exact.divergence(other, "Once upon a time")


def test_generation_is_the_same_every_time(exact):
    first = exact.generate_text("The old king", max_new_tokens=20)
    assert exact.generate_text("The old king", max_new_tokens=20) == first


def test_generation_starts_with_the_prompt_as_it_was_written(exact):
    prompt = "  Two  blanks, and 123 ducks; é!"
    assert exact.generate_text(prompt, max_new_tokens=5).startswith(prompt)


def test_each_new_token_is_the_likeliest(exact):
    prompt = "There was once a"
    ids = torch.tensor([[exact.tokenizer.bos_token_id, *exact.tokenizer(prompt)["input_ids"]]])
    with torch.inference_mode():
        for _ in range(8):
            likeliest = exact.network(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, likeliest], dim=1)
    expected = exact.tokenizer.decode(ids[0], skip_special_tokens=True)
    assert exact.generate_text(prompt, max_new_tokens=8) == expected


def test_more_tokens_than_the_model_can_read_are_refused(exact):
    with pytest.raises(ValueError, match="more than the 256 that this model can read"):
        exact.generate_text("Once upon a time", max_new_tokens=300)


def test_tokens_per_second_is_a_speed(exact):
    assert exact.tokens_per_second(new_tokens=8) > 0


def test_several_texts_are_continued_at_once_and_their_tokens_added_up(exact, monkeypatch):
    seconds = iter([1.0, 3.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(seconds))
    seen = []
    monkeypatch.setattr(
        measure, "generate", lambda model, ids, *rest, **more: seen.append(ids.shape)
    )
    assert exact.tokens_per_second("Once", new_tokens=8, texts=16) == 16 * 8 / 2
    assert {rows for rows, _ in seen} == {16}


@pytest.mark.parametrize("texts", [0, 1.5])
def test_a_number_of_texts_that_is_none_is_refused(exact, texts):
    with pytest.raises(ValueError, match="texts must be"):
        exact.tokens_per_second(texts=texts)


def shapes(model):
    """Return (weights of the linear layers, all other parameters)."""
    linear = sum(layer.in_features * layer.out_features for _, layer in model.linears())
    return linear, model.network.num_parameters() - linear


def test_memory_of_bf16_is_two_bytes_a_parameter(half):
    assert half.memory_bytes() == 2 * half.network.num_parameters()
    assert half.bits_per_weight == 16


@pytest.mark.parametrize("double_quant", [False, True])
def test_memory_of_a_4_bit_load_is_as_quantlab_memory_predicts(half, double_quant):
    model = lm.load("tiny-lm", "nf4", "cpu", double_quant=double_quant)
    linear, rest = shapes(half)
    predicted = ql.memory.weight_bytes(linear, "nf4", 64, double_quant)
    predicted += ql.memory.weight_bytes(rest, "bf16")
    assert model.memory_bytes() == pytest.approx(predicted, rel=0.02)


def test_bits_per_weight_of_a_4_bit_load_are_four_and_a_half(four_bit):
    assert four_bit.bits_per_weight == 4.5


@pytest.mark.parametrize("double_quant", [False, True])
def test_our_nf4_and_bitsandbytes_take_the_same_memory(half, double_quant):
    theirs = lm.load("tiny-lm", "nf4", "cpu", double_quant=double_quant)
    ours = lm.quantize(half, "nf4", double_quant=double_quant)
    assert ours.memory_bytes() == theirs.memory_bytes()


def test_int8_load_keeps_one_32_bit_scale_per_output(half):
    model = lm.load("tiny-lm", "int8", device="cpu")
    outputs = sum(layer.out_features for _, layer in half.linears())
    linear, rest = shapes(half)
    assert model.memory_bytes() == linear + 4 * outputs + 2 * rest


def test_quantized_model_counts_codes_and_scales(exact):
    small = lm.quantize(exact, "zero_point", bits=3, group_size=64)
    assert small.bits_per_weight == 3 + (16 + 3) / 64  # a scale and a zero-point per group


def test_memory_counts_the_quantized_layers_by_their_codes(half):
    small = lm.quantize(half, "absmax", bits=4)
    linear, rest = shapes(half)
    outputs = sum(layer.out_features for _, layer in half.linears())
    assert small.memory_bytes() == (4 * linear + 16 * outputs) / 8 + 2 * rest


def test_any_transformers_model_can_be_measured(exact):
    model = lm.Model(exact.network, exact.tokenizer)
    assert model.perplexity("Once upon a time there was a king.") > 1


@pytest.fixture(scope="module")
def overflowing():
    """tiny-lm in fp16 with an output that is beyond fp16 and well within bf16."""
    model = lm.load("tiny-lm", "fp16", device="cpu")
    with torch.no_grad():
        model.network.model.layers[0].mlp.up_proj.weight *= 3e4
        model.network.model.layers[0].mlp.gate_proj.weight *= 3e4
    return model


def test_a_loss_that_overflows_in_fp16_is_said(overflowing, short_text):
    with pytest.raises(FloatingPointError, match=r"fp16 ends at 65504.* in bf16 or fp32"):
        overflowing.perplexity(short_text[:200])


def test_a_text_that_overflows_in_fp16_is_said(overflowing):
    with pytest.raises(FloatingPointError, match="tiny-lm predicts NaN or infinity; fp16 ends"):
        overflowing.generate_text("Once upon a time", max_new_tokens=3)


def test_why_a_prediction_is_no_number_is_looked_up_in_the_model(exact):
    network = copy.deepcopy(exact.network)
    model = lm.Model(network, exact.tokenizer, "broken")
    gain = network.model.norm.weight
    with torch.no_grad():
        gain *= 1e38
    with pytest.raises(FloatingPointError, match="its weights are finite: on the way float32 over"):
        model.perplexity("Once upon a time")
    network.model.layers[0].mlp.up_proj.compute_dtype = torch.float16
    with pytest.raises(FloatingPointError, match="let its layers compute in bf16 or fp32"):
        model.perplexity("Once upon a time")
    with torch.no_grad():
        gain[3] = float("nan")
    with pytest.raises(FloatingPointError, match="its weights, or what float32 made of them, are"):
        model.perplexity("Once upon a time")


def test_what_this_process_holds_grows_with_what_it_keeps():
    # Pages from the system: the C library may hand out again what an earlier test gave back, and
    # the process would hold no more. The rest of the process moves by less than half of it.
    size = 64_000_000
    before = machine.used_bytes("cpu")
    with mmap.mmap(-1, size) as kept:
        kept.write(b"1" * size)
        assert machine.used_bytes("cpu") - before > size / 2


def test_a_cpu_has_no_peak_to_tell():
    machine.forget_peak("cpu")
    assert machine.peak_bytes("cpu") is None
