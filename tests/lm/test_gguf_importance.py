"""The importance matrix: mean squares of the inputs of each linear layer."""

import numpy as np
import torch

from quantlab import lm
from quantlab.lm.calibration import calibration_windows


def test_importance_is_the_mean_square_of_the_inputs(exact, short_text):
    name, layer = exact.linears()[6]
    caught = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    with torch.inference_mode():
        exact.network(input_ids=calibration_windows(exact, short_text))
    hook.remove()
    expected = caught[0].flatten(0, 1).pow(2).mean(0)
    found = lm.importance_matrix(exact, short_text)
    # Sums of some hundred float32 squares, in another order.
    assert np.allclose(found[name], expected, rtol=1e-4)


def test_every_linear_layer_has_its_importance_and_no_weight_moves(exact, short_text):
    before = {name: layer.weight.clone() for name, layer in exact.linears()}
    found = lm.importance_matrix(exact, short_text)
    assert {name: len(values) for name, values in found.items()} == {
        name: layer.in_features for name, layer in exact.linears()
    }
    assert all(torch.equal(before[name], layer.weight) for name, layer in exact.linears())
