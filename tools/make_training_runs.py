"""Train tiny-lm through the rounding, many times over, and store what came of it: data/training.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive nice python tools/make_training_runs.py

Each run goes on from its checkpoint in build/training where it was stopped; what is finished is not
made again. At the end data/training/runs.json is written, and the models of the first two runs
(data/tiny-lm-2bit, data/tiny-lm-ternary). About 35 minutes of one core.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from quantlab import lm  # noqa: E402
from quantlab.experiments import training_runs  # noqa: E402
from quantlab.lm.training_texts import sampled_texts  # noqa: E402

WORK, DATA = ROOT / "build" / "training", ROOT / "data" / "training"
#: The runs whose models ship, and their folders.
SHIPPED = {training_runs.RUNS[0]: "tiny-lm-2bit", training_runs.RUNS[1]: "tiny-lm-ternary"}


def write(path, found):
    """Write JSON to be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def made(model, run):
    """Return the `Film` of a run: read, gone on with, or made."""
    kept, checkpoint = WORK / f"{run.name}.json", WORK / f"{run.name}.pt"
    seen = None
    if kept.exists():
        seen = training_runs.from_dict(json.loads(kept.read_text(encoding="utf-8")))
        if len(seen.losses) == training_runs.MARKS[-1]:
            return seen
    steps = training_runs.MARKS[-1]
    with tqdm(total=steps, desc=run.name, unit="step", mininterval=5) as bar:

        def tell(done, film):
            bar.update(done - bar.n)
            bar.set_postfix_str(f"loss {film.losses[-1]:.3f}", refresh=False)
            write(kept, training_runs.to_dict(film))

        _, film = training_runs.film(model, run, steps, tell, checkpoint, seen)
    return film


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
    plain = training_runs.look(model, model, 0)
    runs = [training_runs.to_dict(film) for film in films]
    write(DATA / "runs.json", {"unquantized": dataclasses.asdict(plain), "runs": runs})


if __name__ == "__main__":
    main()
