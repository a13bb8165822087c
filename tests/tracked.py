"""Finished runs without training, and what a tracking store has of them."""

from pathlib import Path
from typing import Any

import pandas as pd
from made_up import DATASET, leave_result
from mlflow import MlflowClient

from greedymm.files import write_text
from greedymm.info import DataInfo
from greedymm.params.schema import Tracking
from greedymm.run import Run

RATES = {s: {"accuracy": a, "d_util": 0.1, "undefined": None} for s, a in (("val", 0.5), ("test", 0.25))}
SHA = "0123456789abcdef" * 4
EPOCHS = [0.1, 0.2]


def settings() -> Tracking:
    """A store in the folder of the test. MLflow keeps one connection for each URI of a process."""
    return Tracking(uri=f"sqlite:///{Path.cwd()}/mlflow.db")


def finish(runs: list[Run], *, generated: bool = False) -> None:
    """Leave the files of finished runs."""
    for run in runs:
        name = f"{DATASET} (generated data)" if generated else DATASET
        info = {"display_name": name, "generated": generated, "own": False, "source": "", "license": "", "notes": ()}
        info |= {"classes": ("0",), "modalities": (), "shapes": {}, "counts": {}, "sha256": SHA}
        write_text(run.data_path.with_suffix(".json"), DataInfo.model_validate(info).model_dump_json())
        leave_result(run, RATES, d_speed=EPOCHS, d_util=EPOCHS)
        pd.DataFrame({"epoch": [1, 2]}).to_csv(run.folder / "history.csv", index=False)


def stored(experiment: str = DATASET) -> dict[str, Any]:
    """Runs of an experiment by their names."""
    client = MlflowClient(settings().uri)
    known = client.get_experiment_by_name(experiment)
    runs = client.search_runs([known.experiment_id]) if known else []
    return {run.info.run_name: run for run in runs}


def points(run: Any, metric: str) -> dict[int, float]:
    """Values of a metric by epoch; two values of one epoch are an error."""
    history = MlflowClient(settings().uri).get_metric_history(run.info.run_id, metric)
    assert len({point.step for point in history}) == len(history)
    return {point.step: point.value for point in history}


def artifacts(run: Any, folder: str | None = None) -> set[str]:
    """Files of a run in the store."""
    return {file.path for file in MlflowClient(settings().uri).list_artifacts(run.info.run_id, folder)}
