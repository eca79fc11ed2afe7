"""What the functions of `lm` are given, checked where it comes in; errors name the argument."""

from .._checks import shown, whole


def model(name, value):
    """Return `value` if it is a `Model`."""
    if not all(hasattr(value, part) for part in ("network", "tokenizer", "stored")):
        raise TypeError(f"{name} must be a Model, as lm.load returns it, got {shown(value)}")
    return value


def texts(name, value):
    """Return a list of texts: `value`, or the one text that it is."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, str) for one in found):
        raise TypeError(f"{name} must be a text or a list of texts, got {shown(value)}")
    return found


def function(name, value):
    """Return `value`, a function or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be None or a function, got {shown(value)}")
    return value


def groups(value, matrices):
    """Return a group_size that divides the inputs of every matrix, an int, or None."""
    if value is None:
        return None
    size = whole("group_size", value, 1)
    for matrix in matrices:
        if matrix.shape[0] % size:
            raise ValueError(
                f"group_size must divide the inputs of every layer; {matrix.name} has "
                f"{matrix.shape[0]}, got {shown(size)}"
            )
    return size
