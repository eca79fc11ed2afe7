"""Nothing connects, nothing is unpickled and no text is run, unless a person asks for it.

An audit hook in a process of its own hears of every socket and every pickle there: Python itself
reports them, whichever library is used. That no text is run is read in the files.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import quantlab as ql

PACKAGE = Path(ql.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    [*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py"), *(ROOT / "tools/web").glob("*.py")]
)
#: Who opens a socket on purpose: file -> why.
SOCKETS = {
    "quantlab/lm/gguf_run.py": "llama.cpp's server, on loopback",
    "tools/start_lab.py": "looks for a free port on loopback",
}

HEARD = """
import json, sys
heard = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind",
                 "pickle.find_class"):
        heard.append([event, str(args)[:200]])
sys.addaudithook(hook)
"""
TOLD = "\nprint(json.dumps(heard))\n"
CORE = """
import importlib, pkgutil, quantlab as ql, numpy as np
for module in pkgutil.walk_packages(ql.__path__, "quantlab."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
x = np.random.default_rng(0).standard_normal((128, 128))
for row in ql.methods.METHODS.values():
    row(x, ql.hessian(x)).dequantize()
for name in ql.gguf.TYPES:
    ql.gguf.decode(ql.gguf.encode(x.reshape(-1, 256), name), name)
for f in ql.formats.ALL.values():
    f.round(x), f.bits(x[0]), f.fields(x)
ql.llm_int8_matmul(x, x), ql.transforms.awq_scales(x, x), ql.transforms.turn(x, x)
ql.fit.plan("Llama 3.1 8B", "H100", 8192), ql.memory.devices_needed(1e9, 1e9)
"""
EXPLORERS = """
from quantlab.show import registry
for make in registry.explorers().values():
    if callable(make):
        made = make()
        getattr(made, "static", None) or made.page()
"""
MODEL = """
from quantlab import lm
model = lm.load("tiny-lm", device="cpu")
model.perplexity("Once upon a time there was a king and a queen.", window=8, stride=4)
small = lm.quantize(model, method="rtn", bits=4, group_size=64)
small.generate_text("Once", 3)
small.save(sys.argv[1])
lm.load(sys.argv[1], device="cpu").generate_text("Once", 3)
lm.export_gguf(model, sys.argv[1] + "/small.gguf", type="Q8_0")
"""

ENGINE = """
from quantlab import lm
path = lm.export_gguf(lm.load("tiny-lm", device="cpu"), sys.argv[1] + "/small.gguf", type="Q8_0")
with lm.run_gguf(path) as running:
    running.generate_text("Once", 3)
"""


def heard(code, *arguments):
    """Run code in a process of its own and return what its audit hook heard."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-W", "ignore", "-c", HEARD + code + TOLD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_core_and_the_explorers_open_no_socket():
    pytest.importorskip("ipywidgets")
    assert heard(CORE + EXPLORERS) == []


def test_a_model_is_loaded_quantized_measured_and_stored_without_a_socket_or_a_pickle(tmp_path):
    pytest.importorskip("transformers")
    assert heard(MODEL, str(tmp_path)) == []


def test_llama_cpp_is_spoken_to_on_loopback_alone(tmp_path):
    pytest.importorskip("xllamacpp")
    events = heard(ENGINE, str(tmp_path))
    assert events and all("'127.0.0.1'" in said for _, said in events)


def test_the_hook_hears_of_each():
    tried = """
import pickle, socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=0.01)
except OSError:
    pass
pickle.loads(pickle.dumps(json.JSONDecoder))
"""
    events = {event for event, _ in heard(tried)}
    assert {"socket.connect", "pickle.find_class"} <= events


# ---------------------------------------------------------------------------- what stands there


def name_of(file):
    return file.relative_to(ROOT).as_posix() if ROOT in file.parents else file.name


def calls(file):
    """Yield (what is called, the call) for each call in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(file):
    """The names of all modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_file_runs_a_text_or_reads_a_pickle(file):
    for name, call in calls(file):
        assert name not in ("eval", "exec", "compile", "__import__"), ast.unparse(call)
        if name.endswith("torch.load"):
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert given.get("weights_only") == "True", ast.unparse(call)
        if name in ("np.load", "numpy.load"):
            assert "allow_pickle=True" not in ast.unparse(call)
    assert not {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib"} & set(imported(file))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_only_files_that_are_named_use_the_network(file):
    network = {"socket", "ssl", "urllib.request", "http.client", "http.server", "requests", "httpx",
               "aiohttp", "ftplib", "urllib3", "socketserver", "xmlrpc"}  # fmt: skip
    if network & set(imported(file)):
        assert name_of(file) in SOCKETS
