"""Saving: the folder loads again, in `lm` and in transformers, as what it was."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

import quantlab as ql
from quantlab import lm
from quantlab.lm import saving, stored

from . import architectures
from .test_load import dequantized

#: Ways to quantize, and how the folder is labelled.
WAYS = {
    "nf4": ("nf4", {"double_quant": True}, "nf4"),
    "fp4": ("fp4", {"block_size": 128}, "fp4"),
    "absmax": ("absmax", {"bits": 2}, "compressed-tensors, 2 bits"),
    "ternary": ("ternary", {}, "compressed-tensors, 2 bits"),
    "groups": (
        "zero_point",
        {"bits": 3, "group_size": 64},
        "compressed-tensors, 3 bits, group 64",
    ),
    "gptq": (
        "gptq",
        {"bits": 5, "group_size": 64, "act_order": True, "static_groups": True, "symmetric": False},
        "compressed-tensors, 5 bits, group 64",
    ),
}


@pytest.fixture(scope="module")
def brief(exact):
    """tiny-lm's first layer alone, in fp32: all kinds of layers, in a quarter of the time."""
    network = copy.deepcopy(exact.network)
    network.model.layers = network.model.layers[:1]
    network.config.num_hidden_layers = 1
    network.config.layer_types = None
    return dataclasses.replace(exact, network=network)


@pytest.fixture(scope="module")
def saved(brief, tmp_path_factory):
    """Return a function: a way's model, its folder, and what loads from there; each once."""
    known = {}

    def of(way):
        if way not in known:
            method, options, _ = WAYS[way]
            options = {"calibration": "The fox went to the well. " * 9} | options
            if method != "gptq":
                del options["calibration"]
            model = lm.quantize(brief, method, **options)
            folder = model.save(tmp_path_factory.mktemp(way) / "saved")
            known[way] = model, folder, lm.load(folder, device="cpu")
        return known[way]

    return of


@pytest.mark.parametrize("way", WAYS)
def test_what_is_loaded_again_reads_as_before(saved, short_text, way):
    before, _, after = saved(way)
    part = short_text[:1000]
    # The scales in the file have 11 bits: each weight moves by at most 1 in 2,048.
    # Under one scale for a matrix all move to one side, and what they do adds up.
    off = 1e-3 if way == "ternary" else 2e-4
    assert after.perplexity(part) == pytest.approx(before.perplexity(part), rel=off)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_loaded_again_is_labelled_by_what_is_stored(saved, way):
    before, _, after = saved(way)
    assert after.quantization == WAYS[way][2]
    # bitsandbytes counts the one mean of each layer, too.
    assert after.bits_per_weight == pytest.approx(before.bits_per_weight, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_the_file_is_as_large_as_memory_bytes_says(saved, way):
    model, folder, _ = saved(way)
    size = (folder / "model.safetensors").stat().st_size
    # What comes on top: the names of the tensors, and for a layer at most two codebooks.
    assert model.memory_bytes() <= size <= model.memory_bytes() + 2200 * len(model.linears())


@pytest.mark.parametrize("way", ["groups", "gptq"])
def test_codes_come_back_as_they_were(saved, way):
    before, _, after = saved(way)
    for name, q in before.stored.items():
        again = after.stored[name]
        assert np.array_equal(again.codes, q.codes) and again.codes.dtype == q.codes.dtype, name
        assert np.array_equal(again.zero_point, q.zero_point), name
        assert np.array_equal(again.scale, q.scale.astype(np.float16)), name


def test_one_scale_for_a_matrix_is_stored_as_one(saved):
    model, folder, loaded = saved("ternary")
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    [group] = described["quantization_config"]["config_groups"].values()
    assert group["weights"]["strategy"] == "tensor"
    assert {codes.scale.shape for codes in loaded.stored.values()} == {()}
    assert loaded.bits_per_weight == model.bits_per_weight


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("length", [1, 31, 64, 77])
def test_codes_are_read_as_compressed_tensors_reads_them(bits, length):
    from compressed_tensors.compressors.pack_quantized import helpers

    random = np.random.default_rng(bits)
    codes = random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (5, length), dtype=np.int8)
    packed = helpers.pack_to_int32(torch.tensor(codes), bits)
    assert np.array_equal(stored._unpacked(packed.numpy(), bits)[:, :length], codes)
    assert np.array_equal(helpers.unpack_from_int32(packed, bits, codes.shape).numpy(), codes)


def test_nf4_weights_come_back_bit_for_bit(saved):
    before, _, after = saved("nf4")
    again = dict(after.linears())
    for name, layer in before.linears():
        assert torch.equal(dequantized(again[name]), layer.weight), name


@pytest.mark.parametrize("way", ["nf4", "groups"])
def test_transformers_alone_loads_the_folder(saved, short_text, way):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, folder, _ = saved(way)
    network = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu").eval()
    lm.keep_as_stored(network)
    theirs = lm.Model(network, AutoTokenizer.from_pretrained(folder))
    part = short_text[:1000]
    assert theirs.perplexity(part) == pytest.approx(model.perplexity(part), rel=2e-4)


@pytest.mark.parametrize("way", ["nf4", "groups"])
def test_what_was_loaded_can_be_saved_once_more(saved, tmp_path, way):
    _, folder, after = saved(way)
    again = after.save(tmp_path / "again")
    one, other = ((f / "model.safetensors").read_bytes() for f in (folder, again))
    assert one == other


@pytest.fixture(scope="module")
def plain(brief, tmp_path_factory):
    """A folder with `brief` as it is."""
    return brief.save(tmp_path_factory.mktemp("plain") / "brief")


@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "nf4"])
def test_a_load_that_is_saved_loads_as_it_was(plain, tmp_path, short_text, quantization):
    before = lm.load(plain, quantization, device="cpu")
    before.save(tmp_path)
    asked = quantization if quantization == "fp32" else None
    after = lm.load(tmp_path, asked, device="cpu")
    assert after.quantization == quantization
    assert after.memory_bytes() == before.memory_bytes()
    part = short_text[:600]
    assert after.perplexity(part) == before.perplexity(part)


@pytest.mark.parametrize("asked", ["bf16", "fp4", "int8"])
def test_another_quantization_of_a_stored_one_is_refused(saved, asked):
    _, folder, _ = saved("nf4")
    with pytest.raises(ValueError, match=f"is stored in nf4 .* leave quantization='{asked}' out"):
        lm.load(folder, asked, device="cpu")


def test_the_quantization_that_is_stored_may_be_said(saved):
    _, folder, _ = saved("nf4")
    assert lm.load(folder, "nf4", "cpu", double_quant=True).quantization == "nf4"


def test_double_quant_of_a_folder_without_it_is_refused(saved):
    _, folder, _ = saved("fp4")
    with pytest.raises(ValueError, match=r"stored in fp4 .* double_quant=True out"):
        lm.load(folder, "fp4", "cpu", double_quant=True)


def test_a_stored_model_is_not_quantized_again(saved):
    for way in ("nf4", "groups"):
        with pytest.raises(ValueError, match="quantized already"):
            lm.quantize(saved(way)[2], "absmax")


def test_a_folder_that_holds_something_is_refused(brief, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something already"):
        brief.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_in_no_folder_is_refused(brief, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to put model into"):
        brief.save(tmp_path / "nowhere" / "model")


def test_an_interrupted_save_leaves_nothing(brief, tmp_path, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(brief.tokenizer), "save_pretrained", interrupt)
    with pytest.raises(KeyboardInterrupt):
        brief.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_groups_in_the_order_of_the_inputs_have_no_place(saved, tmp_path):
    model, _, _ = saved("groups")
    each = {
        name: dataclasses.replace(q, group_index=np.arange(len(q.codes)) // 64)
        for name, q in model.stored.items()
    }
    with pytest.raises(ValueError, match="quantize with static_groups=True"):
        dataclasses.replace(model, stored=each).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_bitsandbytes_does_not_read_are_refused(brief, tmp_path):
    with pytest.raises(ValueError, match=r"blocks of 32, 64, .* got 48"):
        lm.quantize(brief, "nf4", block_size=48).save(tmp_path / "model")


def test_scales_beyond_fp16_are_refused():
    tiny = ql.quantize_absmax(np.full((2, 2), 1e-9), axis=0)
    with pytest.raises(ValueError, match=r"q_proj has scales of .* do not fit FP16"):
        saving._whole_numbers("q_proj", tiny, None)


@pytest.mark.parametrize(
    ("settings", "label", "packages"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq, 4 bits, group 128",
         "optimum gptqmodel"),
        ({"quant_method": "awq", "bits": 4, "group_size": -1}, "awq, 4 bits", "gptqmodel"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_needs_packages_says_which(brief, tmp_path, settings, label, packages):
    file = brief.save(tmp_path / "model") / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": settings}))
    with pytest.raises(ImportError, match=f"stored in {label}, .* pip install {packages} "):
        lm.load(tmp_path / "model", device="cpu")


def test_activations_in_few_bits_are_part_of_the_label():
    weights = {"num_bits": 8, "type": "float"}
    group = {"weights": weights, "input_activations": {"num_bits": 8}}
    kept = stored.Checkpoint(
        None, {"quant_method": "compressed-tensors", "config_groups": {0: group}}
    )
    assert kept.label == "compressed-tensors, float, 8 bits, activations 8 bits"


@pytest.fixture(scope="module")
def words(text):
    return architectures.tokenizer([text[:4000]])


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
@pytest.mark.parametrize("method", ["absmax", "nf4"])
def test_each_architecture_loads_again_or_says_why_not(words, tmp_path, text, name, method):
    source = architectures.save(name, tmp_path / "source", words)
    before = lm.quantize(lm.load(source, device="cpu"), method)
    try:
        folder = before.save(tmp_path / "saved")
    except ValueError as error:
        assert "has codes for" in str(error) and list(tmp_path.iterdir()) == [source]
        assert name in ("gpt2", "falcon", "mixtral", "gpt_oss", "deepseek_v3")
        return
    after = lm.load(folder, device="cpu")
    # Scales of 11 bits, and a vocabulary that all tokens are equally likely of.
    assert after.perplexity(text[:300]) == pytest.approx(before.perplexity(text[:300]), rel=2e-4)
    # The library counts the scale of a block that is not full as well.
    assert after.bits_per_weight == pytest.approx(before.bits_per_weight, rel=1e-3)
