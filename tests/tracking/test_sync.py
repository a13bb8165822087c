"""What people find in MLflow: runs with data, results and descriptions, the report and the sweeps. Each once."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout
from made_up import DATASET, make_params, result_path
from mlflow import MlflowClient
from tracked import SHA, artifacts, finish, points, settings, stored

from greedymm.errors import GreedymmError
from greedymm.files import write_json, write_text
from greedymm.params.schema import Tracking, Tuning
from greedymm.plan import Plan
from greedymm.tracking import sync_results, watch
from greedymm.tracking.store import Store
from greedymm.tracking.sync import LOCK

RATE = {"dataset": DATASET, "setting": "training.learning_rate", "values": [0.1, 0.2], "methods": ["greedy"]}


# -- Runs ---------------------------------------------------------------------------------------------------


def test_a_finished_run_is_sent_once_with_what_people_look_for(plan: Plan) -> None:
    assert sync_results(plan, settings()) == 2
    assert sync_results(plan, settings()) == 0

    runs = stored()
    assert runs.keys() == {"greedy-seed3", "balanced-seed3"}
    run = runs["greedy-seed3"]
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 4000  # milliseconds: two epochs of 2 s
    assert points(run, "epochs/train_loss") == {1: 1.0, 2: 0.5}
    assert points(run, "during_val_d_util") == {1: 0.1, 2: 0.2}
    assert points(run, "test_accuracy") == {0: 0.25}  # at step 0 the UI draws bars
    assert points(run, "best_val_accuracy") == {0: 0.5}
    assert not any("undefined" in name for name in run.data.metrics)
    assert run.data.params["training.learning_rate"] == "0.1"
    assert artifacts(run) == {"predictions.csv", "history.csv", "result.json"}
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"Method `greedy`, seed 3, on {DATASET}.")
    assert "Best epoch on validation: 2 of 2. Test accuracy 25.0 %, validation accuracy 50.0 %." in note
    (entry,) = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == (DATASET, SHA[:16])
    kind = MlflowClient(settings().uri).get_experiment(run.info.experiment_id).tags["mlflow.experimentKind"]
    assert kind == "custom_model_development"  # the UI shows it among training runs


def test_runs_on_generated_data_say_so(plan: Plan) -> None:
    finish(plan.default_runs, generated=True)

    sync_results(plan, settings())

    run = stored()["greedy-seed3"]
    assert run.data.tags["data"] == "generated"
    assert "generated data" in run.data.tags["mlflow.note.content"]
    assert "generated data" in run.inputs.dataset_inputs[0].dataset.name


def test_an_unfinished_run_waits_and_a_broken_one_is_named_and_costs_the_others_nothing(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    unfinished, broken = plan.default_runs
    result_path(unfinished).unlink()
    result_path(broken).write_text("{")
    assert sync_results(plan, settings()) == 0
    assert str(result_path(broken)) in caplog.text

    finish([unfinished])

    assert sync_results(plan, settings()) == 1


def test_new_results_of_a_run_replace_the_old_ones(plan: Plan) -> None:
    sync_results(plan, settings())
    path = result_path(plan.default_runs[0])
    result = json.loads(path.read_text())
    result["val"]["accuracy"] = 0.125
    write_json(result, path)

    assert sync_results(plan, settings()) == 1
    assert sync_results(plan, settings()) == 0

    run = stored()["greedy-seed3"]
    assert run.data.metrics["best_val_accuracy"] == 0.125
    assert points(run, "epochs/train_loss") == {1: 1.0, 2: 0.5}
    assert points(run, "test_accuracy") == {0: 0.25}


def test_a_deleted_run_and_a_deleted_experiment_come_back(plan: Plan) -> None:
    sync_results(plan, settings())
    client, run = MlflowClient(settings().uri), stored()["greedy-seed3"]
    client.delete_run(run.info.run_id)
    assert sync_results(plan, settings()) == 1
    assert stored()["greedy-seed3"].info.run_id != run.info.run_id

    client.delete_experiment(run.info.experiment_id)
    sync_results(plan, settings())

    assert stored().keys() == {"greedy-seed3", "balanced-seed3"}


def test_only_one_process_sends_at_a_time(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two at once would each find a run missing, and send it.
    tried, find = [], Store.find

    def find_locked(store: Store, experiment: str, name: str) -> Any:
        with pytest.raises(Timeout):
            FileLock(LOCK).acquire(timeout=0)
        tried.append(name)
        return find(store, experiment, name)

    monkeypatch.setattr(Store, "find", find_locked)
    sync_results(plan, settings())

    assert set(tried) == set(plan.runs)
    with FileLock(LOCK).acquire(timeout=0):
        pass


@pytest.mark.parametrize("fault", ["down", "newer", "locked", "half", "broken"])
def test_a_store_that_cannot_be_used_is_one_message_without_the_password(fault: str, plan: Plan) -> None:
    uri = "http://user:secret@127.0.0.1:9" if fault == "down" else f"sqlite:///{fault}.db?timeout=1"
    database = sqlite3.connect(f"{fault}.db", isolation_level=None)
    if fault == "newer":
        database.execute("create table alembic_version (version_num varchar(32))")
        database.execute("insert into alembic_version values ('from_the_future')")
    if fault == "locked":
        database.execute("begin exclusive")
    if fault == "half":  # left by MLflow, killed while it made the database
        database.execute("create table experiments (experiment_id integer)")
    if fault == "broken":
        Path(f"{fault}.db").write_bytes(b"no database" * 1000)
    cure = "Move it to another folder" if fault in {"half", "broken"} else "Send it later with: "

    with pytest.raises(GreedymmError, match=rf"tracking at \S+ failed: .+\n.*{cure}") as raised:
        sync_results(plan, Tracking(uri=uri))

    database.close()
    assert "secret" not in str(raised.value)
    assert sync_results(plan, settings()) == 2


def test_a_database_that_is_cut_off_while_it_is_made_is_made_anew(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("mlflow.db")
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_experiments", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sync_results(plan, settings())
    assert not path.exists()

    assert sync_results(plan, settings()) == 2


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


# -- Sweeps -------------------------------------------------------------------------------------------------


def test_runs_of_a_sweep_are_tagged_with_their_value_and_named_by_it(plan: Plan) -> None:
    sync_results(plan, settings())
    swept = Plan.make(make_params([3], sweeps={"rate": RATE}))
    finish([run for name, run in swept.runs.items() if name not in plan.runs])

    assert sync_results(swept, settings()) == 2  # the new one, and the one that now belongs to the sweep, too
    assert sync_results(swept, settings()) == 0

    runs = stored()
    assert runs.keys() == {"greedy-seed3", "balanced-seed3", "rate 0.2, greedy-seed3"}
    tags = {name: (run.data.tags.get("sweep.rate"), run.data.tags["part"]) for name, run in runs.items()}
    assert tags["greedy-seed3"] == ("0.1", "default")
    assert tags["balanced-seed3"] == (None, "default")
    assert tags["rate 0.2, greedy-seed3"] == ("0.2", "sweep")


def test_runs_with_chosen_settings_and_the_page_of_the_zoo_are_sent_once_the_search_is_finished(plan: Plan) -> None:
    tuned = Plan.make(plan.params.model_copy(update={"tuning": Tuning(trials=2)}))
    greedy, balanced = tuned.searches.values()
    assert sync_results(tuned, settings()) == 2
    write_json({"chosen": {"val": 1}}, greedy.path)
    finish(greedy.finished())
    write_text(tuned.zoo_folder / "index.html", "content")

    assert sync_results(tuned, settings()) == 1
    assert sync_results(tuned, settings()) == 0

    assert balanced.finished() == []
    name = f"tuned, {greedy.base.method}-seed3"
    assert stored()[name].data.tags["part"] == "tuned"
    rate = greedy.trials[1]["training.learning_rate"]
    assert float(stored()[name].data.params["training.learning_rate"]) == rate
    assert stored("report").keys() == {"zoo"}


def test_a_name_that_a_user_gave_stays(plan: Plan) -> None:
    sync_results(plan, settings())
    client, run = MlflowClient(settings().uri), stored()["greedy-seed3"]
    client.set_tag(run.info.run_id, "mlflow.runName", "the one for the talk")

    assert sync_results(Plan.make(make_params([3], sweeps={"rate": RATE})), settings()) == 1

    assert client.get_run(run.info.run_id).info.run_name == "the one for the talk"


# -- Pages --------------------------------------------------------------------------------------------------


def test_report_and_sweeps_are_sent_once_and_again_when_they_change(plan: Plan) -> None:
    sync_results(plan, settings())
    assert stored("report") == {}  # not made yet
    for name in ("tables/runs.csv", "figures/accuracy.png", "figures/accuracy.svg", "index.html"):
        write_text(plan.folder / name, "content")
    means = {DATASET: {"greedy": {"test_accuracy": 0.5, "d_speed": None, "d{util}": 0.25}}}
    write_json(means, plan.folder / "tables/metrics.json")
    write_text(plan.sweeps_folder / "index.html", "content")

    sync_results(plan, settings())
    write_text(plan.folder / "index.html", "another page")
    sync_results(plan, settings())

    runs = stored("report")
    assert runs.keys() == {"report", "sweeps"}
    run = runs["report"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {f"{DATASET}.greedy.test_accuracy": 0.5, f"{DATASET}.greedy.d_util_": 0.25}
    assert artifacts(run, "tables") == {"tables/runs.csv", "tables/metrics.json"}
    assert artifacts(run, "figures") == {"figures/accuracy.png"}
    page = MlflowClient(settings().uri).download_artifacts(run.info.run_id, "index.html")
    assert Path(page).read_text() == "another page"


# -- While a run trains -------------------------------------------------------------------------------------


def test_a_run_is_shown_while_it_trains_and_completed_at_its_end(plan: Plan) -> None:
    run = plan.default_runs[0]
    result_path(run).unlink()
    live = run.folder / "live.jsonl"
    live.write_text(
        '{"epoch": 1, "train_loss": 1.0, "seconds": 2.0}\n{"epoch": 2, "trai'
    )  # the last line is being written
    for _ in range(2):
        sync_results(plan, settings(), live=True)
    shown = stored()["greedy-seed3"]
    assert (shown.info.status, points(shown, "epochs/train_loss")) == ("RUNNING", {1: 1.0})
    assert points(shown, "seconds") == {1: 2.0}  # no metric to be drawn first

    live.unlink()
    finish([run])
    sync_results(plan, settings())

    finished = stored()["greedy-seed3"]
    assert (finished.info.run_id, finished.info.status) == (shown.info.run_id, "FINISHED")
    assert points(finished, "epochs/train_loss") == {1: 1.0, 2: 0.5}


def test_the_watcher_outlives_a_store_that_is_down_and_says_so_once(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = iter(range(2))

    def sleep(_seconds: float) -> None:
        if next(rounds, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watch(plan, Tracking(uri="http://127.0.0.1:9"))

    assert caplog.text.count("tracking at http://127.0.0.1:9 failed") == 1


def test_the_store_of_the_environment_is_used_or_said_to_be_unused(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Tracking().uri == "sqlite:///mlflow.db"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///theirs.db")
    assert Tracking().uri == Tracking(uri=None).uri == "sqlite:///theirs.db"

    sync_results(plan, settings())
    assert "MLFLOW_TRACKING_URI is not used: tracking.uri in the params is sqlite" in caplog.text
    caplog.clear()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settings().uri)
    sync_results(plan, settings())
    assert "not used" not in caplog.text
