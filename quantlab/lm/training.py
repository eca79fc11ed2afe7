"""Train a model: through the rounding of its weights, or two thin matrices beside each of them.

What `train` returns is what `lm.quantize` returns: codes and scales, counted as they are stored.
"""

import copy
import dataclasses
import math
import os
import signal
import threading
import time
import warnings
import zlib

import numpy as np

from .. import _data
from .._checks import one_of, positive, shown, whole
from ..methods import ACTIVATIONS
from . import given
from .files import path_of
from .measure import encode
from .quantizing import quantize
from .training_adapters import lora_layers
from .training_rounding import checked_row
from .writing import beside

#: What can be trained.
PARTS = ("weights", "norms", "all", "adapters")
#: Tokens in a window, where the model can read so many.
WINDOW = 256
#: The rate rises for so much of the steps, and then falls in a line, to 0 after the last.
WARM_UP = 0.05
#: The gradient is cut to this length, all trained numbers together.
LONGEST_GRADIENT = 1.0
#: Steps, and windows in one, that nobody lives to see the end of.
MOST = 10**9
#: Seconds between two checkpoints.
PAUSE = 60.0


def train(
    model, texts=None, teacher=None, steps=80, rate=5e-4, trained=None, method=None, *, batch=4,
    window=None, seed=0, progress=None, checkpoint=None, **settings,
):  # fmt: skip
    """Return a new model, trained for some steps of Adam; `model` stays as it is.

    texts: a text or a list of them, each a document of its own (default: the course's own
    data/texts/calibration.txt). teacher: None to predict the next token, or a `Model` with the same
    tokens whose predictions are to be met: the loss is the Kullback-Leibler divergence from them.
    rate: of Adam; it rises over the first 5% of the steps and falls to 0 in a line. trained:
    "weights", the matrices of the body; "norms", all vectors; "all"; or "adapters", what `add_lora`
    put in, the default where there is something. method, settings: a row of `ql.methods.METHODS`
    without calibration, and its settings: then the body's matrices are rounded so at each step,
    straight through (`fake_quantize`), and come back as `lm.quantize` would return them.
    batch: windows at a step. window: tokens in each; None for 256, or fewer if the model reads no
    more. seed: of the order of the documents and of where windows begin: on one machine, with as
    many threads, the same seed gives the same model to the bit.
    progress: None for a bar on a terminal; or a function called after each step with (steps done,
    steps in all, loss in nats per token, the model as it is then, to measure and not to keep).
    Ctrl-C finishes the step, and what is trained so far comes back, with a warning. checkpoint:
    None, or a file that a stopped run goes on from when it is called again as it was.
    What is trained has to be fp32: in bf16 a step of 4e-4 is lost beside a weight of 0.2. Adapters
    are, whatever they stand beside.
    Raises ValueError for what cannot be trained, FloatingPointError if the loss is no number.
    Source of the teacher's loss: Hinton et al. 2015, Distilling the Knowledge in a Neural Network;
    for rounded weights Liu et al. 2023, LLM-QAT, section 3.1.
    """
    given.model("model", model)
    given.function("progress", progress)
    checkpoint = None if checkpoint is None else path_of("checkpoint", checkpoint)
    plan = {"steps": whole("steps", steps, 1, most=MOST), "rate": positive("rate", rate)}
    plan |= {"batch": whole("batch", batch, 1, most=MOST), "window": _checked_window(model, window)}
    plan |= {"seed": whole("seed", seed, 0), "trained": _checked_parts(model, trained, method)}
    plan |= {"method": method, "settings": settings}
    _check_teacher(model, teacher)
    documents = _documents(model, texts)
    new = _prepared(model, method, settings)
    values = _trained(new, plan["trained"])
    plan |= {"model": _named(model), "teacher": teacher and _named(teacher)}
    plan["texts"] = zlib.crc32(np.concatenate(documents).tobytes())
    batches = _Batches(documents, plan["batch"], plan["window"], plan["seed"])
    _Run(new, teacher, values, batches, plan).go(checkpoint, progress)
    return _finished(model, new, method, settings)


class _Run:
    """The steps of one training, from where a checkpoint left it to the last one or Ctrl-C."""

    def __init__(self, model, teacher, values, batches, plan):
        import torch

        self.model, self.teacher, self.values = model, teacher, values
        self.batches, self.plan, self.done = batches, plan, 0
        self.adam = torch.optim.Adam(values, lr=plan["rate"])

    def go(self, checkpoint, progress):
        """Train. progress: as for `train`."""
        from tqdm import tqdm

        from . import training_layers

        steps, path = self.plan["steps"], checkpoint
        if path is not None:
            self.resume(path)
        hidden = None if progress is None else True
        bar = tqdm(total=steps, initial=self.done, unit="step", disable=hidden, leave=False)
        saved = time.monotonic()
        with _Stop() as stop, bar:
            while self.done < steps and not stop.asked:
                loss = self.step()
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                bar.update()
                if progress is not None:
                    with training_layers.rounded_once():
                        progress(self.done, steps, loss, self.model)
                if path is not None and time.monotonic() - saved > PAUSE:
                    self.save(path)
                    saved = time.monotonic()
        if path is not None:
            self.save(path)
        if self.done < steps:
            warnings.warn(
                f"training was stopped after {self.done} of {steps} steps: the model is what came "
                "of those" + "; the same call goes on from there" * (path is not None),
                stacklevel=3,
            )

    def step(self):
        """Take one step and return its loss, nats per token before it."""
        import torch

        self.adam.zero_grad()  # before the forward pass, so that both are never there at once
        ids = self.batches(self.done).to(self.model.device)
        loss = _loss(self.model.network, self.teacher, ids)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.done + 1} with rate={self.plan['rate']}: "
                "take a smaller rate"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.values, LONGEST_GRADIENT)
        steps = self.plan["steps"]
        rising = (self.done + 1) / max(1, WARM_UP * steps)
        self.adam.param_groups[0]["lr"] = self.plan["rate"] * min(rising, 1 - self.done / steps)
        self.adam.step()
        self.done += 1
        return loss.item()

    def save(self, path):
        """Write a checkpoint: the file is whole at any time."""
        import torch

        state = {"plan": self.plan, "done": self.done, "adam": self.adam.state_dict()}
        state["values"] = [value.detach() for value in self.values]
        with beside(path) as place:
            torch.save(state, place / path.name)
            os.replace(place / path.name, path)

    def resume(self, path):
        """Go on from a checkpoint, if there is one; refuse that of another run."""
        import torch

        if not path.exists():
            if not path.parent.is_dir():
                raise FileNotFoundError(f"there is no folder {path.parent} to put {path.name} into")
            return
        state = torch.load(path, weights_only=True, map_location=self.model.device)
        for name, value in self.plan.items():
            if state["plan"][name] != value:
                there = shown(state["plan"][name])
                raise ValueError(
                    f"{path} is of another run, {name}: {there} there, {shown(value)} here; give "
                    "another checkpoint, or remove that file"
                )
        self.done = state["done"]
        self.adam.load_state_dict(state["adam"])
        with torch.no_grad():
            for value, kept in zip(self.values, state["values"], strict=True):
                value.copy_(kept)


class _Batches:
    """The tokens of each step. An epoch has all documents in a new order, cut into windows."""

    def __init__(self, documents, batch, window, seed):
        self.documents, self.seed, self.epoch = documents, seed, None
        length = sum(len(document) for document in documents)
        self.window = min(window, length)
        self.count = max(1, (length - 1) // self.window)
        self.batch = min(batch, self.count)

    def __call__(self, step):
        """Return the windows of a step, a tensor (batch, window), which depends on nothing else."""
        import torch

        epoch, index = divmod(step, self.count // self.batch)
        if epoch != self.epoch:
            self.epoch, self.rows = epoch, self._rows(epoch)
        rows = self.rows[index * self.batch : (index + 1) * self.batch]
        return torch.from_numpy(rows)

    def _rows(self, epoch):
        random = np.random.default_rng([self.seed, epoch])
        stream = np.concatenate(
            [self.documents[i] for i in random.permutation(len(self.documents))]
        )
        first = random.integers(len(stream) - self.count * self.window + 1)
        rows = stream[first : first + self.count * self.window].reshape(self.count, self.window)
        return random.permutation(rows)


class _Stop:
    """Ctrl-C asks for the end of the step at hand; a second one ends at once."""

    def __enter__(self):
        self.asked = False
        self.main = threading.current_thread() is threading.main_thread()  # no other hears Ctrl-C
        if self.main:
            self.before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, *_):
        self.asked = True
        signal.signal(signal.SIGINT, self.before)

    def __exit__(self, *_):
        if self.main:
            signal.signal(signal.SIGINT, self.before)


def _loss(network, teacher, ids):
    """Return the loss of windows of tokens, (windows, tokens), in nats per predicted token."""
    import torch
    import torch.nn.functional as F

    logits = network(input_ids=ids, use_cache=False).logits.float()
    if teacher is None:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    with torch.no_grad():
        wanted = teacher.network(input_ids=ids.to(teacher.device), use_cache=False).logits
        wanted = wanted.float().log_softmax(-1).flatten(0, 1).to(logits.device)
    found = logits.log_softmax(-1).flatten(0, 1)
    return F.kl_div(found, wanted, log_target=True, reduction="batchmean")


def _named(model):
    """Say which model it is, in words that a checkpoint keeps."""
    numbers = sum(value.numel() for value in model.network.parameters())
    return f"{model.name}, {model.quantization}, {numbers} numbers"


def _checked_window(model, window):
    if window is None:
        return min(model.longest, WINDOW)
    return whole("window", window, 2, None if model.longest == math.inf else model.longest)


def _documents(model, texts):
    """Return the tokens of each text, an array each, with the beginning token if there is one."""
    if texts is None:
        texts = (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    texts = given.texts("texts", texts)
    begin = model.tokenizer.bos_token_id
    front = [] if begin is None else [begin]
    documents = [np.array(front + encode(model.tokenizer, text), np.int64) for text in texts]
    if sum(len(document) - len(front) for document in documents) < 2:
        raise ValueError("the texts have fewer than 2 tokens: give some sentences to learn from")
    return documents


def _checked_parts(model, trained, method):
    """Return which part is trained; refuse what has no slope and what would be rounded away."""
    adapters = bool(lora_layers(model.network))
    parts = ("adapters" if adapters else "weights") if trained is None else trained
    one_of("trained", parts, PARTS)
    if parts == "adapters" and not adapters:
        raise ValueError(
            "trained is 'adapters', and the model has no adapters to train: put them in with "
            "lm.add_lora"
        )
    if adapters and parts != "adapters":
        raise ValueError(f"the model has adapters, got trained={parts!r}: lm.merge_lora it first")
    if method is not None and parts not in ("weights", "all"):
        raise ValueError(
            f"method={method!r} rounds the body's matrices while these are trained, and "
            f"trained={parts!r} leaves them alone: leave method out"
        )
    coded = model.stored or any(held.quantized for held in model.body())
    if coded and parts in ("weights", "all"):
        raise ValueError(
            f"the model holds codes ({model.quantization}), which no gradient can move: start from "
            "lm.load(..., 'fp32') with a method, or train beside them with lm.add_lora"
        )
    return parts


def _check_teacher(model, teacher):
    if teacher is None:
        return
    given.model("teacher", teacher)
    if teacher.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise ValueError(
            f"teacher and model need the same tokens, got {teacher.name} and {model.name}"
        )


def _prepared(model, method, settings):
    """Return a copy of a model to train, its matrices rounded on the way if a row is named."""
    from . import training_layers

    if method is None and settings:
        raise ValueError(f"{', '.join(settings)} are settings of a method: name one")
    if method is not None:
        row, settings = checked_row(method, settings)
        if row.needs == ACTIVATIONS:  # what lm.quantize refuses, which comes after the last step
            raise ValueError(f"method {row.name} rounds activations too: take absmax, 8 bits")
        if "bits" in settings:
            whole("bits", settings["bits"], 2, 8)
        given.groups(settings.get("group_size"), model.matrices())
    new = dataclasses.replace(model, network=copy.deepcopy(model.network))
    if method is not None:
        training_layers.attach(new.matrices(), method, settings)
    return new


def _trained(model, parts):
    """Return the parameters that are trained; all others get no gradient."""
    import torch

    network = model.network
    body = {id(matrix.whole) for matrix in model.matrices()}
    found = []
    for name, value in network.named_parameters():
        value.requires_grad_(False)
        inside = id(value) in body or name.endswith(".original")
        wanted = {
            "weights": inside,
            "norms": value.ndim == 1,
            "all": True,
            "adapters": "lora_" in name,
        }
        if wanted[parts]:
            found.append(value)
    if not found:
        raise ValueError(f"the model has nothing to train: trained={parts!r} names no number of it")
    for value in found:
        if value.dtype != torch.float32:
            raise ValueError(
                f"what is trained must be fp32, got {value.dtype}: lm.load(..., 'fp32'), as small "
                "steps are lost in 16 bits"
            )
        value.requires_grad_(True)
    return found


def _finished(model, new, method, settings):
    """Return the trained model as `lm.quantize` would, with the gradients' flags of the first."""
    from . import training_layers

    training_layers.detach(new.network)
    if method is not None:
        new = quantize(new, method, progress=_silent, **settings)
    for ours, theirs in zip(new.network.parameters(), model.network.parameters(), strict=True):
        ours.requires_grad_(theirs.requires_grad)
        ours.grad = None
    return new


def _silent(done, total, name):
    """Show no second bar."""
