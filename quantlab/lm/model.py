"""A language model with its tokenizer, and everything that the course asks of it."""

import math
from dataclasses import dataclass, field
from typing import Any

from . import layers, measure, saving


@dataclass(frozen=True, eq=False)
class Model:
    """A causal language model and its tokenizer.

    network: a transformers causal language model. tokenizer: the one it was trained with. stored:
    for weights that are dequantized ones, by name, the codes and scales that these come from, as a
    method of the core returns them. method: the name of that method.
    Any network that transformers loads can be measured: ``lm.Model(network, tokenizer)``.
    """

    network: Any
    tokenizer: Any
    name: str = ""
    stored: dict[str, Any] = field(default_factory=dict)
    method: str = ""

    def __repr__(self):
        return (
            f"<Model {self.name}, {self.quantization}: {self.bits_per_weight:.2f} bits per weight "
            f"of the linear layers, {self.memory_bytes() / 1e6:.2f} MB>"
        )

    @property
    def device(self):
        """The torch device that holds the weights."""
        return next(self.network.parameters()).device

    @property
    def longest(self):
        """The number of tokens that the model can read at once; infinite where none is set.

        BLOOM has none: it tells near from far by a slope (ALiBi), not by a table of positions.
        """
        config = self.network.config.get_text_config()
        return getattr(config, "max_position_embeddings", None) or math.inf

    @property
    def window(self):
        """The number of tokens that perplexity and calibration read at once: at most 1,024."""
        return min(self.longest, 1024)

    @property
    def quantization(self):
        """How the large weights of its body are stored, in words, as read off the layers."""
        return layers.label(self.body())

    def linears(self):
        """Return (name, layer) of every linear layer, whatever its class, but the output head."""
        import torch

        weights = layers.body(self.network)
        return [(w.name, w.module) for w in weights if isinstance(w.module, torch.nn.Linear)]

    def matrices(self):
        """Return every `Weight` that `lm.quantize` quantizes: linear layers, Conv1D, experts."""
        return [weight for weight in layers.body(self.network) if weight.turned is not None]

    def body(self):
        """Return what the body holds: a `Held` for every large weight but embeddings and head."""
        return layers.survey(self)

    def left_out(self):
        """Return what of the body is not quantized: a dict from names to shares of its weights."""
        return layers.left_out(self.body())

    @property
    def bits_per_weight(self):
        """Bits per weight of the whole body, scales included; 16 for a bf16 model.

        The body is every large weight but the embeddings and the output head. What of it stays in
        16 bits counts with 16. NaN for a model without such weights.
        """
        held = self.body()
        weights = sum(one.count for one in held)
        return sum(one.bits for one in held) / weights if weights else math.nan

    def memory_bytes(self):
        """Return the bytes of all weights, with the codes and scales of the quantized ones."""
        return measure.memory_bytes(self)

    def save(self, folder):
        """Write the model into a folder for `lm.load`; see `quantlab.lm.saving.save`."""
        return saving.save(self, folder)

    def text_loss(self, text, window=None, stride=None):
        """Return the `TextLoss` of a text; see `quantlab.lm.measure.text_loss`."""
        return measure.text_loss(self, text, window, stride)

    def perplexity(self, text, window=None, stride=None):
        """Return the perplexity of a text: e to the mean loss per token."""
        return self.text_loss(text, window, stride).perplexity

    def bits_per_byte(self, text, window=None, stride=None):
        """Return the loss in bits per byte of the text: comparable between tokenizers."""
        return self.text_loss(text, window, stride).bits_per_byte

    def divergence(self, reference, text, window=None, stride=None):
        """Return how far this model's predictions are from another's, in nats per token."""
        return measure.divergence(self, reference, text, window, stride)

    def generate_text(self, prompt, max_new_tokens=60):
        """Return the prompt and its greedy continuation: always the likeliest next token."""
        return measure.generate_text(self, prompt, max_new_tokens)

    def facts(self):
        """Ask the 256 binary facts and return `Facts`: how many are right, and each answer."""
        return measure.facts(self)

    def tokens_per_second(self, prompt="Once upon a time", new_tokens=64, texts=1):
        """Return the speed of greedy generation, of one text or of several at once, added up."""
        return measure.tokens_per_second(self, prompt, new_tokens, texts)
