"""The script that trains tiny-lm: continuing, stopping, and what it writes. Tiny runs only."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from quantlab import _data, lm

TOOLS = Path(__file__).resolve().parents[2] / "tools"


NUMBERS = {"perplexity": 1.0, "facts": 0}


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(TOOLS))
    try:
        import train_tiny_lm
    finally:
        sys.path.remove(str(TOOLS))
    train_tiny_lm.SHAPE |= {"num_hidden_layers": 1, "intermediate_size": 64}
    return train_tiny_lm


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A text long enough for 2,048 tokens: the course's own stories."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    texts = (_data.path("texts") / name for name in ("evaluation.txt", "calibration.txt"))
    path.write_text("\n".join(p.read_text(encoding="utf-8") for p in texts), encoding="utf-8")
    return path


@pytest.fixture
def run(script, corpus, tmp_path):
    """Return a function that trains for a few steps and returns its checkpoint."""

    def train(name, *options):
        checkpoint = tmp_path / f"{name}.pt"
        common = f"{corpus} --validation {corpus} --checkpoint {checkpoint} --no-compile --batch 2 "
        common += f"--window 32 --facts 1 --validate-every 3 --output {tmp_path / 'model'}"
        script.main([*common.split(), "--steps", "4", *options])
        return torch.load(checkpoint, weights_only=True)

    return train


def same(a, b):
    return all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])


def test_a_stopped_run_goes_on_bit_for_bit(run):
    whole = run("whole", "--stop-after", "3")
    assert run("parts", "--stop-after", "1")["step"] == 1
    assert same(run("parts", "--stop-after", "3"), whole)


def test_another_seed_gives_another_model(run):
    first = run("a", "--stop-after", "1")
    assert not same(first, run("b", "--stop-after", "1", "--seed", "7"))


def test_ctrl_c_finishes_the_step_and_saves(run, script, monkeypatch):
    step = script.train_step

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(script, "train_step", interrupted)
    state = run("stopped")
    monkeypatch.undo()
    assert state["step"] == 1
    assert same(run("stopped", "--stop-after", "2"), run("whole", "--stop-after", "2"))


def test_a_checkpoint_of_other_settings_is_refused(run):
    run("one", "--stop-after", "1")
    with pytest.raises(SystemExit, match=r"seed: 2023 there, 5 here.*another --checkpoint"):
        run("one", "--seed", "5")


def test_the_plan_can_change_for_the_steps_to_come_and_not_for_those_done(run):
    run("one", "--decay", "2", "--stop-after", "1")
    run("one", "--decay", "1", "--stop-after", "3")
    with pytest.raises(SystemExit, match=r"\[4, 1\] there, \[2, 2\] here"):
        run("one", "--steps", "2", "--decay", "2")


def test_a_run_can_start_from_the_model_of_another(run, tmp_path, script, monkeypatch):
    monkeypatch.setattr(script, "measure", lambda folder, text: NUMBERS)
    monkeypatch.setattr(script, "write_card", lambda *arguments: None)
    first = run("one")
    folder = tmp_path / "model"
    second = run("two", "--stop-after", "1", "--seed", "7", "--start-from", str(folder))
    assert [stage["settings"]["seed"] for stage in second["stages"]] == [2023, 7]
    moved = [(second["model"][n] - first["model"][n]).abs().max() for n in first["model"]]
    assert 0 < max(moved) < 0.02  # one step from there, not from the initial weights


def test_starting_from_a_folder_without_a_history_ends_with_what_is_missing(run, tmp_path):
    with pytest.raises(SystemExit, match=r"there is no .*training\.json: --start-from takes"):
        run("one", "--start-from", str(tmp_path))


def test_bf16_arithmetic_keeps_fp32_weights_and_is_another_run(run):
    half, full = (
        run("a", "--stop-after", "1"),
        run("b", "--stop-after", "1", "--arithmetic", "fp32"),
    )
    assert all(value.dtype == torch.float32 for value in half["model"].values())
    assert not same(half, full)


def test_a_finished_run_writes_a_model_that_loads_and_its_card(run, tmp_path, script, monkeypatch):
    short = "The number 100 is 01100100 in binary. " * 20
    measure, seen = script.measure, {}
    monkeypatch.setattr(
        script, "measure", lambda folder, _: seen.update(measure(folder, short)) or seen
    )
    run("done")
    folder = tmp_path / "model"
    model = lm.load(folder, "bf16", device="cpu")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{model.network.num_parameters():,} parameters" in card
    assert f"| {seen['facts']} of 256 |" in card and f"| {seen['perplexity']:.2f} |" in card
    stages = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert [entry["step"] for entry in stages[0]["log"]] == [3, 4]  # the validated steps
    assert '"PreTrainedTokenizerFast"' in (folder / "tokenizer_config.json").read_text()


def test_a_missing_text_ends_with_its_name(script):
    with pytest.raises(SystemExit, match=r"cannot read nowhere\.txt: No such file"):
        script.main(["nowhere.txt", "--validation", "nowhere.txt"])


def test_too_short_a_text_ends_with_how_much_is_needed(script, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("One line.\n")
    with pytest.raises(SystemExit, match="of 2048 tokens: train on more text"):
        script.main([str(path), "--validation", str(path)])


def test_an_epoch_holds_the_text_once_and_each_fact_as_often_as_asked(script):
    story = np.arange(1000, 2000, dtype=np.uint16)
    facts = [np.full(5, 10 + i, np.uint16) for i in range(4)]
    windows = script.epoch_windows(story, facts, 3, 32, np.random.default_rng(0))
    assert windows.shape[1] == 33 and (windows[:, 0] == 0).all()
    told = np.sort(windows[windows >= 1000])
    assert np.array_equal(told, np.arange(told[0], told[-1] + 1)) and len(told) > 1000 - 2 * 32
    rows = ["".join(chr(48 + t) for t in row) for row in windows if row.max() < 1000]
    for i in range(4):
        assert sum(row.count("0" + chr(58 + i) * 5) for row in rows) == 3


def test_every_digit_is_a_token(half):
    tokens = half.tokenizer.tokenize("The number 100 is 01100100 in binary.")
    assert [t for t in tokens if any(c.isdigit() for c in t)] == list("10001100100")


def test_muon_steps_are_orthogonal_matrices(script):
    from muon import orthogonalize

    torch.manual_seed(0)
    steps = orthogonalize(torch.randn(3, 96, 64))
    values = torch.linalg.svdvals(steps)
    # Five steps of the published coefficients bring singular values into about 0.7 ... 1.2.
    assert values.min() > 0.5 and values.max() < 1.3
