from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny

from greedymm.training.history import write_rows, write_steps
from greedymm.training.step import Steps


def test_history_is_read_back_as_it_was(tmp_path: Path) -> None:
    progress = tiny.run(tmp_path / "resume.pt", "balanced").go()

    write_rows(tmp_path / "history.csv", progress.history)

    assert pd.read_csv(tmp_path / "history.csv").to_dict("records") == progress.history


def test_steps_are_read_back_as_they_were(tmp_path: Path) -> None:
    progress = tiny.run(tmp_path / "resume.pt", "balanced").go()
    steps = Steps.joined(progress.steps)

    write_steps(tmp_path / "steps.parquet", progress.steps, ("m0", "m1"))

    frame = pd.read_parquet(tmp_path / "steps.parquet")
    assert frame["step"].tolist() == list(range(1, 21))
    assert frame["mode"].tolist() == steps.mode.tolist()
    np.testing.assert_array_equal(frame["loss"], steps.loss.numpy())
    np.testing.assert_array_equal(frame[["speed_m0", "speed_m1"]], steps.speeds.numpy())
    np.testing.assert_array_equal(frame["d_speed"], frame["speed_m0"] - frame["speed_m1"])


def test_steps_of_a_single_modality_have_no_speeds(tmp_path: Path) -> None:
    progress = tiny.run(tmp_path / "resume.pt", clarity=(1.0,)).go()

    write_steps(tmp_path / "steps.parquet", progress.steps, ("m0",))

    assert list(pd.read_parquet(tmp_path / "steps.parquet")) == ["step", "loss", "mode"]


@pytest.mark.parametrize("kind", ["history", "steps"])
def test_the_same_run_writes_the_same_bytes(tmp_path: Path, kind: str) -> None:
    written = []
    for name in ("first", "second"):
        progress = tiny.run(tmp_path / f"{name}.pt", "balanced").go()
        path = tmp_path / name
        if kind == "history":
            write_rows(path, progress.history)
        else:
            write_steps(path, progress.steps, ("m0", "m1"))
        written.append(path.read_bytes())

    assert written[0] == written[1]
