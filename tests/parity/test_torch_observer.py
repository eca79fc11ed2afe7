"""Zero-point grids against torch's MinMaxObserver, which widens the range to hold zero, too."""

import warnings

import numpy as np
import pytest

import quantlab as ql

torch = pytest.importorskip("torch")


def test_scale_and_zero_point_of_300_rows_are_those_of_torch():
    observers = pytest.importorskip("torch.ao.quantization")
    rng = np.random.default_rng(0)
    for _ in range(300):
        row = (rng.normal(size=50) * rng.uniform(0.1, 10) + rng.uniform(-10, 10)).astype("float32")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch moves its observers to torchao
            observer = observers.MinMaxObserver(torch.qint8, torch.per_tensor_affine)
        observer(torch.tensor(row))
        scale, zero_point = observer.calculate_qparams()
        ours = ql.quantize_zero_point(row)
        assert int(zero_point) == int(ours.zero_point)
        assert float(scale) == pytest.approx(float(ours.scale), rel=4 * 2.0**-24)
