"""Run what only a machine with a GPU can show, and write it down: `make gpu`, under 8 minutes.

Each part has its share of the time and stops when that is over; docs/gpu.md is written anew after
each, so that whatever ends the run, what was measured by then stands there. No network is needed:
CONTRIBUTING.md lists what a machine without one has to be brought.

1. The tests marked `gpu` and notebooks 05 to 09, side by side.
2. A model of the shape of Llama 2 7B with random weights, made here a file at a time, loaded in 16
   bits and in 4: predicted bytes beside those that torch then holds, and tokens per second.
3. Notebook 10. If its outputs are those of the committed file, within the tolerances of its cells,
   the file gets them, and names this machine from then on.
"""

import datetime
import gc
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

from whole import replace_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGE = ROOT / "docs" / "gpu.md"
# Modules by the name of their package. torch comes first: without it nothing can be asked.
NEEDED = ["torch", "transformers", "accelerate", "bitsandbytes", "safetensors", "psutil", "tqdm"]
NEEDED += ["matplotlib", "ipywidgets", "anywidget", "nbclient", "ipykernel", "pytest", "hypothesis"]
NO_GPU = "make gpu needs a CUDA device that torch can use, and {} sees none."
LACKS = "make gpu needs {}: CONTRIBUTING.md, under 'A GPU', says how to bring what is missing."
LLAMA_2_7B = {
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32_000,
    "max_position_embeddings": 4096,
}
NEAR = 0.02  # how far the predicted bytes may be from those that torch holds
PROMPT = "In the middle of the wood there was"


class Stopped(Exception):
    """A part cannot go on: its share of the time is over, or the disk is too small."""


@dataclass(frozen=True)
class Plan:
    """What to run. The test of this script runs it with a small one, on a GPU that is not there.

    tests: what pytest is given, besides `-m gpu`. compared: notebooks to run. written: the notebook
    that gets the outputs of this machine. shape, model: of the large model, and whose it is.
    tokens: that it writes to be timed. page: where all is written down. seconds: the share of each
    part.
    """

    tests: tuple = (str(ROOT / "tests" / "lm" / "test_gpu.py"),)
    compared: tuple = tuple(NOTEBOOKS[5:10])
    written: Path = NOTEBOOKS[10]
    shape: tuple = tuple(LLAMA_2_7B.items())
    model: str = "Llama 2 7B"
    tokens: int = 64
    page: Path = PAGE
    seconds: tuple = (210, 160, 90)


@dataclass(frozen=True)
class Outcome:
    """What one test, notebook or load came to, in words that start with ok if it is well."""

    name: str
    words: str
    seconds: float

    @property
    def well(self):
        return self.words.startswith("ok")


class Clock:
    """Says what happens, and when; knows when the part that runs has to stop."""

    def __init__(self):
        self.start = self.end = time.monotonic()

    def begin(self, what, seconds):
        self.end = time.monotonic() + seconds
        self.say(f"{what}, {seconds:.0f} s at most")

    def say(self, words):
        print(f"{time.monotonic() - self.start:4.0f} s  {words}", flush=True)

    def left(self):
        """Return the seconds left; raise Stopped if there are none."""
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise Stopped("its share of the time is over")
        return seconds


def main(plan=None):
    """Run the parts of `plan`; return 0 if all is well, else 1."""
    plan = plan or Plan()
    lacking = what_is_missing()
    if lacking:
        print(lacking, file=sys.stderr)
        return 1
    clock, outcomes, trials = Clock(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for part, seconds in zip(PARTS, plan.seconds, strict=True):
            what = part.__doc__.partition(".")[0]
            clock.begin(what, seconds)
            try:
                for found in part(plan, Path(folder), clock):
                    kept = outcomes if isinstance(found, Outcome) else trials
                    kept.append(found)
            except Stopped as why:
                outcomes.append(Outcome(what, f"stopped: {why}", seconds))
            except Exception as error:  # the other parts may still have something to say
                traceback.print_exc()
                outcomes.append(Outcome(what, f"{type(error).__name__}: {error}", seconds))
            replace_file(plan.page, page(plan, outcomes, trials))
    failed = [outcome for outcome in outcomes if not outcome.well]
    for outcome in failed:
        clock.say(f"NOT WELL  {outcome.name}: {outcome.words}")
    clock.say(f"{plan.page.name} is written; {len(outcomes) - len(failed)} of {len(outcomes)} ok")
    return 1 if failed else 0


def what_is_missing():
    """Return what this machine lacks, in one sentence, or None."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        return LACKS.format(", ".join(absent))
    import torch

    if not torch.cuda.is_available():
        return NO_GPU.format(f"torch {torch.__version__} in {sys.executable}")
    return None


def tests_and_notebooks(plan, folder, clock):
    """The tests marked gpu and notebooks that are compared with the committed ones."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = pool.submit(run_tests, plan.tests, folder, clock)
        runs = [pool.submit(run_notebook, path, folder, clock) for path in plan.compared]
        for run in runs:
            yield run.result()
        yield from tests.result()


def run_tests(tests, folder, clock):
    """Run the tests marked gpu; return their outcomes.

    Warnings are no errors here: the libraries of this machine are of other versions than those of
    constraints.txt.
    """
    report = folder / "tests.xml"
    command = ["-m", "pytest", *tests, "-m", "gpu", "-W", "default"]
    done = run([*command, f"--junitxml={report}", "-p", "no:cacheprovider"], clock)
    clock.say(f"tests: {done.words}")
    if not report.exists():
        return [Outcome("the gpu tests", done.words, done.seconds)]
    cases = ElementTree.parse(report).iter("testcase")
    outcomes = [Outcome(c.get("name"), _verdict(c), float(c.get("time"))) for c in cases]
    return outcomes if done.well else [*outcomes, Outcome("pytest", done.words, done.seconds)]


def _verdict(case):
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            return f"{kind}: {' '.join(found.get('message', '').split())[:300]}"
    return "ok"


def run_notebook(path, folder, clock):
    """Execute a copy of a notebook in `folder`; return the outcome, compared with `path`."""
    import nbformat
    import run_notebooks

    copy = folder / path.name
    shutil.copy(path, copy)
    done = run([run_notebooks.__file__, str(copy)], clock)
    words = done.words
    if done.well:
        differ = other_outputs(*(nbformat.read(file, as_version=4) for file in (path, copy)))
        words = f"other outputs in {', '.join(differ)}" if differ else "ok, outputs as committed"
    clock.say(f"{path.name}: {words}")
    return Outcome(path.name, words, done.seconds)


def other_outputs(committed, executed):
    """Return the cells whose outputs read differently, beyond the tolerance of a cell that has one.

    The libraries are those of the machine: a picture counts by its alt text, as its bytes depend on
    the versions of matplotlib and its fonts, and the set-up cell, which names versions, not at all.
    """
    import compare_outputs

    pairs = zip(committed.cells, executed.cells, strict=True)
    code = ((before, after) for before, after in pairs if before.cell_type == "code")
    return [a.id for a, b in code if compare_outputs.changes(a, b, same_libraries=False)]


def run(arguments, clock):
    """Run Python with `arguments` until the part's time is over; return how it went.

    A command over its time is interrupted as by Ctrl-C, which a notebook and pytest take in order.
    """
    start = time.monotonic()
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=said, stderr=said, cwd=ROOT, env=environment
        )
        try:
            code = process.wait(timeout=clock.left())
        except (subprocess.TimeoutExpired, Stopped):
            _stop(process)
            return Outcome("", "stopped: its share of the time is over", time.monotonic() - start)
        said.seek(0)
        tail = " ".join(said.read().split())[-600:]
    words = "ok" if code == 0 else f"failed ({code}): {tail}"
    return Outcome("", words, time.monotonic() - start)


def _stop(process):
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def big_model(plan, folder, clock):
    """A large model in 16 bits and in 4. Yields `Trial`s, and an outcome for each."""
    import torch

    from quantlab import _data
    from quantlab.experiments import loads

    place = folder / "model"
    write_model(place, dict(plan.shape), clock)
    text = (_data.path("texts") / "evaluation.txt").read_text(encoding="utf-8")[:2000]
    for quantization in (loads.half_precision(), "nf4"):
        clock.left()
        start = time.monotonic()
        try:
            trial = loads.trial(place, quantization, PROMPT, text, new_tokens=plan.tokens)
        except MemoryError as full:
            words = f"ok, it does not fit, and is refused before it is loaded: {full}"
        else:
            yield trial
            off = trial.predicted / trial.taken - 1
            words = f"predicted {trial.predicted:,}, held {trial.taken:,} bytes: {off:+.2%}"
            words = f"ok, {words}" if abs(off) < NEAR else words
        clock.say(f"{quantization}: {words}")
        yield Outcome(f"{plan.model} in {quantization}", words, time.monotonic() - start)
    shutil.rmtree(place)
    gc.collect()
    torch.cuda.empty_cache()  # the notebook that comes next is another process


def write_model(place, shape, clock):
    """Write a Llama with random weights in BF16, a safetensors file for each layer.

    No more than a layer is in memory at once. Its tokens are those of tiny-lm; the embedding has
    more rows than there are of them, as the shape says.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, LlamaConfig

    from quantlab import _data

    config = LlamaConfig(**shape, tie_word_embeddings=False, eos_token_id=None, dtype="bfloat16")
    config.architectures = ["LlamaForCausalLM"]
    with torch.device("meta"):
        weights = AutoModelForCausalLM.from_config(config).state_dict()
    size = 2 * sum(weight.numel() for weight in weights.values())
    _need_disk(place.parent, size)
    place.mkdir()
    config.save_pretrained(place)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(_data.path("tiny-lm") / name, place)
    pieces = {}
    for name in weights:
        pieces.setdefault(re.match(r"model\.layers\.\d+\.|", name)[0], []).append(name)
    files = {}
    for number, names in enumerate(pieces.values(), 1):
        clock.left()
        file = f"model-{number:05d}-of-{len(pieces):05d}.safetensors"
        save_file({name: _random(weights[name]) for name in names}, place / file, {"format": "pt"})
        files |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": size}, "weight_map": files}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    clock.say(f"{size / 1e9:.2f} GB of random weights in {len(pieces)} files")


def _random(weight):
    import torch

    if weight.ndim == 1:  # the gain of a norm
        return torch.ones(weight.shape, dtype=torch.bfloat16)
    made = torch.empty(weight.shape, dtype=torch.bfloat16, device="cuda")
    return made.normal_(std=0.02).cpu()


def _need_disk(folder, size):
    free = shutil.disk_usage(folder).free
    if free < 1.05 * size:
        raise Stopped(
            f"{folder} has {free / 1e9:.1f} GB free and the model takes {size / 1e9:.1f}: "
            "set TMPDIR to a folder on a larger disk"
        )


def last_notebook(plan, folder, clock):
    """The notebook that gets this machine's outputs."""
    import run_notebooks

    outcome = run_notebook(plan.written, folder, clock)
    if outcome.well:
        fresh = (folder / plan.written.name).read_text(encoding="utf-8")
        run_notebooks.replace_file(plan.written, fresh)
    yield outcome


PARTS = (tests_and_notebooks, big_model, last_notebook)


def page(plan, outcomes, trials):
    """Return the text of docs/gpu.md."""
    loads = [outcome for outcome in outcomes if outcome.name.startswith(plan.model)]
    notebooks = [outcome for outcome in outcomes if outcome.name.endswith(".ipynb")]
    tests = [outcome for outcome in outcomes if outcome.name.startswith("test_")]
    others = [outcome for outcome in outcomes if outcome not in [*loads, *notebooks, *tests]]
    passed = sum(test.well for test in tests)
    trouble = f"What did not go well:\n\n{listed(others)}\n\n" if others else ""
    return f"""# On a GPU

Written by `make gpu` on {datetime.date.today()}. {machine()}

{trouble}## A large model

Random weights in the shape of {plan.model}, made for this page: what they say means nothing, what
they take and how long does. Bytes are those of the weights: predicted from the shape before the
load, and what torch's allocator held more after it. The peak is the most that it held more at any
time, 16 texts at once included. Tokens per second are of greedy generation, {plan.tokens} tokens
a text.

{trials_table(trials)}

{listed(loads)}

## Notebooks

Each was run on the GPU and compared with the file that is committed. If its line says ok,
`{plan.written.name}` holds the outputs of this machine.

{listed(notebooks)}

## Tests

{passed} of {len(tests)} passed. They compare with the CPU, and with bitsandbytes on the GPU.

{listed(tests)}
"""


def trials_table(trials):
    """Return trials as a table in Markdown."""
    head = "| load | predicted, GB | held, GB | peak, GB | load, s | tokens/s, 1 text | 16 texts |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for t in trials:
        sizes = " | ".join(f"{size / 1e9:.3f}" for size in (t.predicted, t.taken, t.peak))
        speeds = f"{t.seconds:.1f} | {t.alone:,.1f} | {t.together:,.1f}"
        lines.append(f"| {t.name.rpartition(', ')[2]} | {sizes} | {speeds} |")
    return "\n".join(lines)


def listed(outcomes):
    """Return outcomes as a list in Markdown."""
    lines = [f"- `{o.name}`: {o.words} ({o.seconds:.1f} s)" for o in outcomes]
    return "\n".join(lines) or "Not run."


def machine():
    """Return what the numbers were made on, in two sentences."""
    import torch

    from quantlab.course import hardware

    names = ("torch", "transformers", "accelerate", "bitsandbytes", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return (
        f"{hardware.machine()}, driver {driver()}, CUDA {torch.version.cuda}. "
        f"Python {platform.python_version()}, {versions}."
    )


def driver():
    """Return the version of the NVIDIA driver."""
    if shutil.which("nvidia-smi") is None:
        return "unknown (no nvidia-smi)"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


if __name__ == "__main__":
    sys.exit(main())
