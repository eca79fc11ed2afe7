"""The bytes of a cache in the conformance cases of npm's fitllm 2.18.0 (MIT: fitllm/LICENSE).

Each case names a model. Here stand the fields of its config.json that decide what is kept, as the
case's own note has them, and a family that keeps the same. Left out are Gemma 4 and GLM-5.2, whose
types are refused, and the verdicts, which hold back a share of memory that is fitllm's own choice.
"""

import json
from pathlib import Path

import pytest

from quantlab import fit, shapes

CASES = json.loads(
    (Path(__file__).parent / "fitllm" / "fit-vectors-v1.json").read_text(encoding="utf-8")
)["vectors"]
BYTES = ("kv_total_bytes", "kv_per_token_bytes", "linear_state_bytes")
REFUSED = ("Gemma 4 31b", "Gemma 4 12b", "Gemma 4 e2b", "GLM-5.2")
REST = {"vocab_size": 1000, "hidden_size": 4096, "intermediate_size": 1024}


def grouped(layers, keys, size, **more):
    """Return a config of ordinary attention with grouped keys and values."""
    return REST | {"model_type": "llama", "num_hidden_layers": layers, "head_dim": size,
                   "num_key_value_heads": keys, "num_attention_heads": 4 * keys} | more  # fmt: skip


def hybrid(layers, keys, size, values):
    """Return a config in which each fourth layer keeps keys and values."""
    return grouped(layers, keys, size, model_type="qwen3_5_text", linear_num_key_heads=16,
                   linear_num_value_heads=values, linear_key_head_dim=128,
                   linear_value_head_dim=128, linear_conv_kernel_dim=4)  # fmt: skip


def windows(full, cut, keys, size, window):
    """Return a config in which some layers look at a window."""
    kinds = ["full_attention"] * full + ["sliding_attention"] * cut
    return grouped(full + cut, keys, size, model_type="gemma3_text", sliding_window=window,
                   layer_types=kinds)  # fmt: skip


MODELS = {
    "Qwen 3.6 27B": hybrid(64, 4, 256, 48),
    "Qwen 3.8 27B": hybrid(64, 4, 256, 48),
    "Qwen 3.8 2.4T-A95B": hybrid(92, 4, 256, 128),
    "Qwen-AgentWorld-35B-A3B": "Qwen3.5-35B-A3B",
    "Nex-N2.5-mini": hybrid(40, 2, 256, 32),
    "Nex-N2.5-Pro": hybrid(60, 2, 256, 32),
    "GLM-4.7-Flash": "GLM-4.7-Flash",
    "gpt-oss-20b": "gpt-oss-20b",
    "Hy3": grouped(80, 8, 128),
    "MiniCPM5-2B": grouped(42, 2, 128),
    "Granite-4.2-30B": grouped(64, 8, 128, model_type="granite"),
    "Laguna XS 2.1": windows(10, 30, 8, 128, 512),
    "Laguna S 2.1": windows(12, 36, 8, 128, 512),
    "Spark-X2.5-4B": windows(9, 27, 4, 256, 512),
}
COUNTED = [case for case in CASES if case["kind"] in BYTES and case["model"] not in REFUSED]


def test_every_case_of_bytes_is_here_or_refused():
    assert len(COUNTED) >= 18
    assert {case["model"] for case in COUNTED} == set(MODELS)


@pytest.mark.parametrize("case", COUNTED, ids=lambda case: case["id"])
def test_what_is_kept_of_a_text_is_what_fitllm_says(case):
    layers = shapes.kept(MODELS[case["model"]])
    state = sum(layer.state for layer in layers)
    if case["kind"] == "linear_state_bytes":
        assert state == case["expect"]
        return
    format = {16: "bf16", 8: "fp8"}[case["kvBits"]]
    context = case.get("ctx", 1)
    size = fit.cache_bytes(MODELS[case["model"]], context, format=format) - state
    if case["kind"] == "kv_per_token_bytes":
        size = fit.cache_bytes(MODELS[case["model"]], context + 1, format=format) - size - state
    assert size == case["expect"]
