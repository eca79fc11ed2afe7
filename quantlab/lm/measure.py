"""What a model costs and what it still can: bytes, loss, text, facts, speed."""

import math
import time
from dataclasses import dataclass

from .._checks import whole
from .machine import wait_for


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
        """The loss in bits over the bytes of the text; it does not depend on the tokenizer."""
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
    for ids, [log_chances] in _predictions([model], text, window, stride):
        nats -= log_chances.gather(2, ids[:, :, None]).double().sum().item()
        count += ids.numel()
    return TextLoss(nats, count, len(text.encode()))


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
    if model.tokenizer.get_vocab() != reference.tokenizer.get_vocab():
        raise ValueError(
            f"model and reference need the same tokens, got {model.name} and {reference.name}"
        )
    found = []
    for ids, (ours, theirs) in _predictions([model, reference], text, window, stride):
        nats = (theirs.exp() * (theirs - ours)).double().sum(dim=(1, 2))
        found += [(of_window, ids.shape[1]) for of_window in nats.tolist()]
    return found


def _predictions(models, text, window, stride):
    """Yield (tokens, log chances of each model) of the scored tokens, some windows at a time.

    tokens: (windows, scored). log chances: (windows, scored, vocabulary), float32, as many as
    models.
    """
    import torch

    first = models[0]
    window, stride = _check_window(first, window, stride)
    tokens = _tokens(first, text)
    begin = first.tokenizer.bos_token_id
    if begin is not None:
        tokens = [begin, *tokens]
    for batch, scored in _windows(tokens, window, stride, begin):
        chances = []
        for model in models:
            ids = torch.tensor(batch, device=model.device)
            with torch.inference_mode():
                logits = model.network(input_ids=ids, use_cache=False).logits[:, -scored - 1 : -1]
                chances.append(torch.log_softmax(logits.float(), dim=-1).to(first.device))
        yield torch.tensor(batch, device=first.device)[:, -scored:], chances


def _windows(tokens, window, stride, begin, at_once=8):
    """Yield (windows, scored): up to 8 windows, and how many of their last tokens are scored.

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
    longest = model.network.config.max_position_embeddings
    window = model.window if window is None else window
    if not 2 <= window <= longest:
        raise ValueError(f"window must be 2 to {longest} tokens for this model, got {window}")
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride < window:
        raise ValueError(f"stride must be 1 to {window - 1}, below the window, got {stride}")
    return window, stride


def _tokens(model, text):
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    tokens = encode(model.tokenizer, text)
    if len(tokens) < 2:
        raise ValueError(f"the text has {len(tokens)} tokens; perplexity needs at least 2")
    return tokens


def encode(tokenizer, text):
    """Return the tokens of a text of any length, without special tokens."""
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def layer_cost(layer, stored_bits=None):
    """Return (bits, weights) of one linear layer: its codes and scales, or its plain weights."""
    import torch

    if stored_bits is not None:
        return stored_bits, layer.weight.numel()
    weights = layer.in_features * layer.out_features
    tensors = [layer.weight.data, *_scales(layer, torch)]
    return 8 * sum(t.nbytes for t in tensors), weights


def _scales(layer, torch):
    """Return the scales that bitsandbytes keeps beside a layer's codes."""
    state = getattr(layer.weight, "quant_state", None)
    if state is not None:  # 4 bits: block scales, or their codes, the scales of those and a mean
        nested = [state.offset, state.state2.absmax] if state.nested else []
        return [state.absmax, *nested]
    row_scales = getattr(layer.weight, "SCB", None)
    if row_scales is None:
        row_scales = getattr(getattr(layer, "state", None), "SCB", None)
    return [] if row_scales is None else [row_scales]


def memory_bytes(model):
    """Return the bytes of all weights of a `Model`, each shared weight once.

    Codes and scales count as they are stored, as bitsandbytes stores them or (for a model from
    `lm.quantize`) as they would be packed; embeddings, norms and the output head as they are.
    Activations, the KV cache and what torch itself needs come on top.
    """
    linears = dict(model.linears())
    total = sum(layer_cost(layer, model.stored.get(n))[0] for n, layer in linears.items()) / 8
    counted = {id(layer.weight) for layer in linears.values()}
    total += sum(p.nbytes for p in model.network.parameters() if id(p) not in counted)
    return math.ceil(total)


def generate(model, ids, new_tokens, exactly=False):
    """Return the tokens that follow `ids` (sequences, tokens), chosen greedily."""
    import torch

    longest = model.network.config.max_position_embeddings
    if ids.shape[1] + new_tokens > longest:
        raise ValueError(
            f"{ids.shape[1]} tokens of prompt and {new_tokens} new ones are more than the "
            f"{longest} that this model can read: shorten the prompt or ask for fewer"
        )
    tokenizer = model.tokenizer
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    with torch.inference_mode():
        output = model.network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens if exactly else None,
            do_sample=False,
            pad_token_id=padding,
        )
    return output[:, ids.shape[1] :]


def prompts(model, texts):
    """Return the tokens of texts of equal length in tokens, after the beginning token."""
    import torch

    begin = [] if model.tokenizer.bos_token_id is None else [model.tokenizer.bos_token_id]
    rows = [begin + encode(model.tokenizer, text) for text in texts]
    return torch.tensor(rows, device=model.device)


def generate_text(model, prompt, max_new_tokens=60):
    """Return `prompt` and its greedy continuation of at most `max_new_tokens` tokens."""
    if not isinstance(prompt, str):
        raise TypeError(f"prompt must be a string, got {type(prompt).__name__}")
    if not prompt and model.tokenizer.bos_token_id is None:
        raise ValueError("this model has no beginning token, so the prompt cannot be empty")
    new = generate(model, prompts(model, [prompt]), max_new_tokens)
    return prompt + model.tokenizer.decode(new[0], skip_special_tokens=True)


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
    ids = prompts(model, [prompt] * whole("texts", texts, 1))
    generate(model, ids, min(8, new_tokens), exactly=True)
    wait_for(model.device)
    start = time.perf_counter()
    generate(model, ids, new_tokens, exactly=True)
    wait_for(model.device)
    return texts * new_tokens / (time.perf_counter() - start)
