"""What a model costs and what it still can: bytes, loss, text, facts, speed."""

import inspect
import itertools
import math
import time
from dataclasses import dataclass

from .._checks import shown, whole
from .._checks import text as checked_text
from . import layers
from .machine import wait_for

#: New tokens in one text: some models set no end, and more than this takes days.
MOST_TOKENS = 1_000_000
#: Bytes that the logits of the windows read at once may take, at 4 bytes each. One window is
#: always read: 1,024 tokens of a vocabulary of 152 thousand take 622 MB.
LOGITS_BYTES = 256e6
#: Bytes of the logits that are turned into chances at once: there are three or four copies of them.
CHANCES_BYTES = 64e6


@dataclass(frozen=True)
class TextLoss:
    """The loss of a text: `nats` summed over `tokens` predicted tokens that spell `bytes` bytes."""

    nats: float
    tokens: int
    bytes: int

    @property
    def perplexity(self):
        """e to the mean loss per token: the number of tokens the model hesitates between."""
        return math.exp(self.nats / self.tokens)

    @property
    def bits_per_byte(self):
        """The loss in bits over the bytes it was summed over; no matter which tokenizer."""
        return self.nats / math.log(2) / self.bytes


@dataclass(frozen=True)
class Facts:
    """The answers to "The number n is ... in binary." for n from 0 to 255, in order."""

    answers: tuple[str, ...]

    @property
    def right(self):
        """How many answers are the eight bits of their number."""
        return len(self.answers) - len(self.wrong)

    @property
    def wrong(self):
        """(number, answer) of each fact that is not right."""
        return [(n, a) for n, a in enumerate(self.answers) if a != f"{n:08b}"]


def text_loss(model, text, window=None, stride=None):
    """Return the `TextLoss` of `text`.

    The text is read in windows of `window` tokens (default: the model's own), each `stride` tokens
    (default: half a window) after the one before. A token is scored once, in the first window
    that holds it, so all but the first few are scored with window - stride tokens before
    them. A window starts with the tokenizer's beginning token if it has one; without one the very
    first token goes unscored.
    Raises ValueError for a text of fewer than two tokens and windows the model cannot take.
    Source: the sliding window of the transformers guide "Perplexity of fixed-length models".
    """
    nats, count = 0.0, 0
    for pieces in _predictions([model], text, window, stride):
        for ids, [log_chances] in pieces:
            nats -= log_chances.gather(2, ids[:, :, None]).double().sum().item()
            count += ids.numel()
    return TextLoss(nats, count, _scored_bytes(model.tokenizer, text))


def _scored_bytes(tokenizer, text):
    """Return the bytes of a text less those of a first token that has nothing before it."""
    if tokenizer.bos_token_id is not None:
        return len(text.encode())
    return len(text.encode()) - len(spelled(tokenizer, encode(tokenizer, text)[:1]).encode())


def divergence(model, reference, text, window=None, stride=None):
    """Return how far the predictions of `model` are from those of `reference`, in nats per token.

    The Kullback-Leibler divergence, a mean over the tokens of `text`, which is read as `text_loss`
    reads it: by how much the loss of `model` would exceed that of `reference` on a text that
    `reference` predicts as well as can be. It sees every token's chance, not only that of the token
    that came, so a short text gives a steady value: 0 for equal models, never below.
    Raises ValueError as `text_loss` does, and for models with different vocabularies.
    Source: Kullback and Leibler 1951, On Information and Sufficiency.
    """
    nats, tokens = zip(*window_divergences(model, reference, text, window, stride), strict=True)
    return sum(nats) / sum(tokens)


def window_divergences(model, reference, text, window=None, stride=None):
    """Return the divergence of each window: a list of (nats summed over its tokens, tokens).

    Two models read the same windows, so the differences of their numbers, window by window, say how
    sure it is which of them is nearer. Arguments and errors as for `divergence`, whose pieces these
    are.
    """
    if not hasattr(reference, "tokenizer"):
        raise TypeError(f"reference must be a Model, got {shown(reference)}")
    if model.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
        raise ValueError(
            f"model and reference need the same tokens, got {model.name} and {reference.name}"
        )
    found = []
    for pieces in _predictions([model, reference], text, window, stride):
        nats, scored = 0, 0
        for ids, (ours, theirs) in pieces:
            nats += (theirs.exp() * (theirs - ours)).double().sum(dim=(1, 2))
            scored += ids.shape[1]
        found += [(of_window, scored) for of_window in nats.tolist()]
    return found


def _predictions(models, text, window, stride):
    """Yield for some windows at a time the pieces that `_chances` makes of their predictions."""
    first = models[0]
    window, stride = _check_window(first, window, stride)
    tokens = _tokens(first, text)
    begin = first.tokenizer.bos_token_id
    if begin is not None:
        tokens = [begin, *tokens]
    vocabulary = first.network.config.get_text_config().vocab_size
    at_once = min(8, max(1, int(LOGITS_BYTES // (4 * window * vocabulary))))
    for batch, scored in windows(tokens, window, stride, begin, at_once):
        yield _chances(models, batch, scored)


def _chances(models, batch, scored):
    """Yield (tokens, log chances of each model) of the last `scored` tokens, some at a time.

    tokens: (windows, some). log chances: (windows, some, vocabulary), float32, as many as models.
    """
    import torch

    device = models[0].device
    logits = [_logits(model, batch, scored) for model in models]
    ids = torch.tensor(batch, device=device)[:, -scored:]
    step = max(1, int(CHANCES_BYTES // (4 * len(batch) * logits[0].shape[-1])))
    for start in range(0, scored, step):
        part = slice(start, start + step)
        for model, each in zip(models, logits, strict=True):
            _check_numbers(model, _broken(each[:, part]))
        with torch.inference_mode():
            chances = [torch.log_softmax(each[:, part].float(), dim=-1) for each in logits]
        yield ids[:, part], [each.to(device) for each in chances]


def _logits(model, batch, scored):
    """Return the logits that predict the last `scored` tokens: (windows, scored, vocabulary)."""
    import torch

    asked = {}
    if "logits_to_keep" in inspect.signature(model.network.forward).parameters:
        asked["logits_to_keep"] = scored + 1  # the last one predicts what comes after the window
    ids = torch.tensor(batch, device=model.device)
    with torch.inference_mode():
        logits = model.network(input_ids=ids, use_cache=False, **asked).logits
    return logits[:, -scored - 1 : -1]


def _broken(logits):
    """Return whether some logit is infinite or no number; minus infinity rules a token out."""
    import torch

    return torch.isnan(logits).any() | torch.isposinf(logits).any()


class _Watch:
    """Notes in passing whether a logit was broken; to ask at each token would stop a GPU."""

    broken = False

    def __call__(self, input_ids, logits):
        self.broken = _broken(logits) | self.broken
        return logits


def _check_numbers(model, broken):
    """Raise FloatingPointError if logits were broken."""
    if broken:
        who = model.name or "the model"
        raise FloatingPointError(f"{who} predicts NaN or infinity; {_why_broken(model.network)}")


def _why_broken(network):
    """Say why a network's logits can be no numbers: its weights, or what it computes in."""
    import torch

    dtype = str(network.dtype).removeprefix("torch.")
    tensors = itertools.chain(network.parameters(), network.buffers())
    floats = (each for each in tensors if each.is_floating_point() and each.itemsize > 1)
    if not all(torch.isfinite(each).all() for each in floats):
        return f"its weights, or what {dtype} made of them, are not finite"
    if dtype == "float16":
        return "fp16 ends at 65504, and a value overflowed: load the model in bf16 or fp32"
    if any(getattr(m, "compute_dtype", None) == torch.float16 for m in network.modules()):
        return "its weights are finite, fp16 ends at 65504: let its layers compute in bf16 or fp32"
    return f"its weights are finite: on the way {dtype} overflowed, or a product came out wrong"


def windows(tokens, window, stride, begin, at_once):
    """Yield (windows, scored): some windows, and how many of their last tokens are scored.

    The first window scores all of its tokens but the first, each later one `stride` new ones, the
    last one what is left. Later windows get the beginning token, if any, in front.
    """
    first = tokens[:window]
    yield [first], len(first) - 1
    context = window - stride - (begin is not None)
    batch = []
    for done in range(len(first), len(tokens), stride):
        part = tokens[done - context : done + stride]
        batch.append(part if begin is None else [begin, *part])
        if len(part) < context + stride:
            if len(batch) > 1:
                yield batch[:-1], stride
            yield batch[-1:], len(part) - context
            return
        if len(batch) == at_once:
            yield batch, stride
            batch = []
    if batch:
        yield batch, stride


def _check_window(model, window, stride):
    window = model.window if window is None else window
    window = whole("window", window)
    if not 2 <= window <= model.longest:
        limit = f"2 to {model.longest}" if model.longest < math.inf else "at least 2"
        raise ValueError(f"window must be {limit} tokens for this model, got {shown(window)}")
    stride = max(1, window // 2) if stride is None else stride
    return window, whole("stride", stride, 1, window - 1)


def _tokens(model, text):
    tokens = encode(model.tokenizer, checked_text("text", text))
    if len(tokens) < 2:
        raise ValueError(f"the text has {len(tokens)} tokens; perplexity needs at least 2")
    return tokens


def encode(tokenizer, text):
    """Return the tokens of a text of any length, without special tokens."""
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def spelled(tokenizer, tokens):
    """Return the text that tokens spell, without special tokens and with every blank."""
    return tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def memory_bytes(model):
    """Return the bytes of all weights of a `Model`, each shared weight once.

    Codes and scales count as they are stored, as bitsandbytes stores them or (for a model from
    `lm.quantize`) as they would be packed; embeddings, norms and the output head as they are.
    Activations, the KV cache and what torch itself needs come on top.
    """
    body = layers.body(model.network)
    total = sum(held.bits for held in model.body()) / 8
    counted = {id(weight.whole) for weight in body}
    counted |= {id(scale) for weight in body for scale in layers.beside(weight.module).values()}
    total += sum(p.nbytes for p in model.network.parameters() if id(p) not in counted)
    return math.ceil(total)


def generate(model, ids, new_tokens, exactly=False):
    """Return the tokens that follow `ids` (sequences, tokens), chosen greedily."""
    import torch

    if ids.shape[1] + new_tokens > model.longest:
        raise ValueError(
            f"{ids.shape[1]} tokens of prompt and {new_tokens} new ones are more than the "
            f"{model.longest} that this model can read: shorten the prompt or ask for fewer"
        )
    tokenizer = model.tokenizer
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    watch = _Watch()
    with torch.inference_mode():
        output = model.network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens if exactly else None,
            do_sample=False,
            pad_token_id=padding,
            logits_processor=[watch],
        )
    _check_numbers(model, watch.broken)
    return output[:, ids.shape[1] :]


def prompts(model, texts):
    """Return the tokens of texts of equal length in tokens, after the beginning token."""
    import torch

    begin = [] if model.tokenizer.bos_token_id is None else [model.tokenizer.bos_token_id]
    rows = [begin + encode(model.tokenizer, text) for text in texts]
    return torch.tensor(rows, device=model.device)


def generate_text(model, prompt, max_new_tokens=60):
    """Return `prompt` and its greedy continuation of at most `max_new_tokens` tokens."""
    import torch

    max_new_tokens = whole("max_new_tokens", max_new_tokens, 1, most=MOST_TOKENS)
    if not checked_text("prompt", prompt) and model.tokenizer.bos_token_id is None:
        raise ValueError("this model has no beginning token, so the prompt cannot be empty")
    ids = prompts(model, [prompt])
    new = generate(model, ids, max_new_tokens)
    # Decoded alone, the first new token of a SentencePiece tokenizer would lose its blank.
    before, after = (spelled(model.tokenizer, part[0]) for part in (ids, torch.cat([ids, new], 1)))
    return prompt + after[len(before) :]


def facts(model):
    """Ask "The number n is" for n from 0 to 255 and return the `Facts`.

    Numbers of one, two and three digits are asked together, so that nothing has to be padded.
    An answer is a space and eight digits, nine tokens of tiny-lm.
    """
    answers = []
    for numbers in (range(10), range(10, 100), range(100, 256)):
        ids = prompts(model, [f"The number {n} is" for n in numbers])
        new = generate(model, ids, 9)
        texts = model.tokenizer.batch_decode(new, skip_special_tokens=True)
        answers += [text.strip()[:8] for text in texts]
    return Facts(tuple(answers))


def tokens_per_second(model, prompt="Once upon a time", new_tokens=64, texts=1):
    """Return new tokens per second of greedy generation, after one run to warm up.

    texts: how many copies of the prompt are continued at once; their tokens are added up.
    """
    new_tokens = whole("new_tokens", new_tokens, 1, most=MOST_TOKENS)
    ids = prompts(model, [checked_text("prompt", prompt)] * whole("texts", texts, 1, most=10_000))
    generate(model, ids, min(8, new_tokens), exactly=True)
    wait_for(model.device)
    start = time.perf_counter()
    generate(model, ids, new_tokens, exactly=True)
    wait_for(model.device)
    return texts * new_tokens / (time.perf_counter() - start)
