"""What each tensor of a .gguf file takes: its type, shape, bits per weight and bytes.

A file of llama.cpp mixes types: a name such as Q4_K_M says what most of its layers have. Norms are
F32, the output head and some layers get more bits.
"""

from pathlib import Path

from quantlab.lm import gguf_file

SHORT = "what each tensor of a .gguf file takes"
MORE = """\
  python -m quantlab gguf model.gguf
  python -m quantlab gguf model.gguf --types
"""


def arguments(page):
    """Add the arguments of the command to its page."""
    page.add_argument("file", metavar="FILE", type=Path, help="a .gguf file")
    page.add_argument("--types", action="store_true", help="a row per type alone")


def run(given):
    """Print a row for each tensor, and one for each type; return 0."""
    found = tensors(given.file)
    if not given.types:
        print(f"{'type':<9}{'bits':>7}{'bytes':>16}  {'shape':<22}tensor")
        for name, type, shape, count, size in found:
            where = " x ".join(f"{n:,}" for n in shape)
            print(f"{type:<9}{8 * size / count:>7.3f}{size:>16,}  {where:<22}{name}")
        print()
    print(f"{'type':<9}{'bits':>7}{'bytes':>16}  tensors")
    for type in sorted({one[1] for one in found}):
        of_type = [one for one in found if one[1] == type]
        count, size = (sum(one[i] for one in of_type) for i in (3, 4))
        print(f"{type:<9}{8 * size / count:>7.3f}{size:>16,}  {len(of_type)}")
    count, size = (sum(one[i] for one in found) for i in (3, 4))
    rest = given.file.stat().st_size - size
    print(f"{'all':<9}{8 * size / count:>7.3f}{size:>16,}  {len(found)}")
    print(f"{'rest':<9}{'':>7}{rest:>16,}  the settings, the tokenizer, the list of tensors")
    return 0


def tensors(path):
    """Return (name, type, shape, numbers, bytes) of each tensor of a .gguf file.

    Raises ValueError for a file of another kind or without tensors, and FileNotFoundError for none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file: it does not begin with GGUF")
    gguf_file.need("gguf", "reading a GGUF file")
    import gguf

    try:
        read = gguf.GGUFReader(path).tensors
    except (IndexError, ValueError) as error:  # what it raises where a file ends too early
        raise ValueError(f"{path} is cut off or damaged: {error}") from error
    if not read:
        raise ValueError(f"{path} holds no tensors: such a file has a tokenizer alone")
    return [
        (t.name, t.tensor_type.name, [int(n) for n in reversed(t.shape)], int(t.n_elements),
         int(t.n_bytes))
        for t in read
    ]  # fmt: skip
