"""Train the course's small language model, data/tiny-lm, from plain text.

    OMP_WAIT_POLICY=passive python tools/train_tiny_lm.py corpus.txt --validation validation.txt

Any UTF-8 text files serve: one paragraph a line. A checkpoint is written every --save-every steps
and on Ctrl-C; the same command goes on from it, with the very numbers that an undisturbed run would
have had. Two runs with one seed, one number of threads and one torch give the same weights. At the
end the model, its tokenizer and its card (README.md, every number measured) are in --output.

The model reads 256 tokens at a time. Beside the text it learns 256 facts that can be marked right
or wrong ("The number 100 is 01100100 in binary."), each a document of its own.

OMP_WAIT_POLICY=passive matters on a CPU that does other work as well: without it the threads wait
for one another by spinning, and a step takes several times as long.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from muon import Muon
from tiny_lm_card import measure, write_card
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent
HISTORY = "training.json"  # in the model's folder: how it was made
END = "<|endoftext|>"  # begins every document and every window, and ends a fact
SHAPE = {
    "vocab_size": 2048,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", nargs="+", type=Path, help="text files, one paragraph a line")
    parser.add_argument(
        "--validation", type=Path, required=True, help="text that is in none of the texts"
    )
    parser.add_argument(
        "--sources",
        type=Path,
        help="a table (tab-separated: title, author, first_published) for the card",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "data" / "tiny-lm")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "build" / "tiny-lm.pt")
    parser.add_argument(
        "--start-from", type=Path, help="a finished model's folder: go on from its weights"
    )
    parser.add_argument("--steps", type=int, default=4000, help="default: %(default)s")
    parser.add_argument(
        "--decay", type=int, help="last steps, with a falling rate; default: a third"
    )
    parser.add_argument("--batch", type=int, default=16, help="windows a step: %(default)s")
    parser.add_argument("--window", type=int, default=256, help="tokens a window: %(default)s")
    parser.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    parser.add_argument("--lr", type=float, default=8e-3, help="highest learning rate: %(default)s")
    parser.add_argument("--facts", type=int, default=32, help="times a fact is shown per epoch")
    parser.add_argument(
        "--arithmetic",
        choices=["bf16", "fp32"],
        default="bf16",
        help="of the matrix products; weights and sums are fp32. bf16 is faster on a CPU that has "
        "bfloat16 units and slower on one that has none. Default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=2023)
    parser.add_argument("--save-every", type=int, default=100, help="steps: %(default)s")
    parser.add_argument("--validate-every", type=int, default=200, help="steps: %(default)s")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="torch.compile the model (needs a C++ compiler)",
    )
    parser.add_argument("--stop-after", type=int, help="stop at this step, as Ctrl-C would")
    settings = parser.parse_args(argv)
    settings.decay = settings.decay or max(1, settings.steps // 3)
    settings.plan = [settings.steps, settings.decay]
    for name in ("steps", "batch", "window", "save_every", "validate_every", "decay"):
        if getattr(settings, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if settings.decay > settings.steps:
        parser.error(f"--decay {settings.decay} is more than --steps {settings.steps}")
    if settings.window > SHAPE["max_position_embeddings"]:
        parser.error(f"--window is at most {SHAPE['max_position_embeddings']}")
    return settings


# ---------------------------------------------------------------------------------------- data


def read(path):
    """Return the text of a file, or end the program with what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}")
    except UnicodeDecodeError as error:
        sys.exit(f"{path} is not UTF-8 text: byte {error.start} cannot be decoded")
    if not text.strip():
        sys.exit(f"{path} is empty")
    return text


def train_tokenizer(texts):
    """Return a byte-level BPE tokenizer of 2,048 tokens in which every digit is a token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    lines = (line for text in texts for line in text.splitlines(keepends=True))
    tokenizer.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=SHAPE["vocab_size"],
            special_tokens=[END],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    if tokenizer.get_vocab_size() < SHAPE["vocab_size"]:
        sys.exit(
            f"the texts give only {tokenizer.get_vocab_size()} of {SHAPE['vocab_size']} "
            "tokens: train on more text, about 1 MB at least"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=SHAPE["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer, text):
    """Return the tokens of a text as uint16, a thousand lines at a time to bound the memory."""
    lines = text.splitlines(keepends=True)
    backend = tokenizer.backend_tokenizer
    parts = [
        token
        for start in range(0, len(lines), 1000)
        for line in backend.encode_batch(lines[start : start + 1000])
        for token in line.ids
    ]
    return np.array(parts, np.uint16)


def facts():
    """Return the 256 binary facts."""
    return [f"The number {n} is {n:08b} in binary." for n in range(256)]


def epoch_windows(story, fact_tokens, times, window, rng):
    """Return the windows of one epoch in random order: (windows, window + 1) tokens.

    Each window starts with END. A story window holds consecutive tokens of the text, cut at other
    places in each epoch; a fact window holds as many whole facts as fit, each after an END, and the
    beginning of the next, which then begins the next window.
    """
    offset = rng.integers(window)
    count = (len(story) - offset) // window
    stories = story[offset : offset + count * window].reshape(count, window)
    order = rng.permutation(np.tile(np.arange(len(fact_tokens)), times))
    stream = np.concatenate([np.append(0, fact_tokens[i]) for i in order] + [[0] * (window + 1)])
    starts, start = [], 0
    lengths = np.cumsum([1 + len(fact_tokens[i]) for i in order])
    while start < lengths[-1]:
        starts.append(start)
        start = lengths[max(0, np.searchsorted(lengths, start + window + 1, "right") - 1)]
    fact_windows = np.stack([stream[s : s + window + 1] for s in starts])
    story_windows = np.pad(stories, ((0, 0), (1, 0)))
    return rng.permutation(np.concatenate([story_windows, fact_windows]).astype(np.int64))


class Batches:
    """The batch of every step, from the seed and the step alone."""

    def __init__(self, story, fact_tokens, settings):
        self.story, self.fact_tokens, self.settings = story, fact_tokens, settings
        self.per_epoch = len(self._epoch(0)) // settings.batch - 1  # the offset may cost one
        if self.per_epoch < 1:
            sys.exit(
                f"the texts have {len(story)} tokens, too few for a batch of "
                f"{settings.batch} windows of {settings.window}"
            )

    def _epoch(self, epoch):
        rng = np.random.default_rng([self.settings.seed, epoch])
        self.epoch = epoch
        self.windows = epoch_windows(
            self.story, self.fact_tokens, self.settings.facts, self.settings.window, rng
        )
        return self.windows

    def __getitem__(self, step):
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self._epoch(epoch)
        first = place * self.settings.batch
        return torch.from_numpy(self.windows[first : first + self.settings.batch])


# ------------------------------------------------------------------------------------ training


def loss_of(model, windows):
    """Return the mean cross-entropy of every token after the first, in nats."""
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1).float(), windows[:, 1:].flatten())


def optimizers_for(model, settings):
    """Return the optimizers: Muon for the matrices inside the layers, AdamW for the rest."""
    inside, vectors, embeddings = [], [], []
    for name, parameter in model.named_parameters():
        kind = vectors if parameter.ndim == 1 else embeddings if "embed" in name else inside
        kind.append(parameter)
    adamw = [{"params": embeddings, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    result = []
    if settings.optimizer == "muon":
        result.append(Muon(inside, lr=settings.lr))
    else:
        adamw.append({"params": inside, "weight_decay": 0.1})
    result.append(torch.optim.AdamW(adamw, lr=min(settings.lr, 3e-3), betas=(0.9, 0.95)))
    for optimizer in result:
        for group in optimizer.param_groups:
            group["highest"] = group["lr"]
    return result


def rate(step, steps, decay, warm_up=100):
    """Return the learning rate of a step as a part of the highest.

    Up in 100 steps, then level, then straight down to zero over the last `decay` steps.
    """
    return min(1.0, (step + 1) / warm_up, (steps - step) / decay)


@torch.no_grad()
def validation_loss(model, tokens, window, limit=None):
    """Return the mean loss in nats per token over windows side by side."""
    count = len(tokens) // window
    windows = np.pad(tokens[: count * window].reshape(count, window), ((0, 0), (1, 0)))
    windows = torch.from_numpy(windows.astype(np.int64))
    if limit and limit < count:
        windows = windows[:: count // limit][:limit]
    losses = [loss_of(model, part).item() * len(part) for part in windows.split(16)]
    return sum(losses) / len(windows)


def train_step(model, optimizers, windows, scale, arithmetic):
    """Take one step and return the loss before it, in nats."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * scale
        optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=arithmetic == "bf16"):
        loss = loss_of(model, windows)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def save(path, state):
    """Write a checkpoint in one stroke: a crash leaves the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def fingerprint(settings, texts):
    """Return what must be the same for a checkpoint to be continued."""
    names = ("batch", "window", "optimizer", "lr", "facts", "seed", "arithmetic")
    data = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    return {**{name: getattr(settings, name) for name in names}, "texts": data}


def start(settings, wanted, model):
    """Return the stages of training so far: the finished ones, if any, and a new one."""
    new = {"settings": wanted, "plan": settings.plan, "log": []}
    if settings.start_from is None:
        return [new]
    history = settings.start_from / HISTORY
    if not history.exists():
        sys.exit(f"there is no {history}: --start-from takes a folder that this script wrote")
    before = LlamaForCausalLM.from_pretrained(settings.start_from, dtype=torch.float32)
    model.load_state_dict(before.state_dict())
    return [*json.loads(history.read_text()), new]


def resume(path, wanted, settings, model, optimizers):
    """Load the checkpoint, if there is one, and return (step, stages)."""
    if not path.exists():
        return 0, start(settings, wanted, model)
    state = torch.load(path, weights_only=True)
    stage = state["stages"][-1]
    differ = [
        f"{name}: {stage['settings'].get(name)} there, {value} here"
        for name, value in wanted.items()
        if stage["settings"].get(name) != value
    ]
    before = stage["plan"]
    if any(rate(s, *before) != rate(s, *settings.plan) for s in range(state["step"])):
        differ.append(f"steps, decay: {before} there, {settings.plan} here")
    if differ:
        sys.exit(
            f"{path} belongs to another run ({'; '.join(differ)}). "
            "Give those settings, or another --checkpoint, or delete the file."
        )
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    stage["plan"] = settings.plan
    return state["step"], state["stages"]


class Stop:
    """Turns the first Ctrl-C into a request, so that a step is never cut in half."""

    def __enter__(self):
        self.asked = False
        self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, *_):
        self.asked = True
        signal.signal(signal.SIGINT, self.before)  # a second Ctrl-C ends at once

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self.before)


def train(model, batches, validation, settings, wanted):
    """Train to the last step, or to Ctrl-C, and return (finished, stages)."""
    optimizers = optimizers_for(model, settings)
    step, stages = resume(settings.checkpoint, wanted, settings, model, optimizers)
    log = stages[-1]["log"]
    forward = torch.compile(model, dynamic=False) if settings.compile else model
    last = min(settings.steps, settings.stop_after or settings.steps)
    started = time.monotonic() - (log[-1]["seconds"] if log else 0.0)
    with Stop() as stop, tqdm(total=settings.steps, initial=step, unit="step") as bar:
        while step < last and not stop.asked:
            scale = rate(step, *settings.plan)
            loss = train_step(forward, optimizers, batches[step], scale, settings.arithmetic)
            step += 1
            entry = {"step": step, "loss": loss, "seconds": time.monotonic() - started}
            if step % settings.validate_every == 0 or step == settings.steps:
                entry["validation"] = validation_loss(forward, validation, settings.window, 96)
                bar.set_postfix(validation=f"{entry['validation']:.3f}")
            log.append(entry)
            bar.update()
            if step % settings.save_every == 0 or step == last or stop.asked:
                save(
                    settings.checkpoint,
                    {
                        "step": step,
                        "stages": stages,
                        "model": model.state_dict(),
                        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    },
                )
    if step < settings.steps:
        print(f"stopped after step {step}; the same command goes on from there", file=sys.stderr)
    return step == settings.steps, stages


# -------------------------------------------------------------------------------------- result


def export(model, tokenizer, stages, folder):
    """Write bf16 safetensors and the tokenizer, so that transformers 4 loads them too.

    Beside them stands how they were made: the settings of each stage of training and the losses at
    the steps that were validated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.bfloat16) for name, value in model.state_dict().items()}
    half = LlamaForCausalLM(model.config).to(torch.bfloat16)
    half.load_state_dict(weights)
    half.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    table = json.loads(settings.read_text())
    table["tokenizer_class"] = "PreTrainedTokenizerFast"  # version 5 writes its own new name
    settings.write_text(json.dumps(table, indent=2) + "\n")
    kept = [{**s, "log": [e for e in s["log"] if "validation" in e]} for s in stages]
    (folder / HISTORY).write_text(json.dumps(kept, indent=1) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner alone


def main(argv=None):
    settings = arguments(argv)
    torch.manual_seed(settings.seed)
    texts = [read(path) for path in settings.texts]
    validation_text = read(settings.validation)
    tokenizer = train_tokenizer(texts)
    story = encode(tokenizer, "\n".join(texts))
    fact_tokens = [encode(tokenizer, fact) for fact in facts()]
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    batches = Batches(story, fact_tokens, settings)
    print(
        f"{len(story):,} tokens, {batches.per_epoch} steps an epoch, "
        f"{model.num_parameters():,} parameters"
    )
    finished, stages = train(
        model, batches, encode(tokenizer, validation_text), settings, fingerprint(settings, texts)
    )
    if finished:
        export(model, tokenizer, stages, settings.output)
        sources = read(settings.sources) if settings.sources else None
        numbers = measure(settings.output, validation_text)
        write_card(settings, stages, len(story), numbers, sources)
        print(
            f"wrote {settings.output}: perplexity {numbers['perplexity']:.2f}, "
            f"{numbers['facts']} of 256 facts"
        )


if __name__ == "__main__":
    main()
