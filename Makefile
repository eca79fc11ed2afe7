# The everyday commands. `make` alone lists them. Every command sets up what it needs by itself.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

lab: .venv/.lab  ## open the course in JupyterLab at notebook 00
	@$(BIN)/jupyter lab notebooks/00_why_quantize.ipynb

test: .venv/.test  ## run every test
	@$(BIN)/python -m pytest

notebooks: .venv/.test  ## execute all notebooks in place
	@$(BIN)/python tools/run_notebooks.py

slides: .venv/.site  ## make a slide deck from every notebook, in build/slides
	@$(BIN)/python tools/slides.py

site: .venv/.site  ## make the website, in build/site
	@$(BIN)/python tools/website.py

pdf: .venv/.site  ## print every notebook for paper, in build/pdf
	@$(BIN)/python tools/handout.py

bench: .venv/.test  ## time the package beside the libraries that do the same
	@$(BIN)/python -m pytest tests/benchmarks

style: .venv/.test  ## format the code and the notebooks, mend what ruff can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:  ## remove what the commands above made
	@rm -rf .venv build/site build/slides build/pdf tools/web/node_modules .pytest_cache .ruff_cache .hypothesis

# A stamp file is newer than what it was made from, so nothing is installed twice.
.venv/.lab .venv/.site .venv/.test: .venv/.%: pyproject.toml constraints.txt tools/install.py tools/web/package-lock.json
	@$(PYTHON) tools/install.py $*

.PHONY: help lab test notebooks slides site pdf bench style clean
