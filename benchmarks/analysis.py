"""How long the report takes: tables, figures and page of made-up runs, in a folder of their own.

python benchmarks/analysis.py RUNS
"""

import logging
import resource
import sys
import tempfile
import time
from os import chdir
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import made_up

from greedymm.data import hdf5
from greedymm.data.datasets.colored_mnist_5k import Settings, make
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import Plan, read_plan
from greedymm.steps.report import make_report
from greedymm.system import peak_memory

log = logging.getLogger(__name__)
DATASET, EPOCHS, SAMPLES = "colored_mnist_5k", 10, 1000
METHODS = 5  # three, and two modalities alone


def given(seeds: int) -> Params:
    """Params of as many runs of each method and reference."""
    section = {
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": EPOCHS, "batch_size": 32, "learning_rate": 0.1, "snapshots": [1, 2, 4, 7, 10]},
        "methods": {"greedy": {}, "balanced": {}, "random": {}},
    }
    return validate({"seeds": list(range(seeds)), "datasets": {DATASET: section}})


def main(count: int) -> None:
    """Make the runs up, and time the report."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        chdir(folder)
        plan = Plan.make(given(count // METHODS))
        hdf5.write(plan.data_of(DATASET).path, *make(Settings(), Path(folder), 1))
        draws = np.random.default_rng(0)
        for run in plan.default_runs:
            made_up.leave_drawn(run, draws, EPOCHS, SAMPLES)
        plan.write()
        started = time.perf_counter()
        make_report(read_plan(plan.path))
        seconds = time.perf_counter() - started
        memory = peak_memory(resource.getrusage(resource.RUSAGE_SELF))
        page = (plan.folder / "index.html").stat().st_size / 1e6
        log.info("%d runs: %.1f s, %.0f MiB; the page has %.1f MB", len(plan.runs), seconds, memory, page)
        chdir("/")


if __name__ == "__main__":
    main(int(sys.argv[1]))
