# Two commands matter: `make run` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test fast lint bench bench-fdo fdo-interop lock clean

run: $(VENV)/run.stamp  ## start everything on this machine
	@$(BIN)/python manage.py up $(ARGS)

test: $(VENV)/dev.stamp  ## every test, foreign peers and browser too
	@deploy/test-packages
	@$(BIN)/pytest -n auto --dist loadfile $(ARGS)

fast: $(VENV)/dev.stamp  ## the pure tests: no Django, no socket, under ten seconds
	@ONWARD_FAST=1 $(BIN)/pytest -p no:django -q -n auto --dist loadfile tests/wire tests/protocols $(ARGS)

lint: $(VENV)/dev.stamp  ## what CI runs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy bootstrap devices portal manage.py
	@$(BIN)/lint-imports
	@$(BIN)/python manage.py check --fail-level WARNING
	@$(BIN)/python manage.py makemigrations --check --dry-run

bench: $(VENV)/dev.stamp  ## us beside each peer, one table
	@$(BIN)/python -m bench $(ARGS)

bench-fdo: $(VENV)/dev.stamp  ## TO2 per second and per core, ours beside go-fdo
	@$(BIN)/python -m bench.fdo $(ARGS)

fdo-interop: $(VENV)/dev.stamp  ## what works with go-fdo, written to docs/reference/fdo-interop.md
	@$(BIN)/pytest -q tests/interop/test_fdo_device.py tests/interop/test_fdo_server.py tests/interop/test_fdo_to0.py --fdo-matrix=docs/reference/fdo-interop.md $(ARGS)

lock: $(VENV)/dev.stamp  ## resolve again and pin
	@$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --all-extras -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:
	rm -rf $(VENV) test-results .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Onward needs Python 3.11 or newer; say which with: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing. On Debian or Ubuntu: sudo apt-get install -y python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: requirements.txt | $(BIN)/python
	@echo "Installing pinned dependencies (once)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt | $(BIN)/python
	@echo "Installing pinned dependencies for tests (once)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/run.stamp
