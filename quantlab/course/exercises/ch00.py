"""Exercises of notebook 00: bytes, GiB, bits per weight, what fits, the KV cache."""

from quantlab import memory
from quantlab.course.checking import Case, function, value
from quantlab.course.exercise import Exercise

# Llama 3.1 70B: 80 layers, 64 heads that share 8 pairs of keys and values, 128 numbers each.
_LLAMA_CACHE = 2 * 80 * 8 * 128 * 8192 * 2 / memory.GB


def _fits(device_bytes, bits, headroom):
    return device_bytes * (1 - headroom) * 8 / bits


EXERCISES = {
    "0.1": Exercise(
        hint="BF16 has 16 bits, and a byte has 8.",
        check=value(
            memory.weight_bytes(7e9, "bf16") / memory.GB,
            about="GB of 7 billion weights in BF16",
            look_at="parameters × bytes per parameter, then bytes to GB.",
            mistakes=(
                *(
                    (round(7e9 * 2 / memory.GiB, d), "this is in GiB; a GB has 10⁹ bytes.")
                    for d in (0, 1, 2, 3, 17)
                ),
                (7 * 16, "these are billions of bits; a byte has 8 of them."),
                (7e9 * 2, "these are bytes; a GB has 10⁹ of them."),
                (7 * 4, "that is FP32, 4 bytes per weight."),
                (7, "that is 1 byte per weight: BF16 has 2."),
                (7 * 8, "that is 8 bytes per weight: BF16 has 2."),
                (3.5, "that is 4 bits per weight: BF16 has 16."),
                (7e3 * 2, "these are MB; a GB has 1,000 of them."),
            ),
        ),
        learned="14 GB: a free Colab T4, with 15.8 GB, has 1.8 GB left for everything else.",
    ),
    "0.2": Exercise(
        hint="a GiB has 2**30 bytes.",
        check=function(
            Case(
                (memory.GiB,),
                1,
                about="to_gib(2**30)",
                look_at="how many bytes is one GiB?",
                mistakes=(
                    (memory.GiB / memory.GB, "that is in GB, 10⁹ bytes each."),
                    (1024, "that is in MiB: a GiB has 1,024 of them."),
                    (memory.GiB**2, "a larger unit makes the number smaller: divide."),
                    (memory.GiB / (2 ^ 30), "^ is no power in Python: 2**30."),
                    (8, "that is bits: the size comes in bytes."),
                ),
            ),
            Case(
                (24e9,),
                24e9 / memory.GiB,
                about="to_gib(24e9)",
                look_at="divide by 2**30, and give back the fraction too.",
            ),
            Case((352e9,), 352e9 / memory.GiB, about="to_gib(352e9)"),
        ),
        learned="24e9 bytes are 22.4 GiB; a card that is sold with 24 GB has 24 GiB, 25.8 GB.",
    ),
    "0.3": Exercise(
        hint="every block of weights pays for one scale: what is one weight's part of it?",
        check=function(
            Case(
                (4, 64, 32),
                4.5,
                about="4-bit codes, blocks of 64, a 32-bit scale",
                mistakes=(
                    (4 * 64 + 32, "these are the bits of a whole block: how many for one weight?"),
                    (0.5, "this is the scale's part: the code's own bits come on top."),
                    (6, "the scale's bits are shared by the block: divide them by its size."),
                ),
            ),
            Case(
                (4, 128, 16),
                4.125,
                about="4-bit codes, blocks of 128, a 16-bit scale",
                look_at="the scale's bits are an argument: they are not always 32.",
                mistakes=tuple(
                    (round(4.125, d), "give all decimals: don't round.") for d in (1, 2)
                ),
            ),
            Case((3, 32, 16), 3.5, about="3-bit codes, blocks of 32, a 16-bit scale"),
            look_at="the code's own bits, plus the scale's bits shared by the whole block.",
        ),
        learned="smaller blocks and wider scales cost bits; notebook 8 shows what they buy.",
    ),
    "0.4": Exercise(
        hint="turn bytes per weight around: usable bytes, times 8, divided by bits per weight.",
        check=function(
            Case(
                (24e9, 16, 0),
                12e9,
                about="24 GB, 16 bits per weight, nothing kept free",
                mistakes=(
                    (24e9 / 16, "these bytes have 8 bits each."),
                    (24e9 * 16, "bits per weight divide: the more bits, the fewer weights."),
                    (24e9 * 2, "bits per weight divide: the more bits, the fewer weights."),
                    (12, "these are billions; give the number of weights."),
                    (24e9 / 16 / 8, "a byte has 8 bits: multiply by 8."),
                ),
            ),
            Case(
                (24e9, 4.5, 0),
                _fits(24e9, 4.5, 0),
                about="24 GB, 4.5 bits per weight, nothing kept free",
                within=1,
                why="one weight",
                look_at="bits per weight may have a fraction.",
                mistakes=((12e9, "bits is an argument: here it is 4.5, not 16."),),
            ),
            Case(
                (24e9, 4.5, 0.1),
                _fits(24e9, 4.5, 0.1),
                about="24 GB, 4.5 bits per weight, 10% kept free",
                within=1,
                why="one weight",
                look_at="only a part of the device is for weights: 1 - headroom.",
            ),
            look_at="a device of 24e9 bytes has 24e9 * 8 bits; how many weights is that? A part of "
            "one does not matter.",
        ),
        learned="24 GB hold 12 billion weights in 16 bits, and over 38 billion in 4.5 bits with "
        "10% kept free.",
    ),
    "0.5": Exercise(
        hint="count the pairs of keys and values, not the heads; a pair is two lists.",
        check=value(
            _LLAMA_CACHE,
            about="GB of KV cache for 8,192 tokens of Llama 3.1 70B",
            within=0.02,
            why="two digits",
            look_at="2 × layers × key-value heads × head_dim × tokens × bytes per value, in GB.",
            mistakes=(
                (_LLAMA_CACHE * 8, "64 heads share 8 pairs of keys and values: count 8."),
                (21.5, "64 heads share 8 pairs of keys and values: count 8."),
                (_LLAMA_CACHE * memory.GB / memory.GiB, "this is in GiB; a GB has 10⁹ bytes."),
                (20, "64 heads share 8 pairs of keys and values: count 8."),
                (_LLAMA_CACHE / 8, "each layer has 8 pairs of keys and values, not one."),
                (
                    _LLAMA_CACHE / 2,
                    "a 2 is missing: a key and a value are two lists, and a number takes 2 bytes.",
                ),
                (_LLAMA_CACHE * 2, "there is a 2 too many: two lists, 2 bytes for each number."),
                (_LLAMA_CACHE * 1e3, "these are MB; a GB has 1,000 of them."),
                (_LLAMA_CACHE * memory.GB, "these are bytes; a GB has 10⁹ of them."),
                (
                    _LLAMA_CACHE / 8192,
                    "next to nothing: is it one token's? There are 8,192.",
                ),
            ),
        ),
        learned="2.7 GB. With 64 pairs instead of 8 it would be 21 GB: sharing pays.",
    ),
}
