"""What llama.cpp calls an importance matrix: how large each input of each linear layer is."""

import numpy as np

from . import given
from .calibration import calibration_windows, flow


def importance_matrix(model, calibration=None):
    """Return the mean square of each input of every linear layer, for `export_gguf`.

    calibration: a text or several that flow through the model, as for `lm.quantize`; the default
    is the course's own data/texts/calibration.txt.
    Returns a dict from the names that `model.linears()` has to arrays (in_features,). A layer that
    no token came to is left out.
    Source: llama.cpp, tools/imatrix. These are half the diagonal of the Hessian that GPTQ works
    with (notebook 06).
    """
    found, windows = {}, calibration_windows(given.model("model", model), calibration)

    def keep(matrix, hessian):
        if hessian is not None:
            found[matrix.name] = np.diag(hessian) / 2

    flow(model.network, model.matrices(), windows, keep)
    return found
