"""What a model costs that runs in llama.cpp, or in torch: its loss on texts, facts, speed."""

from dataclasses import dataclass
from statistics import median

import numpy as np

from .._checks import whole
from .whole_model import apart

CHARACTERS = 700  # of a piece of text: some 200 tokens of tiny-lm, fewer than it reads at once


@dataclass(frozen=True)
class Cost:
    """What a model costs. bits: per weight of its linear layers, scales included.

    losses: (nats, tokens) of each piece of the text. facts: right answers, of 256.
    """

    name: str
    bits: float
    losses: tuple
    facts: int

    @property
    def perplexity(self):
        """e to the mean loss per token."""
        nats, tokens = np.sum(self.losses, axis=0)
        return float(np.exp(nats / tokens))

    def above(self, other):
        """Return (nats per token more than another, the standard error of that), by pieces."""
        return apart(self.losses, other.losses)


def pieces(text, characters=CHARACTERS):
    """Return a text in pieces that are each read alone."""
    whole("characters", characters, 1)
    return [text[i : i + characters] for i in range(0, len(text), characters)]


def measure(name, bits, model, texts):
    """Return the `Cost` of a `lm.Model`, or of a file that `lm.run_gguf` opened.

    texts: pieces, each read alone. bits: per weight, where it is known.
    """
    losses = [model.text_loss(text) for text in texts]
    facts = model.facts().right
    return Cost(name, bits, tuple((loss.nats, loss.tokens) for loss in losses), facts)


@dataclass(frozen=True)
class Speed:
    """Tokens per second of several runs, in the order in which they were measured."""

    runs: tuple

    @property
    def best(self):
        """The fastest run: what else a machine does can only slow a run down."""
        return max(self.runs)

    def wins(self, other):
        """Return in how many rounds this one was faster than another of as many runs."""
        return sum(mine > theirs for mine, theirs in zip(self.runs, other.runs, strict=True))

    def __str__(self):
        inner = f"{min(self.runs):,.0f} to {self.best:,.0f}, median {median(self.runs):,.0f}"
        return f"best {self.best:,.0f} tokens per second ({inner})"


def speeds(models, rounds=9, new_tokens=64):
    """Return the `Speed` of each of some open models, by name.

    In each round every model runs once, in another order: what slows the machine down for a while
    meets all of them, and none of them always.
    """
    whole("rounds", rounds, 1)
    order, runs = np.random.default_rng(0), {name: [] for name in models}
    for _ in range(rounds):
        for name in order.permutation(list(models)).tolist():
            runs[name].append(models[name].tokens_per_second(new_tokens=new_tokens))
    return {name: Speed(tuple(found)) for name, found in runs.items()}
