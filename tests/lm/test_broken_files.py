"""Folders that are broken in one way each: every load says in one sentence which file it is."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from quantlab import _data, lm
from quantlab.lm import files

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
LAYER = "model.layers.2.mlp.down_proj.weight"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7873024\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with the bundled model, to be broken."""
    for file in _data.path("tiny-lm").iterdir():
        if file.suffix in (".json", ".safetensors"):
            shutil.copy(file, tmp_path / file.name)
    return tmp_path


def config(folder, **changes):
    """Change what config.json says; None takes it out."""
    file = folder / "config.json"
    said = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


def weights(folder, change):
    """Change the tensors, a dict by name."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def cut(name, left=0.5):
    """Return what cuts a file off."""
    return lambda folder: os.truncate(folder / name, int((folder / name).stat().st_size * left))


def written(name, text):
    """Return what writes something else into a file."""
    return lambda folder: (folder / name).write_bytes(text.encode())


def gone(*names):
    """Return what deletes files."""
    return lambda folder: [(folder / name).unlink() for name in names]


def without_layer(folder):
    def change(tensors):
        for name in [name for name in tensors if ".layers.2." in name]:
            del tensors[name]

    weights(folder, change)


def stored_as(dtype):
    return lambda folder: weights(
        folder, lambda tensors: tensors.update({LAYER: tensors[LAYER].to(dtype)})
    )


def one_value(value):
    def change(tensors):
        tensors[LAYER][5, 7] = value

    return lambda folder: weights(folder, change)


def in_parts(folder, **places):
    """Give the weights an index. places: what it says of some tensors."""
    os.rename(folder / WEIGHTS, folder / "model-00001-of-00001.safetensors")
    names = load_file(folder / "model-00001-of-00001.safetensors")
    places = dict.fromkeys(names, "model-00001-of-00001.safetensors") | places
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def longer(folder):
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"more")


def pickled(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def tokens(folder, count):
    file = folder / "tokenizer.json"
    said = json.loads(file.read_text())
    said["model"]["vocab"] |= {f"more{n}": 2048 + n for n in range(count)}
    file.write_text(json.dumps(said))


BROKEN = {  # in what way: (what breaks it, what the error says)
    "weights cut in half": (cut(WEIGHTS), f"{WEIGHTS} is cut off or damaged"),
    "weights cut in the header": (cut(WEIGHTS, 1e-4), f"{WEIGHTS} is cut off or damaged"),
    "weights empty": (written(WEIGHTS, ""), f"{WEIGHTS} is cut off or damaged"),
    "weights a text": (written(WEIGHTS, "<html>" * 99), f"{WEIGHTS} is cut off or damaged"),
    "weights a pointer": (written(WEIGHTS, POINTER), f"{WEIGHTS} is a pointer of Git LFS"),
    "weights gone": (gone(WEIGHTS), "has no weights: neither model.safetensors nor"),
    "weights a folder": (
        lambda folder: (gone(WEIGHTS)(folder), (folder / WEIGHTS).mkdir()),
        f"{WEIGHTS} is no file",
    ),
    "weights longer": (
        longer, "is cut off or damaged",
    ),
    "pickle alone": (pickled, "pytorch_model.bin alone: such a file can run code"),
    "a layer gone": (without_layer, "lack 9 tensors that config.json asks for"),
    "one tensor gone": (
        lambda folder: weights(folder, lambda t: t.pop(LAYER)), "lack a tensor that config.json",
    ),
    "one tensor more": (
        lambda folder: weights(folder, lambda t: t.update(more=torch.ones(3))),
        "hold a tensor that the model of config.json has no place for, such as 'more'",
    ),
    "fewer layers": (
        lambda folder: config(folder, num_hidden_layers=3), "hold 9 tensors that the model",
    ),
    "another width": (
        lambda folder: config(folder, intermediate_size=512), "hold 12 tensors of another shape",
    ),
    "a tensor turned": (
        lambda folder: weights(folder, lambda t: t.update({LAYER: t[LAYER].T.contiguous()})),
        f"hold a tensor of another shape than config.json asks for, such as {LAYER!r}",
    ),
    "int8 weights": (stored_as(torch.int8), f"{WEIGHTS} stores {LAYER} in int8"),
    "float8 weights": (stored_as(torch.float8_e4m3fn), f"stores {LAYER} in float8_e4m3fn"),
    "a NaN": (one_value(float("nan")), f"{WEIGHTS} holds NaN or infinity in {LAYER}"),
    "an infinity": (one_value(float("-inf")), f"{WEIGHTS} holds NaN or infinity in {LAYER}"),
    "index cut": (lambda f: (in_parts(f), cut(INDEX)(f)), f"{INDEX} is cut off or no JSON"),
    "index without a map": (
        lambda f: (in_parts(f), written(INDEX, "{}")(f)), f"{INDEX} has no weight_map",
    ),
    "index without metadata": (
        lambda f: (gone(WEIGHTS)(f), written(INDEX, '{"weight_map": {"a": "b"}}')(f)),
        f"{INDEX} has no metadata",
    ),
    "a part gone": (
        lambda f: in_parts(f, more="model-00002-of-00002.safetensors"),
        f"{INDEX} names 1 of the 2 files that are not there: ['model-00002-of-00002.safe",
    ),
    "a part elsewhere": (
        lambda f: in_parts(f, more="../other.safetensors"), "['../other.safetensors']",
    ),
    "a part a pointer": (
        lambda f: (in_parts(f), written("model-00001-of-00001.safetensors", POINTER)(f)),
        "model-00001-of-00001.safetensors is a pointer of Git LFS",
    ),
    "config gone": (gone("config.json"), "has no config.json, so it holds no model"),
    "config empty": (written("config.json", ""), "config.json is cut off or no JSON"),
    "config cut": (cut("config.json"), "config.json is cut off or no JSON"),
    "config a pointer": (written("config.json", POINTER), "config.json is a pointer of Git LFS"),
    "config a list": (written("config.json", "[1]"), "config.json must hold a JSON object"),
    "config in bytes": (
        lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), "config.json is cut off or no",
    ),
    "no model type": (lambda f: config(f, model_type=None), "config.json says model_type None"),
    "an unknown type": (
        lambda f: config(f, model_type="llama9"), "config.json says model_type 'llama9'",
    ),
    "code asked for": (
        lambda f: config(f, model_type="x", auto_map={"AutoModelForCausalLM": "x.Y"}),
        "config.json asks for code that lies beside the weights (auto_map)",
    ),
    "no causal model": (
        lambda f: config(f, model_type="t5"), "config.json describes a t5 model: it predicts no",
    ),
    "another type": (lambda f: config(f, model_type="gpt2"), "lack 53 tensors that config.json"),
    "a word for a number": (
        lambda f: config(f, num_hidden_layers="four"), "config.json describes no llama model",
    ),
    "a negative width": (
        lambda f: config(f, hidden_size=-256), "config.json of",
    ),
    "a thousand million layers": (
        lambda f: config(f, num_hidden_layers=10**9), "says 1000000000 num_hidden_layers",
    ),
    "heads that do not fit": (
        lambda f: config(f, num_attention_heads=3), "config.json describes no llama model",
    ),
    "another quantization": (
        lambda f: config(f, quantization_config={"quant_method": "zzz"}), "quant_method 'zzz'",
    ),
    "quantization a word": (
        lambda f: config(f, quantization_config="nf4"), "quantization_config that is no JSON",
    ),
    "tokenizer gone": (gone("tokenizer.json"), "has no tokenizer.json"),
    "tokenizer and its config gone": (
        gone("tokenizer.json", "tokenizer_config.json"), "has no tokenizer.json",
    ),
    "tokenizer cut": (cut("tokenizer.json"), "tokenizer.json is cut off or no JSON"),
    "tokenizer a pointer": (
        written("tokenizer.json", POINTER), "tokenizer.json is a pointer of Git LFS",
    ),
    "tokenizer of nothing": (
        written("tokenizer.json", "{}"), "tokenizer.json is no tokenizer that can be read",
    ),
    "tokenizer of another model": (
        lambda f: tokens(f, 10), "has 2058 tokens and the model of its config.json 2048",
    ),
    "tokenizer config cut": (
        cut("tokenizer_config.json"), "tokenizer_config.json is cut off or no JSON",
    ),
    "tokenizer with code": (
        written("tokenizer_config.json", '{"tokenizer_class": "X", "auto_map": '
                '{"AutoTokenizer": ["x.X", null]}}'),
        "tokenizer_config.json asks for code that lies beside the weights",
    ),
    "generation config cut": (
        cut("generation_config.json"), "generation_config.json is cut off or no JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("way", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence_that_names_the_file(folder, way, words, capfd):
    way(folder)
    with pytest.raises(ValueError) as caught:
        lm.load(folder, device="cpu")
    said = str(caught.value)
    assert words in said and str(folder) in said
    assert "\n" not in said and len(said) < 400 + len(str(folder))
    assert "trust_remote_code" not in said
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_what_is_not_finite_is_refused_before_it_is_quantized(folder, quantization):
    one_value(float("nan"))(folder)
    with pytest.raises(ValueError, match=r"holds NaN or infinity in model\.layers\.2"):
        lm.load(folder, quantization, device="cpu")


def in_fp8(folder):
    """Store the layers in FP8 with a scale for each row, as compressed-tensors has them."""
    config(folder, quantization_config={
        "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
        "quantization_status": "compressed", "config_groups": {"group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"},
        }},
    })  # fmt: skip

    def change(tensors):
        for name in [name for name in tensors if "_proj" in name]:
            scale = tensors[name].float().abs().amax(1, keepdim=True) / 448
            tensors[f"{name}_scale"] = scale
            tensors[name] = (tensors[name].float() / scale).to(torch.float8_e4m3fn)

    weights(folder, change)


def test_fp8_weights_are_looked_at_as_all_others(folder):
    pytest.importorskip("compressed_tensors")
    in_fp8(folder)
    lm.load(folder, device="cpu")  # as stored
    one_value(float("nan"))(folder)
    with pytest.raises(ValueError, match=rf"{WEIGHTS} holds NaN or infinity in {LAYER}"):
        lm.load(folder, device="cpu")


def test_the_scales_of_fp8_weights_are_counted_with_them(folder, exact):
    pytest.importorskip("compressed_tensors")
    in_fp8(folder)
    model = lm.load(folder, device="cpu")
    assert model.quantization == "compressed-tensors, float, 8 bits"
    layers = [layer for _, layer in exact.linears()]
    weights, rows = (sum(count(layer) for layer in layers) for count in (
        lambda layer: layer.weight.numel(), lambda layer: layer.out_features))  # fmt: skip
    assert model.bits_per_weight == pytest.approx(8 + 32 * rows / weights, rel=1e-12)
    others = sum(p.numel() for p in exact.network.parameters()) - weights
    assert model.memory_bytes() == weights + 4 * rows + 2 * others


EIGHT_BITS = [name for name in dir(torch) if name.startswith("float8_")]


@pytest.mark.parametrize("name", EIGHT_BITS)
def test_every_code_of_8_bits_that_is_no_number_is_found(tmp_path, name):
    values = torch.arange(256, dtype=torch.uint8).view(getattr(torch, name)).float()
    for code, value in enumerate(values):
        codes = torch.tensor([[56, code], [60, 60]], dtype=torch.uint8).view(getattr(torch, name))
        save_file({LAYER: codes}, tmp_path / WEIGHTS)
        if value.isfinite():
            files.check_weights(tmp_path)
        else:
            with pytest.raises(ValueError, match=f"NaN or infinity in {LAYER}"):
                files.check_weights(tmp_path)
    assert not values.isfinite().all()


def test_a_saved_model_with_a_damaged_scale_is_refused(four_bit, tmp_path):
    lm.load("tiny-lm", "nf4", device="cpu").save(tmp_path / "small")
    tensors = load_file(tmp_path / "small" / WEIGHTS)
    tensors[f"{LAYER}.absmax"][3] = float("inf")
    save_file(tensors, tmp_path / "small" / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"holds NaN or infinity in {LAYER}\.absmax"):
        lm.load(tmp_path / "small", device="cpu")


def test_numbers_that_fp16_does_not_hold_are_refused_in_fp16_alone(folder):
    one_value(1e5)(folder)
    with pytest.raises(ValueError, match=r"holds 9\.98e\+04 in .*: too large for float16"):
        lm.load(folder, "fp16", device="cpu")
    assert lm.load(folder, "bf16", device="cpu").quantization == "bf16"


def test_weights_in_parts_load(folder, exact):
    in_parts(folder)
    model = lm.load(folder, "fp32", device="cpu")
    assert model.generate_text("Once", 9) == exact.generate_text("Once", 9)


def test_code_that_is_not_needed_stands_in_no_ones_way(folder):
    config(folder, auto_map={"AutoModelForCausalLM": "modeling.Other"})
    assert lm.load(folder, "fp32", device="cpu").network.__class__.__name__ == "LlamaForCausalLM"
