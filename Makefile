# The everyday commands. `make` alone lists them. Every command sets up what it needs by itself.
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
else
PYTHON ?= python3
BIN := .venv/bin
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

lab: ready-lab  ## open the course in JupyterLab at notebook 00; PORT=9000 for another port
	@$(BIN)/python tools/start_lab.py

test: ready-test  ## run every test
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-colab: ready-colab  ## run the notebooks with the versions that Colab has
	@$(subst .venv,.venv/colab,$(BIN))/python -m pytest tests/colab

# Deprecated there is what an old library calls in the newer ones that it needs.
test-lowest:  ## run the tests, without a browser, with the oldest versions of pyproject.toml
	@$(PYTHON) tools/install.py age && $(PYTHON) tools/install_versions.py lowest
	@$(subst .venv,.venv/lowest,$(BIN))/python $(WITHOUT_BROWSER) -W ignore::DeprecationWarning

test-newest:  ## run the tests, without a browser, with the newest versions
	@$(PYTHON) tools/install.py age && $(PYTHON) tools/install_versions.py newest
	@$(subst .venv,.venv/newest,$(BIN))/python $(WITHOUT_BROWSER)

WITHOUT_BROWSER := -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
WITHOUT_BROWSER += --ignore tests/browser --ignore tests/benchmarks --ignore tests/colab
.PHONY: test-lowest test-newest

other-processors: ready-test  ## check the notebooks' outputs with the kernels of older processors
	@$(BIN)/python tools/run_notebooks.py --check --kernels avx2
	@$(BIN)/python tools/run_notebooks.py --check --kernels oldest
.PHONY: other-processors

notebooks: ready-test  ## execute all notebooks in place
	@$(BIN)/python tools/run_notebooks.py

slides: ready-site  ## make a slide deck from every notebook, in build/slides
	@$(BIN)/python tools/slides.py

site: ready-site  ## make the website, in build/site
	@$(BIN)/python tools/website.py

pdf: ready-site  ## print every notebook for paper, in build/pdf
	@$(BIN)/python tools/handout.py

bench: ready-test  ## time the package beside the libraries that do the same
	@$(BIN)/python -m pytest -o addopts="-q --benchmark-quiet" tests/benchmarks/speed

# Installs nothing: a machine with a GPU has a torch of its own, in a Python that PYTHON= names.
gpu: PYTHON := $(firstword $(wildcard $(BIN)/python $(BIN)/python.exe) $(PYTHON))
gpu:  ## with a GPU: run what needs one, write docs/gpu.md and the outputs of notebook 10
	@$(PYTHON) tools/install.py age && $(PYTHON) tools/gpu.py

badges: ready-test  ## write every link to the course; URL=https://github.com/me/quantlab sets its address
	@$(BIN)/python tools/badges.py $(if $(URL),--url "$(URL)")

style: ready-test  ## format the code and the notebooks, mend what ruff can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.PHONY: test-colab gpu badges

clean:  ## remove what the commands above made
	@rm -rf .venv .venv.lock build/site build/slides build/pdf tools/web/node_modules .pytest_cache .ruff_cache .hypothesis

# Asked each time: a moment where all is there, of these versions, and the folder has not moved.
ready-lab ready-site ready-test: ready-%:
	@$(PYTHON) tools/install.py $*

ready-colab:
	@$(PYTHON) tools/install_colab.py

.PHONY: ready-lab ready-site ready-test ready-colab

.PHONY: help lab test notebooks slides site pdf bench style clean
