"""Twelve architectures: what loads, what is quantized, and that nothing is left out in silence."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import quantlab as ql
from quantlab import lm
from quantlab.lm import calibration, layers
from quantlab.methods import WEIGHT_ONLY

from . import architectures
from .architectures import ARCHITECTURES, LOADS, PROMPT

WAYS = [*LOADS, *(row.label for row in WEIGHT_ONLY)]
MIXTURES = ["mixtral", "gpt_oss", "deepseek_v3"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small lose more time to a second thread than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def found(one_thread, tmp_path_factory, text):
    """What came of every way with every architecture: {architecture: {way: Outcome}}."""
    return architectures.everything(tmp_path_factory.mktemp("models"), text)


@pytest.fixture(scope="module")
def words(text):
    return architectures.tokenizer([text[:4000]])


@pytest.fixture(scope="module")
def random_model(one_thread, words):
    """Return a function: a random model of an architecture in float32."""

    def of(name):
        return lm.Model(architectures.network(name, len(words)), words, name)

    return of


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("way", WAYS)
def test_each_way_works_or_says_in_one_sentence_why_not(found, name, way):
    outcome = found[name][way]
    if outcome.model is None:
        assert name in outcome.said and "quantize" in outcome.said
    else:
        # A random model hesitates between all tokens; one of wrong shapes or of NaN does not.
        assert 200 < outcome.perplexity < 800
        assert outcome.text.startswith(PROMPT) and outcome.text != PROMPT
        assert outcome.model.memory_bytes() > 0 and name in repr(outcome.model)
    assert not re.search(r"[.!?]\s", outcome.said.replace("(..., ", "("))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("way", WAYS)
def test_what_keeps_more_than_a_tenth_of_the_body_says_so(found, name, way):
    outcome = found[name][way]
    if outcome.model is not None and way != "bf16":
        assert bool(outcome.said) == (sum(outcome.model.left_out().values()) > 0.1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_bits_per_weight_of_a_load_are_the_bytes_of_the_body(found, name):
    """Counted here from torch's own parameters, without a word about layers."""
    for way in LOADS:
        if (model := found[name][way].model) is None:
            continue
        plain = found[name]["bf16"].model.network
        inside = [n for n, p in plain.named_parameters() if p.ndim > 1]
        inside = [n for n in inside if not re.search("embed|wte|wpe|lm_head|bias|_in.weight$", n)]
        weights = sum(plain.get_parameter(n).numel() for n in inside)
        size = sum(model.network.get_parameter(n).nbytes for n in inside)
        scales = {"bf16": 0, "int8": 32, "nf4": 32 / 64}[way]
        quantized = [n for n in inside if not model.network.get_parameter(n).is_floating_point()]
        count = sum(
            plain.get_parameter(n).numel() if way == "nf4" else _outputs(plain, n)
            for n in quantized
        )
        # A last block of a weight that is no multiple of 64 has a scale of its own.
        assert model.bits_per_weight == pytest.approx((8 * size + scales * count) / weights, 1e-3)


def _outputs(network, name):
    """The outputs of a layer: one scale each."""
    layer = network.get_submodule(name.rpartition(".")[0])
    return layer.out_features if hasattr(layer, "out_features") else layer.nf


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("row", WEIGHT_ONLY, ids=lambda row: row.name)
def test_quantizing_changes_every_large_weight_but_routers(found, name, row):
    before = found[name]["bf16"].model.network
    after = found[name][row.label].model.network
    same = [n for n, p in before.named_parameters() if p.equal(after.get_parameter(n))]
    kept = [n for n in same if before.get_parameter(n).ndim > 1 and not n.endswith("bias")]
    assert all(re.search(r"embed|wte|wpe|lm_head|gate\.weight|router", n) for n in kept)


def test_the_page_says_what_happens(found):
    page = (Path(__file__).parents[2] / architectures.PAGE).read_text(encoding="utf-8")
    [version] = re.findall(r"transformers (\d[\d.]*\d)\.$", page, re.MULTILINE)
    if version != transformers.__version__:
        pytest.skip(f"the page is of transformers {version}; others name and count some parts anew")
    assert page == architectures.page(found), "run  python -m tests.lm.architectures"


@pytest.mark.parametrize(("name", "turned"), [("mixtral", True), ("gpt_oss", False)])
@pytest.mark.parametrize("matrix", ["gate_up_proj", "down_proj"])
def test_each_expert_is_a_matrix_with_scales_of_its_own(random_model, name, turned, matrix):
    model = random_model(name)
    small = lm.quantize(model, "absmax", bits=3)
    place = f"model.layers.1.mlp.experts.{matrix}"
    for expert in range(4):
        w = model.network.get_parameter(place)[expert].detach().numpy()
        w = w.T if turned else w
        values = small.network.get_parameter(place)[expert].detach().numpy()
        expected = ql.quantize_absmax(w, 3, axis=0)
        assert np.array_equal(values.T if turned else values, expected.dequantize())
        assert np.array_equal(small.stored[f"{place}.{expert}"].codes, expected.codes)


def test_gpt_2s_weights_have_a_scale_for_each_output(random_model):
    model = random_model("gpt2")  # Conv1D stores (in, out), as the course writes it
    small = lm.quantize(model, "absmax", bits=3)
    place = "transformer.h.0.attn.c_attn.weight"
    expected = ql.quantize_absmax(model.network.get_parameter(place).detach().numpy(), 3, axis=0)
    assert np.array_equal(
        small.network.get_parameter(place).detach().numpy(), expected.dequantize()
    )


def routed(small, place, windows):
    """Return what came to a mixture of experts: (tokens, the experts of each)."""
    seen = []
    experts = small.network.get_submodule(place)
    hook = experts.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[:2]))
    with torch.inference_mode():
        small.network.base_model(input_ids=windows, use_cache=False)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("name", MIXTURES)
def test_gptq_gives_each_expert_the_tokens_that_were_routed_to_it(random_model, text, name):
    model, place = random_model(name), "model.layers.1.mlp.experts"
    small = lm.quantize(model, "gptq", bits=3, calibration=text[:3000])
    x, chosen = routed(small, place, calibration.calibration_windows(small, text[:3000]))
    weights = {m.name: m for m in model.matrices()}
    experts = small.network.get_submodule(place)
    for expert in (0, 3):
        tokens = x[(chosen == expert).any(-1)]
        first = small.network.get_parameter(f"{place}.gate_up_proj")[expert]
        with torch.inference_mode():
            inner = tokens @ (first if name == "gpt_oss" else first.T)
            inner = inner + experts.gate_up_proj_bias[expert] if name == "gpt_oss" else inner
            inner = experts._apply_gate(inner)
        for matrix, inputs in (("gate_up_proj", tokens), ("down_proj", inner)):
            which = f"{place}.{matrix}.{expert}"
            expected = ql.quantize_gptq(weights[which].read(), ql.hessian(inputs.numpy()), bits=3)
            # On the edge between two codes the order of the sums decides.
            assert np.mean(small.stored[which].codes == expected.codes) > 0.995, which


def test_an_expert_that_saw_no_token_is_rounded_to_nearest_and_that_is_said(random_model, text):
    model, place = random_model("gpt_oss"), "model.layers.1.mlp.experts"
    with torch.no_grad():
        model.network.get_parameter("model.layers.1.mlp.router.bias")[2] = -1e4
    with pytest.warns(
        UserWarning, match=f"no calibration token came to: 1 of 4 experts of {place};"
    ):
        small = lm.quantize(model, "gptq", calibration=text[:2000], symmetric=False)
    plain = lm.quantize(model, "zero_point")
    for matrix in ("gate_up_proj", "down_proj"):
        codes = [m.stored[f"{place}.{matrix}.2"].codes for m in (small, plain)]
        assert np.array_equal(*codes)


@pytest.fixture
def in_pieces(monkeypatch):
    """Return a function after whose call calibration takes 300 tokens at a time."""

    def begin():
        monkeypatch.setattr(calibration, "AT_ONCE", 300)
        monkeypatch.setattr(calibration, "PIECE", 300)

    return begin


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text", "mixtral", "gpt_oss"])
def test_calibration_in_pieces_gives_the_codes_of_calibration_at_once(
    random_model, text, name, in_pieces
):
    model = random_model(name)
    whole = lm.quantize(model, "gptq", calibration=text[:4000])
    in_pieces()
    pieces = lm.quantize(model, "gptq", calibration=text[:4000])
    assert list(pieces.stored) == list(whole.stored)
    same = [np.mean(pieces.stored[n].codes == whole.stored[n].codes) for n in whole.stored]
    assert np.mean(same) > 0.99


def test_in_pieces_no_more_tokens_flow_at_once_than_are_allowed(
    random_model, text, in_pieces, monkeypatch
):
    in_pieces()
    seen = []
    monkeypatch.setattr(calibration, "hessian", lambda x: seen.append(len(x)) or ql.hessian(x))
    lm.quantize(random_model("llama"), "gptq", calibration=text[:4000])
    assert max(seen) <= 300 and len(seen) > 8 * 4  # 2 blocks of 4 inputs, each in pieces


def test_after_calibration_in_pieces_no_block_is_changed(random_model, text, in_pieces):
    in_pieces()
    small = lm.quantize(random_model("llama"), "gptq", calibration=text[:4000])
    modules = list(small.network.modules())
    assert not any("forward" in vars(module) or module._forward_pre_hooks for module in modules)


def test_experts_of_unknown_layout_are_named_with_their_share(random_model):
    model = random_model("mixtral")
    for layer in model.network.model.layers:
        del layer.mlp.experts.is_transposed  # as where transformers does not say how they lie
    with pytest.warns(
        UserWarning, match=r"89% .* stay fp32: model\.layers\.\*\.mlp\.experts\.gate"
    ):
        small = lm.quantize(model, "nf4")
    assert small.quantization == "89% fp32; 11% nf4"
    assert small.bits_per_weight > 28


def test_a_model_without_large_weights_has_a_repr_and_cannot_be_quantized(random_model):
    model = random_model("opt")
    model.network.model.decoder.layers = torch.nn.ModuleList()
    assert "no layers" in repr(model)
    with pytest.raises(ValueError, match=r"nothing of its body is quantized.*no large weights"):
        lm.quantize(model, "nf4")


def test_a_width_that_bitsandbytes_misreads_is_refused(tmp_path, words, monkeypatch):
    shape = {"hidden_size": 80, "num_attention_heads": 5, "num_key_value_heads": 5}
    monkeypatch.setitem(ARCHITECTURES, "llama", shape)
    architectures.save("llama", tmp_path, words)
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    weight = torch.randn(80, 80)
    packed, state = quantize_4bit(weight, blocksize=64, quant_type="nf4")
    if (dequantize_4bit(packed, state) - weight).norm() < 0.12 * weight.norm():
        pytest.skip("this CPU, or this bitsandbytes, reads 4-bit weights right")
    with pytest.raises(ValueError, match=r"reads 4-bit weights wrongly .* as the 80 of"):
        lm.load(tmp_path, "nf4", device="cpu")


def test_a_label_follows_the_layers_and_not_the_request(random_model):
    model = random_model("qwen2")
    assert model.quantization == "fp32"
    for layer in model.network.model.layers:
        layer.mlp.to(torch.bfloat16)
    assert model.quantization == "67% bf16; 33% fp32"


def test_bloom_reads_texts_of_any_length(random_model):
    model = random_model("bloom")
    assert model.longest == float("inf") and model.window == 1024


def test_text_keeps_the_blank_before_the_first_new_token(random_model, words, monkeypatch):
    model = random_model("llama")
    [new] = words.convert_tokens_to_ids(["▁the"])
    ids = torch.tensor([[new]])
    monkeypatch.setattr("quantlab.lm.measure.generate", lambda *_: ids)
    assert words.decode(ids[0]) == "the"  # decoded alone it loses it
    assert model.generate_text("Once upon") == "Once upon the"


def test_bits_per_byte_leaves_out_a_first_token_that_is_not_scored(random_model, words):
    model, part = random_model("llama"), "Once upon a time"
    bare = copy.deepcopy(words)
    bare.bos_token = None
    loss = lm.Model(model.network, bare).text_loss(part)
    first = words.decode(words(part)["input_ids"][:1])
    assert loss.bytes == len(part) - len(first) and model.text_loss(part).bytes == len(part)
    assert loss.tokens == model.text_loss(part).tokens - 1


def test_layers_are_named_once_with_a_star_for_each_number():
    held = [layers.Held(f"a.{i}.b", 2, words, 0) for i, words in enumerate(["bf16", "bf16", "nf4"])]
    assert layers.left_out(held) == {"a.*.b": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (("nf4", {"bits": 8}), "nf4 has no setting bits"),
        (("absmax", {"block_size": 32}), "absmax has no setting block_size"),
        (("zero_point", {"act_order": True}), "zero_point has no setting act_order"),
    ],
)
def test_options_that_a_method_does_not_have_are_refused_by_name(random_model, arguments, refused):
    method, settings = arguments
    with pytest.raises(ValueError, match=refused):
        lm.quantize(random_model("qwen2"), method, **settings)
