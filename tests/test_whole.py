"""What the commands write appears whole or not at all: on a full disk, at an error, at Ctrl-C."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
sys.path[:0] = [str(TOOLS)]

import badges  # noqa: E402
import readme_table  # noqa: E402
import whole  # noqa: E402

LIMITED = pytest.mark.skipif(sys.platform == "win32", reason="a limit plays the full disk")
ENDS = [KeyboardInterrupt, ZeroDivisionError, OSError(errno.ENOSPC, "No space left on device")]


@pytest.fixture
def full(monkeypatch):
    """A disk on which a file gets no larger than 4,096 bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def tree(folder):
    return {str(p.relative_to(folder)): p.is_file() and p.read_text() for p in folder.rglob("*")}


@LIMITED
def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, full):
    path = tmp_path / "a.md"
    path.write_text("old")
    with pytest.raises(OSError, match="File too large"):
        whole.replace_file(path, "new" * 4000)
    assert tree(tmp_path) == {"a.md": "old"}


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_a_folder_whose_making_ends_early_is_as_it_was(end, tmp_path):
    (tmp_path / "site" / "old").mkdir(parents=True)
    before = tree(tmp_path)
    with pytest.raises(BaseException) as raised, whole.new_folder(tmp_path / "site") as made:
        (made / "half.html").write_text("half")
        raise end
    assert raised.value is end or raised.type is end
    assert tree(tmp_path) == before


@pytest.mark.parametrize("place", ["site", "build/site"])
def test_a_folder_takes_the_place_of_the_old_one_with_nothing_of_it(place, tmp_path):
    for text in ("first", "second"):
        with whole.new_folder(tmp_path / place) as made:
            (made / f"{text}.html").write_text(text)
    files = {name: text for name, text in tree(tmp_path).items() if text}
    assert files == {f"{place}/second.html": "second"}
    assert [path.name for path in (tmp_path / place).parent.iterdir()] == ["site"]


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_a_draft_that_ends_early_is_gone(end, tmp_path):
    with pytest.raises(BaseException) as raised, whole.new_file(tmp_path / "a.pdf") as draft:
        draft.write_text("half")
        raise end
    assert raised.value is end or raised.type is end
    assert tree(tmp_path) == {}


SAID = """
import sys
sys.path.insert(0, {tools!r})
import whole
def main():
    raise {error}
whole.in_words(main)
"""


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("OSError(28, 'No space left on device', 'a')", 1, "Stopped: [Errno 28] No space left on"),
        ("KeyboardInterrupt", 130, "Stopped. What was to be written anew is as it was before."),
        ("SystemExit(3)", 3, ""),
    ],
)
def test_a_command_ends_with_one_sentence(error, status, said):
    code = SAID.format(tools=str(TOOLS), error=error)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr.strip().startswith(said)
    assert len(done.stderr.strip().splitlines()) <= 1


def test_another_error_keeps_its_traceback():
    with pytest.raises(FileNotFoundError):
        whole.in_words(lambda: Path("gone").read_text())


@LIMITED
def test_links_and_the_readmes_table_are_written_in_one_step(tmp_path, full, monkeypatch):
    readme = tmp_path / "README.md"
    old = f"{'x' * 4050}{readme_table.START}\n{readme_table.END}"
    readme.write_text(old)
    monkeypatch.setattr(readme_table, "table_of", lambda _: "row" * 100)
    with pytest.raises(OSError, match="File too large"):
        readme_table.update(readme, None)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(f'{"#" * 4060}\nRepository = "x"\n')
    with pytest.raises(OSError, match="File too large"):
        badges.set_address("https://github.com/someone/quantlab", pyproject)
    assert tree(tmp_path)["README.md"] == old
    assert sorted(tree(tmp_path)) == ["README.md", "pyproject.toml"]
