"""The website and the slides, made once for all browser tests, and pages that may fetch nothing."""

import functools
import sys
import tempfile
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import website
from web import notebooks, npm

WIDE = {"width": 1280, "height": 720}
PHONE = {"width": 390, "height": 844}
_kept = []  # temporary folders live as long as the test run


@functools.cache
def site():
    """The folder of the website with its decks, made from the committed notebooks."""
    _kept.append(tempfile.TemporaryDirectory())
    return website.build(Path(_kept[-1].name) / "site", run=False)


def stems():
    """The names of the notebooks."""
    return [book.stem for book in notebooks.read()]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """Serve a folder on the loopback interface; gives its address."""
    handler = functools.partial(_Quiet, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def cut_off(page):
    """Let `page` reach nothing beyond this machine; returns the list of what it tried."""
    tried = []

    def look(route):
        url = route.request.url
        if url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
            route.continue_()
        else:
            tried.append(url)
            route.abort()

    page.route("**/*", look)
    return tried


def faults(page, within="body"):
    """The faults that axe-core finds on `page`, in one part of it."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=npm.package("axe-core/axe.min.js"))
    # Without preload: axe would fetch the styles once more.
    run = "(within) => axe.run(within, {resultTypes: ['violations'], preload: false})"
    found = page.evaluate(run, within)["violations"]
    return [
        f"{fault['id']}: {node['target']} {node['html'][:120]}"
        for fault in found
        for node in fault["nodes"]
    ]


def too_wide(page):
    """What sticks out of the page at the right, boxes that scroll by themselves left aside."""
    return page.evaluate(
        """() => [...document.body.querySelectorAll('*')]
          .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
          .filter((node) => {
            for (let at = node; at; at = at.parentElement) {
              if (getComputedStyle(at).overflowX !== 'visible' || at.matches('.skip')) return false;
            }
            return true;
          })
          .map((node) => `${node.tagName}.${node.className}`).slice(0, 5)"""
    )
