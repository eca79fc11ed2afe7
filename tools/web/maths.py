"""Formulas, typeset when the page is made: KaTeX writes HTML and MathML, no script is needed."""

import html
import json
import re
import subprocess

from web import npm

_PLACE = re.compile(r'<tex data-display="(true|false)">(.*?)</tex>', re.DOTALL)


def placeholder(formula, display):
    """Return a mark that `typeset` replaces. display: on a line of its own."""
    return f'<tex data-display="{str(display).lower()}">{html.escape(formula)}</tex>'


def typeset(cells):
    """Replace the marks in the sources of `cells`, all of them with one call of KaTeX."""
    found = sorted({match for cell in cells for match in _PLACE.findall(cell.source)})
    if not found:
        return
    formulas = [{"tex": html.unescape(t), "display": d == "true"} for d, t in found]
    made = dict(zip(found, _katex(formulas), strict=True))
    for cell in cells:
        cell.source = _PLACE.sub(lambda match: made[match.groups()], cell.source)


def _katex(formulas):
    script = npm.HERE / "katex.mjs"
    run = subprocess.run(
        [npm.node(), script],
        input=json.dumps(formulas),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"KaTeX could not read a formula:\n{run.stderr}")
    return json.loads(run.stdout)
