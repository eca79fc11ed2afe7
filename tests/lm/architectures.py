"""Tiny random models of twelve architectures, and a tokenizer in the manner of SentencePiece.

Random weights say nothing about a language, but a layer that is skipped, a label that lies and a
setting that is missing show in them as in a trained model.
"""

import json
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

#: What every configuration below has: enough for attention with two heads, experts and windows.
SHAPE = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
#: The twelve: a transformers model type and what it needs beside `SHAPE`.
ARCHITECTURES = {
    # Untied: the head is a weight of its own. Neither 100 nor 200 is a multiple of any block size.
    "llama": {"hidden_size": 100, "intermediate_size": 200, "num_attention_heads": 5,
              "num_key_value_heads": 5, "head_dim": 20, "tie_word_embeddings": False},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128},  # Conv1D, (in, out)
    "falcon": {"ffn_hidden_size": 128, "head_dim": None},  # FalconLinear, a subclass of Linear
    "bloom": {"n_layer": 2, "n_head": 4, "max_position_embeddings": None},  # ALiBi needs none
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
    "gemma3_text": {"sliding_window": 32},
    "qwen2": {},
    "phi3": {},
    "gpt_neox": {},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "gpt_oss": {
        "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 32,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
    },
    "deepseek_v3": {
        "num_hidden_layers": 3, "first_k_dense_replace": 1, "moe_intermediate_size": 64,
        "n_routed_experts": 8, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
        "q_lora_rank": 64, "kv_lora_rank": 64, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16,
        "v_head_dim": 16, "num_key_value_heads": 4,
    },
}  # fmt: skip


def tokenizer(texts, size=400):
    """Return a byte-fallback BPE with "▁" for blanks, as SentencePiece makes them for Llama.

    texts: a list of strings it learns its merges from. Each text gets a blank in front, which
    decoding takes away again: of a text, and of any piece of it.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    blanks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.normalizer = normalizers.Sequence([blanks, normalizers.Replace("\n", "▁")])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    words.train_from_iterator(
        (word for text in texts for word in text.split()),
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False),
    )
    learned = json.loads(words.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    pieces = Tokenizer(models.BPE(learned["vocab"], merges, unk_token="<unk>", byte_fallback=True))
    pieces.normalizer = blanks
    pieces.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def network(name, vocabulary=400):
    """Return a random causal language model of one of the `ARCHITECTURES`, in float32."""
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = SHAPE | ARCHITECTURES[name] | {"vocab_size": vocabulary}
    settings = {key: value for key, value in settings.items() if value is not None}
    config = AutoConfig.for_model(name, **settings)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def save(name, folder, words):
    """Write a model of one of the `ARCHITECTURES` with the tokenizer `words` into a folder."""
    network(name, len(words)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


#: What is tried with each: loads by name, then methods of `lm.quantize` on the bf16 load.
LOADS = ("bf16", "int8", "nf4")
PROMPT = "Once upon a"
PAGE = "docs/architectures.md"


@dataclass(frozen=True)
class Outcome:
    """What came of loading or quantizing a model in one way.

    model: the `lm.Model`, None if it was refused. said: the one sentence of its error or warning.
    perplexity, text: what it then made of a text and a prompt.
    """

    model: Any = None
    said: str = ""
    perplexity: float = 0.0
    text: str = ""

    @property
    def cell(self):
        """Its cell in the page's table."""
        if self.model is None:
            return "refused"
        return f"{self.model.bits_per_weight:.2f}" + " †" * bool(self.said)


def attempt(text, make, *arguments, **settings):
    """Return the `Outcome` of making a model and using it: perplexity, text, bytes."""
    from quantlab import lm

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = make(*arguments, **settings)
        except ValueError as error:
            return Outcome(said=str(error))
    # Other libraries warn too, of what is deprecated in them.
    said = [str(w.message) for w in caught if w.category is UserWarning]
    assert isinstance(model, lm.Model)
    assert len(said) < 2, said
    return Outcome(model, "".join(said), model.perplexity(text), model.generate_text(PROMPT, 3))


def outcomes(folder, text, calibration):
    """Return the `Outcome`s of the model in a folder by what was asked: loads, then methods."""
    from quantlab import lm
    from quantlab.methods import CALIBRATION, WEIGHT_ONLY

    found = {name: attempt(text, lm.load, folder, name, device="cpu") for name in LOADS}
    for row in WEIGHT_ONLY:
        more = {"calibration": calibration} if row.needs == CALIBRATION else {}
        source = found["bf16"].model
        found[row.label] = attempt(text, lm.quantize, source, row.name, **more)
    return found


def page(found):
    """Return the text of docs/architectures.md. found: {architecture: its `outcomes`}."""
    columns = list(next(iter(found.values())))
    head = [*(f"load {name}" for name in LOADS), *columns[len(LOADS) :], "never quantized"]
    introduction = INTRODUCTION.format(version=transformers.__version__)
    lines = [introduction, "| | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
    for name, by_way in found.items():
        kept = by_way["absmax"].model.left_out()
        rest = ", ".join(f"{where.split('.*.')[-1]} {share:.1%}" for where, share in kept.items())
        cells = [by_way[way].cell for way in columns]
        lines.append(f"| {name} | " + " | ".join([*cells, rest or "nothing"]) + " |")
    said = [one.said for by_way in found.values() for one in by_way.values() if one.said]
    lines += ["", "What the marks (†: a warning) and the refusals say:", ""]
    return "\n".join([*lines, *(f"- {sentence}." for sentence in said), "", ENDING])


INTRODUCTION = """\
# Twelve architectures

Tiny random models, made by `tests/lm/architectures.py`, loaded by `lm.load` and quantized by
`lm.quantize` with its defaults. A number is the bits per weight of the body, scales included, read
off the layers. The body is every large weight but the embeddings and the output head: what of it
stays in 16 bits counts with 16. With every number the model gave a perplexity and a text.

`python -m tests.lm.architectures` writes this page; with the same version a test holds it to what
happens. transformers {version}.
"""
ENDING = """\
## What is never quantized

- Embeddings, norms, biases and the output head, by any method: they are not in the body.
- The routers of a mixture of experts, which choose the experts of a token: well below 1% of a body.
  They are in the body, and `Model.left_out()` names them.
- In loads by bitsandbytes, fused experts (transformers 5 keeps those of a layer in one tensor) and
  layers of a class of their own, as falcon's. It takes `torch.nn.Linear` and GPT-2's `Conv1D`.
- Fused experts that transformers does not compute through its common interface (Llama 4, DBRX,
  Granite, JetMoE): `lm.quantize` does not know how they lie. It warns, and names them.

GPTQ gives each expert the tokens that the router sends to it. An expert that no calibration token
came to is rounded to nearest on the same grid, and a warning counts these experts.
bitsandbytes 0.50 on a CPU with AVX512 reads 4-bit weights wrongly where a layer's inputs are a
multiple of 16 but not of the block size, 64; such a load is refused.
"""


def main():
    """Write the page."""
    from quantlab import _data

    text = (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        found = everything(Path(folder), text)
    (Path(__file__).parents[2] / PAGE).write_text(page(found), encoding="utf-8")


def everything(folder, text):
    """Make the twelve models in a folder and return {architecture: its `outcomes`}."""
    words = tokenizer([text[:4000]])
    return {
        name: outcomes(save(name, folder / name, words), text[:300], text[:3000])
        for name in ARCHITECTURES
    }


if __name__ == "__main__":
    main()
