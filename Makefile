# Everything is made inside .venv: remove that directory and nothing is left.
.PHONY: help setup demo test test-faults test-django42 test-compose bench lint clean

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
# pytest's temporary directories
export PYTEST_DEBUG_TEMPROOT := $(CURDIR)/$(VENV)/tmp

help:
	@echo "make demo   set up, then back up, destroy, restore and prove a site with real data"
	@echo "make test   set up, then run the tests on a real PostgreSQL"
	@echo "make test-faults   kill, break and halt restores and rollbacks at every single effect (minutes)"
	@echo "make bench  measure us beside pg_dump, gzip, psql and tar (BENCH=100mb: the small size alone)"
	@echo "make test-compose   the tests on a real stack of containers (root on Debian: installs Docker when it is missing)"
	@echo "make lint   style, types and layers"

setup: $(VENV)/ready

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh requirements/setup.sh $(VENV)

demo: setup
	@$(BIN)/python demo/run.py

test: setup
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	@$(BIN)/python -m pytest

test-faults: setup
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	@KORRIGO_TEST_FAULTS=1 $(BIN)/python -m pytest --durations=15 tests/faults

test-compose: setup
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	@tests/compose/engine.sh
	@infra/docker/images/build.sh
	@$(BIN)/python -m pytest -m compose tests/compose

test-django42: setup $(VENV)/django42/ready
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)
	@PYTHONPATH=$(CURDIR)/$(VENV)/django42 $(BIN)/python -m pytest tests/django

$(VENV)/django42/ready: requirements/django42.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--upgrade --target $(VENV)/django42 --requirement requirements/django42.txt
	@touch $@

bench: setup
	@$(BIN)/python benchmarks/run.py

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean:
	rm -rf $(VENV)
