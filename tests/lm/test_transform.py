"""The same model in other weights: smoothed, scaled, turned; and activations rounded per token."""

import copy

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import lm
from quantlab.lm import calibration, online, transforming

from . import architectures

WORDS = "The fox went to the well, and the well was dry. "
CHANGES = {
    "smooth": lm.smooth,
    "awq": lm.awq,
    "rotate": lambda model, texts=None: lm.rotate(model),
    "rotate, weights alone": lambda model, texts=None: lm.rotate(model, online=False),
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def quietly(done, total, name):
    """No bar."""


@pytest.fixture(scope="session")
def injected(exact):
    """tiny-lm with the outliers of notebook 05: the same function, three columns 64 times as large.

    64 is a power of two, so that no weight is rounded.
    """
    new = lm.Model(copy.deepcopy(exact.network), exact.tokenizer, "injected")
    factor = torch.ones(256)
    factor[[20, 100, 200]] = 64.0
    for block in new.network.model.layers:
        attention, mlp = block.self_attn, block.mlp
        for norm, readers in (
            (block.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
            (block.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
        ):
            norm.weight.data *= factor
            for layer in readers:
                layer.weight.data /= factor
    return new


@pytest.fixture(scope="session")
def changed(exact, injected):
    """Return a function: tiny-lm or the injected one, changed in some way, each once."""
    models, known = {"exact": exact, "injected": injected}, {}

    def of(which, change):
        if (which, change) not in known:
            known[which, change] = change(models[which])
        return known[which, change]

    return of


@pytest.fixture(scope="session")
def turned(changed):
    return changed("injected", CHANGES["rotate"])


@pytest.fixture(scope="session")
def part(text):
    """The text of the course's table: perplexity is 31.98 on it."""
    return text[:8000]


def perplexity(model, text):
    return model.perplexity(text, stride=model.window - 1)


def inputs_of(model, windows):
    """Return what every linear layer's weight meets: its inputs as turned on the way, by name."""
    seen, names = {}, {layer: name for name, layer in model.linears()}
    handles = [
        layer.register_forward_pre_hook(lambda layer, args: seen.update({names[layer]: args[0]}))
        for layer in names
    ]
    with torch.inference_mode():
        model.network(windows)
    for handle in handles:
        handle.remove()
    return seen


# The same function.


@every_change
@pytest.mark.parametrize("which", ["exact", "injected"])
def test_the_perplexity_stays_to_6_digits(request, changed, which, change, short_text):
    expected = perplexity(request.getfixturevalue(which), short_text)
    assert perplexity(changed(which, change), short_text) == pytest.approx(expected, rel=5e-7)


def test_changes_follow_one_another(injected, changed, short_text):
    both = lm.smooth(lm.rotate(changed("injected", lm.smooth)), alpha=0.7)
    expected = perplexity(injected, short_text)
    assert perplexity(both, short_text) == pytest.approx(expected, rel=1e-6)


@every_change
def test_the_source_model_stays_as_it_is(exact, changed, change):
    new = changed("exact", change)
    fresh = lm.load("tiny-lm", "fp32", "cpu").network
    kept = exact.network
    pairs = zip(fresh.parameters(), kept.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert kept.lm_head.weight is kept.model.embed_tokens.weight
    assert not any(layer._forward_pre_hooks for _, layer in exact.linears())
    assert new.network.dtype == torch.float32 and new.quantization == "fp32"


#: Small networks of which the rules have to know more than tiny-lm has, with their settings.
NETWORKS = [
    ("llama", {}),  # 5 heads of 20, widths of 100 and 200: turned block by block
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("qwen2", {}),  # biases of q, k and v, and two queries to a key
    ("qwen3", {}),  # norms of q and k
    ("mistral", {}),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda case: " ".join([case[0], *case[1]]))
def other(request):
    """A random model whose biases and gains are not what they start from."""
    from transformers import AutoConfig, AutoModelForCausalLM

    words = architectures.tokenizer([WORDS])
    name, settings = request.param
    shape = architectures.SHAPE | architectures.ARCHITECTURES.get(name, {}) | settings
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **shape | {"vocab_size": len(words)})
    network = AutoModelForCausalLM.from_config(config).eval()
    for parameter_name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            start = 1 if "norm" in parameter_name else 0
            parameter.data = start + 0.3 * torch.randn(parameter.shape)
    return lm.Model(network, words, name)


@every_change
def test_logits_stay_with_biases_grouped_queries_and_odd_widths(other, change):
    ids = calibration.calibration_windows(other, WORDS)
    with torch.inference_mode():
        before, after = (x.network(ids).logits for x in (other, change(other, WORDS * 20)))
    # Float32 gives each of some dozens of steps a relative 2^-24 or a few; 2^-17 is a hundred.
    assert (after - before).norm() <= 2.0**-17 * before.norm()


# What changes.


def test_smoothing_undoes_the_injection(changed):
    both = [changed(which, lm.smooth).linears() for which in ("exact", "injected")]
    for (name, one), (_, other) in zip(*both, strict=True):
        assert torch.allclose(one.weight, other.weight, rtol=1e-5, atol=1e-6), name


def test_turning_undoes_the_injection_as_gains_are_folded_away(changed):
    both = [changed(which, CHANGES["rotate"]).linears() for which in ("exact", "injected")]
    for (name, one), (_, other) in zip(*both, strict=True):
        assert torch.equal(one.weight, other.weight), name


def test_turned_norms_have_no_gain_and_embeddings_keep_their_lengths(exact, turned):
    gains = [p for name, p in turned.network.named_parameters() if "norm" in name]
    assert len(gains) == 9 and all(torch.equal(p, torch.ones_like(p)) for p in gains)
    before, after = (m.network.model.embed_tokens.weight for m in (exact, turned))
    assert torch.allclose(before.norm(dim=1), after.norm(dim=1), rtol=1e-6)


def test_another_seed_gives_other_weights_of_the_same_function(exact, turned, short_text):
    other = lm.rotate(exact, seed=1)
    assert not torch.equal(other.linears()[0][1].weight, turned.linears()[0][1].weight)
    expected = perplexity(exact, short_text)
    assert perplexity(other, short_text) == pytest.approx(expected, rel=5e-7)


def test_a_tied_head_becomes_a_weight_of_its_own_and_is_counted(exact, turned):
    head, embeddings = turned.network.lm_head.weight, turned.network.model.embed_tokens.weight
    assert head is not embeddings and not turned.network.config.tie_word_embeddings
    assert turned.memory_bytes() == exact.memory_bytes() + 4 * 2048 * 256
    assert exact.network.config.tie_word_embeddings


def test_smoothing_and_awq_leave_the_head_tied_and_cost_no_memory(exact, changed):
    for new in (changed("exact", lm.smooth), changed("exact", lm.awq)):
        assert new.network.lm_head.weight is new.network.model.embed_tokens.weight
        assert new.memory_bytes() == exact.memory_bytes()


def test_no_input_of_a_turned_layer_stands_out(injected, turned):
    windows = calibration.calibration_windows(injected, WORDS * 40)
    largest = []
    for model in (injected, turned):
        seen = inputs_of(model, windows)
        peaks = {name: (x.abs().amax(-1) / x.square().mean(-1).sqrt()) for name, x in seen.items()}
        largest.append({name: peak.mean().item() for name, peak in peaks.items()})
    # Of 256 or 768 normal numbers the largest is about 2.8 or 3.2 times their mean square's root.
    assert max(largest[1].values()) < 4.5 and max(largest[0].values()) > 9


# What it is good for.


def test_with_4_bit_activations_and_weights_only_the_turned_model_speaks(injected, turned, part):
    plain, small = (lm.quantize(x, "rtn", bits=4, activation_bits=4) for x in (injected, turned))
    assert perplexity(plain, part) > 1000
    assert perplexity(small, part) < 36


def test_smoothing_brings_back_what_injected_outliers_cost(exact, injected, changed, part):
    cost = [
        perplexity(lm.quantize_activations(model, 4), part)
        for model in (injected, changed("injected", lm.smooth), exact)
    ]
    assert cost[0] > 1000 and cost[1] < cost[2]


def test_awq_loses_less_where_there_are_outliers(injected, short_text):
    settings = {"bits": 3, "group_size": 64}
    small = [
        lm.quantize(model, "zero_point", progress=quietly, **settings)
        for model in (injected, lm.awq(injected, **settings))
    ]
    lost = [model.divergence(injected, short_text) for model in small]
    assert lost[1] < 0.95 * lost[0]


def test_gptq_works_on_the_turned_inputs_of_a_turned_model(turned, monkeypatch):
    seen = []
    monkeypatch.setattr(calibration, "hessian", lambda x: seen.append(x) or ql.hessian(x))
    small = lm.quantize(turned, "gptq", bits=4, calibration=WORDS * 5)
    _, last = small.linears()[-1]
    raw = []
    last._forward_pre_hooks.clear()
    last.register_forward_pre_hook(lambda layer, args: raw.append(args[0]))
    with torch.inference_mode():
        small.network.base_model(calibration.calibration_windows(small, WORDS * 5))
    expected = ql.transforms.hadamard_product(raw[0].flatten(0, 1).numpy())
    assert np.allclose(seen[-1], expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    assert small.bits_per_weight == lm.quantize(turned, "absmax", bits=4).bits_per_weight


# While the model computes.


@pytest.mark.parametrize(("inputs", "mixed"), [(768, 768), (256, 4), (200, 5), (100, 100), (7, 7)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_inputs_turned_on_the_way_are_those_of_the_core(inputs, mixed, kind):
    x = torch.randn(3, 2, inputs, generator=torch.Generator().manual_seed(0)).to(kind)
    parts = x.double().reshape(3, 2, mixed, -1).swapaxes(2, 3).numpy()
    expected = ql.transforms.hadamard_product(parts).swapaxes(2, 3).reshape(x.shape)
    found = online.turned(x, mixed)
    # Float32 sums of up to 768 terms, and at the end the rounding of the kind itself.
    slack = (768 * 2.0**-24 if kind != torch.float64 else 768 * 2.0**-53) * np.sqrt(inputs)
    bound = np.abs(expected) * torch.finfo(kind).eps + slack * np.abs(x.double().numpy()).max()
    assert found.dtype == kind and np.all(np.abs(found.double().numpy() - expected) <= bound)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_rounded_token_is_that_of_absmax_per_row(bits):
    x = torch.randn(50, 256, generator=torch.Generator().manual_seed(bits))
    x[3] = 0
    expected = ql.quantize_absmax(x.numpy(), bits, axis=1).dequantize()
    assert np.array_equal(online.rounded(x, bits).numpy(), expected)
    assert online.rounded(x.bfloat16(), bits).dtype == torch.bfloat16


@pytest.mark.parametrize("method", ["absmax", "zero_point", "gptq", "nf4", "fp4"])
def test_every_method_takes_activation_bits(exact, method):
    more = {"calibration": WORDS * 5} if method == "gptq" else {}
    small = lm.quantize(exact, method, activation_bits=8, progress=quietly, **more)
    plain = lm.quantize(exact, method, progress=quietly, **more)
    for (name, one), (_, other) in zip(small.linears(), plain.linears(), strict=True):
        assert torch.equal(one.weight, other.weight), name
        assert online.of(one).bits == 8 and online.of(other) is None
    assert small.quantization == f"{plain.quantization}, activations 8 bits"
    assert small.bits_per_weight == plain.bits_per_weight
    assert small.memory_bytes() == plain.memory_bytes()


def test_rounded_activations_change_no_weight_and_say_so_in_the_label(exact):
    small = lm.quantize_activations(exact, 4)
    assert small.quantization == "fp32, activations 4 bits" and small.bits_per_weight == 32
    for (_, one), (_, other) in zip(small.linears(), exact.linears(), strict=True):
        assert torch.equal(one.weight, other.weight) and online.of(other) is None
    assert len(small.left_out()) == 7


def test_fewer_bits_of_activations_cost_more(exact, short_text):
    costs = [
        lm.quantize_activations(exact, bits).divergence(exact, short_text) for bits in (8, 4, 3)
    ]
    assert costs == sorted(costs)


# Saving.


@every_change
def test_weights_alone_are_saved_and_loaded_as_any_others(changed, change, short_text, tmp_path):
    new = changed("exact", change)
    if any(online.of(layer) for _, layer in new.linears()):
        with pytest.raises(ValueError, match=r"turned while it computes: use lm.rotate\(.*=False"):
            new.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())
        return
    again = lm.load(new.save(tmp_path / "model"), "fp32", "cpu")
    assert perplexity(again, short_text) == pytest.approx(perplexity(new, short_text), rel=1e-7)
    assert again.memory_bytes() == new.memory_bytes()


def test_a_turned_model_is_written_for_llama_cpp_with_a_head_of_its_own(changed, tmp_path):
    pytest.importorskip("gguf")
    turned = changed("exact", CHANGES["rotate, weights alone"])
    written = lm.export_gguf(turned, tmp_path / "turned.gguf", "F32")
    assert "output.weight" in written.tensors["F32"]


def test_a_turned_and_quantized_model_is_saved_as_its_codes(changed, short_text, tmp_path):
    turned = changed("exact", CHANGES["rotate, weights alone"])
    small = lm.quantize(turned, "zero_point", bits=4, group_size=64, progress=quietly)
    again = lm.load(small.save(tmp_path / "model"), device="cpu")
    assert again.quantization == "compressed-tensors, 4 bits, group 64"
    assert perplexity(again, short_text) == pytest.approx(perplexity(small, short_text), rel=0.01)


def test_rounded_activations_are_not_saved(exact, tmp_path):
    small = lm.quantize(exact, "rtn", activation_bits=4)
    for write in (small.save, lambda path: lm.export_gguf(small, path)):
        with pytest.raises(ValueError, match="rounds its inputs to 4 bits while it computes"):
            write(tmp_path / "model")
    assert not list(tmp_path.iterdir())


# What is refused.


@pytest.mark.parametrize(
    ("name", "reason"),
    {
        "gpt2": r"fuses several matrices into one \(h.0.attn.c_attn\)",
        "falcon": r"fuses several matrices into one \(h.0.self_attention.query_key_value\)",
        "bloom": r"fuses several matrices into one \(h.0.self_attention.query_key_value\)",
        "opt": r"has norms that subtract the mean",
        "gemma3_text": r"post_feedforward_layernorm, pre_feedforward_layernorm in layers.0",
        "phi3": r"fuses several matrices into one \(layers.0.self_attn.qkv_proj\)",
        "gpt_neox": r"fuses several matrices into one \(layers.0.attention.query_key_value\)",
        "mixtral": r"sends tokens to experts \(layers.0.mlp.experts\)",
        "gpt_oss": r"sends tokens to experts \(layers.0.mlp.experts\)",
        "deepseek_v3": r"sends tokens to experts \(layers.1.mlp.experts\)",
    }.items(),
)
def test_another_architecture_is_refused_with_the_reason(name, reason):
    model = lm.Model(architectures.network(name), None, name)
    for change in (lm.smooth, lm.awq, lm.rotate):
        with pytest.raises(
            ValueError, match=f"changes models built as Llama is; {name} .*{reason}"
        ):
            change(model)


def test_a_gain_of_one_plus_weight_is_refused(exact):
    class OnePlus(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = torch.nn.Parameter(weight - 1)

        def forward(self, x):
            return x * x.square().mean(-1, keepdim=True).rsqrt() * (1 + self.weight)

    network = copy.deepcopy(exact.network)
    network.model.norm = OnePlus(network.model.norm.weight.data)
    with pytest.raises(ValueError, match=r"norms \(OnePlus\) that are no RMSNorm times a gain"):
        lm.rotate(lm.Model(network, exact.tokenizer))


def test_a_model_that_is_quantized_rounded_or_turned_already_is_refused(exact, four_bit, turned):
    for change in (lm.smooth, lm.awq, lm.rotate):
        with pytest.raises(ValueError, match=r"holds codes \(nf4\): change first, then quantize"):
            change(four_bit)
        with pytest.raises(ValueError, match=r"rounds its inputs.*change first, then quantize"):
            change(lm.quantize_activations(exact, 8))
    with pytest.raises(ValueError, match="has turned this model already"):
        lm.rotate(turned)
    with pytest.raises(ValueError, match="rounded to 8 bits already, got activation_bits=4"):
        lm.quantize(lm.quantize_activations(exact, 8), "rtn", activation_bits=4)


@pytest.mark.parametrize(
    ("bits", "kind", "allowed"),
    [
        (1, ValueError, "2 to 8"),
        (9, ValueError, "2 to 8"),
        (4.5, ValueError, "a whole number"),
        (True, TypeError, "a whole number"),
        ("4", ValueError, "one of"),
    ],
)
def test_activation_bits_that_are_not_served_are_refused(exact, bits, kind, allowed):
    for call in (
        lambda: lm.quantize(exact, "rtn", activation_bits=bits),
        lambda: lm.quantize_activations(exact, bits),
    ):
        with pytest.raises(kind, match=rf"activation_bits must be {allowed}.*, got {bits!r}"):
            call()


def test_the_inner_inputs_of_experts_are_not_rounded():
    model = lm.Model(architectures.network("mixtral"), None, "mixtral")
    with pytest.raises(ValueError, match="one of many experts in one module"):
        lm.quantize_activations(model, 4)


def test_bad_settings_are_refused_by_name(exact):
    with pytest.raises(ValueError, match="alpha must be 0 to 1, got 2"):
        lm.smooth(exact, WORDS, alpha=2)
    with pytest.raises(ValueError, match="bits must be 2 to 16, got 1"):
        lm.awq(exact, WORDS, bits=1)
    with pytest.raises(ValueError, match="group_size must divide"):
        lm.awq(exact, WORDS, group_size=100)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        lm.rotate(exact, seed=-1)
    with pytest.raises(TypeError, match="online must be True or False, got 1"):
        lm.rotate(exact, online=1)
    for change in (lm.smooth, lm.awq):
        with pytest.raises(TypeError, match="must be a text or a list of texts, got 5"):
            change(exact, 5)
        with pytest.raises(ValueError, match="calibration text is empty"):
            change(exact, "")


def test_awq_reads_as_many_tokens_as_it_says(exact):
    groups = transforming._groups(exact)
    seen = transforming._inputs(exact, groups, WORDS * 1000)
    assert len(groups) == 16 and {len(x) for x in seen} == {transforming.TOKENS}
