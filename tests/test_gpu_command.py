"""`make gpu`, rehearsed: all of it runs here, on a GPU that is not there and with a small model.

What only a real one can show (its numbers, its speed, its faults) is not shown here.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import gpu  # noqa: E402

PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
QUICKEST = "02_fractions.ipynb"
PLACES = [str(ROOT / "tests" / "notebooks"), str(ROOT / "tools"), str(ROOT)]
# In the process that measures, and in that of the tests; a notebook has tests of its own for it.
PRETEND = """import sys
if "pytest" in sys.orig_argv or "-c" in sys.orig_argv:
    import pretended_gpu
    pretended_gpu.install()
"""
SMALL = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 3200,
    "max_position_embeddings": 256,
}
REHEARSAL = """import sys
from pathlib import Path
import gpu
place, tests, shape = Path({place!r}), {tests!r}, {shape!r}
sys.exit(gpu.main(gpu.Plan(
    tests=tests, compared=(), written=place / {quickest!r}, shape=shape, model="Small",
    tokens=8, page=place / "gpu.md",
)))
"""


@dataclass(frozen=True)
class Rehearsal:
    code: int
    said: str
    page: str
    notebook: nbformat.NotebookNode


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    place = tmp_path_factory.mktemp("gpu")
    (place / "sitecustomize.py").write_text(PRETEND)
    notebook = nbformat.read(ROOT / "notebooks" / QUICKEST, as_version=4)
    of_a_machine = nbformat.v4.new_code_cell("print('now')", metadata={"tags": ["machine"]})
    notebook.cells.append(of_a_machine)
    nbformat.write(notebook, place / QUICKEST)
    tests = (str(ROOT / "tests" / "lm" / "test_gpu.py"), "-k", "codes or allocates")
    script = REHEARSAL.format(
        place=str(place), tests=tests, shape=tuple(SMALL.items()), quickest=QUICKEST
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *PLACES])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (place / "gpu.md").exists(), done.stderr
    page = (place / "gpu.md").read_text(encoding="utf-8")
    written = nbformat.read(place / QUICKEST, as_version=4)
    return Rehearsal(done.returncode, done.stdout + done.stderr, page, written)


def test_all_parts_go_well_where_a_gpu_is_pretended(rehearsal):
    assert rehearsal.code == 0, rehearsal.said
    assert "NOT WELL" not in rehearsal.said


def test_the_page_names_the_device_and_what_it_was_made_with(rehearsal):
    assert "GPU: Pretended GPU with 25.8 GB" in rehearsal.page
    for name in ("driver ", "CUDA ", "torch ", "transformers ", "bitsandbytes "):
        assert name in rehearsal.page


@pytest.mark.parametrize("quantization", ["bf16", "nf4"])
def test_what_was_predicted_for_the_model_is_held_within_2_percent(rehearsal, quantization):
    found = [line for line in rehearsal.page.splitlines() if f"`Small in {quantization}`" in line]
    assert len(found) == 1 and "`: ok, predicted " in found[0]


@pytest.mark.parametrize("quantization", ["bf16", "nf4"])
def test_the_table_has_bytes_and_speeds_of_the_load(rehearsal, quantization):
    [row] = [line for line in rehearsal.page.splitlines() if line.startswith(f"| {quantization} ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 7 and all(float(cell.replace(",", "")) > 0 for cell in cells[1:])


def test_the_model_is_written_a_file_for_each_layer_and_one_for_the_rest(rehearsal):
    assert "of random weights in 3 files" in rehearsal.said


def test_the_page_lists_each_test_marked_gpu(rehearsal):
    assert "`test_a_load_allocates_what_memory_bytes_says[nf4]`: ok" in rehearsal.page
    assert "`test_our_nf4_codes_are_those_of_the_cuda_kernel[4096]`: ok" in rehearsal.page


def test_the_notebook_gets_the_outputs_of_this_machine(rehearsal):
    assert f"`{QUICKEST}`: ok, outputs as committed" in rehearsal.page
    assert rehearsal.notebook.cells[-1].outputs[0].text == "now\n"


def test_the_committed_page_is_of_a_real_gpu_or_says_that_there_was_none():
    assert "Pretended" not in PAGE
    assert PAGE.startswith(
        ("# On a GPU\n\nWritten by", "# On a GPU\n\n`make gpu` has not been run")
    )


def test_without_a_gpu_it_says_so_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("make gpu needs a CUDA device that torch can use, and torch ")
    assert said.count("\n") == 1


def test_what_a_machine_lacks_is_named_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "NEEDED", ["torch", "no_such_module"])
    assert gpu.main() == 1
    assert "make gpu needs no_such_module: CONTRIBUTING.md" in capsys.readouterr().err


def clock(seconds):
    made = gpu.Clock()
    made.begin("a part", seconds)
    return made


def test_a_command_over_its_time_is_stopped():
    start = time.monotonic()
    outcome = gpu.run(["-c", "import time; time.sleep(60)"], clock(0.5))
    assert outcome.words == "stopped: its share of the time is over"
    assert time.monotonic() - start < 60


def test_a_part_over_its_time_is_noted_and_the_next_one_runs(monkeypatch, tmp_path, capsys):
    def slow(plan, folder, clock):
        """A slow part."""
        clock.left()
        yield

    def quick(plan, folder, clock):
        """A quick part."""
        yield gpu.Outcome("test_it", "ok", 0.1)

    monkeypatch.setattr(gpu, "PARTS", (slow, quick))
    monkeypatch.setattr(gpu, "what_is_missing", lambda: None)
    monkeypatch.setattr(gpu, "machine", lambda: "A machine.")
    assert gpu.main(gpu.Plan(page=tmp_path / "gpu.md", seconds=(0, 60))) == 1
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "not go well:\n\n- `A slow part`: stopped: its share of the time is over" in text
    assert "1 of 1 passed" in text and "`test_it`: ok (0.1 s)" in text


def test_a_part_that_fails_is_written_down(monkeypatch, tmp_path, capsys):
    def broken(plan, folder, clock):
        """A broken part."""
        yield 1 / 0

    monkeypatch.setattr(gpu, "PARTS", (broken,))
    monkeypatch.setattr(gpu, "what_is_missing", lambda: None)
    monkeypatch.setattr(gpu, "machine", lambda: "A machine.")
    assert gpu.main(gpu.Plan(page=tmp_path / "gpu.md", seconds=(60,))) == 1
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "`A broken part`: ZeroDivisionError: division by zero" in text


def test_a_disk_that_is_too_small_is_noticed_before_it_is_full(tmp_path):
    with pytest.raises(gpu.Stopped, match=r"GB free and the model takes 1000000\.0: set TMPDIR"):
        gpu._need_disk(tmp_path, 10**15)


def test_a_failed_test_and_its_reason_are_listed(tmp_path):
    file = tmp_path / "test_one.py"
    file.write_text("import pytest\n@pytest.mark.gpu\ndef test_it():\n    assert 1 == 2\n")
    arguments = (str(file), "-c", str(ROOT / "pyproject.toml"))
    [outcome, _] = gpu.run_tests(arguments, tmp_path, clock(60))
    assert outcome.name == "test_it" and outcome.words.startswith("failure: assert 1 == 2")
    assert not outcome.well


def test_a_notebook_with_other_outputs_is_named_with_the_cell_and_stays(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)", id="one")])
    path = tmp_path / "00_a.ipynb"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    (tmp_path / "copies").mkdir()
    plan = gpu.Plan(written=path)
    [outcome] = gpu.last_notebook(plan, tmp_path / "copies", clock(60))
    assert outcome.words == "other outputs in one"
    assert path.read_bytes() == before


def test_a_picture_counts_by_its_alt_text():
    def book(alt, png):
        about = {"image/png": {"alt": alt}}
        output = nbformat.v4.new_output("display_data", {"image/png": png}, metadata=about)
        cell = nbformat.v4.new_code_cell("draw()", id="drawn", outputs=[output])
        return nbformat.v4.new_notebook(cells=[cell])

    assert gpu.other_outputs(book("3 bits", "AAAA"), book("3 bits", "BBBB")) == []
    assert gpu.other_outputs(book("3 bits", "AAAA"), book("4 bits", "AAAA")) == ["drawn"]


def test_make_takes_the_python_of_venv_if_it_is_there(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"))

    # A make that runs the tests hands its own PYTHON= on to the makes below it.
    alone = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKEOVERRIDES", "PYTHON")
    }

    def command(*more):
        done = subprocess.run(
            ["make", "-n", "--no-print-directory", "gpu", *more],
            cwd=tmp_path,
            env=alone,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()[0]

    if sys.platform != "win32":
        assert command() == "python3"
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").touch()
        assert command() == ".venv/bin/python"
    assert command("PYTHON=another") == "another"
