"""The quick forms of the definitions beside this folder: the same results, in less time.

A definition hands over to its quick form when an array is large enough to pay for it.
tests/test_fast.py runs both on the same arrays, on both sides of that size.
"""

import numpy as np

#: Values from which a quick form is used.
MANY = 2**14


def pays(x):
    """Say whether `x` is large enough for a quick form."""
    return np.size(x) >= MANY
