"""A disk that is full: what is saved, exported or kept of a training leaves no half of itself."""

import errno
import sys

import pytest

from quantlab import lm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a limit plays the full disk")

WAYS = {
    "save": lambda model, path: model.save(path),
    "export_gguf": lambda model, path: lm.export_gguf(model, path, "Q8_0"),
    "a checkpoint": lambda model, path: lm.train(
        model, ["Once upon a time there was a cat. " * 20], steps=1, window=16, checkpoint=path
    ),
}


@pytest.fixture(scope="module")
def model():
    return lm.load("tiny-lm", "fp32")  # which can be trained


@pytest.mark.parametrize("way", WAYS)
def test_it_says_so_with_the_path_and_leaves_nothing(way, model, tmp_path):
    import resource

    path = tmp_path / "kept"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # bytes of one file
    try:
        with pytest.raises(OSError, match="the disk has no room for it") as raised:
            WAYS[way](model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
