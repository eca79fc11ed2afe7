"""Scales and rotations against torchao, compressed-tensors, and llm-compressor if it is there.

torchao's SmoothQuant and AWQ are its prototypes; version 0.18 was read and compared. llm-compressor
can be no dependency of the tests: 0.14 asks for an older transformers. Who installs it by hand has
its formula compared, and what it does otherwise is named there.
"""

from types import SimpleNamespace

import numpy as np
import pytest

import quantlab as ql

torch = pytest.importorskip("torch")
import peers  # noqa: E402, F401  it says where torchao is

#: Two logarithms and two exponentials in float32, each good to a few last places: 2^-24 times the
#: exponent, up to 5 here, and a division.
FLOAT = 16 * 2.0**-24


@pytest.fixture(params=["as trained", "injected"])
def layer(request, tiny_lm, inputs):
    """The inputs of the first layer's q, k and v (tokens, in) and their weights side by side."""
    names = [f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
    w = np.concatenate([tiny_lm[name].float().numpy().T for name in names], axis=1)
    factor = np.ones(len(w), np.float32)
    if request.param == "injected":
        factor[[20, 100, 200]] = 64
    return ql.transforms.rescale(inputs, w, 1 / factor)


@pytest.mark.parametrize("size", [2**k for k in range(11)])
def test_of_powers_of_two_the_hadamard_matrix_is_that_of_compressed_tensors(size):
    theirs = compressed_tensors().deterministic_hadamard_matrix(size, torch.float64)
    assert np.array_equal(ql.transforms.hadamard(size) * np.sqrt(size), theirs.numpy().round())


@pytest.mark.parametrize("size", [12, 20, 28, 24, 768, 14336 // 16])
def test_of_other_sizes_compressed_tensors_has_a_hadamard_matrix_of_another_construction(size):
    # Theirs are of Paley's kind and from Sloane's library, ours of Williamson's: each is one.
    generator = torch.Generator().manual_seed(0)
    theirs = compressed_tensors().random_hadamard_matrix(size, torch.float64, gen=generator).numpy()
    ours = ql.transforms.hadamard(size) * np.sqrt(size)
    for matrix in (theirs, ours.round()):
        assert np.array_equal(np.abs(matrix), np.ones((size, size)))
        assert np.array_equal(matrix @ matrix.T, size * np.eye(size))
    assert np.allclose(ours, ours.round(), rtol=0, atol=1e-12)


def test_with_random_signs_compressed_tensors_also_flips_inputs_and_then_mixes():
    generator = torch.Generator().manual_seed(0)
    theirs = compressed_tensors().random_hadamard_matrix(256, torch.float64, gen=generator).numpy()
    signs = theirs[:, 0]
    assert np.array_equal(theirs, signs[:, None] * ql.transforms.hadamard(256) * 16)
    seeded = ql.transforms.hadamard(256, seed=0) * 16
    assert np.array_equal(seeded, seeded[:, :1] * ql.transforms.hadamard(256) * 16)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75])
def test_smoothquant_scales_are_those_of_torchao(layer, alpha):
    x, w = layer
    observer = torchao("smoothquant").SmoothQuantObserver(torch.from_numpy(w.T), alpha)
    observer(torch.from_numpy(x))
    theirs, _, _ = observer.calculate_qparams()
    # Theirs adds float32's epsilon to both maxima, which are far above it.
    peaks = np.abs(x).max(axis=0), np.abs(w).max(axis=1)
    added = np.max([2.0**-23 / peak for peak in peaks])
    ours = ql.transforms.smooth_scales(x, w, alpha)
    assert np.allclose(ours, theirs.numpy(), rtol=FLOAT + added, atol=0)


@pytest.mark.parametrize(("bits", "group_size"), [(4, 256), (3, 32)])
def test_awq_scales_are_those_of_torchao(layer, bits, group_size):
    from torchao.quantization import IntxWeightOnlyConfig, PerGroup
    from torchao.quantization.quant_primitives import MappingType

    x, w = layer[0][:512], layer[1]
    config = IntxWeightOnlyConfig(
        getattr(torch, f"int{bits}"), PerGroup(group_size), MappingType.ASYMMETRIC
    )
    observer = torchao("awq").AWQObserver(torch.from_numpy(w.T.copy()), None, config)
    observer(torch.from_numpy(x), None)
    ours = ql.transforms.awq_scales(x, w, bits, group_size)
    # The mean of 512 values in float32, summed in pairs, is off by 9 last places at most.
    rel = FLOAT + 9 * 2.0**-24
    assert np.allclose(ours, observer.calculate_qparams().numpy(), rtol=rel, atol=0)


@pytest.mark.filterwarnings("ignore")
def test_the_formula_of_smoothquant_is_that_of_llm_compressor(layer):
    # It takes the range of an input, largest less smallest, where the paper has the largest
    # magnitude, and twice that of a weight: the same where the range is symmetric and alpha 1/2.
    name, reason = (
        "llmcompressor.modifiers.transform.smoothquant.base",
        "llm-compressor is not there",
    )
    base = pytest.importorskip(name, reason=reason)
    x, w = layer
    settings = SimpleNamespace(algorithm="smoothquant", smoothing_strength=0.5)
    weights = [SimpleNamespace(weight=torch.from_numpy(part.T)) for part in np.split(w, 3, axis=1)]
    ranges = torch.from_numpy(2 * np.abs(x).max(axis=0))
    theirs = base.SmoothQuantModifier._calculate_smoothing_scales(settings, weights, ranges)
    assert np.allclose(ql.transforms.smooth_scales(x, w), theirs.numpy(), rtol=FLOAT, atol=0)


def compressed_tensors():
    return pytest.importorskip("compressed_tensors.transform.utils.hadamard")


def torchao(method):
    return pytest.importorskip(f"torchao.prototype.{method}.core", reason="torchao is not there")
