"""Roundings that stand before the weights of a network while it is trained.

Imports torch at once, so nothing imports this module before it trains.
"""

import torch
from torch.nn.utils import parametrize

from .training_rounding import fake_quantize


class FakeQuantize(torch.nn.Module):
    """Stands before a weight: whoever reads the weight reads it rounded, whoever trains, trains it.

    turned: as in `layers.Weight`: whether matrices are stored (out, in). A tensor of three
    dimensions holds many matrices, each rounded by itself.
    """

    def __init__(self, method, settings, turned=True):
        super().__init__()
        self.method, self.settings, self.turned = method, settings, turned

    def forward(self, weight):
        """Return the weight as it reads rounded."""
        if weight.ndim == 3:
            return torch.stack([self(matrix) for matrix in weight])
        w = weight if self.turned else weight.T
        values = fake_quantize(w, self.method, **self.settings)
        return values if self.turned else values.T


def attach(matrices, method, settings):
    """Put a `FakeQuantize` before each parameter that holds some of the matrices (`Weight`)."""
    places = {(id(m.module), m.parameter): m for m in matrices}
    for matrix in places.values():
        rounding = FakeQuantize(method, settings, matrix.turned)
        parametrize.register_parametrization(matrix.module, matrix.parameter, rounding)


def detach(network):
    """Take every `FakeQuantize` away; the weights stay as they were trained, not rounded."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            for name in [*module.parametrizations]:
                parametrize.remove_parametrizations(module, name, leave_parametrized=False)


def rounded_once():
    """A context in which each weight is rounded at its first use alone: to measure, not to train.

    A text of 25 tokens reads every weight 25 times.
    """
    return parametrize.cached()
