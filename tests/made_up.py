"""Results of runs, made up: for tests of what is made of them, and to time it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greedymm.params.load import validate
from greedymm.params.schema import Params
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
        measures: of the splits val and test: `accuracy` and, for several modalities, other measures. So many of the
            test samples are correct as the accuracy says.
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
