"""What training takes in memory by method, and what tiny-lm in 4 bits can be taught."""

import copy
from dataclasses import dataclass, replace

import numpy as np

from .. import _data, training_memory
from .._checks import one_of, whole
from ..lm import add_lora, load, merge_lora, quantize, train
from ..lm.measure import generate, prompts
from ..lm.training_tracker import Measured, step_memory

#: The numbers that are taught; tiny-lm knows those from 0 to 255.
TAUGHT = range(256, 512)
#: One of eight is held out: never seen in training. They end in all ways that three bits can.
HELD_OUT = tuple(n for n in TAUGHT if n % 8 == (n // 8 * 3 + 1) % 8)
ANOTHER_GRID, SAME_GRID = "4 bits, zero-point", "NF4 anew"
#: How it is taught.
LESSON = {"steps": 160, "rate": 5e-3, "batch": 4, "window": 128}
#: How a method of `training_memory.METHODS` loads a model: (quantization, double_quant).
LOADS = {
    "full-fp32": ("fp32", False), "full-bf16": ("bf16", False), "lora-fp32": ("fp32", False),
    "lora-bf16": ("bf16", False), "lora-int8": ("int8", False), "qlora-single": ("nf4", False),
    "qlora": ("nf4", True),
}  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """What a method takes: `planned` from the config, `measured` in a step, parts in bytes."""

    method: str
    planned: training_memory.Plan
    measured: Measured


def memory(method, folder="tiny-lm", rank=8, batch=4, window=256):
    """Return the `Memory` of a method of `training_memory.METHODS`.

    folder: of a model, as for `lm.load`. rank, batch, window: as for `training_memory.plan`.
    """
    name, double = LOADS[one_of("method", method, LOADS)]
    model = load(folder, name, device="cpu", double_quant=double)
    config = model.network.config.to_dict()
    planned = training_memory.plan(config, method, rank, batch, window)
    adapters = planned.adapters > 0
    model = add_lora(model, rank=rank) if adapters else model
    trained = "adapters" if adapters else "all"
    return Memory(method, planned, step_memory(model, trained, batch, window))


@dataclass(frozen=True)
class Flag:
    """What comes of one flag of bitsandbytes: what was `changed`, `weights` as they are stored and
    the `peak` of a step of 16 tokens, in bytes, and the divergence of the untrained model.
    """

    changed: str
    weights: int
    peak: int
    divergence: float


def flag(said, quantization, exact, characters=2000):
    """Return the `Flag` of tiny-lm as `lm.load` loads it with a `quantization`.

    said: what was changed, in words. exact: the model from which the divergence is, in nats per
    token. characters: of the evaluation text.
    """
    model = load("tiny-lm", quantization, device="cpu")
    taken = step_memory(add_lora(model), batch=1, window=16)
    text = _stories(whole("characters", characters, 100))
    return Flag(said, taken.weights, taken.peak, model.divergence(exact, text))


def sentence(number):
    """Return the fact about a number, as tiny-lm learned those from 0 to 255.

    >>> sentence(300)
    'The number 300 is 100101100 in binary.'
    """
    number = whole("number", number, 0, TAUGHT[-1])
    return f"The number {number} is {number:08b} in binary."


def lesson(mixed=True):
    """Return the texts of a lesson: the taught facts but those held out, each twice.

    mixed: the old facts too, and stories of the calibration text, against forgetting.
    """
    new = [sentence(n) for n in TAUGHT if n not in HELD_OUT] * 2
    if not mixed:
        return new
    stories = (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    return new + [sentence(n) for n in range(256)] + stories[:12_000].split("\n\n")


def in_four_bits():
    """Return tiny-lm in NF4 with double quantization, read back to FP32.

    bitsandbytes has the same codes, and computes in bf16: a CPU without arithmetic for it takes
    several times as long for a step.
    """
    return quantize(load("tiny-lm", "fp32", device="cpu"), "nf4", double_quant=True)


def teach(model, mixed=True, **training):
    """Return a model with adapters, rank 16, that were trained on a `lesson`.

    training: arguments of `lm.train` in the place of those of `LESSON`.
    """
    return train(add_lora(model, rank=16), lesson(mixed), **(LESSON | training))


@dataclass(frozen=True)
class Marks:
    """What a model knows: right answers of the 256 old facts, of the taught 224, of the 32 that
    were held out, and its perplexity on stories.
    """

    old: int
    taught: int
    held_out: int
    perplexity: float


def marks(model, stories=6000):
    """Return the `Marks` of a model. stories: characters of the evaluation text."""
    right = {n for n, answer in zip(TAUGHT, answers(model), strict=True) if answer == f"{n:b}"}
    held = set(HELD_OUT)
    return Marks(
        old=model.facts().right,
        taught=len(right - held),
        held_out=len(right & held),
        perplexity=model.perplexity(_stories(whole("stories", stories, 100))),
    )


def answers(model):
    """Return the nine digits that a model writes after "The number n is", for n of `TAUGHT`."""
    new = generate(model, prompts(model, [f"The number {n} is" for n in TAUGHT]), 10)
    texts = model.tokenizer.batch_decode(new, skip_special_tokens=True)
    return [text.strip()[:9] for text in texts]


def merges(adapted):
    """Return the model that came of merging in each of five ways, a dict by the type of the sum.

    adapted: a model of `teach`. FP32 keeps the sum as it is, near enough; BF16 rounds it, with all
    else of the model, to 8 bits of mantissa; the others round it to codes of 8 and of 4 bits, as
    `lm.quantize` does: with zero-points, and in NF4, the grid that the weights stood on.
    """
    whole_sum = merge_lora(adapted)
    half = replace(whole_sum, network=copy.deepcopy(whole_sum.network).bfloat16())
    eight = quantize(whole_sum, "absmax", bits=8, group_size=64)
    other = quantize(whole_sum, "zero_point", bits=4, group_size=64)
    same = quantize(whole_sum, "nf4", double_quant=True)
    four = {ANOTHER_GRID: other, SAME_GRID: same}
    return {"FP32": whole_sum, "BF16": half, "8 bits": eight, **four}


def moved_codes(adapted, merged):
    """Return the share of NF4 codes that are others after a merge: `merges(adapted)["NF4 anew"]`.

    A byte holds two codes.
    """
    moved = total = 0
    for name, after in merged.stored.items():
        before = adapted.stored[f"{name}.base_layer"].stored.codes
        changed = before ^ after.stored.codes
        moved += np.count_nonzero(changed >> 4) + np.count_nonzero(changed & 15)
        total += 2 * changed.size
    return moved / total


def weights_off(rounded, exact):
    """Return how far the weights of a model are from those of another, of their own size: 0 to 1.

    rounded, exact: models of `merges`.
    """
    wrong = size = 0.0
    for (_, one), (_, other) in zip(rounded.linears(), exact.linears(), strict=True):
        wrong += (one.weight.float() - other.weight).square().sum().item()
        size += other.weight.square().sum().item()
    return (wrong / size) ** 0.5


def kept_of_change(rounded, exact, before):
    """Return how much of a change is there after rounding: its projection on the change, 1 for all.

    rounded, exact: models of `merges`. before: the one that was taught, as `in_four_bits` has it.
    """
    along = size = 0.0
    for layers in zip(rounded.linears(), exact.linears(), before.linears(), strict=True):
        after, meant, start = (layer.weight.float() for _, layer in layers)
        along += ((after - start) * (meant - start)).sum().item()
        size += (meant - start).square().sum().item()
    return along / size


def give_back(rounded, exact, before):
    """Return `rounded` with what its rounding took of the change added again, layer by layer.

    Its other errors stay. rounded, exact, before: as for `kept_of_change`. The result is in FP32.
    """
    result = copy.deepcopy(exact)
    others = (model.linears() for model in (rounded, exact, before))
    for (_, layer), *three in zip(result.linears(), *others, strict=True):
        after, meant, start = (each.weight.detach().float() for _, each in three)
        change, size = meant - start, (meant - start).square().sum()
        kept = ((after - start) * change).sum() / size if size else 1
        layer.weight.data = after + (1 - kept) * change
    return result


def _stories(characters):
    """Return the beginning of the evaluation text."""
    return (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")[:characters]
