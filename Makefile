# Everything is made inside .venv, and by make dist in dist: make clean removes both.
.PHONY: help setup demo demo-web demo-korrigo test test-embedded test-faults test-law test-django42 test-django60 test-psycopg2 test-oldest test-zoo test-compose test-runbook test-versions bench \
	bench-django lint docs pictures dist dist-packages dist-shell dist-zipapp dist-image test-dist messages clean

VENV := .venv
PYTHON ?= python3
PYTHON312 ?= python3.12
BIN := $(VENV)/bin
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
# set in many images: each process of the tests would compile all of its modules anew
unexport PYTHONDONTWRITEBYTECODE
# pytest's temporary directories
export PYTEST_DEBUG_TEMPROOT := $(CURDIR)/$(VENV)/tmp

# Two workers, each with a server of its own. WORKERS=0 runs the tests in one process, as a debugger wants it;
# PYTEST_ARGS="-k words" chooses. A bare `pytest` runs in one process, too. A file is one worker's: pytest 9.2 does not show
# xdist 3.8 the groups of loadgroup.
WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

help:
	@echo "make demo   set up, then back up, wreck, restore and prove a site with real data, in five acts"
	@echo "make demo-web   the reference site and its admin to click on, until Ctrl-C (DEMO_PORT: another port than 8000)"
	@echo "make test   set up, then run the tests on a real PostgreSQL"
	@echo "make test-embedded   the tests of PostgreSQL itself on the embedded one, where the machine has one of its own, too"
	@echo "make test-faults   kill, break and halt restores and rollbacks at every single effect (minutes)"
	@echo "make test-law   generated states of database and media, each held to the law (LAW=200: how many)"
	@echo "make bench  measure us beside pg_dump, gzip, psql and tar (BENCH=100mb: the small size alone)"
	@echo "make test-compose   the tests on a real stack of containers (root on Debian: installs Docker when it is missing)"
	@echo "make test-runbook   every command of the French runbook, typed on that stack (20 minutes)"
	@echo "make demo-korrigo   the runbook on a site of Korrigo's shape, on that stack, every line of it shown"
	@echo "make test-systemd   the timers on a real systemd, booted in a container"
	@echo "make test-versions   the main line on PostgreSQL 13 to 18, whose servers are fetched with npm"
	@echo "make lint   style, types and layers"
	@echo "make messages   bring the French catalogue to the texts of the source, and compile it"
	@echo "make docs   the documentation as a site, in dist/docs"
	@echo "make pictures   the pictures of the documentation, made anew"
	@echo "make dist   wheel, source distribution, program as one file, completions, manual pages, in dist/"
	@echo "make dist-image   the image of the sidecar, as a file for docker load"
	@echo "make test-dist   what make dist makes, in clean environments; the first minutes of a newcomer"
	@echo "make test-django42, test-django60, test-psycopg2, test-oldest (4.2 and psycopg2)   the Django app on these"
	@echo "make test-zoo   sites of popular Django packages, fetched from PyPI, by Method 2"
	@echo "make bench-django   Method 2 against dumpdata, loaddata and the former command"

setup: $(VENV)/ready
	@mkdir -p $(PYTEST_DEBUG_TEMPROOT)

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh requirements/setup.sh $(VENV)

demo: setup
	@$(BIN)/python demo/run.py

demo-web: setup
	@$(BIN)/python demo/web.py

test: setup
	@$(PYTEST)

# What another PostgreSQL can change: its programs, locales, encodings, extensions, rights and sockets. The other tests ask
# how the site, files and backups are dealt with; make test-versions goes through the main line, with its rollback, on six
# versions.
OF_POSTGRES := backup/test_database.py drill/test_local_drill.py postgres rescue/test_undelete.py \
	restore/test_bound_extension.py restore/test_database.py restore/test_in_place.py \
	restore/test_rights_of_the_role.py restore/test_unsigned_extensions.py
test-embedded: setup
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
		KORRIGO_TEST_PG=embedded $(PYTEST) $(OF_POSTGRES:%=tests/integration/%); \
	else echo "left out: this machine has no other PostgreSQL, so make test runs the same tests"; fi

# Texts are found in the source (messages/extract.py); new ones stand in the catalogue without a translation.
messages: setup
	@$(BIN)/python -m messages.update

test-faults: setup
	@KORRIGO_TEST_FAULTS=1 $(PYTEST) --durations=15 tests/faults

# LAW: how many generated states; VERSIONS=1 spreads them over PostgreSQL 13 to 18
LAW ?= 50
test-law: setup
	@KORRIGO_TEST_LAW=$(LAW) $(PYTEST) $(if $(VERSIONS),-m versions tests/versions/test_law_on_versions.py,tests/law)

test-compose: setup
	@tests/compose/engine.sh
	@infra/docker/images/build.sh
	@$(BIN)/python -m pytest -m compose --override-ini cache_dir=$(VENV)/cache/pytest-compose $(PYTEST_ARGS) tests/compose

test-runbook: setup
	@tests/compose/engine.sh
	@infra/docker/images/build.sh
	@KORRIGO_TEST_RUNBOOK=1 $(BIN)/python -m pytest -m compose tests/compose/test_runbook_in_french.py

demo-korrigo: setup
	@tests/compose/engine.sh
	@infra/docker/images/build.sh
	@$(BIN)/python -m pytest -q -s -m compose tests/compose/test_korrigo_plays_the_runbook.py

test-systemd: setup
	@tests/compose/engine.sh
	@infra/docker/images/build.sh
	@KORRIGO_TEST_SYSTEMD=1 $(BIN)/python -m pytest -m compose tests/compose/test_systemd.py

test-django42: setup $(VENV)/django42/ready
	@PYTHONPATH=$(CURDIR)/$(VENV)/django42 $(PYTEST) tests/djangoapp

# Django 6.0 wants Python 3.12: make test-django60 PYTHON312=/path/to/python3.12
test-django60: setup $(VENV)/django60/django60
	@$(VENV)/django60/bin/python -m pytest tests/djangoapp

$(VENV)/django60/django60: requirements/dev.txt requirements/django60.txt
	@PYTHON=$(PYTHON312) sh requirements/setup.sh $(VENV)/django60
	@$(VENV)/django60/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--requirement requirements/django60.txt
	@touch $@

# The oldest of both at once, as an old site has them.
test-oldest: setup $(VENV)/django42/ready $(VENV)/psycopg2/ready
	@PYTHONPATH=$(CURDIR)/$(VENV)/django42:$(CURDIR)/$(VENV)/psycopg2 KORRIGO_TEST_DRIVER=psycopg2 $(PYTEST) tests/djangoapp

test-psycopg2: setup $(VENV)/psycopg2/ready
	@PYTHONPATH=$(CURDIR)/$(VENV)/psycopg2 KORRIGO_TEST_DRIVER=psycopg2 $(PYTEST) tests/djangoapp

$(VENV)/psycopg2/ready: requirements/psycopg2.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--upgrade --target $(VENV)/psycopg2 --requirement $<
	@touch $@

# Without PyPI the tests are skipped, with the reason.
test-zoo: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --upgrade --target $(VENV)/zoo \
		--requirement requirements/zoo.txt || rm -rf $(VENV)/zoo
	@KORRIGO_TEST_ZOO=$(CURDIR)/$(VENV)/zoo $(PYTEST) -m zoo tests/zoo

bench-django: setup
	@$(BIN)/python benchmarks/method2/run.py

$(VENV)/django42/ready: requirements/django42.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
		--upgrade --target $(VENV)/django42 --requirement requirements/django42.txt
	@touch $@

test-versions: setup
	@$(PYTEST) --dist load -m versions tests/versions

test-dist: setup
	@$(BIN)/python -m pytest -m dist tests/distribution

bench: setup
	@$(BIN)/python benchmarks/run.py

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# A broken link, or a page that the navigation does not have, fails.
docs: setup
	@$(BIN)/python -m docsite.build

# The pictures of the documentation, from a run of the tutorial and from a real browser.
pictures: setup
	@mkdir -p docs/pictures
	@KORRIGO_PICTURES=$(CURDIR)/docs/pictures $(BIN)/python -m pytest -q tests/integration/test_tutorial.py tests/browser/test_pictures.py

DIST := dist
WHEEL = $(DIST)/korrigo_backup-$(shell $(BIN)/python -c 'import korrigo_backup; print(korrigo_backup.__version__)')-py3-none-any.whl

dist: dist-packages dist-shell dist-zipapp
	@rm -f $(DIST)/SHA256SUMS && cd $(DIST) && \
		find . -path ./docs -prune -o -type f ! -name .SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >.SHA256SUMS && \
		mv .SHA256SUMS SHA256SUMS
	@echo "made in $(DIST)/: wheel, source distribution, korrigo-backup.pyz, completions, man, SHA256SUMS"

# --no-isolation: hatchling is the locked one of .venv. The wheel is built from the source distribution.
dist-packages: setup
	@rm -f $(DIST)/korrigo_backup-*
	@$(BIN)/python -m build --no-isolation --outdir $(DIST) .

dist-shell: setup
	@mkdir -p $(DIST)/completions
	@$(BIN)/korrigo-backup completion bash >$(DIST)/completions/korrigo-backup
	@$(BIN)/korrigo-backup completion zsh >$(DIST)/completions/_korrigo-backup
	@$(BIN)/korrigo-backup completion fish >$(DIST)/completions/korrigo-backup.fish
	@rm -rf $(DIST)/man && $(BIN)/python infra/distribution/manpages.py $(DIST)/man

dist-zipapp: setup
	@infra/distribution/zipapp.sh $(WHEEL) $(DIST)/korrigo-backup.pyz

# The image of the sidecar, as a file for docker load. BASE: another base with Python, and with Debian's PostgreSQL client.
dist-image: setup
	@infra/distribution/image.sh $(DIST)/korrigo-backup-image.tar $(BASE)

clean:
	rm -rf $(VENV) dist
