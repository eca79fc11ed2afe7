"""A model as a GGUF file, and llama.cpp itself reading it: the same words, the same chances."""

import copy
import dataclasses
import os
import subprocess
import sys

import gguf
import numpy as np
import pytest
import torch

from quantlab import gguf as blocks
from quantlab import lm
from quantlab.lm import gguf_file

PROMPT = "Once upon a time"
#: Types of files: what llama.cpp rounds the inputs of a linear layer to, by the layer's own type.
ROUNDED = {"Q8_0": "Q8_0", "Q4_0": "Q8_0", "IQ4_NL": "Q8_0", "MXFP4": "Q8_0",
           "Q4_K": "Q8_K", "Q6_K": "Q8_K"}  # fmt: skip


@pytest.fixture(scope="module")
def written(exact, tmp_path_factory):
    """Return a function: tiny-lm as a file of some type, each type once."""
    folder, known = tmp_path_factory.mktemp("gguf"), {}

    def of(type):
        if type not in known:
            known[type] = lm.export_gguf(exact, folder / f"{type}.gguf", type)
        return known[type]

    return of


def decoded(model, file):
    """Return the model with the weights of a file, as PyPI's gguf decodes them."""
    network = copy.deepcopy(model.network)
    heads = {"attn_q": network.config.num_attention_heads,
             "attn_k": network.config.num_key_value_heads}  # fmt: skip
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, network.config.num_hidden_layers)
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(file.path).tensors}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            tensor = theirs[names.get_name(name, (".weight", ".bias"))]
            x = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            if count := heads.get(tensor.name.split(".")[-2]):  # neighbours, back to i and i + half
                x = x.reshape(count, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)
            parameter.copy_(torch.tensor(x))
    return dataclasses.replace(model, network=network)


def rounded_inputs(model, file):
    """Make every linear layer of a model round its inputs to 8 bits, as llama.cpp's kernels do."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 4)
    types = {name: kind for kind, of_kind in file.tensors.items() for name in of_kind}
    for name, layer in model.network.named_modules():
        if isinstance(layer, torch.nn.Linear):
            own = names.get_name(f"{name}.weight", (".weight",))
            kind = ROUNDED[types.get(own) or types["token_embd.weight"]]  # a tied head is not there
            layer.register_forward_pre_hook({"Q8_0": _by_32, "Q8_K": _by_256}[kind])
    return model


def _by_32(_, inputs):
    """Q8_0: 32 numbers with a scale in FP16."""
    x = inputs[0].numpy()
    return torch.tensor(blocks.decode(blocks.encode(x, "Q8_0"), "Q8_0", x.shape))


def _by_256(_, inputs):
    """Q8_K: 256 numbers with a scale in FP32; the one of largest magnitude becomes -127."""
    x = inputs[0].reshape(*inputs[0].shape[:-1], -1, 256)
    scale = x.gather(-1, x.abs().argmax(-1, keepdim=True)) / -127
    return (torch.round(x / scale) * scale).reshape(inputs[0].shape)


def log_chances(model, ids):
    """Return torch's log probabilities after each token: (tokens, vocabulary)."""
    with torch.inference_mode():
        logits = model.network(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return torch.log_softmax(logits, -1)


def largest_difference(running, model, ids):
    """How far llama.cpp's log probabilities of the 20 likeliest tokens are from torch's."""
    ours, far = log_chances(model, ids), []
    for count in [count for count in (1, 3, 10, 50) if count <= len(ids)]:
        theirs = running.log_probabilities(ids[:count], top=20)
        far += [abs(log - ours[count - 1, index].item()) for index, _, log in theirs]
    return max(far)


@pytest.fixture(scope="module")
def ids(exact, short_text):
    return [0, *exact.tokenizer(short_text[:400])["input_ids"]]


@pytest.mark.parametrize("type", gguf_file.TYPES)
def test_llama_cpp_says_the_words_of_torch_where_nothing_ties(exact, written, type):
    """On the decoded weights. A tie: what rounding inputs to 8 bits can turn, 0.3 at most here."""
    file, tie = written(type), 0 if type == "F32" else 0.3
    with lm.run_gguf(file.path) as running:
        said = running.generate_text(PROMPT, 40)
        ids, start = running.tokens(said), len(running.tokens(PROMPT))
    assert len(ids) >= start + 38  # pieces that were made one by one may be read as one
    chances = log_chances(decoded(exact, file), ids)[start - 1 : -1]
    chosen = chances.gather(1, torch.tensor(ids[start:])[:, None])[:, 0]
    assert (chances.amax(1) - chosen).max() <= tie


def test_text_of_a_file_in_32_bits_is_that_of_torch(exact, written):
    with lm.run_gguf(written("F32").path) as running:
        assert running.generate_text(PROMPT, 40) == exact.generate_text(PROMPT, 40)


def test_chances_of_a_file_in_32_bits_are_those_of_torch(exact, written, ids):
    # Sums of 768 float32 numbers in another order: 8e-6 where this was written.
    with lm.run_gguf(written("F32").path, cache="F32") as running:
        assert largest_difference(running, exact, ids) < 1e-4


def test_keys_and_values_in_16_bits_cost_thousandths(exact, written, ids):
    with lm.run_gguf(written("F32").path) as running:
        assert 1e-4 < largest_difference(running, exact, ids) < 1e-2


@pytest.mark.parametrize("type", ROUNDED)
def test_what_differs_from_torch_is_the_rounding_of_inputs_to_8_bits(exact, written, type):
    """With inputs rounded so in torch, the chances are equal, to the order of sums in float32.

    Where that order moves one input across the edge between two codes, all that comes after it
    is rounded otherwise: after one token that is rare, so most of twelve tokens have to agree.
    """
    file = written(type)
    ours = rounded_inputs(decoded(exact, file), file)
    with lm.run_gguf(file.path, cache="F32") as running:
        far = [largest_difference(running, ours, [token]) for token in range(100, 1300, 100)]
    assert np.median(far) < 1e-4 < 0.5 > max(far)


@pytest.mark.parametrize("type", ["Q4_0", "Q4_K"])
def test_over_a_text_the_chances_are_as_far_as_rounded_inputs_take_them(exact, written, ids, type):
    file = written(type)
    plain = decoded(exact, file)
    ours = log_chances(plain, ids)
    rounded = log_chances(rounded_inputs(decoded(exact, file), file), ids)
    spread, expected = [], []
    with lm.run_gguf(file.path) as running:
        for count in range(10, len(ids), 20):
            for index, _, theirs in running.log_probabilities(ids[:count], top=20):
                spread.append(theirs - ours[count - 1, index].item())
                expected.append((rounded - ours)[count - 1, index].item())
    assert 0.5 < np.std(spread) / np.std(expected) < 2


#: Bits per weight of the linear layers, from the bytes of a block.
BITS = {"F32": 32, "F16": 16, "Q8_0": 34 / 4, "Q6_K": 210 / 32, "Q4_K": 144 / 32, "Q4_0": 18 / 4,
        "IQ4_NL": 18 / 4, "MXFP4": 17 / 4}  # fmt: skip


@pytest.mark.parametrize("type", BITS)
def test_the_file_has_the_bits_of_its_blocks(written, type):
    assert written(type).bits_per_weight == BITS[type]


@pytest.mark.parametrize("type", BITS)
def test_a_file_is_smaller_by_what_its_tensors_are_smaller(exact, written, type):
    linear = sum(layer.weight.numel() for _, layer in exact.linears())
    head = {"F32": 32, "F16": 16, "Q8_0": 8.5, "MXFP4": 8.5}.get(type, 6.5625)
    saved = linear * (32 - BITS[type]) / 8 + 2048 * 256 * (32 - head) / 8
    # One entry of the header may come on top, and each part starts at a multiple of 32.
    assert written("F32").bytes - written(type).bytes == pytest.approx(saved, abs=96)


def test_norms_stay_in_32_bits_and_tied_embeddings_get_six(written):
    tensors = written("Q4_K").tensors
    assert tensors["Q6_K"] == ("token_embd.weight",)
    assert len(tensors["Q4_K"]) == 28 and all("norm" in name for name in tensors["F32"])


def test_half_of_the_layers_get_six_bits_in_the_mix():
    names = [f"blk.{i}.attn_v.weight" for i in range(32)]
    kinds = [gguf_file.tensor_type(name, "Q4_K_M", 32, False) for name in names]
    assert [i for i, kind in enumerate(kinds) if kind == "Q6_K"] == [
        0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31,
    ]  # fmt: skip


def test_an_untied_head_has_six_bits_and_its_embeddings_four():
    types = [gguf_file.tensor_type(name, "Q4_K", 4, False)
             for name in ("output.weight", "token_embd.weight")]  # fmt: skip
    assert types == ["Q6_K", "Q4_K"]


def test_the_importance_matrix_counts(exact, tmp_path):
    name, layer = exact.linears()[0]
    weights = np.linspace(0.01, 1, layer.in_features) ** 4
    plain = lm.export_gguf(exact, tmp_path / "plain.gguf", "Q4_0")
    weighed = lm.export_gguf(exact, tmp_path / "weighed.gguf", "Q4_0", importance={name: weights})
    errors = []
    for file in (plain, weighed):
        after = dict(decoded(exact, file).linears())
        errors.append(((after[name].weight - layer.weight) ** 2 * torch.tensor(weights)).sum())
    assert errors[1] < errors[0]


MODELS = {
    "llama": {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    "llama narrow": {"hidden_size": 100, "num_attention_heads": 5, "num_key_value_heads": 5,
                     "head_dim": 20},
    "llama 3": {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0,
                                    "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                    "original_max_position_embeddings": 64}},
    "mistral": {"sliding_window": 64, "head_dim": 32, "tie_word_embeddings": False},
    "qwen2": {"tie_word_embeddings": True},
}  # fmt: skip


@pytest.fixture
def random_model(exact):
    """Return a function: a small model with random weights, tiny-lm's tokenizer and settings."""
    from transformers import AutoConfig, AutoModelForCausalLM

    def of(name, **settings):
        shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2050,
                 "max_position_embeddings": 128}  # fmt: skip
        config = AutoConfig.for_model(name.split()[0], **shape | MODELS.get(name, {}) | settings)
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():  # biases and norms that are not 0 and 1, so that none can be missed
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return lm.Model(network, exact.tokenizer, name)

    return of


@pytest.mark.parametrize("name", MODELS)
def test_each_architecture_predicts_as_in_torch(random_model, tmp_path, ids, name):
    model = random_model(name)
    file = lm.export_gguf(model, tmp_path / "random.gguf", "F32")
    with lm.run_gguf(file.path, cache="F32") as running:
        assert running.longest == (64 if name == "mistral" else 128)
        assert largest_difference(running, model, ids[:60]) < 1e-3


def test_widths_that_fit_no_block_take_the_next_type(random_model, tmp_path):
    file = lm.export_gguf(random_model("llama narrow"), tmp_path / "narrow.gguf")
    assert {kind: len(names) for kind, names in file.tensors.items()} == {
        "F16": 14, "Q8_0": 2, "F32": 5,  # 100 wide: all but ffn_down, which is 96 wide
    }  # fmt: skip
    with lm.run_gguf(file.path) as running:
        assert running.generate_text(PROMPT, 5) != PROMPT


def test_nothing_is_logged(written, capfd):
    with lm.run_gguf(written("Q8_0").path) as running:
        running.generate_text(PROMPT, 3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("type", ["F16", "Q4_K_M"])
def test_a_file_opens_without_a_warning(written, capfd, monkeypatch, type):
    """But for what `run_gguf` itself brings about: it asks for more tokens than tiny-lm reads."""
    import xllamacpp

    def loud(settings, open_as_usual=xllamacpp.Server):
        settings.verbosity = 2  # warnings and errors
        return open_as_usual(settings)

    monkeypatch.setattr(xllamacpp, "Server", loud)
    with lm.run_gguf(written(type).path) as running:
        running.generate_text(PROMPT, 3)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.strip()]
    asked = [line for line in lines if "4096" in line and "train" in line]
    assert asked and lines == asked


def test_facts_in_llama_cpp_are_those_of_torch(exact, written):
    with lm.run_gguf(written("F16").path) as running:
        assert running.facts() == exact.facts()


def listening():
    import psutil

    process = psutil.Process()
    ask = getattr(process, "net_connections", None) or process.connections  # before psutil 6
    return [one.laddr.ip for one in ask(kind="tcp") if one.status == psutil.CONN_LISTEN]


def test_the_port_is_on_this_machine_alone_and_closed_with_the_file(written):
    before = listening()
    with lm.run_gguf(written("Q8_0").path):
        during = listening()
    assert during == [*before, "127.0.0.1"] and listening() == before


def test_without_the_key_the_port_answers_nothing(written):
    with lm.run_gguf(written("Q8_0").path) as running:
        running._key = "another"
        with pytest.raises(KeyError):
            running.tokens(PROMPT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It's 12345, isn't it?",
        "  two  blanks\n\n\tand a tab ",
        "Größe: 3½ €",
        "日本語 🙂",
        "<|endoftext|>",
    ],
)
def test_llama_cpp_reads_the_tokens_of_the_tokenizer(exact, written, text):
    with lm.run_gguf(written("Q8_0").path) as running:
        own = exact.tokenizer(text, split_special_tokens=True)["input_ids"]
        assert running.tokens(text) == [0, *own]


def test_perplexity_is_that_of_torch(exact, written, short_text):
    part = short_text[:700]
    with lm.run_gguf(written("F32").path) as running:
        theirs = running.text_loss(part, window=64, stride=25)
        assert running.perplexity(part[:300]) > 1
    ours = exact.text_loss(part, window=64, stride=25)
    assert (theirs.tokens, theirs.bytes) == (ours.tokens, ours.bytes)
    assert theirs.nats == pytest.approx(ours.nats, rel=1e-4)  # the cache has 16 bits


def test_without_a_beginning_token_the_first_one_goes_unscored(exact, tmp_path, short_text):
    words = copy.deepcopy(exact.tokenizer)
    words.bos_token = None
    bare, part = dataclasses.replace(exact, tokenizer=words), short_text[:200]
    with lm.run_gguf(lm.export_gguf(bare, tmp_path / "a.gguf", "F32").path) as running:
        theirs = running.text_loss(part)
    ours = bare.text_loss(part)
    assert (theirs.tokens, theirs.bytes) == (ours.tokens, ours.bytes)
    assert theirs.nats == pytest.approx(ours.nats, rel=1e-3)  # the cache has 16 bits


def test_the_chances_of_all_tokens_add_up_to_one(written):
    with lm.run_gguf(written("Q4_K").path) as running:
        every = running.log_probabilities(PROMPT, top=2048)
    assert np.exp([log for _, _, log in every]).sum() == pytest.approx(1, abs=1e-5)


def test_parts_of_letters_have_their_chances_too(exact, written):
    with lm.run_gguf(written("F32").path, cache="F32") as running:
        theirs = running.text_loss("caf\u00e9 \u65e5")
    assert theirs.nats == pytest.approx(exact.text_loss("caf\u00e9 \u65e5").nats, rel=1e-5)


def test_speed_is_a_number_of_tokens(written):
    with lm.run_gguf(written("Q4_0").path) as running:
        assert running.tokens_per_second(new_tokens=16) > 0


def test_a_file_that_is_closed_at_once_is_closed_on_a_busy_machine_too(written):
    """llama.cpp waited for ever if its loop had not begun when it was told to end."""
    opens = (
        "import sys; from quantlab import lm\nfor _ in range(12): lm.run_gguf(sys.argv[1]).close()"
    )
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(2 * os.cpu_count())
    ]
    try:
        subprocess.run([sys.executable, "-c", opens, written("Q8_0").path], check=True, timeout=120)
    finally:
        for one in busy:
            one.kill()
            one.wait()


def test_a_closed_file_says_so(written):
    running = lm.run_gguf(written("Q8_0").path)
    running.close()
    with pytest.raises(ValueError, match=r"Q8_0\.gguf is closed"):
        running.generate_text(PROMPT)


def test_more_than_the_model_can_read_is_refused(written):
    with (
        lm.run_gguf(written("Q8_0").path) as running,
        pytest.raises(ValueError, match=r"6 tokens of prompt and 251 new ones .* the 256"),
    ):
        running.generate_text(PROMPT, 251)


def test_a_damaged_file_is_refused(written, tmp_path, capfd):
    (tmp_path / "half.gguf").write_bytes(written("Q8_0").path.read_bytes()[:300_000])
    with pytest.raises(ValueError, match=r"does not load .*half\.gguf: it is damaged"):
        lm.run_gguf(tmp_path / "half.gguf")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [({"threads": 0}, "threads must be"), ({"cache": "Q2_K"}, "F16, F32, Q8_0, Q4_0, got")],
)
def test_settings_that_are_not_served_are_refused(written, arguments, why):
    with pytest.raises(ValueError, match=why):
        lm.run_gguf(written("Q8_0").path, **arguments)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.gguf"):
        lm.run_gguf(tmp_path / "none.gguf")


@pytest.mark.parametrize("package", ["gguf", "xllamacpp"])
def test_without_the_extra_one_sentence_says_how_to_get_it(
    exact, written, tmp_path, monkeypatch, package
):
    path = written("Q8_0").path
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"needs {package}: run  pip install gguf xllamacpp "):
        lm.export_gguf(exact, tmp_path / "a.gguf") if package == "gguf" else lm.run_gguf(path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept(exact, tmp_path):
    (tmp_path / "mine.gguf").write_text("mine")
    with pytest.raises(FileExistsError, match="there already"):
        lm.export_gguf(exact, tmp_path / "mine.gguf")
    assert (tmp_path / "mine.gguf").read_text() == "mine"


def test_a_file_in_no_folder_is_refused(exact, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to put a\.gguf into"):
        lm.export_gguf(exact, tmp_path / "nowhere" / "a.gguf")


def test_an_interrupted_write_leaves_nothing(exact, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensor_data", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lm.export_gguf(exact, tmp_path / "a.gguf", "Q8_0")
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_is_not_served_is_refused_with_those_that_are(exact, tmp_path):
    with pytest.raises(ValueError, match=r"F32, F16, .*got 'Q5_K'"):
        lm.export_gguf(exact, tmp_path / "a.gguf", "Q5_K")


@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("gpt2", {}, "types llama, mistral, qwen2; gpt2 is gpt2"),
        ("llama", {"hidden_act": "gelu"}, "with silu; llama has gelu"),
        ("qwen2", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
         "of the types default; qwen2 has linear"),
    ],
)  # fmt: skip
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    random_model, tmp_path, name, settings, why
):
    with pytest.raises(ValueError, match=why):
        lm.export_gguf(random_model(name, **settings), tmp_path / "a.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_codes_is_refused(four_bit, tmp_path):
    with pytest.raises(ValueError, match="holds codes of nf4"):
        lm.export_gguf(four_bit, tmp_path / "a.gguf")


def test_a_tokenizer_of_another_kind_is_refused(exact, short_text, tmp_path):
    from . import architectures

    words = architectures.tokenizer([short_text])
    with pytest.raises(ValueError, match="byte-level BPE tokenizers; that of tiny-lm is BPE"):
        lm.export_gguf(dataclasses.replace(exact, tokenizer=words), tmp_path / "a.gguf")


def test_a_tokenizer_that_cuts_texts_in_an_unknown_way_is_refused(exact, tmp_path):
    from tokenizers import pre_tokenizers

    words = copy.deepcopy(exact.tokenizer)
    bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words.backend_tokenizer.pre_tokenizer = bytes_alone
    with pytest.raises(ValueError, match=r"as gpt-2, smollm, .* do; this one cuts by bytes"):
        lm.export_gguf(dataclasses.replace(exact, tokenizer=words), tmp_path / "a.gguf")


@pytest.mark.parametrize("pre", gguf_file.PRE_TOKENIZERS.values())
def test_llama_cpp_cuts_texts_as_each_known_tokenizer_does(exact, random_model, tmp_path, pre):
    """tiny-lm's merges, cut in each way."""
    from tokenizers import Regex, pre_tokenizers

    [(steps, whole)] = [key for key, name in gguf_file.PRE_TOKENIZERS.items() if name == pre]
    made = {
        "words": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "bytes": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        "digits": pre_tokenizers.Digits(individual_digits=True),
    }
    words = copy.deepcopy(exact.tokenizer)
    words.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [made.get(step) or pre_tokenizers.Split(Regex(step), "isolated") for step in steps]
    )
    words.backend_tokenizer.model.ignore_merges = whole
    model = dataclasses.replace(random_model("llama"), tokenizer=words)
    text = "It's 12345 o'clock; HE'LL come\n\n  at 3½ -- \t(so they say) über_allem ... \r\n x"
    with lm.run_gguf(lm.export_gguf(model, tmp_path / "a.gguf", "F16").path) as running:
        assert running.tokens(text) == [0, *words(text)["input_ids"]]


@pytest.mark.parametrize(
    ("importance", "why"),
    [
        ({"lm_head": np.ones(256)}, "names 'lm_head', which is no linear layer"),
        ({"model.layers.0.mlp.down_proj": np.ones(256)}, r"shape \(768,\), .* got \(256,\)"),
    ],
)
def test_an_importance_that_fits_no_layer_is_refused(exact, tmp_path, importance, why):
    with pytest.raises(ValueError, match=why):
        lm.export_gguf(exact, tmp_path / "a.gguf", importance=importance)
