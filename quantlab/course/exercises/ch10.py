"""Exercises of notebook 10: bytes of a 4-bit model, hidden scales, a config, the raw bytes."""

import numpy as np

from quantlab import memory
from quantlab.codebooks import FP4, NF4, quantize_blockwise
from quantlab.course.checking import Case, Wrong, function, is_trivial, value
from quantlab.course.exercise import Exercise

# A 7-billion-parameter model of today: weights of its linear layers, and everything else.
_LINEAR, _OTHERS = 6.5e9, 1.1e9
_HIDDEN = _LINEAR / 64 * 4 / memory.GB

#: What exercise 10.3 asks of the config: (attribute, what it should be, advice).
_WANTED = (
    ("load_in_4bit", "True", "without this flag the others do nothing."),
    ("bnb_4bit_quant_type", "nf4", "the default is fp4, which diverges more (notebook 09)."),
    ("bnb_4bit_use_double_quant", "True", "the scales can be 8-bit codes as well."),
    ("bnb_4bit_compute_dtype", "float16", "a T4 has no bfloat16; which 16-bit format is left?"),
)
_OTHER_DTYPES = {
    "float32": "that is the default. A T4 has it, but its 16-bit units are many times faster.",
    "float64": "64 bits are slower still: a format of 16 bits is asked for.",
}


def _bytes(linear, others):
    return linear * memory.bits_per_weight("nf4", 64, double_quant=True) / 8 + 2 * others


def _bytes_case(linear, others, about, look_at=""):
    """A case of exercise 10.1; 4.127 bits are near enough, 4.13 and 4.5 are other counts."""
    expected = _bytes(linear, others)
    mistakes = (
        (linear * 4.5 / 8 + 2 * others, "4.5 bits are NF4 without double quantization."),
        ((linear + others) * 4.126953125 / 8, "the other weights keep 16 bits, 2 bytes each."),
        (linear * 4.126953125 + 16 * others, "these are bits; a byte has 8 of them."),
    )
    if not linear:
        return Case((linear, others), expected, about, look_at=look_at)
    within, why = linear * 5e-5 / 8, "the rounding of 4.127 bits"
    return Case((linear, others), expected, about, within, why, look_at, mistakes)


def _check_config(answer):
    """Compare each attribute by its name as text: ``torch.float16`` is "float16"."""
    if isinstance(answer, type):
        return Wrong(
            "a config is asked for",
            f"the class {answer.__name__}",
            "BitsAndBytesConfig(...)",
            "call the class, with the flags between its parentheses.",
        )
    for attribute, wanted, advice in _WANTED:
        if not hasattr(answer, attribute):
            return Wrong(
                "a BitsAndBytesConfig is asked for",
                f"a value of type {type(answer).__name__}",
                "BitsAndBytesConfig(...)",
                "pass the config itself: not a model, not a dict of flags.",
                counts=not is_trivial(answer),
            )
        got = str(getattr(answer, attribute)).removeprefix("torch.")
        if got != wanted:
            if got.lower() == wanted.lower():
                advice = f"almost: write {wanted}, in these very letters."
            elif attribute == "bnb_4bit_compute_dtype" and got in _OTHER_DTYPES:
                advice = _OTHER_DTYPES[got]
            return Wrong(attribute, got, wanted, advice)
    return None


def _block_case(block, about=None, mistakes=False, codebook=NF4):
    """Return a case of exercise 10.4: the bytes and absmax of one block, and its values."""
    b = quantize_blockwise(block, codebook, block_size=len(block))
    expected, values = b.dequantize(), codebook.values
    wrong = ()
    if mistakes:
        low_first = values[np.stack([b.codes & 15, b.codes >> 4], axis=1).ravel()]
        wrong = (
            (low_first * b.absmax[0], "the first weight of a byte is in its high half."),
            (values[b.unpack()], "times the absmax of the block."),
        )
    if codebook is not NF4:
        advice = "the codebook is the third argument, and this one is not NF4."
        wrong += ((NF4.values[b.unpack()] * b.absmax[0], advice),)
    # float32 against float64 arithmetic: half a unit in the last of 24 bits.
    within = float(b.absmax[0]) * 2.0**-23
    return Case(
        (b.codes, b.absmax[0], values),
        expected,
        about=about,
        within=within,
        why="the rounding of float32",
        mistakes=wrong,
    )


def _blocks():
    random = np.random.default_rng(10).normal(size=64).astype(np.float32)
    return (
        _block_case(np.array([-2.0, 0.0], np.float32), "one byte, 0x07, with absmax 2", True),
        _block_case(
            np.array([1.0, -0.4, 0.2, 0.05], np.float32), "two bytes with absmax 1", mistakes=True
        ),
        _block_case(random, "a block of 64 weights in 32 bytes", mistakes=True),
        _block_case(
            np.array([0.5, -2.0, 1.0, 0.0], np.float32),
            "two bytes with the codebook FP4",
            True,
            FP4,
        ),
    )


EXERCISES = {
    "10.1": Exercise(
        hint="two parts: the linear layers at 4.127 bits, everything else at 16.",
        check=function(
            _bytes_case(64e6, 0, "64 million linear weights, nothing else"),
            _bytes_case(
                0,
                1e6,
                "no linear layer, 1 million other weights",
                "embeddings, norms and the output head keep 16 bits, 2 bytes each.",
            ),
            _bytes_case(_LINEAR, _OTHERS, "a model of 7.6 billion weights"),
            look_at="4 bits, 8/64 for the scales, 32/(64 * 256) for the scales of the scales.",
        ),
        learned="the prediction needs two counts, and no GPU: you can do it before you download.",
    ),
    "10.2": Exercise(
        hint="one scale for 64 weights, 4 bytes each.",
        check=value(
            _HIDDEN,
            about="GB of scales beside 6.5 billion NF4 weights",
            within=5e-3,
            why="two decimals",
            look_at="weights / 64 scales, 4 bytes for each, in GB.",
            mistakes=(
                (_HIDDEN * memory.GB, "these are bytes; a GB has 10⁹ of them."),
                (
                    _HIDDEN / 4,
                    "that is one byte a scale; without double quantization it has 4.",
                ),
                (0.10, "that is one byte a scale; without double quantization it has 4."),
                (
                    _HIDDEN / 4 * (1 + 4 / 256),
                    "that is double quantization; without it a scale has 4 bytes.",
                ),
                (_HIDDEN * 8, "these are billions of bits."),
                (_HIDDEN * memory.GB / memory.GiB, "this is in GiB; a GB has 10⁹ bytes."),
            ),
        ),
        learned="get_memory_footprint shows none of it; nvidia-smi shows all of it.",
    ),
    "10.3": Exercise(
        hint="the article's config, with one flag changed: a T4 does not compute in bfloat16.",
        check=_check_config,
        learned="this config serves a free Colab GPU, and every newer one.",
    ),
    "10.4": Exercise(
        hint="byte >> 4 is its high half, byte & 15 its low one; each is a place in the codebook.",
        check=function(
            *_blocks(),
            look_at="codes, high half first; their values in the codebook; times absmax.",
        ),
        learned="you can read every weight of a 4-bit model from its bytes, with no library.",
    ),
}
