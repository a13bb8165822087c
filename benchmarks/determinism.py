"""What differs between thread counts and instruction sets: python benchmarks/determinism.py.

Prepares small versions of the default's data and trains a run of each, once for each variant, in processes of their
own. Prints a table in Markdown: whether data, weights and predictions are those of the first row. It takes about two
minutes on an idle core.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from greedymm.params.load import validate
from greedymm.plan import Plan
from greedymm.run import Run

ROOT = Path(__file__).resolve().parents[1]
SIZES = {
    "colored_mnist_5k": {"per_class": 100},
    "solids": {"size": 32, "train": 10, "val": 4, "test": 10},
    "handwave": {"size": 24, "classes": 4, "train": 8, "test": 6},
}
NO_AVX512 = {
    "torch": {"ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "MKL": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "OpenBLAS": {"OPENBLAS_CORETYPE": "Haswell"},
    "NumPy": {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
}
NO_AVX = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
}
ONE = {"THREADS": "1"}
VARIANTS: dict[str, dict[str, str]] = {
    "one thread": ONE,
    "the same again": ONE,
    "two threads": {"THREADS": "2"},
    **{f"without AVX-512 in {name}": ONE | NO_AVX512[name] for name in ("torch", "oneDNN")},
    "without AVX-512 in all of them": ONE | {k: v for variables in NO_AVX512.values() for k, v in variables.items()},
    "without AVX": ONE | NO_AVX,
}


def make_plan(epochs: int) -> Plan:
    """A run of each dataset, with the default's networks and small data."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, section in content["datasets"].items():
        section["data"] |= SIZES[name]
        section["training"] |= {"epochs": epochs, "snapshots": []}
        section |= {"methods": {"balanced": section["methods"]["balanced"]}, "unimodal": False}
    return Plan.make(validate(content | {"seeds": [0], "sweeps": {}}))


def compute(epochs: int, threads: int) -> None:
    """Prepare data and train in this process, in the current folder."""
    from greedymm.settings import Execution
    from greedymm.steps.evaluate import evaluate
    from greedymm.steps.prepare import prepare
    from greedymm.steps.train import train

    plan, execution = make_plan(epochs), Execution(device="cpu", threads=threads)
    for settings in plan.data.values():
        prepare(settings, Path("raw"), 1)
    for run in plan.default_runs:
        train(run, execution)
        evaluate(run, execution)


def start(folder: Path, variables: dict[str, str], epochs: int) -> None:
    """Compute a variant in a process whose libraries read its variables when they start."""
    folder.mkdir()
    threads = variables["THREADS"]
    environment = os.environ | variables | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, __file__, "--compute", "--epochs", str(epochs), "--threads", threads]
    subprocess.run(command, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)


def digest(path: Path) -> str:
    """Hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compare(run: Run, one: Path, other: Path) -> dict[str, Any]:
    """Differences of a run in two folders."""
    data = digest(one / run.data_path) == digest(other / run.data_path)
    paths = [folder / run.folder / "checkpoint.pt" for folder in (one, other)]
    if digest(paths[0]) == digest(paths[1]):
        return {"data": data, "weights": 0.0, "predictions": 0, "accuracy": 0.0}
    states = [torch.load(path, weights_only=True)["best"]["model"] for path in paths]
    floats = [[w.double().flatten() for w in state.values() if w.is_floating_point()] for state in states]
    weights = [torch.cat(tensors).nan_to_num() for tensors in floats]  # means that are not recorded are NaN
    tables = [pd.read_parquet(folder / run.evaluation_folder / "predictions.parquet") for folder in (one, other)]
    tests = [table[table["split"] == "test"] for table in tables]
    right = [float((table["mean"] == table["label"]).mean()) for table in tests]
    return {
        "data": data,
        "weights": float((weights[0] - weights[1]).norm() / weights[0].norm()),
        "predictions": int((tests[0]["mean"].to_numpy() != tests[1]["mean"].to_numpy()).sum()),
        "accuracy": 100 * (right[1] - right[0]),
    }


def describe(difference: dict[str, Any]) -> str:
    """A cell of the table."""
    data = "" if difference["data"] else "other data; "
    if not difference["weights"]:
        return data + "same bytes"
    return data + "{weights:.0e}; {predictions}; {accuracy:+.1f}".format(**difference)


def measure(epochs: int) -> pd.DataFrame:
    """Compute all variants; a row for each, a column for each dataset."""
    runs = make_plan(epochs).default_runs
    with tempfile.TemporaryDirectory() as home:
        folders = {name: Path(home, str(k)) for k, name in enumerate(VARIANTS)}
        for name, folder in folders.items():
            start(folder, VARIANTS[name], epochs)
        first, *others = folders
        cells = [[describe(compare(run, folders[first], folders[name])) for run in runs] for name in others]
    return pd.DataFrame(cells, index=others, columns=[run.dataset for run in runs]).rename_axis(f"against {first}")


def main() -> None:
    """Print the table, or compute one variant."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compute", action="store_true", help="in this process and folder, for internal use")
    options = parser.parse_args()
    if options.compute:
        compute(options.epochs, options.threads)
        return
    sys.stdout.write(f"{measure(options.epochs).to_markdown()}\n\nRelative distance of the weights; test predictions")
    sys.stdout.write(f" that differ; points of test accuracy. torch: {torch.__version__}, ")
    sys.stdout.write(f"{torch.backends.cpu.get_cpu_capability()}\n")


if __name__ == "__main__":
    main()
