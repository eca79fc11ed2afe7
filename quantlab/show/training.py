"""Notebook 15: stored trainings as a film: curves with a mark, and what the model writes by then.

Settings become a `Film` (`experiments.training_runs`), that becomes HTML (`render`) or a picture
(`snapshot`), and `explore_training` wires them to controls. Nothing is trained here.
"""

import textwrap

import ipywidgets as widgets

from quantlab.experiments.training_runs import MARKS, WIDTHS, Run, stored
from quantlab.show import html
from quantlab.show.drawing import Drawing, Line, Mark, Scale, Text, across, flow, ticks, upwards
from quantlab.show.explorer import Explorer, control

#: What is trained, as people say it.
PARTS = {"the weights": "weights", "norms alone": "norms", "all": "all"}
RATES = (1e-4, 1e-3, 1e-2)
#: The run of the first view.
FIRST = Run("2 bits", 1e-3)

# Three drawings, in CSS pixels: two stand side by side in a notebook, on a phone one on the other.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 366, 220, 66, 350, 42, 164
#: Steps stand on a log axis that begins ten steps before the first.
STEPS = Scale(10, 310, LEFT + 8, RIGHT - 8, log=True)
NATS = Scale(0.03, 6, FLOOR, TOP, log=True)
PERPLEXITY = Scale(25, 2_000, FLOOR, TOP, log=True)
FACTS = Scale(0, 256, FLOOR, TOP)
CHARTS = {
    "divergence": ("divergence, nats per token", NATS, (0.1, 0.5, 1, 5)),
    "perplexity": ("perplexity", PERPLEXITY, (30, 100, 300, 1000)),
    "facts": ("facts right, of 256", FACTS, (0, 128, 256)),
}


def nearest(width, rate, part):
    """Return (run, words): the stored `Run` that is asked for, or one near it, and why.

    width: a name in `WIDTHS`. part: as in `lm.train`.
    """
    asked, films = Run(width, rate, part), stored()[1]
    if asked in films:
        return asked, ""
    if part != "weights":
        others = [run for run in films if run.trained == part]
        known = " or ".join(f"{run.width}, rate {run.rate:g}" for run in others) or "no setting"
        said = f"“{_part(part)}” is stored only at {known}; here the weights are shown. "
    else:
        said = ""
    same = [run for run in films if run.width == width and run.trained == "weights"]
    found = min(same, key=lambda run: max(run.rate / rate, rate / run.rate))
    if found.rate != rate:
        said += f"Rate {rate:g} is not stored: rate {found.rate:g} is shown."
    return found, said.strip()


def _part(name):
    return next(words for words, part in PARTS.items() if part == name)


def facts(mark, plain, stopped=False):
    """Return what is to be said of a `Mark` beside that of the unquantized model.

    stopped: whether the run was ended there, before the step that is asked for.
    """
    return [
        ("steps", f"{mark.step}, stopped" if stopped else f"{mark.step} of {MARKS[-1]}"),
        ("divergence", f"{mark.divergence:.3f}"),
        (
            "perplexity",
            f"{html.number(mark.perplexity)} (unquantized {html.number(plain.perplexity)})",
        ),
        ("facts right", f"{mark.facts} of 256"),
    ]


def render(width, rate, part, step):
    """Return the HTML of a setting: the numbers, three curves with a mark, the two texts."""
    run, note = nearest(width, rate, part)
    plain, films = stored()
    film = films[run]
    place = min(MARKS.index(step), len(film.marks) - 1)
    mark = film.marks[place]
    charts = "".join(draw(name, film, place).svg() for name in CHARTS)
    grid = "display:flex;flex-wrap:wrap;gap:4px 16px"
    return (
        f'<div style="color:{html.INK};font-size:16px;line-height:1.4">'
        f'<div style="min-height:4.2em"><b>{html.escape(_name(run))}</b> '
        f"{html.span(note, html.RED) if note else ''}</div>"
        f"{html.facts(facts(mark, plain, mark.step < step))}"
        f'<div style="{grid}">{charts}{_texts(mark, plain)}</div></div>'
    )


def _name(run):
    return f"{run.width}, rate {run.rate:g}, trained: {_part(run.trained)}"


def _texts(mark, plain):
    """The two texts, in a room that is high enough for any."""
    rows = "".join(
        f'<div style="color:{html.QUIET}">{html.escape(who)}</div>'
        f'<div style="min-height:7em">{html.escape(one.text)}</div>'
        for who, one in ((f"After {mark.step} steps it writes", mark), ("unquantized", plain))
    )
    return f'<div style="width:{WIDTH}px;max-width:100%">{rows}</div>'


def draw(name, film, place):
    """Return one of CHARTS as a `Drawing`: the line of a `Film`, and a mark after some steps.

    place: of the step in MARKS. Steps to come are pale; the unquantized model is dashed.
    """
    title, scale, labels = CHARTS[name]
    points = [(_at(mark.step), _inside(scale, getattr(mark, name))) for mark in film.marks]
    plain = getattr(stored()[0], name)
    marks = [Text(4, 14, title, bold=True), *upwards(scale, LEFT, RIGHT, ticks(labels))]
    marks += [Line(tuple(points), "grid", width=2.5)]
    if name != "divergence":
        y = scale(plain)
        marks += [Line(((LEFT, y), (RIGHT, y)), "quiet", dashed=True, width=1.5)]
    if place:
        marks += [Line(tuple(points[: place + 1]), width=2.5)]
    marks += [
        *(Mark(*point, size=4, fill="ink" if i <= place else "quiet") for i, point in
          enumerate(points)),
        *_axis(),
        Mark(*points[place], size=9, fill="none", edge="error", line=3),
    ]  # fmt: skip
    now = film.marks[place]
    value = getattr(now, name)
    label = f"{title}: {value:.4g} after {now.step} steps, {getattr(film.marks[0], name):.4g} at 0"
    return Drawing(WIDTH, HEIGHT, tuple(marks), label)


def _axis():
    labels = {step + 10: str(step) for step in MARKS}
    return across(STEPS, FLOOR, labels, "steps")


def _at(step):
    return STEPS(step + 10)


def _inside(scale, value):
    return scale(min(max(value, scale.low), scale.high))


def snapshot(run=FIRST, step=MARKS[-1]):
    """Return one setting as a picture."""
    plain, films = stored()
    film, place = films[run], MARKS.index(step)
    mark = film.marks[place]
    said = ", ".join(f"{name} {words}" for name, words in facts(mark, plain))
    lines = textwrap.wrap(f"It writes “{_one_line(mark)}”", 40)
    lines += ["", *textwrap.wrap(f"Unquantized “{_one_line(plain)}”", 40)]
    words = tuple(Text(4, 14 + 22 * i, line) for i, line in enumerate(lines))
    beside = Drawing(WIDTH, HEIGHT, words, "What it writes")
    whole = flow([*(draw(name, film, place) for name in CHARTS), beside], gap=20)
    return whole.picture(_name(run), f"Still of the explorer. {_name(run)}: {said}.")


def _one_line(mark):
    return " ".join(mark.text.split())


def explore_training():
    """Return the explorer of the stored trainings: bits, rate, what is trained, and the steps."""
    width = control(widgets.ToggleButtons, "bits", options=list(WIDTHS), value=FIRST.width)
    rates = [(f"{rate:g}", rate) for rate in RATES]
    rate = control(widgets.ToggleButtons, "rate", options=rates, value=FIRST.rate)
    part = control(widgets.ToggleButtons, "trained", options=list(PARTS.items()), value="weights")
    for buttons in (width, rate, part):
        buttons.style.button_width = "6.5em"
    steps = [(str(step), step) for step in MARKS]
    return Explorer(
        {
            "width": width,
            "rate": rate,
            "part": part,
            "step": control(widgets.SelectionSlider, "steps", options=steps, value=MARKS[-1]),
        },
        render,
        title="Train through the rounding, step by step",
        static=snapshot(),
        height=2 * HEIGHT + 110,
    )


EXPLORERS = {"15_learn_the_bits_back/explorer": explore_training}
