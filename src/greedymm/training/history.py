"""Results of epochs and steps -> rows -> history.csv, timing.csv and steps.parquet."""

import resource
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from greedymm.files import atomic_write
from greedymm.training.step import Scores, Steps

Row = dict[str, float]  # one line of a CSV file


def history_row(
    steps: Steps, scores: Scores, objective: str, modalities: Sequence[str], *, measures_speed: bool
) -> Row:
    """Results of the steps of one epoch, and its scores on the validation split. The settings determine them all."""
    multimodal, samples = len(modalities) > 1, steps.samples.sum()

    def by_head(name: str, values: Sequence[float]) -> Row:
        names = [name, *(f"{name}_{m}" for m in modalities)]
        return dict(zip(names, values, strict=True)) if multimodal else {name: values[0]}

    row: Row = {"train_loss": float((steps.loss.double() * steps.samples).sum() / samples)}
    row |= by_head("train_accuracy", (steps.correct.sum(dim=0).double() / samples).tolist())
    if measures_speed:
        row |= {f"speed_{m}": float(s) for m, s in zip(modalities, steps.speeds[-1], strict=True)}
        row["d_speed"] = float(steps.d_speed[-1])
    row["regular_steps"] = int((steps.mode == 0).sum())
    if multimodal:
        row |= {f"rebalancing_{m}": int((steps.mode == k + 1).sum()) for k, m in enumerate(modalities)}
    row |= {f"{name}_mean": float(values.double().mean()) for name, values in steps.log.items()}
    return row | {"val_loss": scores.loss(objective)} | by_head("val_accuracy", scores.accuracies)


def timing_row(epoch: int, seconds: float, samples_per_second: float) -> Row:
    """Time and memory of one epoch, counted from 1. They differ between two runs with the same settings."""
    return {
        "epoch": epoch,
        "seconds": seconds,
        "samples_per_second": samples_per_second,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0,
    }


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file with one line per epoch."""
    with atomic_write(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def write_steps(path: Path, epochs: Sequence[Steps], modalities: Sequence[str]) -> None:
    """Write a Parquet file with one row per step: number, loss, mode; for M > 1 also speeds, d_speed, coefficients."""
    steps = Steps.joined(epochs)
    columns = {
        "step": range(1, len(steps.loss) + 1),
        "loss": steps.loss.numpy(),
        "mode": steps.mode.numpy().astype("int8"),
    }
    if len(modalities) > 1:
        columns |= {f"speed_{m}": speeds for m, speeds in zip(modalities, steps.speeds.T.numpy(), strict=True)}
        columns |= {"d_speed": steps.d_speed.numpy()} | {name: values.numpy() for name, values in steps.log.items()}
    with atomic_write(path) as temporary:
        pd.DataFrame(columns).to_parquet(temporary, index=False)
