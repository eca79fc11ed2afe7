"""The explorer of notebook 07 on two small layers, the same here and in the notebook's kernel."""

import numpy as np

import quantlab as ql
from quantlab.experiments import one_layer
from quantlab.show import comparison


def measured():
    """Return {name: points} of two made-up layers, small enough to be measured in a moment."""
    rng = np.random.default_rng(7)
    found = {}
    for name, inputs in (("narrow", 128), ("wide", 192)):
        mix = rng.normal(size=(inputs, inputs))
        seen, new = (rng.normal(size=(300, inputs)) @ mix for _ in range(2))
        w = rng.normal(size=(inputs, 64))
        found[name] = one_layer.measure(w, ql.hessian(seen), new)
    return found


def explorer():
    """Return the explorer of these two."""
    return comparison.explorer(measured())
