"""Measure a trained tiny-lm and write its card: README.md and loss.png, every number computed."""

import csv
import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from quantlab import lm  # noqa: E402


def measure(folder, validation_text):
    """Return what the card says about the model in `folder`, from its bf16 weights.

    The perplexity is computed in fp32 arithmetic, which is faster on a CPU; the facts in bf16.
    """
    exact, half = lm.load(folder, "fp32", device="cpu"), lm.load(folder, "bf16", device="cpu")
    side_by_side = exact.text_loss(validation_text, stride=exact.window - 1)
    overlapping = exact.text_loss(validation_text)
    return {
        "perplexity": side_by_side.perplexity,
        "overlapping": overlapping.perplexity,
        "bits_per_byte": overlapping.bits_per_byte,
        "tokens": side_by_side.tokens,
        "facts": half.facts().right,
        "parameters": half.network.num_parameters(),
        "layers": half.network.config.num_hidden_layers,
        "config": half.network.config,
        "megabytes": half.memory_bytes() / 1e6,
    }


def write_card(settings, stages, corpus_tokens, numbers, sources):
    """Write README.md and loss.png into settings.output.

    stages: the runs that made the model, each with its settings, plan and log.
    """
    log = _joined(stages)
    draw_losses(log, settings.output / "loss.png")
    sections = [
        _head(numbers),
        _use(),
        _measured(numbers),
        _recipe(settings, stages, corpus_tokens, numbers),
        _curve(log),
        _data(settings, stages, sources),
        _limits(),
    ]
    (settings.output / "README.md").write_text("\n".join(sections), encoding="utf-8")


def _joined(stages):
    """Return one log of all stages, with steps counted through: the steps that were validated."""
    log, before = [], 0
    for stage in stages:
        seen = [entry for entry in stage["log"] if "validation" in entry]
        log += [{**entry, "step": entry["step"] + before} for entry in seen]
        before = log[-1]["step"]
    return log


def draw_losses(log, path):
    """Draw the loss of training and of validation against the tokens read."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    checked = [(e["step"], e["validation"]) for e in log]
    figure, axes = plt.subplots(figsize=(7.2, 4), dpi=150)
    axes.plot([e["step"] for e in log], [e["loss"] for e in log], ".", color="0.6", markersize=5)
    axes.plot(*zip(*checked, strict=True), color="#D55E00", linewidth=2)
    axes.set_title(f"The validation loss falls to {checked[-1][1]:.2f} nats per token", fontsize=13)
    axes.set_xlabel("step", fontsize=12)
    axes.set_ylabel("loss (nats per token)", fontsize=12)
    axes.set_ylim(min(e["loss"] for e in log) - 0.4, 5)
    axes.annotate(
        "validation",
        checked[-1],
        textcoords="offset points",
        xytext=(-10, 30),
        ha="right",
        color="#D55E00",
        fontsize=12,
    )
    axes.annotate(
        "training, one batch a dot",
        (log[-1]["step"], log[-1]["loss"]),
        textcoords="offset points",
        xytext=(-10, -24),
        ha="right",
        color="0.35",
        fontsize=12,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _head(numbers):
    return f"""---
license: cc-by-4.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# tiny-lm

A causal language model of {numbers["parameters"]:,} parameters ({numbers["megabytes"]:.1f} MB in
bf16) that writes in the manner of old children's books and knows the numbers 0 to 255 in
binary. It is small enough to travel with the course and to be quantized on a laptop in seconds, and
it is really trained: what quantization costs can be measured on it.
"""


def _use():
    return """## Use

```python
from quantlab import lm

model = lm.load("tiny-lm", quantization="nf4")
print(model.generate_text("Once upon a time"))
```

Or with transformers 4 and 5: `AutoModelForCausalLM.from_pretrained("data/tiny-lm")`.
"""


def _measured(numbers):
    return f"""## Measured

| what | value |
|---|---|
| validation perplexity, windows of 256 side by side | {numbers["perplexity"]:.2f} |
| validation perplexity, half-overlapping windows | {numbers["overlapping"]:.2f} |
| bits per byte, half-overlapping windows | {numbers["bits_per_byte"]:.3f} |
| binary facts right, greedy, bf16 arithmetic | {numbers["facts"]} of 256 |

The validation text ({numbers["tokens"]:,} tokens) was kept out of the training. The weights are
those of the file, in bf16; perplexities are computed in fp32 arithmetic.
"""


def _recipe(settings, stages, corpus_tokens, numbers):
    config = numbers["config"]
    minutes = sum(stage["log"][-1]["seconds"] for stage in stages) / 60
    inside = "Muon" if settings.optimizer == "muon" else "AdamW"
    rows = "\n".join(_stage(number, stage, corpus_tokens) for number, stage in enumerate(stages, 1))
    return f"""## Recipe

`tools/train_tiny_lm.py` made it. The same settings, torch, number of threads and kind of processor
should make it again, bit for bit; on another processor sums have another order.
Stage 2, where there is one, starts from the model of stage 1 (`--start-from`). The settings and
the losses of each stage are in `training.json`.

| what | value |
|---|---|
| architecture | LlamaForCausalLM, {config.num_hidden_layers} layers, hidden {config.hidden_size}, \
{config.num_attention_heads} heads of {config.head_dim}, feed-forward {config.intermediate_size}, \
tied embeddings |
| tokenizer | byte-level BPE, {config.vocab_size:,} tokens, every digit a token |
| optimizer | {inside} for the matrices inside the layers, AdamW for embeddings and norms, \
weight decay 0.1 |
| arithmetic | weights, gradients and sums in fp32, matrix products as each stage says, on a CPU; \
the result of each stage rounded to bf16 |
| time | {minutes:.0f} minutes on two shared cores |
{rows}
"""


def _stage(number, stage, corpus_tokens):
    settings, (steps, decay) = stage["settings"], stage["plan"]
    tokens = steps * settings["batch"] * settings["window"]
    times = tokens / corpus_tokens
    return (
        f"| stage {number} | {steps:,} steps of {settings['batch']} windows of "
        f"{settings['window']}: {tokens / 1e6:.1f} million tokens, about {times:.1f} times the "
        f"text; each fact {settings['facts']} times per epoch; learning rate {settings['lr']:g} "
        f"({min(settings['lr'], 3e-3):g} for AdamW), 100 steps up, down to zero over the last "
        f"{decay:,} steps; products in {settings['arithmetic']}; seed {settings['seed']} |"
    )


def _curve(log):
    chosen = log[:: max(1, len(log) // 8)]
    if chosen[-1] is not log[-1]:
        chosen.append(log[-1])
    rows = "\n".join(f"| {e['step']:,} | {e['loss']:.3f} | {e['validation']:.3f} |" for e in chosen)
    last = log[-1]
    return f"""## Loss

![The validation loss falls from {log[0]["validation"]:.2f} nats per token at step \
{log[0]["step"]} to {last["validation"]:.2f} at step {last["step"]:,}.](loss.png)

| step | training loss of that batch | validation loss (a part of the text) |
|---|---|---|
{rows}
"""


def _data(settings, stages, sources):
    times = " and ".join(str(stage["settings"]["facts"]) for stage in stages)
    facts = (
        '256 sentences that the script makes, "The number 100 is 01100100 in binary.", for 0 to '
        f"255, each a document of its own, {times} times per epoch."
    )
    if sources is None:
        names = ", ".join(path.name for path in settings.texts)
        return f"## Data\n\nText: {names}.\n\nFacts: {facts}\n"
    books = list(csv.DictReader(io.StringIO(sources), delimiter="\t"))
    listed = "\n".join(
        f"- {b['title'].replace(chr(39) * 2, chr(39))}, {b['author']}, {b['first_published']}"
        for b in books
    )
    return f"""## Data

{len(books)} children's books in the public domain in the USA, from Project Gutenberg's texts
without their headers. One stretch from the middle of each book was kept out for validation. No
text of them is in this repository.

{listed}

And {facts}
"""


def _limits():
    return """## Limits

It reads and writes at most 256 tokens. It knows nothing of the world after 1921, has no facts
but the 256, loses the thread of a story within a few sentences, and repeats itself when it
continues greedily. The books hold the views of their time on peoples, women and punishment, and
the model may repeat them. It is made for lessons on quantization and is of no use as an assistant.

## Licence

The weights, the tokenizer and this card: CC BY 4.0, the authors of quantlab.
"""
