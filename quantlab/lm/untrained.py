"""A model that was never trained: it writes nonsense, at the speed of one that was."""

from .model import Model


def random_model(model, width=768, layers=10):
    """Return a Llama of random weights with the tokenizer of `model`: 72 million by default."""
    import torch
    from transformers import LlamaForCausalLM

    config = type(model.network.config)(
        **model.network.config.to_dict()
        | {"hidden_size": width, "intermediate_size": width // 3 * 8, "num_hidden_layers": layers,
           "num_attention_heads": width // 64, "num_key_value_heads": width // 64}
    )  # fmt: skip
    torch.manual_seed(0)
    return Model(LlamaForCausalLM(config).eval(), model.tokenizer, "random")
