"""Run a GGUF file in llama.cpp, in this process: text, chances of the next tokens, speed."""

import http.client
import json
import secrets
from urllib.parse import urlsplit

from .._checks import one_of, shown, whole
from .._checks import text as checked_text
from . import measure
from .files import path_of
from .gguf_file import need

#: The most tokens at a time; a file may allow more, for which the memory is not there.
LONGEST = 4096
#: Types of a cache: two of whole numbers and blocks, two of floats.
CACHES = ("F16", "F32", "Q8_0", "Q4_0")


def run_gguf(path, threads=1, cache="F16"):
    """Open a GGUF file in llama.cpp and return a `Running`, to be closed after use.

    path: of a file. threads: that compute. They wait for each other without pause: a second one
    helps if it has a core to itself, and slows everything down, up to hundreds of times, if not.
    cache: one of `CACHES`, the type of the keys and values that are kept for the next token, or a
    pair of them: keys, values. In few bits they are turned by a Hadamard matrix first.

    ``with lm.run_gguf(path) as model: print(model.generate_text("Once upon a time"))``

    llama.cpp comes with PyPI's xllamacpp, which runs its server: while the file is open, this
    listens on a free port of this machine alone, with a key that nobody else has. It logs nothing.
    Raises FileNotFoundError without the file, ValueError for one that llama.cpp can't load, and
    ImportError without xllamacpp.
    """
    path = path_of("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    threads = whole("threads", threads, 1, most=1024)
    pair = cache if isinstance(cache, (list, tuple)) else (cache, cache)
    if len(pair) != 2:
        raise ValueError(f"cache must be a type or a pair, of keys and values; got {shown(cache)}")
    for one in pair:
        one_of("cache", one, CACHES)
    need("xllamacpp", "running a GGUF file")
    return Running(path, threads, pair)


class Running:
    """A GGUF file that is open in llama.cpp: what `Model` can, as far as llama.cpp tells it.

    path: of the file. longest: the number of tokens that it can read at once.
    """

    def __init__(self, path, threads, cache):
        import xllamacpp

        self.path, self._key = path, secrets.token_hex()
        settings = xllamacpp.CommonParams()
        settings.model.path = str(path)
        settings.verbosity = -1  # below errors, which have the level 1
        settings.api_keys = [self._key]
        settings.ui = False
        settings.n_parallel = 1
        settings.n_ctx = LONGEST
        settings.fit_params = False
        settings.cache_type_k, settings.cache_type_v = (
            getattr(xllamacpp.ggml_type, f"GGML_TYPE_{one}") for one in cache
        )
        if "F32" in cache:
            # Its fused kernel for attention rounds to 16 bits whatever the cache has.
            settings.flash_attn_type = (
                xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
            )
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
        settings.n_threads_http = 1
        try:
            self._server = xllamacpp.Server(settings)
        except RuntimeError as error:
            raise ValueError(
                f"llama.cpp does not load {path}: it is damaged, or of an architecture or a type "
                f"that xllamacpp {xllamacpp.__version__} does not know"
            ) from error
        # Answered by the loop that runs the model, so that it has begun: closed before, llama.cpp
        # would overlook the end and wait for itself for ever.
        self._ask("GET", "/slots")
        [described] = self._ask("GET", "/v1/models")["data"]
        self.longest = min(described["meta"]["n_ctx_train"], LONGEST)
        self._vocabulary = described["meta"]["n_vocab"]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Free the memory and the port; what is asked after that is an error."""
        self._server = None

    def tokens(self, text):
        """Return the tokens of a text as llama.cpp reads it: a list, after the beginning token."""
        asked = {"content": checked_text("text", text), "add_special": True, "parse_special": False}
        return self._ask("POST", "/tokenize", asked)["tokens"]

    def generate_text(self, prompt, max_new_tokens=60):
        """Return `prompt` and its greedy continuation of at most `max_new_tokens` tokens.

        Raises ValueError for more tokens than the model can read.
        """
        ids, new_tokens = self.tokens(prompt), whole("max_new_tokens", max_new_tokens, 1)
        return prompt + self._complete(ids, new_tokens)["choices"][0]["text"]

    def tokens_per_second(self, prompt="Once upon a time", new_tokens=64):
        """Return new tokens per second of greedy generation, by llama.cpp's clock, warmed up.

        new_tokens: 2 or more: the clock starts at the first.
        """
        ids, new_tokens = self.tokens(prompt), whole("new_tokens", new_tokens, 2)
        self._complete(ids, min(8, new_tokens), ignore_eos=True)
        timings = self._complete(ids, new_tokens, ignore_eos=True)["timings"]
        return timings["predicted_per_second"]

    def log_probabilities(self, prompt, top=5):
        """Return the likeliest next tokens of a prompt: a list of (token, text, log probability).

        top: how many; the probabilities are those over the whole vocabulary. prompt: a text, or a
        list of tokens.
        """
        ids = self.tokens(prompt) if isinstance(prompt, str) else list(prompt)
        # What is picked does not matter, but of an ending or a part of a letter nothing is told.
        letter = self.tokens("a")[-1]
        said = self._pick(ids, letter, whole("top", top, 1))["content"][0]["top_logprobs"]
        return [(one["id"], one["token"], one["logprob"]) for one in said]

    def text_loss(self, text, window=None, stride=None):
        """Return the `TextLoss` of a text, whose windows are those of `Model.text_loss`.

        llama.cpp is asked for one token after the other, with what it has read before in memory.
        """
        tokens = self.tokens(text)
        begin = next(iter(self.tokens("")), None)
        scored_text = text
        if begin is None:
            first = self._ask("POST", "/detokenize", {"tokens": tokens[:1]})["content"]
            scored_text = text[len(first) :]
        if len(tokens) < 2:
            raise ValueError(f"the text has {len(tokens)} tokens; perplexity needs at least 2")
        window = min(self.longest, 1024) if window is None else window
        window = whole("window", window, 2, self.longest)
        stride = max(1, window // 2) if stride is None else stride
        stride = whole("stride", stride, 1, window - 1)
        nats, count = 0.0, 0
        for [ids], scored in measure.windows(tokens, window, stride, begin, at_once=1):
            for end in range(len(ids) - scored, len(ids)):
                nats -= self._chance(ids[:end], ids[end])
            count += scored
        return measure.TextLoss(nats, count, len(scored_text.encode()))

    def perplexity(self, text, window=None, stride=None):
        """Return the perplexity of a text: e to the mean loss per token."""
        return self.text_loss(text, window, stride).perplexity

    def facts(self):
        """Ask for the numbers 0 to 255 in binary and return the `Facts`, as `Model.facts` does."""
        asked = [f"The number {n} is" for n in range(256)]
        answers = [self.generate_text(text, 9)[len(text) :] for text in asked]
        return measure.Facts(tuple(answer.strip()[:8] for answer in answers))

    def _chance(self, ids, token):
        """Return the log probability of one token after others."""
        if said := self._pick(ids, token, 1):
            return said["content"][0]["logprob"]
        # A part of a letter: llama.cpp keeps it to itself until the rest is there.
        every = self.log_probabilities(ids, top=self._vocabulary)
        return next(log for index, _, log in every if index == token)

    def _pick(self, ids, token, top):
        """Let llama.cpp pick a token, and return what it says of the chances that it had."""
        # The chances are those before the token is raised above all others.
        raised = {"logit_bias": [[token, 1e9]], "n_probs": top}
        return self._complete(ids, 1, **raised)["choices"][0]["logprobs"]

    def _complete(self, ids, new_tokens, **settings):
        if len(ids) + new_tokens > self.longest:
            raise ValueError(
                f"{len(ids)} tokens of prompt and {new_tokens} new ones are more than the "
                f"{self.longest} that this model can read: shorten the prompt or ask for fewer"
            )
        server = self._open()
        asked = {"prompt": ids, "n_predict": new_tokens, "temperature": 0, **settings}
        answer = server.handle_completions(asked)
        if "error" in answer:
            raise RuntimeError(f"llama.cpp: {answer['error']['message']}")
        return answer

    def _ask(self, method, path, body=None):
        """Ask the server what only its port tells, and return its answer, a dict."""
        address = urlsplit(self._open().listening_address)
        there = http.client.HTTPConnection(address.hostname, address.port)
        try:
            there.request(method, path, json.dumps(body), {"Authorization": f"Bearer {self._key}"})
            return json.loads(there.getresponse().read())
        finally:
            there.close()

    def _open(self):
        if self._server is None:
            raise ValueError(f"{self.path.name} is closed: open it again with lm.run_gguf")
        return self._server
