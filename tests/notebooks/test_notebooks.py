"""Every notebook of the course keeps the rules, runs clean, and gives what is committed."""

import anatomy
import compare_outputs
import pytest
import run_notebooks


def test_there_are_notebooks():
    assert list(run_notebooks.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("rule", anatomy.RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_the_rule(rule, notebook, path):
    assert rule(notebook, path) == []


def test_notebook_runs_without_error_or_warning(run):
    result, _ = run
    assert not isinstance(result, run_notebooks.NotebookError), str(result)


def test_rerun_gives_the_committed_outputs_byte_for_byte(notebook, run):
    result, _ = run
    if isinstance(result, run_notebooks.NotebookError):
        pytest.fail(str(result))
    same = compare_outputs.libraries_as_committed()
    assert run_notebooks.differences(notebook, result, same) == []


def test_every_solution_passes_its_check(notebook, run):
    _, states = run
    ids = [id for id, _, _ in anatomy.checks(notebook)]
    assert states == dict.fromkeys(ids, "right")
