"""The article's example is there as printed."""

import numpy as np
import pytest

from quantlab import article


def test_the_matrices_multiply_and_hold_one_value_of_1000():
    assert article.X.shape == (3, 4) and article.W.shape == (4, 2)
    assert np.argwhere(article.X >= 10).tolist() == [[1, 1]] and article.X[1, 1] == 1000


def test_the_vector_wise_scales_are_those_of_the_figure():
    assert np.abs(article.X).max(axis=1).tolist() == [4.913, 1000, 5.937]
    assert np.abs(article.W).max(axis=0).tolist() == [3.277, 5.87]


def test_the_published_big_rows_are_there_for_all_three_methods():
    assert article.published["exact"][1] == [-1579, -1780]
    assert article.published["absmax"]["product"][1] == [-1565, -1786]
    assert article.published["zero_point"]["big_row"] == [-1579, -1752]


def test_the_matrices_cannot_be_changed_by_accident():
    for matrix in (article.X, article.W):
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 0
