"""Let text flow through a model, and quantize each weight for the inputs that reach it.

All weights before one are quantized by the time its inputs come, so it can make up for their
errors. Source: Frantar et al. 2023, GPTQ, section 4, "Additional details".
"""

import contextlib
import functools

from .. import _data
from ..gptq import hessian
from . import given
from .measure import encode

#: Up to so many tokens flow through the model at once. More are taken in pieces, block by block.
AT_ONCE = 8192
#: Tokens in a piece: few, so that what a block holds of them is little beside the model.
PIECE = 2048


def calibration_windows(model, calibration=None, name="calibration"):
    """Return calibration text as windows of tokens, a tensor (windows, model.window).

    name: of the argument, for an error.
    Each window starts with the beginning token if there is one; what does not fill a last window
    is left out, unless there is no other.
    """
    import torch

    if calibration is None:
        calibration = (_data.path("texts") / "calibration.txt").read_text(encoding="utf-8")
    texts = given.texts(name, calibration)
    tokens = [token for text in texts for token in encode(model.tokenizer, text)]
    begin = model.tokenizer.bos_token_id
    inner = min(model.window - (begin is not None), len(tokens))
    if inner < 1:
        raise ValueError(
            f"the calibration text is empty: give some sentences like those to come as {name}"
        )
    rows = torch.tensor(tokens[: len(tokens) // inner * inner]).reshape(-1, inner)
    if begin is not None:
        rows = torch.nn.functional.pad(rows, (1, 0), value=begin)
    return rows.to(model.device)


def flow(network, matrices, windows, finish):
    """Let windows of tokens flow through a network; finish each matrix once its inputs are known.

    network: a transformers model. matrices: the `Weight`s to finish. windows: (windows, tokens).
    finish: called with a matrix and the Hessian of its inputs, or None where no token came; it
    puts quantized values in the matrix's place. Up to `AT_ONCE` tokens flow through the model once,
    and each matrix is finished on the way, just before it computes. More come in pieces, block by
    block. What has left a block is kept; a piece enters the next one several times, each time as
    far as the first matrix that is not finished, until all pieces have been there.
    """
    run = _Run(network, matrices, windows, finish)
    with run.hooks():
        run.all()


class _Stop(Exception):
    """This piece has come as far as it is needed for now."""


class _Mean:
    """The Hessian of inputs that come in pieces: the mean of theirs, weighted by their tokens."""

    def __init__(self):
        self.value, self.tokens = None, 0

    def add(self, x):
        """x: a torch tensor (tokens, in), maybe of no tokens."""
        if len(x) == 0:
            return
        piece, self.tokens = hessian(x.float().cpu().numpy()), self.tokens + len(x)
        if self.value is None:
            self.value = piece
        else:  # in place: a Hessian can be as large as all the rest
            piece *= len(x) / self.tokens
            self.value *= 1 - len(x) / self.tokens
            self.value += piece


class _Run:
    """One `flow`: which block it is at, which matrices are left, what waits for other pieces."""

    def __init__(self, network, matrices, windows, finish):
        self.network, self.finish = network.base_model, finish
        self.left = {matrix.name: matrix for matrix in matrices}
        self.at_once = windows.numel() <= AT_ONCE
        rows = len(windows) if self.at_once else max(1, PIECE // windows.shape[1])
        self.pieces = windows.split(rows)
        self.blocks = [] if self.at_once else _blocks(network)
        self.block, self.piece = 0, 0
        self.outputs = [None] * len(self.pieces)  # what the last finished block gave for each
        self.inside = {m: i for i, block in enumerate(self.blocks) for m in block.modules()}

    @contextlib.contextmanager
    def hooks(self):
        """Have matrices report what arrives at them, and blocks keep what they gave."""
        import torch

        at = {}
        for matrix in self.left.values():
            at.setdefault(matrix.module, []).append(matrix)
        with contextlib.ExitStack() as undo:
            for module, matrices in at.items():
                arrive = self.at_layer if matrices[0].expert is None else self.at_experts
                hook = functools.partial(arrive, matrices)
                undo.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
            for index, block in enumerate(self.blocks):
                stand_in = functools.partial(self.at_block, index, block.forward)
                undo.enter_context(_forward(block, stand_in))
            undo.enter_context(torch.inference_mode())
            yield

    def all(self):
        """Go from block to block, and to what comes after the last."""
        for block in range(len(self.blocks) + 1):
            self.block = block
            while self.once():
                pass

    def once(self):
        """Let every piece flow as far as it can; return whether that has to be done again."""
        self.waiting, self.means, opened = {}, {}, self.unfinished()
        for piece, ids in enumerate(self.pieces):
            self.piece, self.input = piece, None
            with contextlib.suppress(_Stop):
                self.network(input_ids=ids, use_cache=False)
        self.input = None
        for name, key in self.waiting.items():
            self.done(self.left[name], self.means[key].value)
        if not self.waiting:
            for matrix in self.unfinished():
                self.done(matrix, None)
        return bool(self.waiting) or (bool(opened) and self.block < len(self.blocks))

    def unfinished(self):
        """Return the matrices left in the block at hand; after the last block, all of them."""
        last = self.block == len(self.blocks)
        left = self.left.values()
        return [m for m in left if last or self.inside.get(m.module) == self.block]

    def done(self, matrix, value):
        """Finish a matrix by a Hessian, or without."""
        self.finish(matrix, value)
        del self.left[matrix.name]

    def at_block(self, index, compute, *args, **kwargs):
        """Stand in for a block: give what it gave, or compute it and go no further."""
        if index < self.block:
            return self.outputs[self.piece]
        output = compute(*args, **kwargs)
        if not self.unfinished():
            self.outputs[self.piece] = output
        raise _Stop

    def at_layer(self, matrices, layer, args, kwargs):
        """A linear layer's inputs have come: the tokens are the rows of a tensor."""
        x = [*args, *kwargs.values()][0]
        self.arrived(x, [(matrices[0], x.reshape(-1, x.shape[-1]))])

    def at_experts(self, matrices, experts, args, kwargs):
        """Tokens have come to a mixture: each matrix takes those that were sent to its expert.

        Between an expert's two matrices stands its gate, which is computed here to see what the
        second one reads.
        """
        x, chosen = [*args, *kwargs.values()][:2]
        tokens = [x[(chosen == expert).any(-1)] for expert in range(len(matrices[0].whole))]
        second = [matrix for matrix in matrices if matrix.parameter == "down_proj"]
        first = [matrix for matrix in matrices if matrix.parameter != "down_proj"]
        self.arrived(x, [(matrix, tokens[matrix.expert]) for matrix in first])
        if any(matrix.name in self.left for matrix in second):
            inner = [_gated(matrix, tokens[matrix.expert]) for matrix in first]
            self.arrived(inner, [(matrix, inner[matrix.expert]) for matrix in second])

    def arrived(self, x, parts):
        """Note inputs for the matrices that read them. parts: (matrix, its tokens, (tokens, in)).

        q, k and v read one and the same x: one Hessian serves all.
        """
        parts = [(matrix, tokens) for matrix, tokens in parts if matrix.name in self.left]
        if not parts:
            return
        if fresh := x is not self.input:
            if self.input is not None and not self.at_once:
                raise _Stop
            self.input, self.first = x, parts[0][0].name
            if self.at_once:
                self.means = {}
        for matrix, tokens in parts:
            key = self.first if matrix.expert is None else matrix.name
            mean = self.means.setdefault(key, _Mean())
            if fresh:
                mean.add(tokens)
            if not self.at_once:
                self.waiting[matrix.name] = key
                continue
            self.done(matrix, mean.value)
            if matrix.expert is not None:
                del self.means[key]


@contextlib.contextmanager
def _forward(module, function):
    """Have a module compute by another function for a while."""
    own = vars(module).get("forward")  # libraries that place a model on devices set one
    module.forward = function
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _gated(first, x):
    """Return what an expert's second matrix reads. first: its first one. x: (tokens, in)."""
    experts, name, which = first.module, first.parameter, first.expert
    weight = first.tensor
    x = x @ (weight.T if first.turned else weight)
    bias = getattr(experts, f"{name}_bias", None)
    x = x if bias is None else x + bias[which]
    return experts._apply_gate(x) if name == "gate_up_proj" else experts.act_fn(x)


def _blocks(network):
    """Return the blocks that a text passes one after another: the list as long as it is deep."""
    import torch

    depth = network.config.get_text_config().num_hidden_layers
    for module in network.base_model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return list(module)
    return []
