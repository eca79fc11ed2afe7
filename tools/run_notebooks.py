"""Execute the course's notebooks in place, each in a fresh kernel; a re-run changes no byte.

    python tools/run_notebooks.py                  all of them
    python tools/run_notebooks.py notebooks/04*    some
    python tools/run_notebooks.py --check          execute, change nothing, say which differ
    python tools/run_notebooks.py --check --kernels oldest    as on another processor

A cell that raises, warns or writes to stderr fails its notebook, and the file stays as it was.

What a committed notebook holds is decided here, in `normalise`; the tests use the same functions.
compare_outputs.py decides which outputs are the same.
"""

import argparse
import asyncio
import copy
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import compare_outputs
import nbformat
import readme_table
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from predictions import answers_of
from whole import NO_ROOM, replace_file

from quantlab.course import hardware

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
HIDDEN = "outputs_hidden"
KEPT_CELL_METADATA = {"tags", "slideshow", "jupyter", "collapsed", "tolerance"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# One thread: with more, a sum's order, and so its last bit, depends on the number of cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# What the libraries are told to compute with: they add in another order then, as they do on a
# processor without AVX512, or without AVX2. bitsandbytes asks the processor itself.
KERNELS = {
    "own": {},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "HASWELL",
    },
    "oldest": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBILITY",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "PRESCOTT",
    },
}
CELL_SECONDS = 600
# What a cell shows comes another way than the word that it is done, and on a busy machine later.
# nbclient waits for it for 4 seconds and then goes on without: outputs would be lost in silence.
OUTPUT_SECONDS = 120


class NotebookError(Exception):
    """A notebook that did not run cleanly: which cell, and what it said."""


class _ThisPython(KernelSpecManager):
    """The kernel is the Python that runs this script, whatever else is registered as python3."""

    def get_kernel_spec(self, kernel_name):
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def execute(notebook, folder=NOTEBOOKS, afterwards=(), kernels="own"):
    """Return `notebook`, executed top to bottom in a fresh kernel that starts in `folder`.

    notebook: a NotebookNode; it is left as it is. afterwards: sources of cells to run in the same
    kernel once the notebook is done; they come back as further cells, whatever they say.
    kernels: one of `KERNELS`.
    Raises NotebookError at the notebook's first cell that raises, takes over 10 minutes, warns or
    writes to stderr.
    """
    fresh = clear(notebook)
    own = len(fresh.cells)
    fresh.cells += [nbformat.v4.new_code_cell(source) for source in afterwards]

    def stop_at_trouble(cell, cell_index, execute_reply):
        trouble = problem(cell) if cell_index < own else None
        if trouble:
            raise NotebookError(f"cell {cell_index} ({cell.get('id', 'no id')}): {trouble}")

    client = NotebookClient(
        fresh,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=_ThisPython()),
        timeout=CELL_SECONDS,
        iopub_timeout=OUTPUT_SECONDS,
        raise_on_iopub_timeout=True,
        allow_errors=True,
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=stop_at_trouble,
    )
    client.owns_km = True  # so that it also shuts the kernel down
    _run(client, KERNELS[kernels])
    return fresh


def _run(client, kernels):
    """Run `client` with a kernel that has a profile of its own; keep what the kernel's log says."""
    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryFile() as log:
        environment = {**os.environ, **ONE_THREAD, **kernels, "IPYTHONDIR": profile}
        try:
            _wait_for(_interruptible(client, env=environment, stderr=log))
        except (CellTimeoutError, DeadKernelError) as error:
            log.seek(0)
            tail = log.read().decode(errors="replace")[-2000:]
            raise NotebookError(f"{type(error).__name__}: {error}\n{tail}") from None


def _wait_for(coroutine):
    """Run a coroutine to its end; in a thread of its own where a loop is running already."""

    def run():
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(coroutine)

    if asyncio._get_running_loop() is None:
        run()
    else:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(run).result()


class _Loop(asyncio.SelectorEventLoop):
    """Leaves Ctrl-C to asyncio, which cancels the run. nbclient's own answer loses the reason."""

    def add_signal_handler(self, sig, callback, *args):
        raise RuntimeError("no handlers here")  # nbclient goes on without, as on Windows


async def _interruptible(client, **kernel):
    try:
        await client.async_execute(**kernel)
    except Exception:
        if asyncio.current_task().cancelling():  # nbclient calls a cancelled cell a dead kernel
            raise asyncio.CancelledError from None
        raise


def problem(cell):
    """Return what an executed cell complains of (an error, a warning, stderr), or None."""
    for output in cell.get("outputs", ()):
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}"
        if output.output_type == "stream" and output.name == "stderr":
            return f"writes to stderr: {output.text.strip()}"
    return None


def clear(notebook):
    """Return a copy of `notebook` without outputs."""
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return bare


def normalise(notebook):
    """Return a copy of `notebook` with only what a committed notebook holds.

    Gone: the state and views of widgets (random ids; GitHub refuses the state), when and how long
    each cell ran, versions of Python, marks of editors. Kept: sources, ids, tags, tolerances,
    slides, outputs, the machine. What answers a prediction is folded: Jupyter shows it at a click,
    or when run.
    """
    clean = copy.deepcopy(notebook)
    machine = {k: v for k, v in notebook.metadata.items() if k == "quantlab"}
    clean.metadata = nbformat.from_dict(METADATA | machine)
    clean.nbformat, clean.nbformat_minor = 4, 5
    for number, cell in enumerate(clean.cells):
        cell.setdefault("id", f"cell-{number}")
        kept = {k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA and v}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _merge_streams([_without_view(o) for o in cell.outputs])
            _fold(cell, False)
    for place in answers_of(clean):
        _fold(clean.cells[place], True)
    return clean


def _fold(cell, folded):
    """Close or open a cell's outputs; Jupyter has two words for it, and wants them to agree."""
    for holder, word in ((cell.metadata, "collapsed"), (cell.metadata.get("jupyter"), HIDDEN)):
        if holder:
            holder.pop(word, None)
    if folded:
        cell.metadata.collapsed = True
        cell.metadata.setdefault("jupyter", nbformat.NotebookNode())[HIDDEN] = True
    elif not cell.metadata.get("jupyter", True):
        del cell.metadata["jupyter"]


def text(notebook):
    """Return the bytes-to-be of a normalised notebook: what its file holds."""
    return nbformat.writes(normalise(notebook), version=nbformat.NO_CONVERT) + "\n"


def differences(committed, executed, same_libraries=True):
    """Return a line for each code cell whose outputs changed: its id, and what changed."""
    old, new = normalise(committed), normalise(executed)
    pairs = ((a, b) for a, b in zip(old.cells, new.cells, strict=True) if a.cell_type == "code")
    found = ((a.id, compare_outputs.changes(a, b, same_libraries)) for a, b in pairs)
    return [f"{id}: {'; '.join(changes)}" for id, changes in found if changes]


def _without_view(output):
    """Drop the view of a widget that has a still: its id is random, and dead without a kernel."""
    data = output.get("data", {})
    if WIDGET_VIEW in data and set(data) - {WIDGET_VIEW, "text/plain"}:
        del data[WIDGET_VIEW]
    return output


def _merge_streams(outputs):
    """Join neighbouring pieces of the same stream: where they are cut depends on timing."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def run(path, check=False, kernels="own"):
    """Execute the notebook at `path`; write it back, or compare if `check`. Returns what to report.

    kernels: one of `KERNELS`.

    Raises NotebookError, and leaves the file as it is, if it does not run cleanly or, with `check`,
    if what is committed is not what came out.
    """
    committed = nbformat.read(path, as_version=4)
    executed = execute(committed, path.parent, kernels=kernels)
    if not check:
        executed.metadata["quantlab"] = {"measured_on": hardware.machine().name}
        replace_file(path, text(executed))
        readme = path.parents[1] / "README.md"
        if path.name == readme_table.NOTEBOOK and readme_table.update(readme, executed):
            return "done, and the table in README.md with it"
        return "done"
    changed = differences(committed, executed)
    if changed:
        raise NotebookError("the committed outputs differ in:\n    " + "\n    ".join(changed))
    if path.read_text(encoding="utf-8") != text(committed):
        raise NotebookError("the file holds more than its outputs (widget state, metadata)")
    return "as committed"


def warm_up():
    """Build matplotlib's font list now: on a new machine it says on stderr that it does so."""
    import matplotlib.font_manager  # noqa: F401


def main(arguments=None):
    """Run the notebooks named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Execute the course's notebooks in place.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--check", action="store_true", help="change nothing, say which differ")
    says = "with --check: compute as on another processor"
    parser.add_argument("--kernels", choices=KERNELS, default="own", help=says)
    options = parser.parse_args(arguments)
    if options.kernels != "own" and not options.check:
        parser.error("--kernels needs --check: what is committed is of this processor")
    paths = options.notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        parser.error(f"no such notebook: {', '.join(absent)}")
    warm_up()
    failed = 0
    for number, path in enumerate(paths, 1):
        print(f"[{number}/{len(paths)}] {path.name} ...", end=" ", flush=True)
        start = time.monotonic()
        try:
            said = run(path, options.check, options.kernels)
        except NotebookError as error:
            failed += 1
            said = f"FAILED\n    {path.name}, {error}"
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            failed += 1
            said = f"FAILED\n    {path.name}, {error}; the file is as it was before"
        print(f"{said} ({time.monotonic() - start:.1f} s)", flush=True)
    if failed:
        print(f"{failed} of {len(paths)} notebooks failed.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped. The notebook that was running is as it was before.", file=sys.stderr)
        sys.exit(130)
