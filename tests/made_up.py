"""Data and results of runs, made up: for tests of what is made of them, and to time it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greedymm.data import hdf5
from greedymm.data.samples import SPLITS, DatasetInfo, Samples
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import Plan
from greedymm.run import Run

DATASET = "colored_mnist_5k"  # its modalities: color, gray
SAMPLES, CLASSES = 20, 10
HARDWARE = {"cpu": "Made up", "cores": 2, "memory_gib": 4}
RECORD = {"commit": "", "device": "cpu", "hardware": HARDWARE, "machine": "made up", "python": "3.11"}
COSTS = {"seconds": 2.0, "samples_per_second": 100.0, "peak_memory_mb": 300.0, "peak_gpu_memory_mb": 0.0}


def make_params(
    seeds: list[int], *, dataset: str = DATASET, sweeps: dict[str, Any] | None = None, **section: Any
) -> Params:
    """Params of one dataset with two methods and no unimodal references; `section` replaces its settings."""
    settings: dict[str, Any] = {
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.1, "snapshots": [1, 2]},
        "methods": {"greedy": {}, "balanced": {}},
        "unimodal": False,
    }
    return validate({"seeds": seeds, "datasets": {dataset: settings | section}, "sweeps": sweeps or {}})


def leave_result(
    run: Run,
    measures: dict[str, dict[str, float | None]],
    d_speed: list[float] | None = None,
    d_util: Sequence[float | None] | None = None,
    *,
    samples: int = SAMPLES,
    epochs: int = 3,
) -> None:
    """Write what the analysis reads of a finished run: result.json, predictions.parquet and steps.parquet.

    Args:
        run: whose folders they go to.
        measures: of the splits val, test and others: `accuracy` and, for several modalities, other measures. So many
            of the test samples are correct as the accuracy says.
        d_speed: at the end of each epoch. None: the run has none.
        d_util: at each epoch of the settings' snapshots.
        samples: number of test samples.
        epochs: their number, for a run without d_speed.
    """
    numbers = list(range(1, (epochs if d_speed is None else len(d_speed)) + 1))
    heads = ["", *(f"_{m}" for m in run.settings.modalities)]
    history: dict[str, Any] = {"epoch": numbers, "train_loss": [1 / epoch for epoch in numbers]}
    history |= {f"val_accuracy{head}": [measures["val"]["accuracy"]] * len(numbers) for head in heads}
    during: dict[str, Any] = {"epoch": [], "accuracy": []}
    if d_util is not None:
        epochs_measured = list(run.settings.training.snapshots)
        during = {"epoch": epochs_measured, "accuracy": [0.5] * len(d_util), "d_util": d_util}
    steps: dict[str, Any] = {"step": [1, 2, 3, 4], "mode": [0, 1, 2, 0]}
    if d_speed is not None:
        history["d_speed"], steps["d_speed"] = d_speed, [d_speed[0]] * 4
    result = {
        "settings": run.settings.model_dump(mode="json"),
        "record": RECORD | {"versions": {"torch": "2"}},
        "history": history,
        "timing": {"epoch": numbers} | {name: [cost] * len(numbers) for name, cost in COSTS.items()},
        "during_training": during,
        "best_epoch": numbers[-1],
        "splits": list(measures),
        **measures,
    }
    run.evaluation_folder.mkdir(parents=True, exist_ok=True)
    result_path(run).write_text(json.dumps(result))
    pd.DataFrame(steps).to_parquet(run.folder / "steps.parquet")
    leave_predictions(run, measures["test"]["accuracy"] or 0.0, samples)


def result_path(run: Run) -> Path:
    """Path of a run's result.json."""
    return run.evaluation_folder / "result.json"


def leave_predictions(run: Run, accuracy: float, samples: int = SAMPLES, shift: int = 0) -> None:
    """Write predictions of a run, of which a share is correct: the first samples, counted from `shift` on."""
    label = np.arange(samples) % CLASSES
    correct = np.roll(np.arange(samples) < round(accuracy * samples), shift)
    mean = np.where(correct, label, (label + 1) % CLASSES).astype(np.int16)
    columns = {"split": "test", "id": [f"test-{i}" for i in range(samples)], "label": label, "mean": mean}
    pd.DataFrame(columns).to_parquet(run.evaluation_folder / "predictions.parquet")


def leave_study(plan: Plan, epochs: int = 10, samples: int = 200) -> None:
    """Write data and results of all runs of a plan, drawn at random."""
    draws = np.random.default_rng(0)
    # The first run of each dataset has all modalities.
    for run in {run.dataset: run for run in reversed(plan.default_runs)}.values():
        leave_data(run, draws, samples)
    for run in plan.default_runs:
        leave_drawn(run, draws, epochs, samples)


def leave_data(run: Run, draws: np.random.Generator, samples: int) -> None:
    """Write a dataset of noise, generated but for the digits: clips for I3D, else images."""
    clips = run.settings.branches[0].name == "i3d"
    classes = tuple(f"class_{k}" for k in range(16 if run.dataset == "solids" else CLASSES))
    labels = np.arange(samples) % len(classes)
    splits = {}
    for split in SPLITS:
        shape = (8, 24, 32) if clips else (28, 28)
        images = {
            m: draws.integers(0, 255, (samples, 3 if m == "color" else 1, *shape), np.uint8)
            for m in run.settings.stored
        }
        splits[split] = Samples(images, labels, [f"{split}-{i}" for i in range(len(labels))])
    facts = DatasetInfo(classes, "noise", "none", generated=run.dataset != DATASET)
    hdf5.write(run.data_path, splits, facts)


def leave_drawn(run: Run, draws: np.random.Generator, epochs: int, samples: int) -> None:
    """Write results of one run, drawn at random."""
    right = round(float(draws.uniform(0.4, 0.9)), 3)
    if len(run.settings.modalities) == 1:
        leave_result(run, {s: {"accuracy": right} for s in ("val", "test")}, samples=samples, epochs=epochs)
        return
    rates: dict[str, float | None] = {"accuracy": right, "d_util": float(draws.normal(0.1, 0.2))}
    for m in run.settings.modalities:
        rates |= {f"accuracy_{m}": right, f"accuracy_{m}_cut": right - 0.1, f"utilization_{m}": 0.1 / right}
    speeds = draws.normal(0.1, 0.2, epochs).cumsum().tolist()
    snapshots = draws.normal(0.1, 0.2, len(run.settings.training.snapshots)).tolist()
    leave_result(run, {"val": rates, "test": rates}, speeds, snapshots, samples=samples)
