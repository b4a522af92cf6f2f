# Everything that is done with this checkout. Needs Python 3.11 or newer and make; the rest is
# fetched into .venv, as requirements-dev.lock says, and fetched again only when that changes.

.DEFAULT_GOAL := help
.PHONY: help sandbox test test-long lint bench bench-full lock clean

PYTHON ?= python3
# The one place that names the version of uv, which installs everything else.
UV_VERSION := 0.13.8
# Test processes at a time.
JOBS ?= 2

# What Python compiles is kept, whatever the environment says: tests start hundreds of processes,
# and to compile what one of them imports takes longer than all that it does.
unexport PYTHONDONTWRITEBYTECODE

VENV_PYTHON := .venv/bin/python
UV := .venv/bin/uv
UV_STAMP := .venv/.uv-$(UV_VERSION)
READY := .venv/.ready
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command 'make lock' $(LOCK_OPTIONS)
# Of conformance tests, in an environment of its own.
SDK := tests/conformance/paymentbridge/sdk
PYTEST := $(VENV_PYTHON) -m pytest -n $(JOBS) --dist worksteal

help: ## Say what can be made (this)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# `exec`, so that make's child is the sandbox itself: a SIGTERM to make reaches it, and make waits.
sandbox: $(READY) ## Run the sandbox in the foreground, with its data in ./sandbox
	@exec .venv/bin/tillwire sandbox --data ./sandbox

test: $(READY) ## Run all tests but the long ones
	@.ci/chromium
	$(PYTEST) -m "not long"

test-long: $(READY) ## Run all tests at full length
	@.ci/chromium
	TILLWIRE_LONG=1 $(PYTEST) -v --durations=25

lint: $(READY) ## Check style, format and types
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

bench: $(READY) ## Measure speed beside the floor
	$(VENV_PYTHON) -m benchmarks

bench-full: $(READY) ## Measure speed at full length
	$(VENV_PYTHON) -m benchmarks --full

lock: $(UV_STAMP) ## Pin the dependencies of pyproject.toml anew (LOCK_OPTIONS=--upgrade for newer ones)
	$(COMPILE) --group dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) $(SDK)/requirements.in -o $(SDK)/requirements.lock

clean: ## Remove the environment and all caches; ./sandbox stays, since it holds payments
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements-dev.lock pyproject.toml $(UV_STAMP)
	@echo "Installing what requirements-dev.lock names into .venv ..."
	@$(UV) pip sync --python $(VENV_PYTHON) --require-hashes requirements-dev.lock
	@$(UV) pip install --quiet --python $(VENV_PYTHON) --no-deps --no-build-isolation -e .
	@touch $@

# A broken environment (its Python is gone, or an earlier run was cut off) is begun anew.
$(UV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "tillwire needs Python 3.11 or newer, and $(PYTHON) is older or absent." \
			"Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Creating the environment in .venv ..."
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@
