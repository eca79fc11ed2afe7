"""Tiny random models of twelve architectures, and a tokenizer in the manner of SentencePiece.

Random weights say nothing about a language, but a layer that is skipped, a label that lies and a
setting that is missing show in them as in a trained model.
"""

import json

import torch

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
    "bloom": {"n_layer": 2, "n_head": 4},  # ALiBi: no longest text in its configuration
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
