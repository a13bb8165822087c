"""Files that runs leave, made up: for tests of what is made of them, and to time it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greedymm.run import Run

SAMPLES, CLASSES = 20, 10


def leave(
    run: Run,
    rates: dict[str, Any],
    d_speed: list[float] | None = None,
    d_util: list[float] | None = None,
    *,
    samples: int = SAMPLES,
    epochs: int = 3,
) -> None:
    """Leave the files of a finished run.

    Args:
        run: whose folders they go to.
        rates: of each split its accuracy and, for several modalities, what else `evaluate.rates` gives. Of the test
            samples as many are right as the accuracy says.
        d_speed: at the end of each epoch; None: none.
        d_util: at the epochs that the run's settings name for snapshots, as many.
        samples: in test.
        epochs: where there is no d_speed to count them by.
    """
    run.evaluation_folder.mkdir(parents=True, exist_ok=True)
    numbers = list(range(1, (epochs if d_speed is None else len(d_speed)) + 1))
    columns: dict[str, Any] = {"epoch": numbers, "train_loss": [1 / e for e in numbers]}
    heads = ["", *(f"_{m}" for m in run.settings.modalities)]
    columns |= {f"val_accuracy{head}": [rates["val"]["accuracy"]] * len(numbers) for head in heads}
    frame(run.folder / "history.csv", columns | ({} if d_speed is None else {"d_speed": d_speed}))
    cost = {"seconds": 2.0, "samples_per_second": 100.0, "peak_memory_mb": 300.0, "peak_gpu_memory_mb": 0.0}
    frame(
        run.folder / "timing.csv", {"epoch": numbers} | {name: [value] * len(numbers) for name, value in cost.items()}
    )
    during = {} if d_util is None else {"accuracy": [0.5] * len(d_util), "d_util": d_util}
    frame(run.evaluation_folder / "during_training.csv", {"epoch": run.settings.training.snapshots} | during)
    steps = {"step": [1, 2, 3, 4], "mode": [0, 1, 2, 0]} | ({} if d_speed is None else {"d_speed": [d_speed[0]] * 4})
    pd.DataFrame(steps).to_parquet(run.folder / "steps.parquet")
    where = {"commit": "", "device": "cpu", "machine": "made up", "python": "3.11", "versions": {"torch": "2"}}
    where |= {"hardware": {"cpu": "Made up", "cores": 2, "memory_gib": 4}}
    settings = run.settings.model_dump(mode="json")
    (run.folder / "record.json").write_text(json.dumps({"settings": settings} | where))
    (run.evaluation_folder / "rates.json").write_text(json.dumps({"best_epoch": numbers[-1]} | rates))
    predict(run, rates["test"]["accuracy"], samples)


def predict(run: Run, accuracy: float, samples: int = SAMPLES, shift: int = 0) -> None:
    """Predictions of a run, of which a share is right: the first samples, counted from `shift` on."""
    label = np.arange(samples) % CLASSES
    right = np.roll(np.arange(samples) < round(accuracy * samples), shift)
    mean = np.where(right, label, (label + 1) % CLASSES).astype(np.int16)
    of_split = {"id": [f"test-{i}" for i in range(samples)], "label": label, "mean": mean}
    pd.DataFrame({"split": "test"} | of_split).to_parquet(run.evaluation_folder / "predictions.parquet")


def frame(path: Path, columns: dict[str, Any]) -> None:
    """Write a CSV file."""
    pd.DataFrame(columns).to_csv(path, index=False)
