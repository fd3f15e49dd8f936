# Everything a newcomer types. `make demo` and `make test` need nothing before them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VENV_VLLM := .venv-vllm
READY_VLLM := $(VENV_VLLM)/.ready
PROCESSES = $(shell $(BIN)/python -c 'import os; print(1 + os.cpu_count())')

# Dozens of processes start in the tests and notebooks: each module is compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test setup-vllm test-vllm lint docs notebooks format clean
help:
	@echo "make demo   set up, run study 1 on the embedded model, show its result"
	@echo "make test   set up, run the tests"
	@echo "make setup  .venv with the pinned packages of requirements.lock"
	@echo "make setup-vllm, test-vllm   .venv-vllm: the same with vLLM for CPUs, and the tests of --engine vllm"
	@echo "make lint   ruff, format check, type check"
	@echo "make docs   the documentation, in site/; any warning is an error"
	@echo "make notebooks  notebooks/*.ipynb, executed from their text forms"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned packages into $(VENV) (once; a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/lit-experiments run tempnorm

# Files in parallel, one thread each: small models gain nothing from more, and threads that wait for each other lose.
# One process more than processors: tests wait for disks, leases and processes that they have killed.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

setup-vllm: $(READY_VLLM)

# An environment of its own, since vLLM needs an older transformers. Without dependencies: see requirements-vllm.lock.
$(READY_VLLM): requirements-vllm.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	@test -x $(VENV_VLLM)/bin/python || $(PYTHON) -m venv $(VENV_VLLM)
	@echo "Installing pinned packages into $(VENV_VLLM) (once; a few minutes) ..."
	@$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: torch==2.13.0
	@$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps -r requirements-vllm.lock
	@$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# One process: each starts vLLM several times, and it takes all the threads there are.
test-vllm: setup-vllm
	$(VENV_VLLM)/bin/python -m pytest tests/vllm

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --clean
	@echo "site/index.html"

# Each from its text form, notebooks/NAME.py, executed side by side; an error in a cell is one here.
notebooks: setup
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/build.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VENV_VLLM) .pytest_cache .ruff_cache .mypy_cache
