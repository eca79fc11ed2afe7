"""Every notebook runs on a machine whose torch says that it has a GPU."""

from pathlib import Path

import nbformat
import pytest
import run_notebooks
from nbformat.v4 import new_code_cell, new_notebook

INSTALL = f"""import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pretended_gpu
del sys.path[0]
pretended_gpu.install()"""


def on_a_gpu(notebook):
    """Run a copy of `notebook` whose first cell pretends; return the run without that cell."""
    cells = [new_code_cell(INSTALL), *notebook.cells]
    run = run_notebooks.execute(new_notebook(cells=cells))
    del run.cells[0]
    return run


def run(*sources):
    notebook = on_a_gpu(new_notebook(cells=[new_code_cell(source) for source in sources]))
    return "".join(output.text for output in notebook.cells[-1].outputs)


def test_notebook_runs_on_a_machine_with_a_gpu(path):
    on_a_gpu(nbformat.read(path, as_version=4))


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
