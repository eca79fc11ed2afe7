"""The exercises of each notebook, one module a notebook, found by the number in their id."""
