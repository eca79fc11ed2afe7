"""The article's example: one small matrix product with an outlier, and what was published about it.

X: (3, 4) activations, one row a token; X[1, 1] = 1000 is the outlier. W: (4, 2) weights. published:
the printed results by method. Source: I. Reznikov, How to Fit Large Language Models in Small
Memory: Quantization (2023).
"""

import json

import numpy as np

from ._data import path

_example = json.loads(path("article/matrix_example.json").read_text(encoding="utf-8"))

X, W = np.array(_example["X"]), np.array(_example["W"])
published = _example["published"]
for _array in (X, W):
    _array.setflags(write=False)  # every chapter shares them
