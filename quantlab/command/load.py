"""Load a model in few bits and let it write: what it takes, and how fast it is here.

The flags are those of notebook 10: without one the model is loaded in 16 bits. On a CPU, few bits
save memory and no time.
"""

from quantlab import lm

from .texts import tokens

SHORT = "load a model in few bits, weigh it, let it write"
MORE = """\
MODEL    tiny-lm (the course's own), a folder, or a name on the hub

  python -m quantlab load tiny-lm --nf4
  python -m quantlab load tiny-lm --nf4 --double-quant --prompt "The number 7 is"
"""
FLAGS = {
    "fp32": "32 bits", "bf16": "16 bits, the range of FP32", "fp16": "16 bits",
    "int8": "LLM.int8()", "nf4": "4 bits, NormalFloat", "fp4": "4 bits, a float",
}  # fmt: skip


def arguments(page):
    """Add the arguments of the command to its page."""
    page.add_argument("model", metavar="MODEL", help="a name or a folder")
    one = page.add_mutually_exclusive_group()
    for name, what in FLAGS.items():
        one.add_argument(f"--{name}", dest="quantization", action="store_const", const=name,
                         help=what)  # fmt: skip
    page.add_argument("--double-quant", action="store_true", help="scales in 8 bits, with nf4, fp4")
    page.add_argument("--prompt", default="Once upon a time", help="what it continues")
    page.add_argument("--tokens", default="40", help="how many it writes (%(default)s)")


def run(given):
    """Load, print, return 0."""
    count = tokens("--tokens", given.tokens)
    model = lm.load(given.model, given.quantization, double_quant=given.double_quant)
    size, bits = model.memory_bytes(), model.bits_per_weight  # some CPUs repack at first use
    speed = model.tokens_per_second(given.prompt, count)
    text = model.generate_text(given.prompt, count)
    print(f"{model.name}, {model.quantization}, on {model.device}")
    print(f"bytes            {size:,}")
    print(f"bits per weight  {bits:.2f} in the layers, scales included")
    print(f"tokens/s         {speed:,.0f}")
    print(f"\n{text}")
    return 0
