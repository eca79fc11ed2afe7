"""The command line: what it prints, its exit codes, and errors that are one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quantlab import _data, fit, formats, lm
from quantlab.command import COMMANDS, main, texts
from quantlab.command import gguf as gguf_command

ROOT = Path(__file__).resolve().parents[2]


def said(capsys, *arguments):
    """Run a command and return (exit code, what it printed, its error)."""
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "quantlab", "bits", "20.23", "--format", "FP16"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert "0 10011 0100001111" in done.stdout


def test_a_reader_who_has_seen_enough_is_no_error():
    half = "import sys; sys.stdin.readline()"
    command = f'"{sys.executable}" -m quantlab bits 1 | "{sys.executable}" -c "{half}"'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""


def test_the_answer_in_the_readme_is_what_the_command_says(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, shown = readme.partition("-m quantlab fit ")
    rows = shown.partition("```")[0].splitlines()[1:]
    _, printed, _ = said(
        capsys, "fit", "Llama 3.1 8B", "--device", "RTX 4090", "--context", "32k"
    )  # fmt: skip
    assert len(rows) == 4 and set(rows) <= set(printed.splitlines())


def test_every_format_has_a_row_with_the_numbers_of_the_plan(capsys):
    code, printed, _ = said(capsys, "fit", "gpt-oss-20b", "--device", "16GB", "--batch", "2")
    plan = fit.plan("gpt-oss-20b", 16e9, 8192, 2)
    rows = [line.split() for line in printed.splitlines()]
    for format, size in plan.weight_bytes.items():
        [row] = [row for row in rows if row[:1] == [format] and len(row) == 7]
        assert row[1] == f"{size / 1e9:.2f}" and row[5] == ("yes" if plan.fits[format] else "no")
    assert code == 0 and all(note in printed for note in plan.notes)


def test_it_says_by_how_much_nothing_fits_and_exits_with_1(capsys):
    code, printed, _ = said(capsys, "fit", "DeepSeek-V3", "--device", "RTX 4090")
    assert code == 1 and "Nothing fits: nf4-nested misses 32" in printed


def test_json_has_every_number_of_the_plan(capsys):
    code, printed, _ = said(
        capsys, "fit", "DeepSeek-V3", "--json", "--device", "H200", "--context", "64k",
        "--cache", "fp8", "--engine", "transformers",
    )  # fmt: skip
    plan = fit.plan("DeepSeek-V3", "H200", 65_536, cache="fp8", engine="transformers")
    numbers = json.loads(printed)
    assert code == 1
    for name in ("parameters", "weight_bytes", "cache_bytes", "fits", "tokens_per_second"):
        assert numbers[name] == getattr(plan, name)
    assert numbers["device"]["bytes"] == plan.device.bytes and numbers["notes"] == list(plan.notes)


def test_a_folder_and_a_file_are_configs(capsys):
    folder = _data.path("tiny-lm")
    first = said(capsys, "fit", str(folder), "--json", "--context", "256")
    assert first == said(capsys, "fit", str(folder / "config.json"), "--json", "--context", "256")
    assert json.loads(first[1])["parameters"] == 3_934_464


def test_json_that_is_nested_without_end_is_an_error(capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    code, _, error = said(capsys, "fit", str(path))
    assert code == 2 and "holds no JSON" in error


def test_the_source_of_a_device_stands_below_the_table(capsys):
    _, printed, _ = said(capsys, "fit", "Qwen3-8B", "--device", "L4")
    assert f"L4: {fit.devices()['L4'].source}." in printed.splitlines()


def test_columns_stay_apart_however_large_the_numbers_are(capsys):
    _, printed, _ = said(capsys, "fit", "Qwen3-8B", "--context", "900m", "--batch", "1000000")
    [row] = [line.split() for line in printed.splitlines() if line.startswith("bf16 ")]
    assert len(row) == 7


def test_bits_without_a_format_shows_every_format(capsys):
    _, printed, _ = said(capsys, "bits", "20.23")
    for name, format in formats.ALL.items():
        [row] = [line for line in printed.splitlines() if line.startswith(f"{name} ")]
        assert format.bits(20.23) in row and repr(float(format.round(20.23))) in row


@pytest.mark.parametrize("number", ["inf", "nan", "0", "1e-8", "1e300"])
def test_bits_of_any_number_are_shown(capsys, number):
    assert said(capsys, "bits", number, "--format", "bf16")[0] == 0


def test_a_negative_number_stands_behind_two_dashes(capsys):
    assert formats.FP16.bits(-1e-8) in said(capsys, "bits", "--format", "FP16", "--", "-1e-8")[1]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """tiny-lm as a .gguf file."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    lm.export_gguf(lm.load("tiny-lm", "fp32", device="cpu"), path, "Q8_0")
    return path


def test_the_bytes_of_a_gguf_file_are_all_there(capsys, file):
    code, printed, _ = said(capsys, "gguf", str(file))
    last = {line.split()[0]: line.split() for line in printed.splitlines() if line}
    tensors, rest = (int(last[name][i].replace(",", "")) for name, i in (("all", 2), ("rest", 1)))
    assert code == 0 and tensors + rest == file.stat().st_size
    assert tensors == fit.plan(_data.path("tiny-lm")).weight_bytes["Q8_0"]
    assert "blk.0.attn_q.weight" in printed


def test_types_alone_are_a_row_each(capsys, file):
    _, printed, _ = said(capsys, "gguf", str(file), "--types")
    assert [line.split()[0] for line in printed.splitlines()] == [
        "type", "F32", "Q8_0", "all", "rest",
    ]  # fmt: skip


@pytest.mark.parametrize("length", [4, 20, 100, 3000])
def test_a_gguf_file_that_is_cut_off_is_an_error(capsys, file, tmp_path, length):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:length])
    code, _, error = said(capsys, "gguf", str(cut))
    assert code == 2 and "cut off or damaged" in error


def test_a_gguf_file_without_tensors_is_an_error(capsys, tmp_path):
    path = tmp_path / "vocabulary.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    code, _, error = said(capsys, "gguf", str(path))
    assert code == 2 and "holds no tensors" in error


def test_load_says_what_the_model_takes_and_lets_it_write(capsys):
    code, printed, _ = said(capsys, "load", "tiny-lm", "--nf4", "--tokens", "3")
    assert code == 0 and "2,970,112" in printed and "Once upon a time" in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fit", "Llama 9"], "there is no 'Llama 9'"),
        (["fit", "Qwen3-8B", "--device", "RTX 9"], "--device"),
        (["fit", "Qwen3-8B", "--device", "24"], "--device"),
        (["fit", "Qwen3-8B", "--device", "0GB"], "device"),
        (["fit", "Qwen3-8B", "--context", "many"], "--context"),
        (["fit", "Qwen3-8B", "--context", "0"], "context"),
        (["fit", "Qwen3-8B", "--batch", "0"], "batch"),
        (["fit", "Qwen3-8B", "--context", "9" * 400], "--context"),
        (["fit", "Qwen3-8B", "--context", "9" * 5000], "--context"),
        (["fit", "Qwen3-8B", "--context", "999m"], "context must be at most"),
        (["fit", "Qwen3-8B", "--batch", "9" * 400], "batch must be at most"),
        (["fit", str(ROOT / "docs")], "has no config.json in it"),
        (["gguf", "nowhere.gguf"], "nowhere.gguf"),
        (["gguf", str(ROOT / "README.md")], "not a GGUF file"),
        (["load", "tiny-lm", "--double-quant"], "double_quant"),
        (["load", "tiny-lm", "--nf4", "--tokens", "0"], "new_tokens"),
    ],
)
def test_an_error_is_one_sentence_with_exit_code_2(capsys, arguments, named):
    code, printed, error = said(capsys, *arguments)
    assert code == 2 and printed == ""
    assert error.startswith(f"quantlab {arguments[0]}: ") and error.count("\n") == 1
    assert named in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["fit"], ["bits", "x"], ["bits", "1", "--format", "FP7"],
     ["load", "tiny-lm", "--nf4", "--int8"], ["fit", "Qwen3-8B", "--batch", "two"]],
)  # fmt: skip
def test_a_command_that_is_not_understood_exits_with_2_and_says_how_it_is_used(capsys, arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_explains_and_shows_examples_that_can_be_parsed(capsys, name):
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    page = capsys.readouterr().out
    assert left.value.code == 0 and COMMANDS[name].__doc__.splitlines()[0] in page
    assert page.count(f"python -m quantlab {name} ") >= 2
    assert all(len(line) <= 100 for line in page.splitlines())


def test_the_help_of_all_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    page = capsys.readouterr().out
    assert all(module.SHORT in " ".join(page.split()) for module in COMMANDS.values())


def test_the_page_of_fit_has_every_shape_device_and_format(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    page = capsys.readouterr().out
    assert all(name in page for name in (*fit.shipped(), *fit.devices()))


@pytest.mark.parametrize(
    ("text", "bytes"),
    [("24GB", 24e9), ("24 gb", 24e9), ("0.5TB", 5e11), ("16GiB", 2**34), ("800MiB", 800 * 2**20)],
)
def test_a_size_is_read_as_people_write_it(text, bytes):
    assert texts.size(text, ()) == bytes


@pytest.mark.parametrize(
    ("text", "count"), [("8192", 8192), ("32k", 32_768), ("1M", 2**20), ("100,000", 100_000)]
)
def test_a_count_of_tokens_is_read_as_people_write_it(text, count):
    assert texts.tokens("--context", text) == count


def test_a_reader_without_the_package_gguf_is_told_what_to_install(capsys, file, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    code, _, error = said(capsys, "gguf", str(file))
    assert code == 2 and "pip install gguf" in error
    assert gguf_command.SHORT
