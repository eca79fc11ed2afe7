"""Does a model fit on a device, and how fast can it write at best?

One row per format: bytes of the weights, with what of them is kept of the texts, and what is left.
"cache" are the keys and values of all tokens: they grow with the text, the weights don't.
"tokens/s" is a bound: the device's bandwidth over the bytes that one more token has to read.
"""

import json

from quantlab import config, fit

from .texts import columns, gigabytes, size, tokens

SHORT = "does a model fit on a device, and how fast is it at best?"
MORE = f"""\
CONFIG   a config.json, its folder, or one of these, whose shapes come with the course:
{columns(config.shipped())}
DEVICE   24GB, 16GiB, or one of these, which have a bandwidth too:
{columns(fit.devices())}

formats  fp32, bf16        every weight in 32 or 16 bits
         fp8               layers in 8 bits, a scale per 128 x 128, as DeepSeek-V3 was released
         int8, nf4         layers as bitsandbytes has them; nf4-nested: scales in 8 bits too
         int4-g128         layers of GPTQ and AWQ files, 4 bits in groups of 128
         mxfp4             as gpt-oss was released: the experts alone, where there are any
         Q8_0 ... Q4_0     files of llama.cpp, embeddings and output head too
         as stored         what the files hold, where CONFIG has a quantization_config

Exit code: 0 if at least one format fits, 1 if none does, 2 for an error.

  python -m quantlab fit "Llama 3.1 8B" --device "RTX 4090" --context 32k
  python -m quantlab fit DeepSeek-V3 --device H200 --batch 4 --cache fp8
  python -m quantlab fit my-model/config.json --device 8GB --json
"""


def arguments(page):
    """Add the arguments of the command to its page."""
    page.add_argument("config", metavar="CONFIG", help="a config.json, its folder, or a name")
    page.add_argument("--device", default="RTX 4090", help="a name or a size (%(default)s)")
    page.add_argument("--context", default="8k", help="tokens of a text: 8192, 32k (%(default)s)")
    page.add_argument("--batch", default=1, type=int, help="texts at once (%(default)s)")
    page.add_argument("--cache", default="bf16", choices=fit.CACHE_BITS, help="(%(default)s)")
    page.add_argument("--engine", default="least", choices=fit.ENGINES,
                      help="what keeps the cache (%(default)s: what attention needs)")  # fmt: skip
    page.add_argument("--json", action="store_true", help="numbers for a program, in bytes")


def run(given):
    """Print the plan; return 1 if no format fits, else 0."""
    plan = fit.plan(
        given.config,
        size(given.device, fit.devices()),
        tokens("--context", given.context),
        given.batch,
        cache=given.cache,
        engine=given.engine,
    )
    print(json.dumps(numbers(plan), indent=1) if given.json else table(given.config, plan))
    return 0 if any(plan.fits.values()) else 1


def numbers(plan):
    """Return a plan as a dict of numbers, by the names that `Plan` has."""
    names = ("context", "batch", "parameters", "active_parameters", "kept_parameters",
             "weight_bytes", "cache_bytes", "cache_bytes_per_token", "activation_bytes",
             "total_bytes", "spare_bytes", "fits", "tokens_per_second", "prompt_seconds",
             "notes")  # fmt: skip
    device = plan.device
    about = {"name": device.name, "bytes": device.bytes, "bandwidth": device.bandwidth,
             "source": device.source}  # fmt: skip
    return {"device": about} | {name: getattr(plan, name) for name in names}


def table(name, plan):
    """Return a plan as text: a sentence, a row per format, and what is not in the numbers."""
    device, texts = plan.device, "1 text" if plan.batch == 1 else f"{plan.batch} texts"
    active = f", {plan.active_parameters / 1e9:.3g} billion for a token"
    lines = [
        f"{name}: {plan.parameters / 1e9:.4g} billion parameters{active}.",
        f"{texts} of {plan.context:,} tokens on {device.name} of {gigabytes(device.bytes)}"
        + (f", {device.bandwidth / 1e9:,.0f} GB/s" if device.bandwidth else "")
        + ". Sizes in GB, of 10^9 bytes.",
        "",
        f"{'format':<11}{'weights':>9}{'cache':>9}{'total':>9}{'spare':>9}  fits{'tokens/s':>10}",
    ]
    for format, fits in plan.fits.items():
        speed = plan.tokens_per_second[format]
        sizes = (plan.weight_bytes[format], plan.cache_bytes, plan.total_bytes[format])
        cells = "".join(f" {one / 1e9:>8.2f}" for one in sizes)
        spare = f" {plan.spare_bytes[format] / 1e9:>+8.2f}"
        best = f"{speed:>10,.{0 if speed > 10 else 1}f}" if speed and fits else f"{'-':>10}"
        lines.append(f"{format:<11}{cells}{spare}  {'yes ' if fits else 'no  '}{best}")
    lines += ["", *_below(plan)]
    return "\n".join(lines)


def _below(plan):
    """Return the sentences under the table."""
    yield (
        f"A further token of a text adds {plan.cache_bytes_per_token:,} bytes to the cache. The "
        f"total has {plan.activation_bytes / 1e6:,.0f} MB for activations."
    )
    if plan.device.bandwidth:
        yield "tokens/s: new tokens of all texts together, at their end, at most."
    if plan.prompt_seconds:
        yield f"Reading the texts takes at least {plan.prompt_seconds:.2g} s of computing."
    if plan.device.source:
        yield f"{plan.device.name}: {plan.device.source}."
    if not any(plan.fits.values()):
        least = max(plan.spare_bytes, key=plan.spare_bytes.get)
        yield f"Nothing fits: {least} misses {gigabytes(-plan.spare_bytes[least])}."
    yield from plan.notes
