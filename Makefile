# Targets set up .venv by themselves when it is missing or older than the locks: for running, or for development, too.
# The newest supported Python of the PATH. It is started, because a shim of pyenv may be there without its Python.
PYTHON ?= $(shell for v in 3.13 3.12 3.11; do python$$v --version > /dev/null 2>&1 && echo python$$v && break; done)
CORES ?= 8
PORT ?= 5000
READY := .venv/.ready
DEVELOP := .venv/.develop
ACTIVE := . .venv/bin/activate &&
# No setting of a user's shell takes packages from elsewhere, or puts them there. -I ignores Python's own.
PIP := .venv/bin/python -I -m pip install --quiet --disable-pip-version-check
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME
# Another version than that of .venv, if it is named: make all PYTHON=python3.12
version = $(shell $(1) --version 2>&1)
CHANGED := $(if $(filter command,$(firstword $(origin PYTHON))),$(if $(wildcard $(READY)), \
	$(if $(filter-out $(call version,.venv/bin/python),$(call version,$(PYTHON))),other-python)))

.PHONY: all test test-all lint ui test-faults test-load bench bench-plan calibrate gpu-check lock help other-python

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

other-python:
$(READY): requirements.lock pyproject.toml $(CHANGED)
	@case "$$($(PYTHON) --version 2>&1)" in \
		"Python 3.11."* | "Python 3.12."* | "Python 3.13."*) ;; \
		*) \
		echo "greedymm needs Python 3.11, 3.12 or 3.13: $(or $(PYTHON:%=% is not one of them),none is on the PATH)." >&2; \
		echo "  Install one (Debian 12, Ubuntu 24.04 or later: apt install python3-venv)," \
			"or name one: make all PYTHON=/path/to/python3.12" >&2; \
		exit 1 ;; \
	esac
	$(PYTHON) -I -m venv --clear .venv
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --editable .
	touch $@

$(DEVELOP): $(READY) requirements-dev.lock
	$(PIP) -r requirements-dev.lock
	touch $@

all: $(READY) ## set up if needed, run the workflow, show the main table
	$(ACTIVE) snakemake --cores $(CORES) all
	$(ACTIVE) greedymm summary

lint: $(DEVELOP) ## formatting, types, contracts between layers, workflow
	$(ACTIVE) ruff check src tests benchmarks .ci
	$(ACTIVE) ruff format --check src tests benchmarks .ci
	$(ACTIVE) mypy
	$(ACTIVE) lint-imports
	$(ACTIVE) snakefmt --check Snakefile workflow
	$(ACTIVE) snakemake --lint

test: lint ## lint, then the quick tests
	$(ACTIVE) pytest -n 2 --dist loadfile -m "not slow"

test-all: lint ## lint, then all tests
	$(ACTIVE) pytest -n 2 --dist loadfile

test-faults: $(DEVELOP) ## 50 kills flipped bits and a full disk, in about 30 minutes
	$(ACTIVE) GREEDYMM_KILLS=50 pytest tests/workflow/test_kills.py tests/test_broken.py tests/test_full_disk.py

test-load: $(DEVELOP) ## 8 clones train at once and send to one store: SQLite, and a server on PostgreSQL; results/load.md
	$(ACTIVE) python benchmarks/load.py

ui: $(READY) ## MLflow on http://127.0.0.1:5000 (PORT=...), with the runs that train now
	$(ACTIVE) greedymm ui --port $(PORT)

lock: $(DEVELOP) ## write the releases of .venv to the locks and workflow/envs
	.venv/bin/python .ci/lock.py

bench: $(READY) ## ratios, memory and growth: results/bench/bench.md, in about 5 minutes
	.venv/bin/python benchmarks/bench.py

bench-plan: $(READY) ## costs of a plan of 12,000 runs: results/bench/plan.md
	$(ACTIVE) python benchmarks/bench_plan.py

calibrate: $(READY) ## share of false verdicts among 40 equal runs: trains them, writes results/calibration.md
	$(ACTIVE) snakemake --cores $(CORES) runs_colored_mnist_5k --configfile params/false_alarms.yaml
	$(ACTIVE) python benchmarks/calibrate.py results/calibration.md

gpu-check: ## tests and speed of training on a GPU; without .venv, python3 with the packages named in benchmarks/gpu.py
	$(or $(wildcard .venv/bin/python),python3) benchmarks/gpu.py
