"""The house: layers import downwards only, the core is light and its definitions are short."""

import ast
import importlib
import inspect
import io
import os
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import quantlab

PACKAGE = Path(quantlab.__file__).parent
CORE = sorted(set(PACKAGE.glob("*.py")) - {PACKAGE / "__main__.py"})  # that is a command
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
           tokenize.ENDMARKER}  # fmt: skip
ALL_FILES = sorted(PACKAGE.rglob("*.py"))
LAYERS = {  # folder: (folders of quantlab below it, packages from outside)
    "": ({"_fast"}, {"numpy"}),
    "_fast": (set(), {"numpy"}),
    "lm": (
        {"_fast"},
        {"numpy", "torch", "transformers", "bitsandbytes", "accelerate", "safetensors",
         "compressed_tensors", "tqdm", "huggingface_hub", "psutil", "gguf", "xllamacpp", "peft"},
    ),
    "experiments": ({"lm", "_fast"}, {"numpy"}),
    "show": (
        {"lm", "experiments", "_fast"},
        {"numpy", "matplotlib", "PIL", "ipywidgets", "anywidget", "IPython", "traitlets"},
    ),
    "course": (
        {"lm", "experiments", "show", "_fast"},
        {"torch", "numpy", "matplotlib", "ipywidgets", "anywidget", "IPython", "traitlets"},
    ),
    "command": ({"lm", "_fast"}, {"gguf"}),  # and quantlab/__main__.py, which starts them
}  # fmt: skip
#: Modules of the core that came after the notebooks 00 to 10, in files of their own.
LATER = ("gguf", "scaled", "transforms", "config", "shapes", "checkpoint", "fit", "ternary",
         "training_memory")  # fmt: skip
HEAVY = ["torch", "matplotlib", "ipywidgets", "anywidget", "transformers", "bitsandbytes",
         "accelerate", "IPython", "ml_dtypes", "scipy", "pandas"]  # fmt: skip


def fresh(code, **more):
    """Run code in a fresh interpreter and return what it prints. more: of the environment."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **more}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return done.stdout.split()


def layer(file):
    """The folder of a file: "" for the core."""
    if file.name == "__main__.py":
        return "command"
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(file):
    """All modules that a file imports, anywhere in it, as absolute dotted names."""
    package = ["quantlab", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            yield from (".".join([*base, alias.name]) for alias in node.names)


def named(file):
    return str(file.relative_to(PACKAGE))


every_file = pytest.mark.parametrize("file", ALL_FILES, ids=named)


def test_importing_quantlab_loads_the_core_alone():
    loaded = fresh("import sys, quantlab; print(*sys.modules)")
    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith(("quantlab.lm", "quantlab.show"))] == []
    assert "quantlab.gptq" in loaded


def test_importing_quantlab_brings_numpy_and_a_few_modules_of_python():
    # How long it takes is measured in tests/benchmarks: a clock has no place here.
    code = (
        "import sys, numpy; before = set(sys.modules); import quantlab; "
        "print(*(name for name in set(sys.modules) - before if name.split('.')[0] != 'quantlab'))"
    )
    brought = fresh(code)
    assert [m for m in brought if m.split(".")[0] not in (*sys.stdlib_module_names, "numpy")] == []
    assert len(brought) < 50  # NumPy 2 has some of them already, NumPy 1 fewer: 23 and 34


@pytest.mark.parametrize("name", ["lm", "experiments.whole_model", "show", "course", "command"])
def test_importing_a_layer_above_loads_no_model_library(name):
    loaded = fresh(f"import sys, quantlab.{name}; print(*sys.modules)")
    assert {"torch", "transformers", "bitsandbytes"} & set(loaded) == set()


@every_file
def test_a_file_imports_only_what_its_layer_may(file):
    below, outside = LAYERS[layer(file)]
    for name in imports(file):
        top, *rest = name.split(".")
        if top == "quantlab":
            above = set(LAYERS) - below - {layer(file), ""}
            assert not rest or rest[0] not in above, f"{named(file)} imports {name}"
        else:
            allowed = top in sys.stdlib_module_names or top in outside
            assert allowed, f"{named(file)} imports {name}"


@pytest.mark.parametrize("name", ["config", "shapes", "checkpoint", "fit"])
def test_what_plans_a_model_needs_the_standard_library_and_memory_alone(name):
    allowed = {"_data", "_checks", "memory", "config", "shapes", "checkpoint"}
    for imported in imports(PACKAGE / f"{name}.py"):
        top, *rest = imported.split(".")
        assert rest[0] in allowed if top == "quantlab" else top in sys.stdlib_module_names


def test_no_two_modules_of_the_core_import_each_other():
    names = {file.stem for file in CORE}
    below = {
        file.stem: {part for name in imports(file) for part in name.split(".")[1:2]} & names
        for file in CORE
        if file.stem != "__init__"
    }
    done = set()
    while len(done) < len(below):
        ready = {name for name, needs in below.items() if name not in done and needs <= done}
        assert ready, f"a circle among {sorted(set(below) - done)}"
        done |= ready


def code_lines(text):
    """The numbers of the lines that hold code: no blank lines, comments or docstrings."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def test_the_definitions_of_notebooks_00_to_10_are_under_1000_lines_of_code():
    counts = {file.stem: len(code_lines(file.read_text(encoding="utf-8"))) for file in CORE}
    longest = max(counts.values())
    for name in LATER:
        counts.pop(name)
    assert sum(counts.values()) < 1000 and longest < 260


@pytest.mark.parametrize("file", CORE, ids=named)
def test_no_definition_is_over_30_lines_of_code(file):
    text = file.read_text(encoding="utf-8")
    lines = code_lines(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            own = [line for line in lines if node.body[0].lineno <= line <= node.end_lineno]
            assert len(own) <= 30, f"{named(file)}: {node.name} has {len(own)} lines"


@every_file
def test_no_function_is_over_60_lines(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 60, f"{named(file)}: {node.name} has {lines} lines"


@every_file
def test_every_module_and_every_public_name_in_it_has_a_docstring(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    for node in list(public):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            public += [part for part in node.body if isinstance(part, ast.FunctionDef)]
    public = [n for n in public if not any("setter" in ast.dump(d) for d in n.decorator_list)]
    bare = [n.name for n in public if not n.name.startswith("_") and not ast.get_docstring(n)]
    assert bare == []


def test_every_name_that_quantlab_exports_is_there_and_documented():
    for name in quantlab.__all__:
        thing = getattr(quantlab, name)
        assert isinstance(thing, quantlab.Codebook) or inspect.getdoc(thing)


@pytest.mark.parametrize(
    "module",
    [
        "binary",
        "formats",
        "affine",
        "outliers",
        "gptq",
        "codebooks",
        "gguf",
        "config",
        "shapes",
        "checkpoint",
        "fit",
        "scaled",
        "memory",
        "errors",
        "article",
        "methods",
        "transforms",
        "ternary",
        "training_memory",
    ],
)
def test_each_module_of_the_design_is_an_attribute_of_quantlab(module):
    assert getattr(quantlab, module) is importlib.import_module(f"quantlab.{module}")


def test_every_public_function_of_the_article_path_says_its_source():
    for function in (
        quantlab.quantize_absmax, quantlab.quantize_zero_point, quantlab.quantized_matmul,
        quantlab.outlier_columns, quantlab.llm_int8_matmul, quantlab.hessian,
        quantlab.quantize_gptq, quantlab.error_diffusion, quantlab.quantize_blockwise,
    ):  # fmt: skip
        assert "Source" in function.__doc__
