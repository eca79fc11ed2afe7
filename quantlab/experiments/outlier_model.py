"""Language models with a few large activations that were put there, and what enters their layers.

Each moves a factor from a weight to what comes before it, so the model computes what it did.
"""

import copy
from dataclasses import replace

import numpy as np

from .._checks import one_of, positive

COLUMNS = (20, 100, 200)
FACTOR = 64.0  # a power of two: no bit of the output changes
GAINS, GATE = "the gains", "behind the gate"


def inject(model, where=GAINS, factor=FACTOR):
    """Return a new model like `model` whose activations have three large columns in each block.

    model: an `lm.Model` built as Llama is. where: GAINS makes them in both norms, so that they
    enter q, k, v and gate, up, as in notebook 05; GATE in up_proj, so that they enter down_proj,
    where no norm is. factor: above 0. Raises ValueError for another place or factor.
    """
    one_of("where", where, (GAINS, GATE))
    positive("factor", factor)
    network = copy.deepcopy(model.network)
    columns = list(COLUMNS)
    for block in network.model.layers:
        attention, mlp = block.self_attn, block.mlp
        if where == GATE:
            mlp.up_proj.weight.data[columns] *= factor
            mlp.down_proj.weight.data[:, columns] /= factor
            continue
        for norm, layers in (
            (block.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
            (block.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
        ):
            norm.weight.data[columns] *= factor
            for layer in layers:
                layer.weight.data[:, columns] /= factor
    return replace(model, network=network)


def inputs_of(model, text, names):
    """Return what enters the layers `names` while the model reads a text: name -> (tokens, in)."""
    layers, caught = dict(model.linears()), {name: [] for name in names}
    hooks = [
        layers[name].register_forward_pre_hook(
            lambda _, inputs, name=name: caught[name].append(inputs[0].flatten(0, 1).numpy())
        )
        for name in names
    ]
    model.perplexity(text, stride=model.window - 1)
    for hook in hooks:
        hook.remove()
    return {name: np.concatenate(pieces) for name, pieces in caught.items()}


def weights_of(model, names):
    """Return the weights of the layers `names`: name -> (in, out)."""
    layers = dict(model.linears())
    return {name: layers[name].weight.numpy(force=True).T for name in names}
