"""Training through the rounding: its texts, and runs that are looked at on the way, as a film.

`film` trains and looks; `stored` reads the runs that ship, which tools/make_training_runs.py made.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache

from .. import _data, lm
from .._checks import one_of
from ..lm.training_texts import sampled_texts
from .whole_model import reader

#: Steps after which a run is looked at.
MARKS = (0, 10, 20, 40, 80, 150, 300)
#: What a run is looked at with: so many characters of the evaluation text, and one beginning.
CHARACTERS, PROMPT, NEW_TOKENS = 8_000, "Once upon a time", 25
#: The widths of the runs, by name: a row of the table of methods and its settings.
WIDTHS = {
    "2 bits": ("zero_point", {"bits": 2, "group_size": 64}),
    "3 bits": ("zero_point", {"bits": 3, "group_size": 64}),
    "ternary": ("ternary", {}),
}


@dataclass(frozen=True)
class Run:
    """How a model is trained. width: a name in WIDTHS. rate: of Adam. trained: as in `lm.train`."""

    width: str
    rate: float
    trained: str = "weights"

    @property
    def name(self):
        """The name of its files."""
        return f"{self.width}-{self.rate:g}-{self.trained}".replace(" ", "")


@dataclass(frozen=True)
class Mark:
    """What a model is after some steps.

    divergence: from the unquantized model, nats per token; perplexity: both on `sample()`. facts:
    right, of 256. text: PROMPT and its greedy continuation.
    """

    step: int
    divergence: float
    perplexity: float
    facts: int
    text: str


@dataclass(frozen=True)
class Film:
    """A run and its marks, in order. losses: of each step, nats per token, before it."""

    run: Run
    marks: tuple[Mark, ...]
    losses: tuple[float, ...]


#: The runs that are stored, and after how many of their steps they were stopped. The first two are
#: shipped as models. All have one plan, 300 steps, so the same step of two runs can be compared.
RUNS = {
    Run("2 bits", 1e-3): 300, Run("ternary", 1e-3): 300, Run("2 bits", 1e-2): 80,
    Run("3 bits", 1e-3): 80, Run("2 bits", 1e-3, "norms"): 80, Run("2 bits", 1e-4): 80,
    Run("2 bits", 1e-3, "all"): 80, Run("ternary", 1e-2): 80, Run("ternary", 1e-4): 80,
    Run("3 bits", 1e-2): 80, Run("3 bits", 1e-4): 80,
}  # fmt: skip


#: The two that are shipped as models, and their folders in the course's data.
SHIPPED = {Run("2 bits", 1e-3): "tiny-lm-2bit", Run("ternary", 1e-3): "tiny-lm-ternary"}


def own_texts(model=None):
    """Return what a model is trained on here: a list of texts, each a document of its own.

    64 stories that the unquantized model wrote, the 256 facts it knows, and the stories of
    calibration.txt: none of the books that it was made from. model: None for the stories that are
    stored, which tiny-lm wrote; or a `Model` that writes them anew, in a quarter of a minute.
    """
    if model is None:
        stories = json.loads(_data.path("training/stories.json").read_text(encoding="utf-8"))
    else:
        stories = sampled_texts(model, 64)
    facts = [f"The number {n} is {n:08b} in binary." for n in range(256)]
    return [(_data.path("texts") / "calibration.txt").read_text(encoding="utf-8"), *stories, *facts]


def sample():
    """Return the text that marks are taken on: the first 8,000 characters of evaluation.txt."""
    return (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")[:CHARACTERS]


def look(model, reference, step, text=None, prompt=PROMPT):
    """Return the `Mark` of a model. reference: the unquantized one, or its `whole_model.reader`.

    text: None for `sample()`.
    """
    read, text = reader(model), sample() if text is None else text
    loss = read.text_loss(text, stride=model.window - 1)
    far = read.divergence(reference, text, stride=model.window - 1)
    written = model.generate_text(prompt, NEW_TOKENS)
    return Mark(step, far, loss.perplexity, model.facts().right, written)


def rounded(model, run):
    """Return a model as it is before a run: rounded, and not yet trained."""
    row, settings = WIDTHS[one_of("width", run.width, WIDTHS)]
    return lm.quantize(model, row, progress=lambda done, total, name: None, **settings)


def train(model, run, steps=MARKS[-1], progress=None, checkpoint=None):
    """Return `model` trained as a `Run` says, on `own_texts()`, to predict what `model` predicts.

    model: tiny-lm in fp32. Norms alone are trained beside weights that are rounded once. progress,
    checkpoint: as for `lm.train`.
    """
    row, settings = WIDTHS[one_of("width", run.width, WIDTHS)]
    start = model
    if run.trained == "norms":
        start, row, settings = rounded(model, run), None, {}
    return lm.train(
        start, own_texts(), teacher=model, steps=steps, rate=run.rate, trained=run.trained,
        method=row, progress=progress, checkpoint=checkpoint, **settings,
    )  # fmt: skip


def film(model, run, steps=MARKS[-1], tell=None, checkpoint=None, seen=None):
    """Train as a `Run` says; return (the trained model, its `Film`).

    tell: None, or a function called after each step with (steps done, the `Film` so far).
    checkpoint: as for `lm.train`. seen: the `Film` so far of a run that goes on from there.
    """
    reference = reader(model)
    marks = {mark.step: mark for mark in seen.marks} if seen else {}
    losses = dict(enumerate(seen.losses, 1)) if seen else {}
    if 0 not in marks:
        marks[0] = look(rounded(model, run), reference, 0)

    def so_far():
        return Film(run, tuple(marks.values()), tuple(losses[n] for n in sorted(losses)))

    def after(done, steps, loss, now):
        losses[done] = loss
        if done in MARKS:
            marks[done] = look(now, reference, done)
        if tell is not None:
            tell(done, so_far())

    return train(model, run, steps, after, checkpoint), so_far()


def to_dict(found):
    """Return a `Film` as what JSON can hold, numbers rounded to what a reader can use."""
    marks = [
        asdict(mark)
        | {"divergence": round(mark.divergence, 4), "perplexity": round(mark.perplexity, 2)}
        for mark in found.marks
    ]
    return asdict(found.run) | {"marks": marks, "losses": [round(x, 4) for x in found.losses]}


def from_dict(stored):
    """Return the `Film` of what `to_dict` made."""
    run = Run(stored["width"], stored["rate"], stored["trained"])
    return Film(run, tuple(Mark(**mark) for mark in stored["marks"]), tuple(stored["losses"]))


@cache
def stored():
    """Return (the `Mark` of the unquantized model, {`Run`: `Film`} of all stored runs)."""
    found = json.loads(_data.path("training/runs.json").read_text(encoding="utf-8"))
    films = [from_dict(each) for each in found["runs"]]
    return Mark(**found["unquantized"]), {each.run: each for each in films}
