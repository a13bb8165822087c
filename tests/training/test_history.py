from pathlib import Path

import numpy as np
import pandas as pd
import tiny

from greedymm.training.step import Steps


def test_history_and_steps_are_read_back_as_they_were_and_written_as_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        progress = tiny.run(tmp_path / f"{name}.pt", "balanced").go()
        progress.write(tmp_path, ("m0", "m1"))
        history, table = tmp_path / "history.csv", tmp_path / "steps.parquet"
        written.append((history.read_bytes(), table.read_bytes()))

    assert written[0] == written[1]
    assert pd.read_csv(history).to_dict("records") == progress.history
    steps, frame = Steps.joined(progress.steps), pd.read_parquet(table)
    assert frame["step"].tolist() == list(range(1, 21))
    assert frame["mode"].tolist() == steps.mode.tolist()
    np.testing.assert_array_equal(frame["loss"], steps.loss.numpy())
    np.testing.assert_array_equal(frame[["speed_m0", "speed_m1"]], steps.speeds.numpy())
    np.testing.assert_array_equal(frame["d_speed"], frame["speed_m0"] - frame["speed_m1"])


def test_coefficients_of_a_method_are_columns(tmp_path: Path) -> None:
    progress = tiny.run(tmp_path / "resume.pt", "ogm_ge").go()

    progress.write(tmp_path, ("m0", "m1"))

    frame = pd.read_parquet(tmp_path / "steps.parquet")
    np.testing.assert_array_equal(frame["scale_1"], Steps.joined(progress.steps).log["scale_1"].numpy())
    assert progress.history[0]["scale_1_mean"] == progress.steps[0].log["scale_1"].double().mean().item()


def test_steps_of_a_single_modality_have_no_speeds(tmp_path: Path) -> None:
    progress = tiny.run(tmp_path / "resume.pt", clarity=(1.0,)).go()

    progress.write(tmp_path, ("m0",))

    assert list(pd.read_parquet(tmp_path / "steps.parquet")) == ["step", "loss", "mode"]
