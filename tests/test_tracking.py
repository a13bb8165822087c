"""What people find in MLflow: runs with data, results and descriptions, their networks, and the whole analysis."""

import json
import logging
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.data.schema import TensorDatasetSchema

from greedymm import tracking
from greedymm.data import hdf5
from greedymm.data.batches import loader
from greedymm.data.datasets.colored_mnist_5k import make
from greedymm.errors import GreedymmError
from greedymm.files import read_json, sha256, write_json, write_text
from greedymm.params.load import validate
from greedymm.params.plugins import settings_class
from greedymm.params.schema import Params, Tracking
from greedymm.plan import analysis_key, planned, points, report_key, sweep_place, sweeps_key
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.steps.evaluate import evaluate
from greedymm.steps.predict import trained as network_of
from greedymm.steps.track import track
from greedymm.steps.train import train
from greedymm.tracking import MEASURED, Store, Tracker, UnreachableError, send_missing

NAME = "colored_mnist_5k"
PARAMS: dict[str, Any] = {
    "seeds": [3],
    "datasets": {
        NAME: {
            "data": {"per_class": 10},
            "model": {"branch": {"name": "cnn", "widths": [4]}, "fusion": {"name": "mmtm"}, "fuse_after": [1]},
            "training": {"epochs": 2, "batch_size": 8, "learning_rate": 0.1, "snapshots": [1, 2]},
            "inputs": {"flip": True},
            "methods": {"greedy": {}, "balanced": {}},
        }
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all runs trained and measured, and an empty store: making one takes seconds."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings: Any = settings_class("dataset", NAME).model_validate(PARAMS["datasets"][NAME]["data"])
        for run in planned(validate(PARAMS)):
            if not run.data_path.exists():
                hdf5.write(run.data_path, *make(settings, folder))
            train(run, Execution(device="cpu"), Tracking(enabled=False))
            evaluate(run, Execution(device="cpu"))
        Store("sqlite:///mlflow.db")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a folder to work in."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def uri(project: Path) -> str:
    return f"sqlite:///{project / 'mlflow.db'}"


@pytest.fixture
def runs(project: Path) -> dict[str, Run]:
    """The planned runs by their methods."""
    return {run.method: run for run in planned(validate(PARAMS))}


def logged(uri: str, experiment: str = NAME) -> dict[str, Any]:
    """Runs of an experiment by their names."""
    client = MlflowClient(uri)
    known = client.get_experiment_by_name(experiment)
    found = client.search_runs([known.experiment_id]) if known else []
    return {run.info.run_name: run for run in found}


def artifacts(uri: str, run: Any, folder: str | None = None) -> set[str]:
    return {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id, folder)}


# -- Runs ---------------------------------------------------------------------------------------------------


def test_every_finished_run_is_sent_once_with_what_people_look_for(uri: str, runs: dict[str, Run]) -> None:
    assert send_missing(runs.values(), uri) == len(runs)
    assert send_missing(runs.values(), uri) == 0

    found = logged(uri)
    assert found.keys() == {f"{method}-seed3" for method in runs}
    for run in found.values():
        assert run.info.status == "FINISHED"
        (point,) = MlflowClient(uri).get_metric_history(run.info.run_id, "test_accuracy")
        assert point.step == 0  # then the UI draws bars
        assert run.data.metrics["best_epoch"] in {1, 2}
        assert artifacts(uri, run) == {
            *("curves.png", "predictions.csv", "history.csv", "record.json", "rates.json", "during_training.csv")
        }


def test_a_run_names_the_data_that_it_was_trained_on(uri: str, runs: dict[str, Run]) -> None:
    send_missing([runs["greedy"]], uri)

    (entry,) = logged(uri)["greedy-seed3"].inputs.dataset_inputs
    path = runs["greedy"].data_path
    assert {tag.key: tag.value for tag in entry.tags} == {"mlflow.data.context": "training"}
    assert entry.dataset.name == NAME
    assert sha256(path).startswith(entry.dataset.digest)
    assert len(entry.dataset.digest) >= 8
    assert mlflow.data.get_source(entry.dataset).load() == str(path.absolute())
    with hdf5.DataFile(path) as file:
        counts = {f"num_{split}": len(file.labels(split)) for split in ("train", "val", "test")}
    assert json.loads(entry.dataset.profile) == counts | {"num_classes": 10}
    schema = TensorDatasetSchema.from_dict(json.loads(entry.dataset.schema))
    assert schema.features.input_names() == ["color", "gray"]
    assert [spec.shape for spec in schema.features.inputs] == [(-1, 3, 28, 28), (-1, 1, 28, 28)]


def test_runs_on_generated_data_say_so_wherever_they_are_described(
    uri: str, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.data.hdf5.shown_name", lambda name, _path: f"{name} (generated data)")
    tracking._data.cache_clear()
    tracking._dataset.cache_clear()

    send_missing([runs["greedy"]], uri)

    tracking._data.cache_clear()
    tracking._dataset.cache_clear()
    run = logged(uri)["greedy-seed3"]
    assert run.data.tags["data"] == "generated"
    assert "generated data" in run.data.tags["mlflow.note.content"]
    assert "generated data" in run.inputs.dataset_inputs[0].dataset.name


def test_a_run_is_described_by_what_it_is_and_what_came_of_it(uri: str, runs: dict[str, Run]) -> None:
    send_missing([runs["balanced"]], uri)

    rates = read_json(runs["balanced"].evaluation_folder / "rates.json")
    what, _, came = logged(uri)["balanced-seed3"].data.tags["mlflow.note.content"].split("\n")
    assert what == f"Method `balanced`, seed 3, on {NAME}."
    assert f"After epoch {rates['best_epoch']} of 2" in came
    assert f"test accuracy {100 * rates['test']['accuracy']:.1f} %" in came


def test_the_epochs_of_all_methods_have_the_same_names_and_one_value_each(uri: str, runs: dict[str, Run]) -> None:
    send_missing(runs.values(), uri)

    client, found = MlflowClient(uri), logged(uri)
    names = {
        method: {k for k in found[f"{method}-seed3"].data.metrics if not k.startswith(("rebalancing", "speed"))}
        for method in runs
    }
    shared = {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "best_val_accuracy", "test_accuracy"}
    assert names["greedy"] == names["balanced"]
    assert all(names[method] >= shared for method in runs)
    for method, run in runs.items():
        history = pd.read_csv(run.folder / "history.csv")
        for name in ("train_loss", "val_accuracy"):
            points = client.get_metric_history(found[f"{method}-seed3"].info.run_id, name)
            assert {p.step: p.value for p in points} == dict(zip(history["epoch"], history[name], strict=True))
            assert len(points) == len(history)


def test_utilization_during_training_can_be_seen_over_the_epochs(uri: str, runs: dict[str, Run]) -> None:
    send_missing(runs.values(), uri)

    run_id = logged(uri)["greedy-seed3"].info.run_id
    during = pd.read_csv(runs["greedy"].evaluation_folder / "during_training.csv")
    assert len(during) > 0
    MlflowClient(uri).set_tag(run_id, MEASURED, "with other code")
    assert send_missing([runs["greedy"]], uri) == 1  # and nothing stands there twice
    for name in ("d_util", "utilization_color"):
        points = MlflowClient(uri).get_metric_history(run_id, f"during_val_{name}")
        assert len(points) == len(during)
        assert {p.step: p.value for p in points} == dict(zip(during["epoch"], during[name], strict=True))


def test_an_experiment_that_was_deleted_comes_back_with_what_is_sent_to_it(uri: str, runs: dict[str, Run]) -> None:
    send_missing([runs["greedy"]], uri)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)

    send_missing(runs.values(), uri)

    assert {name: run.info.status for name, run in logged(uri).items()} == {f"{m}-seed3": "FINISHED" for m in runs}


def test_what_was_sent_while_training_is_not_sent_again(uri: str, runs: dict[str, Run]) -> None:
    run = runs["greedy"]
    history: list[Any] = pd.read_csv(run.folder / "history.csv").to_dict("records")
    store = Store(uri)
    run_id = store.open(run)
    store.send(run_id, history[:1])

    assert send_missing([run], uri) == 1

    assert [m.step for m in store.client.get_metric_history(run_id, "train_loss")] == [1, 2]
    assert set(logged(uri)) == {"greedy-seed3"}


def test_an_unfinished_run_is_left_out(uri: str, runs: dict[str, Run]) -> None:
    (runs["greedy"].evaluation_folder / "rates.json").unlink()

    assert send_missing([runs["greedy"]], uri) == 0
    assert logged(uri) == {}


def test_a_store_that_is_down_is_an_error_and_with_a_note_none(project: Path) -> None:
    down = validate(PARAMS | {"tracking": {"uri": "http://user:secret@127.0.0.1:9"}})

    with pytest.raises(UnreachableError, match=r"tracking at \S+@127\.0\.0\.1:9 failed") as raised:
        send_missing(planned(down), down.tracking.uri)
    assert "secret" not in str(raised.value)
    with pytest.raises(GreedymmError, match="Send them later with: greedymm track"):
        track(down, None)
    assert track(down, project / "note.txt") == 0
    note = (project / "note.txt").read_text()
    assert "failed" in note
    assert "secret" not in note


def test_a_run_lasts_as_long_as_its_training_and_stands_among_training_runs(uri: str, runs: dict[str, Run]) -> None:
    timing = pd.read_csv(runs["greedy"].folder / "timing.csv").assign(seconds=[30.5, 29.5])
    timing.to_csv(runs["greedy"].folder / "timing.csv", index=False)

    send_missing([runs["greedy"]], uri)

    info = logged(uri)["greedy-seed3"].info
    assert info.end_time - info.start_time == 60_000
    kind = MlflowClient(uri).get_experiment(info.experiment_id).tags["mlflow.experimentKind"]
    assert kind == "custom_model_development"


# -- Networks -----------------------------------------------------------------------------------------------


def tracked(project: Path, **settings: Any) -> Params:
    return validate(PARAMS | {"tracking": {"uri": f"sqlite:///{project / 'mlflow.db'}"} | settings})


def test_without_the_switch_there_are_no_models(project: Path, uri: str) -> None:
    track(tracked(project), None)

    assert all(not run.outputs.model_outputs for run in logged(uri).values())


@pytest.mark.parametrize("method", ["greedy", "unimodal_gray"])
def test_a_model_gives_the_logits_of_the_trained_network(
    method: str,
    project: Path,
    uri: str,
    runs: dict[str, Run],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger("mlflow"), "propagate", True)
    run = runs[method]
    monkeypatch.setattr("greedymm.steps.track.planned", lambda _params: [run])
    track(tracked(project, models=True), None)
    run_id = logged(uri)[f"{method}-seed3"].info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    loaded = mlflow.pytorch.load_model(f"runs:/{run_id}/model")

    load = loader(run.data_path, run.settings.stored, 7, torch.device("cpu"), Execution(), run.settings.inputs)
    trained, _ = network_of(run)
    sizes = set()
    with torch.no_grad():
        for inputs, _ in load("test"):
            sizes.add(len(inputs[0]))
            torch.testing.assert_close(loaded(inputs), trained(inputs))
    assert len(sizes) == 2  # of batches: it takes any
    assert "does not match" not in caplog.text  # the version of torch


def test_models_are_added_to_runs_that_are_complete_and_only_once(
    project: Path, uri: str, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.steps.track.planned", lambda _params: [runs["greedy"]])
    assert track(tracked(project), None) == 1
    assert track(tracked(project, models=True), None) == 1
    assert track(tracked(project, models=True), None) == 0

    run = logged(uri)["greedy-seed3"]
    (output,) = run.outputs.model_outputs
    model = MlflowClient(uri).get_logged_model(output.model_id)
    assert (model.name, model.status, model.source_run_id) == ("model", "READY", run.info.run_id)
    files = {file.path for file in MlflowClient(uri).list_logged_model_artifacts(output.model_id)}
    assert files == {"MLmodel", "data", "requirements.txt"}


@pytest.mark.parametrize("name", ["checkpoint.pt", "rates.json", "record.json"])
def test_a_run_with_a_file_missing_or_broken_is_named_and_costs_the_others_nothing(
    name: str, project: Path, uri: str, runs: dict[str, Run], caplog: pytest.LogCaptureFixture
) -> None:
    run = runs["greedy"]
    if name == "rates.json":
        write_text(run.evaluation_folder / name, '{"best_epoch": 1')
    else:
        (run.folder / name).unlink()

    assert track(tracked(project, models=name == "checkpoint.pt"), project / "note.txt") == len(runs) - 1

    assert name in caplog.text
    assert "greedy-seed3" not in logged(uri)


def test_a_run_measured_anew_by_other_code_is_sent_again(uri: str, runs: dict[str, Run]) -> None:
    send_missing([runs["greedy"]], uri)
    run = runs["greedy"]
    other = run.evaluation.model_copy(update={"code": "0123456789abcdef"})
    again = Run(settings=run.settings, data_path=run.data_path, evaluation=other)
    shutil.copytree(runs["greedy"].evaluation_folder, again.evaluation_folder)
    rates = read_json(again.evaluation_folder / "rates.json")
    rates["val"]["accuracy"] = 0.125
    write_json(rates, again.evaluation_folder / "rates.json")

    assert send_missing([again], uri) == 1
    assert send_missing([again], uri) == 0

    assert logged(uri)["greedy-seed3"].data.metrics["best_val_accuracy"] == 0.125


def test_a_run_names_the_commit_that_it_was_made_with(uri: str, runs: dict[str, Run]) -> None:
    path = runs["greedy"].folder / "record.json"
    write_json(read_json(path) | {"commit": "f" * 40}, path)

    send_missing([runs["greedy"]], uri)

    assert logged(uri)["greedy-seed3"].data.tags["mlflow.source.git.commit"] == "f" * 40


# -- The whole analysis -------------------------------------------------------------------------------------


def write_report(params: Params, *, swept: bool = False) -> str:
    """Made-up tables, figures and page, with the sweeps or not; returns the key that stamps them."""
    key, results = analysis_key(params), Path("results")
    write_text(results / "tables/runs.csv", "a\n1\n")
    write_text(results / "figures/accuracy.png", "a picture")
    write_text(results / "figures/accuracy.svg", "the same")
    write_text(results / "report/index.html", "a page")
    means = {NAME: {"greedy": {"test_accuracy": 0.5, "d_speed": None, "d{util}": 0.25}}}
    write_json(means, results / "tables/metrics.json")
    for part in ("tables", "figures"):
        write_text(results / part / f"{key}.key", "")
    for made in (False, True):
        (results / "report" / f"{report_key(params, swept=made)}.key").unlink(missing_ok=True)
    write_text(results / "report" / f"{report_key(params, swept=swept)}.key", "")
    return key


def test_tables_figures_and_report_are_a_run_of_their_own_sent_once(project: Path, uri: str) -> None:
    params = tracked(project)
    key = write_report(params)

    track(params, None)
    track(params, None)

    (run,) = logged(uri, "report").values()
    assert run.data.tags["kind"] == "report"
    assert run.data.tags["greedymm.run"] == f"report-{key}"
    assert run.info.status == "FINISHED"
    assert artifacts(uri, run, "tables") == {"tables/runs.csv", "tables/metrics.json"}
    assert artifacts(uri, run, "figures") == {"figures/accuracy.png"}
    assert artifacts(uri, run, "report") == {"report/index.html"}
    assert run.data.metrics == {f"{NAME}.greedy.test_accuracy": 0.5, f"{NAME}.greedy.d_util_": 0.25}


def test_a_report_that_was_made_anew_is_sent_anew(project: Path, uri: str) -> None:
    params = tracked(project)
    write_report(params)
    track(params, None)
    write_text(Path("results/report/index.html"), "a page on which a run was mended")

    track(params, None)

    (run,) = logged(uri, "report").values()
    page = MlflowClient(uri).download_artifacts(run.info.run_id, "report/index.html")
    assert Path(page).read_text() == "a page on which a run was mended"


@pytest.mark.parametrize("part", ["tables", "figures", "report"])
def test_what_is_not_made_yet_or_of_other_params_is_not_sent(part: str, project: Path, uri: str) -> None:
    params = tracked(project)
    key = write_report(params)
    stamp = Path("results", part, f"{key}.key")
    stamp.rename(stamp.with_stem("deadbeef"))

    track(params, None)

    assert logged(uri, "report") == {}
    assert len(logged(uri)) == 4


# -- Sweeps -------------------------------------------------------------------------------------------------


def with_sweep(project: Path) -> Params:
    """Params with a sweep whose first value is that of the runs which are there."""
    rate = {"dataset": NAME, "setting": "training.learning_rate", "values": [0.1, 0.2], "methods": ["greedy"]}
    return validate(PARAMS | {"tracking": {"uri": f"sqlite:///{project}/mlflow.db"}, "sweeps": {"rate": rate}})


def test_runs_of_a_sweep_are_sent_and_tagged_with_their_value_those_shared_with_the_default_as_well(
    project: Path, uri: str
) -> None:
    params = with_sweep(project)
    track(validate(params.model_dump(mode="json") | {"sweeps": {}}), None)
    (new,) = [p.run for p in points(params, "rate") if p.value == "0.2"]
    train(new, Execution(device="cpu"), Tracking(enabled=False))
    evaluate(new, Execution(device="cpu"))

    assert track(params, None) == 1
    assert track(params, None) == 0

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    in_sweep = client.search_runs([experiment.experiment_id], "tags.`sweep.rate` LIKE '%'")
    found = {run.data.tags["sweep.rate"]: run for run in in_sweep}
    assert found.keys() == {"0.1", "0.2"}
    assert {run.data.params["training.learning_rate"] for run in in_sweep} == found.keys()
    assert {run.data.tags["sweep.rate"]: run.data.tags["part"] for run in in_sweep} == {
        "0.1": "default",
        "0.2": "sweep",
    }
    assert {run.info.run_name for run in in_sweep} == {"greedy-seed3", "rate 0.2, greedy-seed3"}


def test_a_name_that_a_user_gave_stays(project: Path, uri: str) -> None:
    params = with_sweep(project)
    (new,) = [p.run for p in points(params, "rate") if p.value == "0.2"]
    train(new, Execution(device="cpu"), Tracking(enabled=False))
    evaluate(new, Execution(device="cpu"))
    track(params, None)
    client, run_id = MlflowClient(uri), logged(uri)["rate 0.2, greedy-seed3"].info.run_id
    client.set_tag(run_id, "mlflow.runName", "the one for the talk")

    track(params, None)

    assert client.get_run(run_id).info.run_name == "the one for the talk"


def test_tables_figures_and_page_of_the_sweeps_are_a_run_of_their_own(project: Path, uri: str) -> None:
    params, folder = with_sweep(project), Path("results/report/sweeps")
    for name in (sweep_place(params, "rate").name, "rate-01dbeef0"):  # the latter of earlier params
        for ending in (".csv", ".png", ".svg", ".txt"):
            write_text(folder / f"{name}{ending}", "content")
    write_text(folder.with_name("sweeps.html"), "a page")
    track(params, None)
    assert logged(uri, "report") == {}  # not yet known to be whole

    write_text(folder / f"{sweeps_key(params)}.key", "")
    track(params, None)

    (run,) = logged(uri, "report").values()
    assert (run.info.run_name, run.data.tags["kind"], run.info.status) == ("sweeps", "sweeps", "FINISHED")
    place = sweep_place(params, "rate").name
    assert artifacts(uri, run, "sweeps") == {f"sweeps/{place}{ending}" for ending in (".csv", ".png", ".txt")}
    assert artifacts(uri, run, "report") == {"report/sweeps.html"}


def test_a_report_from_before_the_sweeps_is_sent_as_what_it_is_and_the_one_with_them_later(
    project: Path, uri: str
) -> None:
    params, folder = with_sweep(project), Path("results/report/sweeps")
    for ending in (".csv", ".png", ".txt"):
        write_text(folder / f"{sweep_place(params, 'rate').name}{ending}", "content")
    write_text(folder.with_name("sweeps.html"), "a page")
    write_report(params)
    write_text(folder / f"{sweeps_key(params)}.key", "")  # made after the report, in the same workflow

    track(params, None)
    assert logged(uri, "report").keys() == {"report", "sweeps"}

    write_report(params, swept=True)
    track(params, None)
    assert logged(uri, "report").keys() == {"report", "sweeps", "report with sweeps"}


def test_nobody_else_can_send_meanwhile(
    uri: str, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:  # two at once would each find a run missing, and send it
    tried, send = [], Store.open

    def open_run(store: Store, run: Run) -> str:
        with pytest.raises(Timeout):
            FileLock(tracking.LOCK).acquire(timeout=0)
        tried.append(run.method)
        return send(store, run)

    monkeypatch.setattr(Store, "open", open_run)
    send_missing(runs.values(), uri)

    assert tried == list(runs)
    with FileLock(tracking.LOCK).acquire(timeout=0):  # and afterwards they can
        pass


# -- While a run trains -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("follow_after", "processes"), [(0.0, 1), (60.0, 0)], ids=["long", "short"])
def test_a_run_is_followed_once_it_has_trained_for_long_enough(
    follow_after: float, processes: int, runs: dict[str, Run], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Sender:
        def __init__(self, command: list[str], stdin: int) -> None:
            started.append(command)

        def communicate(self, timeout: float) -> None:
            """End at once."""

    monkeypatch.setattr("greedymm.tracking.subprocess.Popen", Sender)
    with Tracker(runs["greedy"], Tracking(uri=uri, follow_after=follow_after)) as tracker:
        assert started == []
        for epoch in (1, 2):
            tracker.epoch({"epoch": epoch}, {"seconds": 1.0})
        lines = tracker.epochs.read_text().splitlines()

    assert len(started) == processes
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert not tracker.epochs.exists()


def test_the_clock_decides_after_an_epoch(runs: dict[str, Run], uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    started: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("greedymm.tracking.subprocess.Popen", lambda *_, **__: started.append(now[0]))
    tracker = Tracker(runs["greedy"], Tracking(uri=uri, follow_after=20.0)).__enter__()

    for now[0] in (110.0, 119.9, 120.0):
        tracker.epoch({"epoch": 1}, {})

    assert started == [120.0]
    tracker.epochs.unlink()


def test_a_followed_run_sends_all_its_epochs_so_far(
    runs: dict[str, Run], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = tmp_path / "epochs.jsonl"
    epochs.write_text("".join(f'{{"epoch": {n}, "train_loss": {1 / n}}}\n' for n in (1, 2, 3)))
    with (tmp_path / "ended").open("w+") as ended:
        monkeypatch.setattr(sys, "stdin", ended)  # at its end: the run is over

        tracking.follow(runs["greedy"], uri, epochs)

    run = logged(uri)["greedy-seed3"]
    points = MlflowClient(uri).get_metric_history(run.info.run_id, "train_loss")
    assert {p.step: p.value for p in points} == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert run.info.status == "RUNNING"  # until its utilization is there
    assert run.inputs.dataset_inputs


def test_tracking_that_is_off_starts_nothing_and_writes_nothing(
    runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.tracking.subprocess.Popen", None)

    with Tracker(runs["greedy"], Tracking(enabled=False, follow_after=0.0)) as tracker:
        tracker.epoch({"epoch": 1}, {})

        assert not tracker.epochs.exists()


def test_a_store_that_is_down_says_how_to_send_the_run_later(
    runs: dict[str, Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.follow(runs["greedy"], "http://127.0.0.1:9", tmp_path / "epochs.jsonl")

    assert re.search(r"tracking at \S+ failed: .+\n +The run goes on; send it later with: greedymm track", caplog.text)
