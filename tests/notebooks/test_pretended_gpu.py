"""Every notebook with torch runs on a machine whose torch says that it has a GPU."""

from pathlib import Path

import anatomy
import nbformat
import pytest
import run_notebooks
from nbformat.v4 import new_code_cell, new_notebook

INSTALL = f"""import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pretended_gpu
del sys.path[0]
pretended_gpu.install()
pretended_gpu.shorten_texts(5000)"""


def on_a_gpu(notebook):
    """Run a copy of `notebook` whose first cell pretends; return the run without that cell."""
    cells = [new_code_cell(INSTALL), *notebook.cells]
    run = run_notebooks.execute(new_notebook(cells=cells))
    del run.cells[0]
    return run


def run(*sources):
    notebook = on_a_gpu(new_notebook(cells=[new_code_cell(source) for source in sources]))
    return "".join(output.text for output in notebook.cells[-1].outputs)


def read(path):
    return nbformat.read(path, as_version=4)


#: In JupyterLab it is seen that no other notebook loads torch.
WITH_TORCH = [
    path
    for path in sorted(run_notebooks.NOTEBOOKS.glob("*.ipynb"))
    if anatomy.has_torch(read(path))
]


@pytest.mark.parametrize("with_torch", WITH_TORCH, ids=lambda path: path.stem)
def test_notebook_runs_on_a_machine_with_a_gpu(with_torch):
    on_a_gpu(read(with_torch))


LOADED = "from quantlab import lm\nmodel = lm.load('tiny-lm', {!r})\nprint(model.device)"


@pytest.mark.parametrize("quantization", ["fp32", "nf4", "int8"])
def test_a_model_goes_to_the_pretended_gpu_and_computes_the_same_there(quantization):
    here = f"there = model.perplexity('Once upon a time')\nfrom quantlab import lm\nprint(there / \
lm.load('tiny-lm', {quantization!r}, device='cpu').perplexity('Once upon a time'))"
    assert run(LOADED.format(quantization)) == "cuda:0\n"
    assert float(run(LOADED.format(quantization), here)) == 1


WEIGHT = LOADED.format("fp32") + "\nweight = model.linears()[0][1].weight.detach()"


def test_a_weight_that_is_not_brought_back_first_stops_the_notebook():
    with pytest.raises(run_notebooks.NotebookError, match=r"cuda:0 .* to numpy. Use Tensor.cpu"):
        run(WEIGHT, "weight.numpy()")
    with pytest.raises(run_notebooks.NotebookError, match=r"cuda:0 .* to numpy. Use Tensor.cpu"):
        run(WEIGHT, "import numpy as np\nnp.asarray(weight)")


def test_two_devices_in_one_operation_stop_the_notebook():
    with pytest.raises(run_notebooks.NotebookError, match="on the same device"):
        run(WEIGHT, "import torch\nweight @ torch.ones(weight.shape[1])")
    with pytest.raises(run_notebooks.NotebookError, match="on the same device"):
        run(WEIGHT, "import torch\nmodel.network(torch.tensor([[1, 2]]))")


def test_a_weight_brought_back_is_an_array():
    assert run(WEIGHT, "print(type(weight.cpu().numpy()).__name__)") == "ndarray\n"
