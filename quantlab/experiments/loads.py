"""A loaded model in numbers: the bytes of its parts, and how well it predicts a text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """A loaded model in numbers.

    name: the load in words. codes: bytes of the linear layers' weights as stored. scales: bytes
    of their scales. kept: bytes of what is never quantized. perplexity: on the text at hand.
    """

    name: str
    codes: int
    scales: int
    kept: int
    perplexity: float

    @property
    def bytes(self):
        """Bytes of the whole model."""
        return self.codes + self.scales + self.kept


def weigh(model):
    """Return (codes, scales, kept): the bytes of a `quantlab.lm.Model`, in three parts.

    codes: the weights of its linear layers as stored; scales: what is stored beside them; kept:
    embeddings, norms and the output head. Weigh before the first forward pass: on some CPUs
    bitsandbytes repacks a layer when it is first used.
    """
    weights = [layer.weight for _, layer in model.linears()]
    inside = {id(weight) for weight in weights}
    codes = sum(weight.nbytes for weight in weights)
    kept = sum(p.nbytes for p in model.network.parameters() if id(p) not in inside)
    return codes, model.memory_bytes() - codes - kept, kept


def measure(name, model, text):
    """Return the `Load` of a `quantlab.lm.Model`: its bytes, then its perplexity on `text`.

    The text is read in windows that lie side by side, half the work of overlapping ones.
    """
    parts = weigh(model)
    return Load(name, *parts, model.perplexity(text, stride=model.window - 1))
