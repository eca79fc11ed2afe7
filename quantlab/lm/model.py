"""A language model with its tokenizer, and everything that the course asks of it."""

from dataclasses import dataclass, field
from typing import Any

from . import measure


@dataclass(frozen=True, eq=False)
class Model:
    """A causal language model and its tokenizer.

    network: a transformers causal language model. tokenizer: the one it was trained with.
    quantization: how its linear layers are stored, in words. stored: for layers that
    `lm.quantize` replaced by their dequantized weights, the bits their codes and scales take.
    Any network that transformers loads can be measured: ``lm.Model(network, tokenizer)``.
    """

    network: Any
    tokenizer: Any
    name: str = ""
    quantization: str = ""
    stored: dict[str, float] = field(default_factory=dict)

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
    def window(self):
        """The number of tokens that perplexity and calibration read at once: at most 1,024."""
        return min(self.network.config.max_position_embeddings, 1024)

    def linears(self):
        """Return (name, layer) of every linear layer that is quantized: all but the output head."""
        import torch

        head = self.network.get_output_embeddings()
        return [
            (name, layer)
            for name, layer in self.network.named_modules()
            if isinstance(layer, torch.nn.Linear) and layer is not head
        ]

    @property
    def bits_per_weight(self):
        """Bits per weight of the linear layers, scales included; 16 for a bf16 model."""
        costs = [measure.layer_cost(layer, self.stored.get(name)) for name, layer in self.linears()]
        return sum(bits for bits, _ in costs) / sum(weights for _, weights in costs)

    def memory_bytes(self):
        """Return the bytes of all weights, with the codes and scales of the quantized ones."""
        return measure.memory_bytes(self)

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
