"""Everything that pages load: our scripts and styles, and the few files of the npm packages."""

import re
import shutil

import jinja2

from quantlab.show import bits, explorer
from web import npm

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(npm.HERE / "templates"),
    autoescape=False,  # cells are HTML; names and titles are escaped where they are read
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
FONTS = ("source-sans-3", "source-code-pro")
LEFT_OUT = ("cyrillic", "vietnamese")  # subsets of the fonts that the course does not use
COPIED = {
    "minisearch/dist/umd/index.js": "minisearch.js",
    "reveal.js/dist/reveal.css": "reveal.css",
    "reveal.js/dist/reveal.js": "reveal.js",
    "reveal.js/dist/plugin/notes.js": "notes.js",
    "katex/dist/katex.min.css": "katex/katex.min.css",
}


def write(folder):
    """Write all assets to `folder`/assets."""
    target = folder / "assets"
    shutil.copytree(npm.HERE / "static", target)
    (target / "katex" / "fonts").mkdir(parents=True)
    for source, name in COPIED.items():
        text = npm.package(source).read_text(encoding="utf-8")
        text = re.sub(r"\n//# sourceMappingURL=.*", "", text)
        (target / name).write_text(text, encoding="utf-8")
    for font in npm.package("katex/dist/fonts").glob("*.woff2"):
        shutil.copy(font, target / "katex" / "fonts")
    (target / "fonts.css").write_text(_fonts(target), encoding="utf-8")
    (target / "bits.css").write_text(bits._style(), encoding="utf-8")
    (target / "bits.js").write_text(_computing(), encoding="utf-8")


def _fonts(target):
    """Copy the fonts, return the style that names them."""
    (target / "fonts").mkdir()
    rules = []
    for font in FONTS:
        home = npm.package(f"@fontsource-variable/{font}")
        for sheet in ("index.css", "wght-italic.css"):
            for rule in re.findall(r"@font-face \{.*?\}", (home / sheet).read_text(), re.DOTALL):
                file = re.search(r"url\(\./files/([^)]+)\)", rule)[1]
                if not any(subset in file for subset in LEFT_OUT):
                    shutil.copy(home / "files" / file, target / "fonts")
                    rules.append(rule.replace("./files/", "fonts/"))
    return "\n".join(rules) + "\n"


def _computing():
    """What computes in the page, as a plain script: a page opened from a file may load no module.

    Both parts stand on the arithmetic, each in a scope of its own.
    """
    page = explorer.script("keys.js", "bits.js")
    page = page.replace("export default { render };", "window.quantlab.bits = render;")
    faces = explorer.script("faces.js") + "window.quantlab.answer = answer;"
    inside = [f"(() => {{\n{part}\n}})();" for part in (page, faces)]
    body = "\n".join([explorer.script("minifloat.js"), *inside])
    plain = re.sub("^export (?!default)", "", body, flags=re.MULTILINE)
    return f'"use strict";\n(() => {{\n{plain}\n}})();\n'
