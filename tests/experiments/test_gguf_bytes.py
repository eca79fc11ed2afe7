"""The bytes of a GGUF file by their names: as PyPI's gguf writes and reads them."""

import numpy as np
import pytest

from quantlab import gguf as blocks
from quantlab.experiments import gguf_bytes

gguf = pytest.importorskip("gguf")

LAYER = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A small file with every kind of entry, and a tensor of each type of blocks."""
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(writer, f"add_{kind}")(f"my.{kind}", 7)
    writer.add_float32("my.float32", 0.5)
    writer.add_float64("my.float64", 0.1)
    writer.add_bool("my.bool", True)
    writer.add_string("my.text", "Größe")
    writer.add_array("my.texts", ["a", "bc"])
    writer.add_array("my.numbers", [1, 2, 3])
    writer.add_tensor("norm", np.arange(5, dtype=np.float32))
    for name in blocks.TYPES:
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, blocks.encode(LAYER, name), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def contents(path):
    return gguf_bytes.read(path.read_bytes())


def test_every_kind_of_entry_is_read(contents):
    wholes = dict.fromkeys(
        [f"my.{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)], 7
    )
    assert contents.metadata == wholes | {
        "general.architecture": "llama", "my.float32": 0.5, "my.float64": 0.1, "my.bool": True,
        "my.text": "Größe", "my.texts": ["a", "bc"], "my.numbers": [1, 2, 3],
    }  # fmt: skip


def test_tensors_are_listed_as_by_the_library(path, contents):
    theirs = [
        (t.name, t.tensor_type.name, tuple(map(int, t.shape[::-1])), int(t.data_offset))
        for t in gguf.GGUFReader(path).tensors
    ]
    assert [(t.name, t.type, t.shape, t.start) for t in contents.tensors] == theirs


def test_the_fields_are_the_bytes_of_the_file_without_gaps(path, contents):
    data, end = path.read_bytes(), 0
    for field in contents.fields:
        assert field.start == end and data[end : end + len(field.bytes)] == field.bytes
        end += len(field.bytes)
    assert [field.value for field in contents.fields[-1:]] == ["llama"]


def test_a_tensor_s_entry_names_it(contents):
    fields = {field.name: field.value for field in contents.tensors[1].fields}
    assert fields["name of a tensor"] == contents.tensors[1].name
    assert (fields["its dimension 1"], fields["its dimension 2"]) == ("256", "4")


@pytest.mark.parametrize("type", blocks.TYPES)
def test_the_parts_of_a_block_are_its_bytes(type):
    encoded = blocks.encode(LAYER, type)
    fields = gguf_bytes.block_fields(encoded, type, start=10)
    assert b"".join(field.bytes for field in fields) == encoded.tobytes()
    assert [f.start for f in fields[1:]] == [f.start + len(f.bytes) for f in fields[:-1]]
    assert fields[0].start == 10


def test_what_is_no_gguf_file_is_refused():
    with pytest.raises(ValueError, match="starts with the letters GGUF, this one with b'PK"):
        gguf_bytes.read(b"PK\x03\x04" + bytes(40))


def test_a_scale_says_its_number():
    x = np.zeros(32)
    x[0] = 2.0
    [scale, _] = gguf_bytes.block_fields(blocks.encode(x, "Q4_0"), "Q4_0")
    assert scale.value == "FP16: −0.25"
