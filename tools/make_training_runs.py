"""Train tiny-lm through the rounding, many times over, and store what came of it: data/training.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive nice python tools/make_training_runs.py

Each run goes on from its checkpoint in build/training where it was stopped; what is finished is not
made again. At the end data/training/runs.json is written, and the models of the first two runs
(data/tiny-lm-2bit, data/tiny-lm-ternary). About 35 minutes of one core of a busy machine.
"""

import argparse
import dataclasses
import json
import re
import shutil
import signal
import sys
import warnings
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from quantlab import lm  # noqa: E402
from quantlab.experiments import training_runs  # noqa: E402
from quantlab.lm.training_texts import sampled_texts  # noqa: E402

WORK, DATA = ROOT / "build" / "training", ROOT / "data" / "training"


def write(path, found):
    """Write JSON that can be read: what is in a list of numbers stands in one line."""
    text = json.dumps(found, ensure_ascii=False, indent=1)
    text = re.sub(r"\[\s+[-\d.,\s]+\]", lambda numbers: " ".join(numbers[0].split()), text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def made(model, run):
    """Return the `Film` of a run: read, gone on with, or made."""
    until = training_runs.RUNS[run]
    kept, checkpoint = WORK / f"{run.name}.json", WORK / f"{run.name}.pt"
    seen = None
    if kept.exists():
        seen = training_runs.from_dict(json.loads(kept.read_text(encoding="utf-8")))
        if len(seen.losses) >= until:
            return cut(seen, until)
    steps = training_runs.MARKS[-1]
    with tqdm(total=until, desc=run.name, unit="step", mininterval=5) as bar:

        def tell(done, film):
            bar.update(done - bar.n)
            bar.set_postfix_str(f"loss {film.losses[-1]:.3f}", refresh=False)
            write(kept, training_runs.to_dict(film))
            if done == until < steps:
                signal.raise_signal(signal.SIGINT)  # as Ctrl-C: the checkpoint is written

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="training was stopped after")
            _, film = training_runs.film(model, run, steps, tell, checkpoint, seen)
    return film


def cut(film, until):
    """Return a `Film` up to a step: it may have gone on."""
    marks = tuple(mark for mark in film.marks if mark.step <= until)
    return dataclasses.replace(film, marks=marks, losses=film.losses[:until])


def ship(model, run, folder):
    """Save the model of a finished run, embeddings and norms in the bf16 that tiny-lm has."""
    checkpoint = WORK / f"{run.name}.pt"  # at its last step: nothing is left to train
    trained = training_runs.train(model, run, progress=lambda *_: None, checkpoint=checkpoint)
    shutil.rmtree(folder, ignore_errors=True)
    dataclasses.replace(trained, network=trained.network.bfloat16()).save(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors keeps it to its owner


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="make the runs whose names hold this, and write nothing")
    only = parser.parse_args(argv).only
    WORK.mkdir(parents=True, exist_ok=True)
    model = lm.load("tiny-lm", "fp32", device="cpu")
    if not (DATA / "stories.json").exists():
        write(DATA / "stories.json", sampled_texts(model, 64))
    films = [made(model, run) for run in training_runs.RUNS if only is None or only in run.name]
    if only is not None:
        return
    for run, folder in training_runs.SHIPPED.items():
        ship(model, run, ROOT / "data" / folder)
    plain = training_runs.look(model, model, 0)
    runs = [training_runs.to_dict(film) for film in films]
    write(DATA / "runs.json", {"unquantized": dataclasses.asdict(plain), "runs": runs})


if __name__ == "__main__":
    main()
