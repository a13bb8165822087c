"""What thousands of runs cost before and after training: `make bench-plan`.

    python benchmarks/bench_plan.py [--datasets N ...] [--output FOLDER]

For each number of datasets, with 24 methods and 5 seeds each: seconds and MiB of `snakemake -n` before and after all
runs, and of `dvc status`; for few datasets also of the report on made-up results, most of whose time is figures.
Datasets and methods are plug-ins that are written for it.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from bench_rows import ROOT, table

METHODS, SEEDS, DATASETS, REPORTED, SAMPLES, EPOCHS = 24, 5, (25, 50, 100), (1, 2, 4), 40, 3
METHOD = '''from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method


class Settings(MethodSettings):
    """A method like greedy."""


def build(settings):
    return Method(settings)
'''
DATASET = '''from greedymm.settings import DatasetSettings

MODALITIES = ("color", "gray")


class Settings(DatasetSettings):
    """A dataset that is never made."""


def make(settings, raw, workers=1):
    raise NotImplementedError
'''


def write_project(folder: Path, datasets: int) -> None:
    """Copy the workflow, and write plug-ins beside it."""
    for name in ("src", "workflow", "profiles", ".dvc"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("cache", "tmp", "__pycache__"))
    for name in ("Snakefile", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    for name, count, text in (("method", METHODS, METHOD), ("dataset", datasets, DATASET)):
        package = folder / f"many_{name}s"
        package.mkdir()
        (package / "__init__.py").touch()
        for number in range(count):
            (package / f"{name}{number:03}.py").write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def params_of(datasets: int) -> dict[str, Any]:
    """Params of so many datasets with all methods and seeds."""
    section = {
        "data": {},
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": EPOCHS, "batch_size": 8, "learning_rate": 0.1, "snapshots": [1, 2]},
        "methods": {f"method{number:03}": {} for number in range(METHODS)},
        "unimodal": False,
    }
    return {
        "plugins": ["many_methods", "many_datasets"],
        "seeds": list(range(SEEDS)),
        "datasets": {f"dataset{number:03}": section for number in range(datasets)},
        "sweeps": {},
        "code": None,
        "tracking": {"enabled": False},
    }


def leave_results() -> None:
    """Write the plan of the working folder, data and results, made up, and empty files in place of the others."""
    import made_up
    import numpy as np

    from greedymm.data import hdf5
    from greedymm.data.samples import DatasetInfo, Samples
    from greedymm.params.load import load
    from greedymm.plan import Plan

    plan = Plan.make(load(Path("params.yaml")))
    plan.write()
    draws = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % made_up.CLASSES
    images = {"color": np.zeros((SAMPLES, 3, 8, 8), np.uint8), "gray": np.zeros((SAMPLES, 1, 8, 8), np.uint8)}
    splits = {s: Samples(images, labels, [f"{s}-{i}" for i in range(SAMPLES)]) for s in ("train", "val", "test")}
    classes = tuple(map(str, range(made_up.CLASSES)))
    for settings in plan.data.values():
        if not settings.path.exists():
            hdf5.write(settings.path, splits, DatasetInfo(classes, "made up", "none", generated=True))
    for run in plan.default_runs:
        if not run.evaluation_folder.exists():
            made_up.leave_drawn(run, draws, EPOCHS, SAMPLES)
            for name in ("checkpoint.pt", "snapshots.pt", "history.csv", "timing.csv", "record.json"):
                (run.folder / name).touch()


def cost_of(*command: str) -> dict[str, float]:
    """Seconds and MiB of a command; of its children, the largest.

    Raises:
        RuntimeError: if it fails.
    """
    started = time.perf_counter()
    with Path("output.log").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)}: {Path('output.log').read_text()[-2000:]}")
    return {"seconds": time.perf_counter() - started, "MiB": usage.ru_maxrss / 1024}


def measure(datasets: int, *, reported: bool) -> dict[str, dict[str, float]]:
    """Costs of the commands in the working folder, by command.

    What needs much memory is a child: Linux counts a parent's memory as the peak of a process that it starts.
    """
    Path("params.yaml").write_text(yaml.safe_dump(params_of(datasets)))
    for old in Path("results/plans").glob("*.json"):
        old.unlink()
    if reported:
        cost_of(sys.executable, __file__, "--leave")
        (plan,) = Path("results/plans").glob("*.json")
        return {"report": cost_of(sys.executable, "-m", "greedymm", "report", "--plan", str(plan))}
    dry = ("snakemake", "--cores", "8", "--dry-run", "--quiet", "all", "--", "all")
    costs = {"snakemake -n, nothing there": cost_of(*dry)}
    cost_of(sys.executable, __file__, "--leave")
    costs["snakemake -n, all runs there"] = cost_of(*dry)
    return costs | {"dvc status": cost_of("dvc", "status")}


def extrapolate(runs: Iterable[float], values: Iterable[float], target: float) -> tuple[float, float]:
    """Exponent between the two largest points, and the value at `target` that it leads to."""
    (x0, x1), (y0, y1) = list(runs)[-2:], list(values)[-2:]
    exponent = math.log(y1 / y0) / math.log(x1 / x0)
    return exponent, y1 * (target / x1) ** exponent


def rows_of(costs: dict[int, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """A row for each command and quantity, with what a million runs would take."""
    rows = []
    for command in next(iter(costs.values())):
        for quantity in ("seconds", "MiB"):
            values = {runs: cost[command][quantity] for runs, cost in costs.items()}
            row = {"command": command, "of": quantity} | {f"{runs:,} runs": value for runs, value in values.items()}
            if len(costs) > 1:
                exponent, million = extrapolate(values.keys(), values.values(), 1e6)
                row |= {"exponent": exponent, "1,000,000 runs, extrapolated": million}
            rows.append(row)
    return rows


def main() -> None:
    """Measure, and write plan.json and plan.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=int, nargs="+", default=DATASETS, help="numbers of datasets")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write into")
    parser.add_argument("--reported", type=int, nargs="+", default=REPORTED, help="the same, of the report")
    parser.add_argument("--leave", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.leave:
        leave_results()
        return
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), max(options.datasets))
        os.chdir(folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([f"{folder}/src", folder, str(ROOT / "tests")])
        parts = [
            {METHODS * SEEDS * count: measure(count, reported=reported) for count in counts}
            for counts, reported in ((options.datasets, False), (options.reported, True))
        ]
        os.chdir("/")
    (output / "plan.json").write_text(json.dumps(parts, indent=2) + "\n")
    text = "\n".join(table(rows_of(costs)) for costs in parts)
    (output / "plan.md").write_text(text)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()
