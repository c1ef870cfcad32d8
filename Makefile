# One command for each chore. `make demo` and `make test` set up all they need on a machine that has Python 3.10 or
# newer with its venv module; nothing is installed outside $(VENV).

PYTHON ?= python3
VENV ?= .venv
# What the tests add beside the development tools. CI says `examples,torch`; without torch its tests are skipped by name.
TEST_EXTRAS ?= examples

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
comma := ,
TOOLS := $(VENV)/.tools-$(subst $(comma),-,$(TEST_EXTRAS))
SOURCES := costmeter tests examples grafana

.DEFAULT_GOAL := help
.PHONY: help demo test setup lint format boards exports bench clean

help:  ## list these targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## meter a real training run on simulated GPUs, and show its metrics and its receipt
	@$(BIN)/python examples/demo.py

test: setup lint  ## lint, type-check and test, with branch coverage
	$(BIN)/python -m pytest -n auto --cov --cov-report=term --cov-fail-under=92

setup: $(TOOLS)  ## install the package and the development tools into .venv

lint: setup  ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: setup  ## rewrite the sources as ruff likes them
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

boards: setup  ## build the Grafana boards that `costmeter export` writes
	$(BIN)/python -m grafana.boards

exports: setup  ## rewrite grafana/ and examples/ as `costmeter export` writes them
	$(BIN)/costmeter export grafana grafana --force
	for kind in compose prometheus kubernetes systemd slurm; do $(BIN)/costmeter export $$kind examples/$$kind --force || exit 1; done

bench: setup  ## measure the promises in numbers
	$(BIN)/python -m tests.bench

clean:  ## remove the virtual environment, caches and build output
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  { echo "costmeter needs Python 3.10 or newer as $(PYTHON); name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[examples]'
	@touch $@

$(TOOLS): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev,$(TEST_EXTRAS)]'
	@touch $@ $(INSTALLED)
