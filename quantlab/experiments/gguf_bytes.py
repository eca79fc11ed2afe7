"""The bytes of a GGUF file, each with a name: what stands where, read from the bytes alone.

Source: the specification, ggml/docs/gguf.md. Numbers are little-endian, and a text comes after its
length in 8 bytes.
"""

import struct
from dataclasses import dataclass

import numpy as np

from .. import gguf

#: The kinds of metadata: a letter of `struct`; text and lists are read by hand.
NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
#: The types of tensors that the course writes, by their numbers in a file.
TENSOR_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 8: "Q8_0", 12: "Q4_K", 14: "Q6_K", 20: "IQ4_NL",
                39: "MXFP4"}  # fmt: skip
ALIGNMENT = 32  # the tensors start at a multiple of it, unless the metadata say otherwise


@dataclass(frozen=True)
class Field:
    """Some bytes of a file: where they start, what they are, and what they say in words."""

    start: int
    bytes: bytes
    name: str
    value: str = ""


@dataclass(frozen=True)
class Tensor:
    """A tensor as the file lists it. shape: outermost first, as torch has it. start: in the file.

    fields: the bytes of its entry in the list.
    """

    name: str
    type: str
    shape: tuple
    start: int
    fields: tuple


@dataclass(frozen=True)
class Contents:
    """What a file says of itself: its metadata by their keys, its tensors, its first bytes."""

    metadata: dict
    tensors: tuple
    fields: tuple


class _Reader:
    """Reads one field after the other, and notes each."""

    def __init__(self, data):
        self.data, self.at, self.fields = data, 0, []

    def number(self, kind, name=""):
        """Return the next number. kind: a letter of `struct`. name: of its field, if it is one."""
        [found] = struct.unpack_from("<" + kind, self.data, self.at)
        self._note(struct.calcsize("<" + kind), name, f"{found:g}" if kind in "fd" else str(found))
        return found

    def text(self, name=""):
        """Return the next text, whose length comes first."""
        length = self.number("Q", name and f"length of the {name}")
        found = bytes(self.data[self.at : self.at + length]).decode()
        self._note(length, name, found)
        return found

    def value(self, kind, name=""):
        """Return the next value of a kind of metadata; a list is no field."""
        if kind == TEXT:
            return self.text(name)
        if kind == LIST:
            inner, count = self.number("I"), self.number("Q")
            return [self.value(inner) for _ in range(count)]
        return self.number(NUMBERS[kind], name)

    def taken(self):
        """Return the fields since the last call."""
        found, self.fields = tuple(self.fields), []
        return found

    def _note(self, length, name, value):
        if name:
            part = bytes(self.data[self.at : self.at + length])
            self.fields.append(Field(self.at, part, name, value))
        self.at += length


def read(data):
    """Return the `Contents` of a GGUF file, given its bytes.

    The fields are those of the header and of the first entry of the metadata.
    Raises ValueError for bytes that are no GGUF file.
    """
    if bytes(data[:4]) != b"GGUF":
        raise ValueError(f"a GGUF file starts with the letters GGUF, this one with {data[:4]!r}")
    reader, metadata, first = _Reader(data), {}, None
    reader._note(4, "magic", "the letters GGUF")
    reader.number("I", "version of the format")
    tensors = reader.number("Q", "number of tensors")
    for _ in range(reader.number("Q", "number of entries in the metadata")):
        key = reader.text("key")
        kind = reader.number("I", "kind of the value")
        metadata[key] = reader.value(kind, "value")
        first = first or reader.taken()
    reader.taken()
    listed = [_listed(reader) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", ALIGNMENT)
    start = -(-reader.at // alignment) * alignment
    return Contents(
        metadata, tuple(Tensor(*one[:3], start + one[3], one[4]) for one in listed), first
    )


def _listed(reader):
    """Return an entry of the list of tensors: name, type, shape, offset, fields."""
    name = reader.text("name of a tensor")
    dimensions = reader.number("I", "number of its dimensions")
    shape = [reader.number("Q", f"its dimension {i}") for i in range(1, dimensions + 1)]
    kind = reader.number("I", "its type")
    kind = TENSOR_TYPES.get(kind, str(kind))
    offset = reader.number("Q", "its place, after the list")
    return name, kind, tuple(shape[::-1]), offset, reader.taken()


#: What a block consists of: (bytes, name, in words).
PARTS = {
    "Q4_0": ((2, "scale", "FP16"), (16, "codes", "4 bits each")),
    "IQ4_NL": ((2, "scale", "FP16"), (16, "codes", "4 bits each, places in a table")),
    "Q8_0": ((2, "scale", "FP16"), (32, "codes", "8 bits each")),
    "MXFP4": ((1, "exponent", "a power of two"), (16, "codes", "FP4")),
    "Q4_K": (
        (2, "d", "FP16, the unit of the scales"),
        (2, "dmin", "FP16, the unit of the minimums"),
        (12, "scales and minimums", "8 and 8, 6 bits each"),
        (128, "codes", "4 bits each"),
    ),
    "Q6_K": (
        (128, "lower bits", "4 of each code"),
        (64, "upper bits", "2 of each code"),
        (16, "scales", "8 bits each"),
        (2, "d", "FP16, the unit of the scales"),
    ),
}  # fmt: skip


def block_fields(blocks, type, start=0):
    """Return the fields of blocks, one after the other. blocks: uint8. start: of the first byte."""
    data, fields, at = np.asarray(blocks, np.uint8).tobytes(), [], 0
    for _ in range(len(data) // gguf.TYPES[type].bytes):
        for length, name, words in PARTS[type]:
            part = data[at : at + length]
            if words.startswith("FP16"):
                words = f"{words}: {np.frombuffer(part, '<f2').item():.4g}"
            fields.append(Field(start + at, part, name, words.replace("-", "−")))
            at += length
    return tuple(fields)
