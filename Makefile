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
	@echo "make test-django42, test-django60, test-psycopg2   the Django app on other versions and drivers"
	@echo "make bench-django   Method 2 against dumpdata, loaddata and the former command"

setup: $(VENV)/ready

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh requirements/setup.sh $(VENV)

demo: setup
	@$(BIN)/python demo/run.py

test: setup
	@$(BIN)/python -m pytest

test-django42: setup $(VENV)/django42/ready
	@PYTHONPATH=$(CURDIR)/$(VENV)/django42 $(BIN)/python -m pytest tests/django

# Django 6.0 wants Python 3.12: make test-django60 PYTHON312=/path/to/python3.12
test-django60: $(VENV)/django60/django60
	@$(VENV)/django60/bin/python -m pytest tests/django

$(VENV)/django60/django60: requirements/dev.txt requirements/django60.txt
	@PYTHON=$(PYTHON312) sh requirements/setup.sh $(VENV)/django60
	@$(VENV)/django60/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--requirement requirements/django60.txt
	@touch $@

test-psycopg2: setup $(VENV)/psycopg2/ready
	@PYTHONPATH=$(CURDIR)/$(VENV)/psycopg2 KORRIGO_TEST_DRIVER=psycopg2 $(BIN)/python -m pytest tests/django

$(VENV)/psycopg2/ready: requirements/psycopg2.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--upgrade --target $(VENV)/psycopg2 --requirement $<
	@touch $@

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
