"""JupyterLab in Chromium, driven as a person would: the fixtures and helpers of the browser tests.

One JupyterLab serves a whole test run. It works on a copy of the notebooks in a temporary folder,
with settings of its own, so that neither the repository nor the reader's own JupyterLab is touched.
"""

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
HOW_TO_GET_CHROMIUM = (
    "browser tests skipped: they need Chromium and Playwright. Debian, Ubuntu: "
    "apt install chromium; "
    "elsewhere set QUANTLAB_CHROMIUM to Chrome's program file; pip install playwright"
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TALL = 20_000  # CSS pixels: JupyterLab leaves out cells that are not on the screen
#: Console errors that say nothing about the course, each with the reason.
HARMLESS = {
    r"Failed to load resource.*favicon": "a page without a favicon is still a page",
    r"/lsp/status": "JupyterLab asks whether a language server is installed; none is",
    r"api/me\b.*40[14]": "older servers have no user names",
    r"/api/workspaces/.*404": "the first visit has no saved workspace yet",
    r"No provider for: @jupyterlab/(application:ILabShell|debugger)": "an optional part is absent",
}


def find_chromium():
    """Return the path of a Chromium or Chrome, or None."""
    named = os.environ.get("QUANTLAB_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


def can_run():
    """Tell whether a browser and Playwright are here."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return False
    return find_chromium() is not None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _settings(folder):
    """Write JupyterLab settings: no news, no look for updates: nothing leaves the machine."""
    file = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    return folder


def _start(work, port):
    """Start JupyterLab on `port`, with everything that it writes below `work`."""
    (work / "home").mkdir()
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": work / "notebooks",
        "ServerApp.disable_check_xsrf": True,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
        "LabApp.user_settings_dir": _settings(work / "settings"),
        "LabApp.workspaces_dir": work / "workspaces",
    }
    own = {
        "HOME": str(work / "home"),
        "JUPYTER_CONFIG_DIR": str(work / "config"),
        "JUPYTER_CONFIG_PATH": str(REPOSITORY / "tools" / "jupyter"),  # as `make lab` starts it
        "JUPYTER_RUNTIME_DIR": str(work / "runtime"),
        "IPYTHONDIR": str(work / "ipython"),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
        # Several kernels share the machine: one thread each.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *(f"--{key}={val}" for key, val in options.items()),
    ]
    with open(work / "server.log", "w") as log:
        return subprocess.Popen(
            command, cwd=work / "notebooks", env=os.environ | own, stdout=log, stderr=log
        )


def _wait_until_up(url, server, log, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab stopped:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{url}/api/status", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not answer in {seconds} s:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """A running JupyterLab: (its address, the folder that it serves)."""
    work = tmp_path_factory.mktemp("jupyter")
    folder = work / "notebooks"
    folder.mkdir()
    for notebook in NOTEBOOKS:
        shutil.copy(notebook, folder)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    server = _start(work, port)
    try:
        _wait_until_up(url, server, work / "server.log")
        yield url, folder
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def chromium():
    """A running Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


#: Console errors on any page since the last test ended.
_problems = []


def _note(message):
    text = f"{message.text} ({message.location.get('url', '')})"
    if message.type == "error" and not any(re.search(known, text) for known in HARMLESS):
        _problems.append(text)


def _note_uncaught(error):
    """Keep an error that nothing caught, with the functions and files that it came through.

    JupyterLab 4 now and then closes a notebook whose toolbar is being laid out anew; its React then
    misses a node. No code of the course, nor of a widget, is on that way.
    """
    ways = re.findall(r"https?://[^)\s]+|blob:[^)\s]+", error.stack or "")
    own = bool(ways) and all("/static/lab/" in way for way in ways)
    if not (own and "'removeChild' on 'Node'" in error.message):
        _problems.append(f"uncaught: {error.message}\n{error.stack}")


def check_console():
    """Fail if a page had an error in its console since the last check."""
    found = "\n".join(_problems)
    _problems.clear()
    assert not found, f"errors in the browser's console:\n{found}"


@pytest.fixture(autouse=True)
def no_console_errors():
    """After each test: an error in the console of any page fails it."""
    yield
    check_console()


def new_page(browser, **options):
    """Open a page in a context of its own; an error in its console fails the running test."""
    # A tall window: JupyterLab leaves out cells that are not on the screen.
    options = {"viewport": {"width": 1280, "height": 3000}} | options
    page = browser.new_context(**options).new_page()
    page.on("console", _note)
    page.on("pageerror", _note_uncaught)
    page.set_default_timeout(30_000)
    return page


@pytest.fixture
def open_page(chromium):
    """A function that opens a page, closed when the test ends."""
    opened = []

    def open_one(**options):
        opened.append(new_page(chromium, **options))
        return opened[-1]

    yield open_one
    for page in opened:
        page.context.close()
    check_console()


class Window:
    """A JupyterLab window that many tests use in turn: loading one takes longer than most tests."""

    def __init__(self, browser):
        self.browser, self.page = browser, None

    def get(self, viewport):
        """The window's page; a new one if a test left the last one closed or in a dialog."""
        if self.page and not self.page.is_closed() and self.page.locator(".jp-Dialog").count():
            self.page.context.close()
        if self.page is None or self.page.is_closed():
            self.page = new_page(self.browser)
        self.page.set_viewport_size(viewport)
        return self.page


#: The window of a browser for a purpose: made once.
_window = functools.cache(lambda browser, purpose: Window(browser))


@pytest.fixture
def lab(jupyter, chromium, open_page):
    """A function that opens JupyterLab; at the end its notebook is closed and its kernel stopped.

    viewport: the size of the window. Further options (has_touch, color_scheme) are those of
    Playwright's new_context; they, and a second call in the same test, open a window of their own.
    """
    made = []

    def open_lab(viewport=None, **options):
        viewport = viewport or {"width": 1280, "height": 3000}
        own = bool(options or made)
        window = _window(chromium, "lab")
        page = open_page(viewport=viewport, **options) if own else window.get(viewport)
        made.append(Lab(page, *jupyter))
        return made[-1]

    yield open_lab
    for one in made:
        one.shut_down()


@pytest.fixture(scope="session")
def notebook(request, jupyter, chromium):
    """A notebook of the course in JupyterLab, run once for all tests that name it.

    Name it with `of_notebook`; pytest then runs the tests of one notebook one after the other, in
    whichever files they are. Tests share its controls: set those that you rely on. Its
    `committed` is the file, its `executed` what the notebook held when the run was done.
    """
    # Not the window of `lab`, which would close the notebook.
    page = _window(chromium, "course").get({"width": 1280, "height": TALL})
    one = Lab(page, *jupyter)
    one.open(request.param.name)
    one.run_all()
    one.committed, one.executed = nbformat.read(request.param, as_version=4), one.content()
    yield one
    one.shut_down()


def of_notebook(start):
    """Mark a test for the notebook whose file name starts so ("04"), run by `notebook`."""
    found = [path for path in NOTEBOOKS if path.name.startswith(start)]
    if len(found) != 1:
        raise ValueError(f"one notebook starts with {start!r}, found {found}")
    names = [path.stem for path in found]
    return pytest.mark.parametrize("notebook", found, ids=names, indirect=True, scope="session")


# evaluate() itself would wait for ever.
_IN_TIME = """const inTime = (promise, seconds, what) => Promise.race([
  promise,
  new Promise((_, reject) => {
    const say = () => {
      const dialogs = [...document.querySelectorAll(".jp-Dialog")].map((one) => one.innerText);
      reject(new Error(`${what} took over ${seconds} s ${dialogs.join("; ")}`));
    };
    setTimeout(say, seconds * 1000);
  }),
]);"""

_OPEN = """async (path) => {
  const app = window.jupyterapp;
  await app.restored;
  const panel = path
    ? await app.commands.execute("docmanager:open", {path, factory: "Notebook"})
    : app.shell.currentWidget;
  await panel.context.ready;
  await panel.revealed;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
}"""

# Closing asks whether to save; a disposed widget asks nothing.
_CLOSE = """async () => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  if (panel?.sessionContext && !panel.isDisposed) {
    await panel.sessionContext.shutdown();
    panel.dispose();
  }
  if (document.body.dataset.jpThemeLight === "false") {
    await app.commands.execute("apputils:change-theme", {theme: "JupyterLab Light"});
  }
}"""

_OUTPUTS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  const found = [];
  for (const cell of cells) {
    if (cell.type !== "code") continue;
    for (let i = 0; i < cell.outputs.length; i += 1) {
      found.push({cell: cell.id, ...cell.outputs.get(i).toJSON()});
    }
  }
  return found;
}"""

# Two frames: what the last message changed is drawn.
_SHOWN = """async () => {
  for (let i = 0; i < 2; i += 1) await new Promise(requestAnimationFrame);
  const widgets = document.querySelectorAll(".jp-OutputArea-output > .lm-Widget");
  return [...widgets].map((widget) => widget.innerHTML).join();
}"""

# Move a control as its own events do, and time until the face is changed and laid out.
_ANSWER_TIMES = """async (control, [count, faceName]) => {
  const faces = control.closest(".jp-OutputArea-output").querySelectorAll(faceName);
  const face = faces[faces.length - 1];
  let way = "ArrowRight";
  const slide = () => {
    const at = (name) => Number(control.getAttribute(`aria-value${name}`));
    if (at("now") >= at("max")) way = "ArrowLeft";
    if (at("now") <= at("min")) way = "ArrowRight";
    control.dispatchEvent(new KeyboardEvent("keydown", {key: way, bubbles: true}));
  };
  const pick = () => {
    control.selectedIndex = (control.selectedIndex + 1) % control.length;
    control.dispatchEvent(new Event("change", {bubbles: true}));
  };
  const move = control.matches("select") ? pick
    : control.matches(".noUi-handle") ? slide : () => control.click();
  const changed = (i) => new Promise((resolve, reject) => {
    const watch = new MutationObserver(() => { watch.disconnect(); resolve(); });
    watch.observe(face, {childList: true, characterData: true, subtree: true});
    setTimeout(() => reject(new Error(`move ${i} changed nothing in 5 s`)), 5000);
  });
  const times = [];
  for (let i = 0; i < count; i += 1) {
    const done = changed(i);
    const start = performance.now();
    move();
    await done;
    face.offsetHeight; // finishes the layout
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 50)); // a person is slower still
  }
  return times;
}"""


class Lab:
    """One notebook open in JupyterLab."""

    def __init__(self, page, url, folder):
        self.page, self.url, self.folder = page, url, folder

    def write(self, *cells, name="scratch.ipynb"):
        """Write a notebook of these code cells and open it."""
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
        # Without a kernel's name JupyterLab would ask for one.
        made.metadata.kernelspec = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(made, self.folder / name)
        self.open(name)

    def open(self, name):
        """Open a notebook and wait until its kernel answers; one that was open is closed."""
        if self._is_up():
            self.shut_down()
            self._await(f"({_OPEN})({json.dumps(name)})", 90, f"opening {name}")
            return
        self.page.goto(f"{self.url}/doc/tree/{name}?reset")
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.context", timeout=90_000
        )
        self._await(f"({_OPEN})()", 90, f"opening {name}")

    def _is_up(self):
        return self.page.evaluate("() => Boolean(window.jupyterapp)")

    def _await(self, promise, seconds, what):
        wait = (
            f"async () => {{ {_IN_TIME} return inTime({promise}, {seconds}, {json.dumps(what)}); }}"
        )
        return self.page.evaluate(wait)

    def command(self, name, seconds=30, **arguments):
        """Run a command of JupyterLab, as its menus do, and wait for it."""
        call = f"window.jupyterapp.commands.execute({json.dumps(name)}, {json.dumps(arguments)})"
        self._await(call, seconds, name)

    def run_all(self, seconds=600):
        """Run every cell; returns when the last is done."""
        # Where the notebook has the focus, JupyterLab gives it back after a scroll that may take
        # longer than the notebook stays open: an error in the console.
        self.page.evaluate("() => document.activeElement?.blur()")
        self.command("notebook:run-all-cells", seconds, activate=False)

    def outputs(self):
        """All outputs of the code cells, as dicts with the cell's id under "cell"."""
        return self.page.evaluate(_OUTPUTS)

    def content(self):
        """The notebook as it is now, outputs included, as nbformat has it."""
        model = "window.jupyterapp.shell.currentWidget.content.model.toJSON()"
        return nbformat.from_dict(self.page.evaluate(f"() => {model}"))

    def errors(self):
        """The error outputs, one line each."""
        return [
            f"cell {one['cell']}: {one['ename']}: {one['evalue']}"
            for one in self.outputs()
            if one["output_type"] == "error"
        ]

    def stderr(self):
        """What cells wrote to standard error."""
        return [one["text"] for one in self.outputs() if one.get("name") == "stderr"]

    def execute(self, code):
        """Run `code` in the notebook's kernel and return what it prints."""
        return self.page.evaluate(
            """async (code) => {
              const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
              const future = kernel.requestExecute({code, store_history: false});
              let text = "";
              future.onIOPub = ({header, content}) => {
                if (header.msg_type === "stream") text += content.text;
                if (header.msg_type === "error") text += `${content.ename}: ${content.evalue}`;
              };
              await future.done;
              return text;
            }""",
            code,
        ).strip()

    def theme(self, name):
        """Change the theme, to "JupyterLab Dark" for example; closing goes back to light."""
        self.command("apputils:change-theme", theme=name)
        light = "true" if name.endswith("Light") else "false"
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{light}'")

    def settle(self, seconds=30):
        """Wait until Python has answered every control: until what is shown no longer changes."""
        shown = None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.execute("0")  # the kernel works in turn: what was asked before is done
            before, shown = shown, self.page.evaluate(_SHOWN)
            if shown == before:
                return
        raise TimeoutError(f"the outputs still change after {seconds} s")

    # -------- ipywidgets, by the label that a person reads

    def slider(self, label):
        """The handle of the slider with this description: press arrow keys on it."""
        return self.page.locator(".widget-slider", has_text=label).locator(".noUi-handle").first

    def move_slider(self, label, steps):
        """Move a slider by arrow keys, right for positive `steps`."""
        handle = self.slider(label)
        handle.focus()
        for _ in range(abs(steps)):
            handle.press("ArrowRight" if steps > 0 else "ArrowLeft")

    def slide_to(self, label, value):
        """Move a slider by arrow keys until its handle says `value`."""
        handle = self.slider(label)
        handle.focus()
        for _ in range(1000):
            now = float(handle.get_attribute("aria-valuenow"))
            if now == value:
                return
            handle.press("ArrowRight" if now < value else "ArrowLeft")
        raise ValueError(f"the slider {label!r} does not stop at {value}, but at {now}")

    def choose(self, label, option):
        """Pick an option of the dropdown with this description."""
        self.page.locator(".widget-dropdown", has_text=label).locator("select").select_option(
            option
        )

    def type(self, label, text):
        """Write into the text or number box with this description, and press Enter."""
        box = self.page.locator(".widget-text", has_text=label).locator("input").first
        box.fill(str(text))
        box.press("Enter")

    def press(self, text):
        """Press the widget button (of a group, too) with this text."""
        self.page.locator("button.jupyter-button", has_text=text).first.click()

    def render(self, title):
        """What the explorer with this title shows: the last HTML of the box that holds both."""
        box = self.page.locator(".widget-vbox", has_text=title).last
        return box.locator(":scope > .widget-html").last

    def answer_times(self, control, count=50, face=".widget-html-content"):
        """Move `control` and return, for each move, the ms until its answer is laid out.

        control: a slider's handle (it goes to and fro), a menu (option after option), or whatever
        is clicked. face: a CSS selector; the last of its output that fits has to change each time.
        """
        return control.evaluate(_ANSWER_TIMES, [count, face])

    def shut_down(self):
        """Close the notebook and stop its kernel, so that the next has the machine for itself."""
        try:
            if not self.page.is_closed() and self._is_up():
                self._await(f"({_CLOSE})()", 30, "closing the notebook")
        except Exception:
            self.page.context.close()  # the next test gets a new window
            raise
