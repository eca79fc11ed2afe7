"""A hub on loopback that refuses, breaks off, stalls and lies: each fault says what to do."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from quantlab import _data, lm

SHA = "a" * 40
TINY = _data.path("tiny-lm")
NAMES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
         "model.safetensors")  # fmt: skip


class Hub(ThreadingHTTPServer):
    """One model, a/b: tiny-lm. What a test changes, it does from the next request on."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = {name: (TINY / name).read_bytes() for name in NAMES}
        self.refusal = None  # (status, headers) of all answers about the model
        self.cut, self.stall = set(), set()  # files that break off half-way, or stop coming
        self.circle = False  # each file is said to be at the next address, which says so too
        self.seen, self.over = [], threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """Answers as huggingface.co does to what huggingface_hub asks."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        hub, path = self.server, self.path.partition("?")[0]
        hub.seen.append(path)
        if path == "/":
            self.say(200)
        elif hub.refusal is not None:
            self.say(hub.refusal[0], headers=hub.refusal[1])
        elif path.startswith("/api/models/a/b"):
            self.say(200, self.described(path))
        elif hub.circle:
            self.say(302, headers={"Location": f"{hub.address}{path}?{len(hub.seen)}"})
        else:
            self.send_file(path.rpartition("/")[2])

    def described(self, path):
        files = [{"rfilename": n, "size": len(d)} for n, d in self.server.files.items()]
        if "/tree/" in path:
            files = [
                {"type": "file", "path": n, "size": len(d), "oid": "0"}
                for n, d in self.server.files.items()
            ]
            return json.dumps(files).encode()
        return json.dumps({"id": "a/b", "sha": SHA, "siblings": files}).encode()

    def send_file(self, name):
        hub = self.server
        if name not in hub.files:
            self.say(404, headers={"X-Error-Code": "EntryNotFound"})
            return
        data = hub.files[name]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        rest = data[start:]
        self.send_response(206 if start else 200)
        for key, value in {
            "Content-Length": len(rest), "ETag": f'"{name}"', "X-Repo-Commit": SHA,
            "Accept-Ranges": "bytes",
        }.items():  # fmt: skip
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if name in hub.cut | hub.stall:
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            if name in hub.stall:
                hub.over.wait(20)
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def say(self, status, body=b"", headers=()):
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _http

    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.5)
    monkeypatch.setattr(hf_api.api, "endpoint", server.address)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)  # between its own trials
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def refused(kind, hub):
    """Return the sentence of a load that fails with an error of this kind."""
    with pytest.raises(kind) as caught:
        lm.load("a/b", "fp32", device="cpu")
    said = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in said and len(said) < 600 and "trust_remote_code" not in said
    return said


def test_a_hub_in_order_gives_the_model(hub, exact):
    model = lm.load("a/b", "fp32", device="cpu")
    assert model.name == "b"
    assert model.generate_text("Once", 9) == exact.generate_text("Once", 9)


def test_weights_in_parts_of_any_name_are_downloaded(hub, exact):
    from safetensors.torch import load

    data = hub.files.pop("model.safetensors")
    hub.files["part-one.safetensors"] = data
    hub.files["other.safetensors"] = b"not asked for"
    places = dict.fromkeys(load(data), "part-one.safetensors")
    hub.files["model.safetensors.index.json"] = json.dumps(
        {"metadata": {}, "weight_map": places}
    ).encode()
    model = lm.load("a/b", "fp32", device="cpu")
    assert model.generate_text("Once", 9) == exact.generate_text("Once", 9)
    assert not any("other" in path for path in hub.seen)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"},
         PermissionError, "the hub does not take your token for 'a/b': log in anew"),
        (401, {"X-Error-Code": "RepoNotFound"}, FileNotFoundError, "the hub has no model 'a/b'"),
        (403, {}, PermissionError, "the hub refuses 'a/b' to you: ask for access"),
        (403, {"X-Error-Code": "GatedRepo"}, PermissionError, "a/b is gated: accept its licence"),
        (404, {"X-Error-Code": "RepoNotFound"}, FileNotFoundError, "the hub has no model 'a/b'"),
        (429, {}, ConnectionError, "too many requests from here and refuses 'a/b': wait some"),
        (500, {}, ConnectionError, "answers with a fault of its own (500). Try again in some"),
        (503, {}, ConnectionError, "answers with a fault of its own (503). Try again in some"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(hub, status, headers, kind, words):
    hub.refusal = status, headers
    assert words in refused(kind, hub)


@pytest.mark.parametrize("fault", ["cut", "stall"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_download_that_breaks_off_or_stalls_is_given_up(hub, fault, name):
    getattr(hub, fault).add(name)
    words = refused(ConnectionError, hub)
    assert "the download broke off" in words and "what has come is kept" in words


def test_a_download_that_broke_off_goes_on(hub, exact):
    hub.cut.add("model.safetensors")
    refused(ConnectionError, hub)
    hub.cut.clear()
    model = lm.load("a/b", "fp32", device="cpu")
    assert model.generate_text("Once", 9) == exact.generate_text("Once", 9)


def test_addresses_that_go_in_circles_are_given_up(hub):
    hub.circle = True
    assert "cannot reach the hub for 'a/b'" in refused(ConnectionError, hub)


def test_a_page_in_the_place_of_a_file_is_named(hub):
    hub.files["config.json"] = b"<html>Log in to this network</html>"
    assert "config.json is cut off or no JSON" in refused(ValueError, hub)


def test_pickle_alone_is_refused_before_it_is_downloaded(hub):
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    words = refused(ValueError, hub)
    assert "a/b has its weights in pytorch_model.bin alone" in words
    assert not any("bin" in path for path in hub.seen)


def test_no_weights_at_all_are_named(hub):
    del hub.files["model.safetensors"]
    assert "a/b has no weights" in refused(ValueError, hub)


def test_a_model_that_asks_for_code_is_refused_before_its_weights_are_downloaded(hub):
    asks = {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "mine.Model"}}
    hub.files["config.json"] = json.dumps(asks).encode()
    hub.files["mine.py"] = b"raise SystemExit('it ran')"
    assert "asks for code that lies beside the weights" in refused(ValueError, hub)
    assert not any(path.endswith((".py", ".safetensors")) for path in hub.seen)


def test_weights_that_are_damaged_on_the_hub_are_named(hub):
    hub.files["model.safetensors"] = hub.files["model.safetensors"][:-1000]
    assert "model.safetensors is cut off or damaged" in refused(ValueError, hub)


def test_no_code_is_downloaded(hub):
    hub.files["modeling.py"] = b"raise SystemExit('it ran')"
    lm.load("a/b", "fp32", device="cpu")
    assert not any(path.endswith(".py") for path in hub.seen)
