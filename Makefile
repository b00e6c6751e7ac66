# Everything is made inside .venv: remove that directory and nothing is left.
.PHONY: help setup demo test test-django42 test-django60 test-psycopg2 bench-django lint clean

VENV := .venv
PYTHON ?= python3
PYTHON312 ?= python3.12
BIN := $(VENV)/bin
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache

help:
	@echo "make demo   set up, then back up, destroy, restore and prove a site with real data"
	@echo "make test   set up, then run the tests on a real PostgreSQL"
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

test-django60: setup
	@PYTHON=$(PYTHON312) sh requirements/matrix.sh $(VENV)/django60 requirements/django60.txt

test-psycopg2: setup
	@PYTHON=$(BIN)/python sh requirements/matrix.sh $(VENV)/psycopg2 requirements/psycopg2.txt

bench-django: setup
	@$(BIN)/python benchmarks/method2/run.py

$(VENV)/django42/ready: requirements/django42.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--upgrade --target $(VENV)/django42 --requirement requirements/django42.txt
	@touch $@

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean:
	rm -rf $(VENV)
