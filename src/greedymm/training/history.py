"""What training has come to -> tables of its epochs and steps."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from greedymm.files import atomic_write
from greedymm.training.fit import Row
from greedymm.training.step import Steps


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a CSV file with one line per epoch."""
    with atomic_write(path) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)


def write_steps(path: Path, steps: Sequence[Steps], modalities: Sequence[str]) -> None:
    """Write a Parquet file with one row per step: its number, loss, mode, and for M > 1 the
    speeds, d_speed and the method's coefficients.
    """
    joined = Steps.joined(steps)
    frame = pd.DataFrame(
        {
            "step": range(1, len(joined.loss) + 1),
            "loss": joined.loss.numpy(),
            "mode": joined.mode.numpy().astype("int8"),
        }
    )
    if len(modalities) > 1:
        speeds = pd.DataFrame(joined.speeds.numpy(), columns=[f"speed_{m}" for m in modalities])
        log = pd.DataFrame({name: values.numpy() for name, values in joined.log.items()})
        frame = pd.concat([frame, speeds.assign(d_speed=joined.d_speed.numpy()), log], axis=1)
    with atomic_write(path) as beside:
        frame.to_parquet(beside, index=False)
