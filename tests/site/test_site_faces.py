"""Explorers that compute in the page show what Python shows, for any number that is typed."""

import itertools
import json
import random
import subprocess

import pytest
from web import explorers

from quantlab.experiments import codes
from quantlab.show import binary_figures, explorer, grid, memory_figures

RANDOM = random.Random(15)
TYPED = [
    "", " ", "abc", "1,5", "1,000", "1/0", "0/5", "1e9999", "2^9999", "inf", "-nan", "∞", "0x10",
    "9" * 41, "1e-20", "−1", "-0", "0", "1", "1.0", "007", "1_000", " 12 ", "2^10", "2**3", "1e3",
    "1/3", "2/4", "22/7", "0.1", ".5", "5.", "1e-5", "0.00012", "1e-7", "1 / 8", "0.999999999999",
    "0.1234567890125", "0.12345678901234567890123", "4294967295", "4294967296", "2.5e9", "1e15",
    "<b>", "'\"&", "½", "20.23", "2023", "65536", "999999.999", "1000000", "-1e6", "12345.678",
]  # fmt: skip
WHOLE = [str(n) for n in (*range(18), 2024, 65535, *RANDOM.choices(range(2**32), k=40))]
FRACTIONS = [f"0.{n}" for n in RANDOM.choices(range(10**6), k=40)] + [
    f"{RANDOM.randrange(n)}/{n}" for n in RANDOM.choices(range(1, 10**9), k=40)
]
SIZES = [repr(10 ** RANDOM.uniform(-4, 6)) for _ in range(60)] + [
    "0.001", "0.0001", "0.00009", "1", "7", "70", "0.9996", "0.9999999", "1/3", "999999", "500",
    *(str(size) for _, size in memory_figures.MODELS),
]  # fmt: skip
OUTLIERS = ["0", "-1000", "1/3", "5.937", "-4.913", "1e-9", "0.5", "1e5", "-999999.5"] + [
    f"{RANDOM.choice('- ')}{10 ** RANDOM.uniform(-3, 5):.3f}".strip() for _ in range(12)
]


def options(made, name):
    return [value for _, value in explorers.choices(made.controls[name])]


def settings_of_the_calculator(made):
    names = ("format", "block_size", "double_quant", "device", "headroom")
    every = list(itertools.product(*(options(made, name) for name in names)))
    for size in SIZES + TYPED:
        for chosen in RANDOM.sample(every, 3):
            yield {"billions": size, **dict(zip(names, chosen, strict=True))}


def settings_of_the_product(made):
    names = ("bits", "axis", "method")
    every = list(itertools.product(*(options(made, name) for name in names)))
    for outlier in ["1000", *OUTLIERS]:
        for chosen in every if outlier == "1000" else RANDOM.sample(every, 10):
            yield {**dict(zip(names, chosen, strict=True)), "outlier": outlier}
    for outlier in TYPED:
        yield {**dict(zip(names, every[0], strict=True)), "outlier": outlier}


CASES = {
    "division": (
        binary_figures.division_explorer,
        lambda made: [{"number": n, "step": s} for n in WHOLE + TYPED for s in (0, 1, 5, 16, 32)],
    ),
    "doubling": (
        binary_figures.doubling_explorer,
        lambda made: [
            {"fraction": f, "step": s} for f in FRACTIONS + TYPED for s in (0, 1, 7, 23, 24)
        ],
    ),
    "calculator": (memory_figures.calculator, settings_of_the_calculator),
    "product": (grid.explorer, settings_of_the_product),
}

_ANSWER = """
import { answer } from "./faces.mjs";
import { readFileSync } from "node:fs";
const [data, settings] = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(settings.map((one) => answer(data, one))));
"""


@pytest.fixture(scope="module")
def in_the_page(tmp_path_factory):
    """A function from an explorer and a list of settings to what faces.js answers."""
    folder = tmp_path_factory.mktemp("faces")
    module = explorer.script("minifloat.js", "faces.js")
    (folder / "faces.mjs").write_text(module, encoding="utf-8")
    (folder / "answer.mjs").write_text(_ANSWER, encoding="utf-8")

    def ask(made, settings):
        call = json.dumps([explorers.computed(made), settings])
        command = ["node", folder / "answer.mjs"]
        done = subprocess.run(command, input=call, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return ask


@pytest.mark.parametrize("name", CASES)
def test_the_page_shows_what_python_shows(name, in_the_page):
    make, settings_of = CASES[name]
    made = make()
    settings = list(settings_of(made))
    wrong = [
        (one, answer["html"], shown)
        for one, answer in zip(settings, in_the_page(made, settings), strict=True)
        if answer["html"] != (shown := made.set(**one))
    ]
    assert len(settings) > 300
    assert wrong[:1] == []


_FORMATS = """
import { floatFormat } from "./faces.mjs";
const all = [];
for (const specials of ["ieee", "nan", "none"])
  for (let exponent = 1; exponent <= 11; exponent += 1)
    for (let mantissa = 0; mantissa <= 52; mantissa += 1)
      all.push(floatFormat(exponent, mantissa, specials));
console.log(JSON.stringify(all));
"""


def test_whatever_widths_are_chosen_in_the_page_are_a_format_in_python_too(tmp_path):
    (tmp_path / "faces.mjs").write_text(explorer.script("minifloat.js"), encoding="utf-8")
    (tmp_path / "formats.mjs").write_text(_FORMATS, encoding="utf-8")
    command = ["node", tmp_path / "formats.mjs"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    made = json.loads(done.stdout)
    assert len(made) == 3 * 11 * 53
    for data in made:
        form = codes.from_data(data)
        assert codes.as_data(form) == data and form.max >= form.smallest_normal
