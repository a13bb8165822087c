# Each target sets up .venv by itself when it is missing or older than the lock.
PYTHON ?= python3.11
CORES ?= 8
PORT ?= 5000
READY := .venv/.ready
ACTIVE := . .venv/bin/activate &&

.PHONY: all test test-all lint ui bench calibrate gpu-check lock help

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

all: $(READY) ## set up if needed, run the workflow, show the main table
	$(ACTIVE) snakemake --cores $(CORES) all
	$(ACTIVE) greedymm summary

lint: $(READY) ## formatting, types, contracts between layers, workflow
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

ui: $(READY) ## MLflow on http://127.0.0.1:5000 (PORT=...), with the runs that train now
	$(ACTIVE) { greedymm track --watch & trap "kill $$!" EXIT INT TERM; \
		MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true \
		mlflow ui --backend-store-uri "$$(greedymm uri)" --host 127.0.0.1 --port $(PORT) --workers 1; }

lock: $(READY) ## write the releases of .venv to requirements.lock and workflow/envs
	( sed -n '/^#/p' requirements.lock; .venv/bin/pip freeze --exclude-editable \
		| grep -viE '^(nvidia-|triton|cuda-toolkit)' ) > .lock && mv .lock requirements.lock
	.venv/bin/python .ci/environment.py > workflow/envs/greedymm.yaml

bench: all ## what each step has cost, and how long it takes to see that there is nothing to do
	$(ACTIVE) greedymm jobs
	$(ACTIVE) bash -c "time snakemake --cores $(CORES) all"

calibrate: $(READY) ## share of false verdicts among 40 equal runs: trains them, writes results/calibration.md
	$(ACTIVE) snakemake --cores $(CORES) runs_colored_mnist_5k --configfile params/false_alarms.yaml
	$(ACTIVE) python benchmarks/calibrate.py results/calibration.md

gpu-check: ## tests and speed of training on a GPU; without .venv, python3 with the packages named in benchmarks/gpu.py
	$(or $(wildcard .venv/bin/python),python3) benchmarks/gpu.py
