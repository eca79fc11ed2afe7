"""The course's links: all made from one address, and all made anew when it changes."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from quantlab.course import address

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

import badges  # noqa: E402

ELSEWHERE = "https://github.com/someone-else/a.fork"
HERE = address.owner_and_name()


@pytest.fixture
def moved(monkeypatch):
    """The repository has a new address."""
    monkeypatch.setattr(address, "repository", lambda: ELSEWHERE)
    monkeypatch.setattr(badges, "cell_text", lambda: f"pip {ELSEWHERE}\ncourse.setup()")


@pytest.fixture
def copy(tmp_path):
    """A copy of all files that hold links."""
    for folder in ("notebooks", "docs"):
        kept = shutil.ignore_patterns(".ipynb_checkpoints")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=kept)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def _write(root):
    for path, text in badges.changes(root).items():
        path.write_text(text, encoding="utf-8")


def _text_without_outputs(path):
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def test_every_link_is_that_of_pyproject():
    """If not: make badges."""
    assert [str(path) for path in badges.changes()] == []


def test_a_changed_address_reaches_every_link(copy, moved):
    files = [path for path in copy.rglob("*.*") if path.suffix in (".ipynb", ".md")]
    held = [path for path in files if HERE in _text_without_outputs(path)]
    assert {path.name for path in held} >= {"README.md", "00_why_quantize.ipynb"}
    _write(copy)
    assert [path for path in files if HERE in _text_without_outputs(path)] == []
    for path in copy.glob("notebooks/*.ipynb"):
        first = nbformat.read(path, as_version=4).cells[0].source
        assert f"]({address.colab(path.name)})" in first
        assert f"]({address.binder(path.name)})" in first


def test_a_changed_address_leaves_outputs_and_other_cells_alone(copy, moved):
    path = copy / "notebooks" / "04_absmax_and_zero_point.ipynb"
    before = nbformat.read(path, as_version=4)
    _write(copy)
    after = nbformat.read(path, as_version=4)
    for old, new in zip(before.cells[1:], after.cells[1:], strict=True):
        assert old.get("outputs") == new.get("outputs")
        assert old.source == new.source or "course.setup(" in new.source


def test_a_second_time_changes_nothing(copy, moved):
    _write(copy)
    assert badges.changes(copy) == {}


def test_a_file_that_is_as_it_should_be_keeps_every_byte(copy):
    assert badges.changes(copy) == {}


def _notebook(folder, name, first):
    cells = [new_markdown_cell(first), new_code_cell("1", outputs=[])]
    cells[1].outputs = [new_output("stream", name="stdout", text="1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name)
    return nbformat.reads(badges.rewrite_notebook(folder / name, {name}), 4).cells[0].source


def test_empty_links_of_a_new_notebook_are_filled(tmp_path):
    first = _notebook(tmp_path, "11_x.ipynb", "[open in Colab]() · [open in Binder]()")
    assert first == (
        f"[open in Colab]({address.colab('11_x.ipynb')}) · "
        f"[open in Binder]({address.binder('11_x.ipynb')})"
    )


def test_a_renamed_notebook_opens_itself(tmp_path):
    first = _notebook(tmp_path, "12_new.ipynb", f"[Colab]({address.colab('11_old.ipynb')})")
    assert first == f"[Colab]({address.colab('12_new.ipynb')})"


def test_a_link_to_somebody_elses_notebook_stays(moved):
    text = "[x](https://colab.research.google.com/github/a/b/blob/main/notebooks/Demo.ipynb)"
    assert badges.rewritten(text, {"00_a.ipynb"}) == text


def test_check_changes_nothing_and_names_what_differs(copy, moved, monkeypatch, capsys):
    monkeypatch.setattr(badges, "ROOT", copy)
    monkeypatch.setattr(badges.changes, "__defaults__", (copy,))
    before = (copy / "README.md").read_bytes()
    assert badges.main(["--check"]) == 1
    assert "README.md: differs" in capsys.readouterr().out
    assert (copy / "README.md").read_bytes() == before


NOTICED = f"<!-- address -->\n{badges.UNSET}<!-- end of address -->"


def test_the_readme_says_that_there_is_no_address_until_there_is_one(monkeypatch):
    bare = "<!-- address -->\n<!-- end of address -->"
    monkeypatch.setattr(address, "repository", lambda: f"https://github.com/{address.NOBODY}/x")
    assert badges.rewritten(bare, ()) == NOTICED
    monkeypatch.setattr(address, "repository", lambda: ELSEWHERE)
    assert badges.rewritten(NOTICED, ()) == bare


def test_setting_the_address_changes_one_line_of_pyproject(tmp_path):
    path = tmp_path / "pyproject.toml"
    shutil.copy(ROOT / "pyproject.toml", path)
    before = path.read_text().splitlines()
    badges.set_address("https://github.com/not-yet/elsewhere.git", path)
    changed = [(a, b) for a, b in zip(before, path.read_text().splitlines(), strict=True) if a != b]
    assert [new for _, new in changed] == ['Repository = "https://github.com/not-yet/elsewhere"']


@pytest.mark.parametrize(
    "url",
    [
        "me/quantlab",
        "https://gitlab.com/me/x",
        "https://github.com/my_self/x",
        "https://github.com/x",
    ],
)
def test_an_address_that_github_cannot_have_is_refused(url, tmp_path):
    path = tmp_path / "pyproject.toml"
    shutil.copy(ROOT / "pyproject.toml", path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must be https://github\.com/OWNER/NAME"):
        badges.set_address(url, path)
    assert path.read_bytes() == before


def test_make_badges_sets_the_address_everywhere(tmp_path):
    """The command itself, in a copy: no link, no cell and no page names the old owner then."""
    for name in ("notebooks", "docs", "quantlab", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules"))
    for name in ("README.md", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    owner = address.owner_and_name().split("/")[0]
    command = [sys.executable, "tools/badges.py", "--url", "https://github.com/a-b/c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "README.md: written" in done.stdout
    pages = "*.md", "docs/*.md", "notebooks/*.ipynb"
    for path in (path for pattern in pages for path in tmp_path.glob(pattern)):
        assert f"/{owner}/" not in _text_without_outputs(path), path
    cell = nbformat.read(tmp_path / "notebooks" / "04_absmax_and_zero_point.ipynb", 4).cells
    assert any("git+https://github.com/a-b/c" in one.source for one in cell)


def test_an_address_that_colab_cannot_open_is_refused(monkeypatch):
    monkeypatch.setattr(address, "repository", lambda: "https://gitlab.com/a/b")
    with pytest.raises(ValueError, match=r"open https://github.com/OWNER/NAME.*gitlab.com/a/b"):
        address.colab("x.ipynb")


@pytest.mark.parametrize("end", ["", "/", ".git"])
def test_an_address_may_end_as_git_writes_it(monkeypatch, end):
    monkeypatch.setattr(address, "repository", lambda: f"https://github.com/a/b{end}")
    assert address.owner_and_name() == "a/b"
