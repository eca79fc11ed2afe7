"""The stepper of notebook 06 in JupyterLab: every step that it shows is that of `gptq_steps`."""

import numpy as np
import pytest

import quantlab as ql
from quantlab.experiments.walk import EXAMPLES

CELL = "from quantlab import show\n\nshow.gptq_stepper.explorer()"
# The numbers on the page by what they show, once its heading says a step from `first` to `last`.
_SHOWN = """([first, last, steps]) => {
  const nodes = [...document.querySelectorAll(".jp-OutputArea [data-key]")];
  const shown = Object.fromEntries(nodes.map((node) => [node.dataset.key, node.textContent]));
  const [, step, of] = /^Step (\\d+) of (\\d+)/.exec(shown.heading).map(Number);
  return of === steps && first <= step && step <= last ? shown : null;
}"""


class Stepper:
    """The explorer by what a person sees and presses."""

    def __init__(self, lab):
        self.lab, self.page, self.heights = lab, lab.page, set()

    def at(self, step, steps, last=None):
        """Wait until this step (from 1), or one up to `last`, is shown; return its numbers."""
        wait = self.page.wait_for_function(_SHOWN, arg=[step, last or step, steps])
        self.heights.add(self.page.locator(".jp-OutputArea").first.bounding_box()["height"])
        return wait.json_value()

    def press_key(self, key):
        self.lab.slider("step").press(key)

    def play(self):
        self.page.locator(".widget-play button").first.click()


def agrees(text, value):
    """Whether a text is `value` rounded to the decimals that it has."""
    text = text.strip("\N{FIGURE SPACE}").replace("−", "-")
    return abs(float(text) - value) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) * (1 + 1e-9)


def differences(shown, example, number, bits=3):
    """The keys of numbers on the page that are not those of `gptq_steps`; and how many agree."""
    x, w = EXAMPLES[example]
    steps = list(ql.gptq_steps(w, ql.hessian(x), bits=bits))
    step, before = steps[number], w if number == 0 else steps[number - 1].after
    nearest = np.where(
        np.arange(len(w))[:, None] <= number, ql.quantize_absmax(w, bits, axis=0).dequantize(), w
    )
    wanted = {}
    for j in range(w.shape[1]):
        wanted |= {f"weight-{j}": step.weights[j], f"back-{j}": step.quantized[j]}
        wanted |= {f"lost-{j}": step.weights[j] - step.quantized[j], f"error-{j}": step.error[j]}
        wanted |= {f"stands-{i}-{j}": before[i, j] for i in range(len(w))}
        wanted |= {f"code-{s.row}-{j}": s.codes[j] for s in steps[: number + 1]}
        wanted |= {f"added-{i}-{j}": step.compensation[i, j] for i in range(number + 1, len(w))}
    wanted |= {f"inverse-{i}-0": step.inverse_row[i] for i in range(number, len(w))}
    for key, back in (("error-gptq", step.after), ("error-rounded", nearest)):
        wanted[key] = np.sum((x @ (back - w)) ** 2) / len(x)
    return [key for key, value in wanted.items() if not agrees(shown[key], value)]


@pytest.fixture
def stepper(lab):
    one = lab(viewport={"width": 1280, "height": 1600})
    one.write(CELL)
    one.run_all()
    one.page.locator(".jp-OutputArea [data-key=heading]").wait_for()
    return Stepper(one)


# One test, because starting a kernel takes most of the time.
def test_every_step_shown_is_that_of_gptq_steps_by_buttons_keys_and_play(stepper):
    example = "correlated inputs"
    for number in range(6):
        assert differences(stepper.at(number + 1, 6), example, number) == []
        stepper.lab.press("Next")
    assert differences(stepper.at(6, 6), example, 5) == []  # Next stops at the end
    stepper.lab.press("Back")
    assert differences(stepper.at(5, 6), example, 4) == []
    stepper.lab.press("First")
    assert differences(stepper.at(1, 6), example, 0) == []

    stepper.play()  # moves on by itself, one row a second, from where the stepper stands
    seen = 1
    while seen < 3:  # a slow machine may skip one
        shown = stepper.at(seen + 1, 6, last=6)
        seen = int(shown["heading"].split()[1])
        assert differences(shown, example, seen - 1) == []
    stepper.play()

    example = "the article's X and W"
    stepper.lab.choose("example", example)
    for number in range(4):
        assert differences(stepper.at(number + 1, 4), example, number) == []
        stepper.press_key("ArrowRight")
    assert differences(stepper.at(4, 4), example, 3) == []
    for number in (2, 1, 0):
        stepper.press_key("ArrowLeft")
        assert differences(stepper.at(number + 1, 4), example, number) == []

    for example in ("equal inputs", "independent inputs"):
        stepper.lab.choose("example", example)
        for number in range(6):
            assert differences(stepper.at(number + 1, 6), example, number) == []
            stepper.lab.press("Next")

    stepper.lab.press("First")
    stepper.at(1, 6)
    stepper.lab.move_slider("bits", 2)
    stepper.lab.execute("0")
    stepper.page.wait_for_timeout(200)
    assert differences(stepper.at(1, 6), "independent inputs", 0, bits=5) == []

    assert len(stepper.heights) == 1  # the page below never jumped
    assert stepper.page.locator('.jp-OutputArea [role="alert"]').count() == 0
    assert stepper.lab.errors() == [] and stepper.lab.stderr() == []
