"""Stores that fail: the metrics of all runs arrive once, now or when the store works again. One message says why."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from faulty_server import BROKEN, REFUSED, FaultyServer
from made_up import result_path
from tracked import finish, points, stored

from greedymm.errors import GreedymmError
from greedymm.files import write_text
from greedymm.params.schema import Tracking
from greedymm.plan import Plan
from greedymm.tracking import sync_results
from greedymm.tracking.store import Store

RUNS = {"greedy-seed3", "balanced-seed3"}
REQUESTS = [f"experiments/{name}" for name in ("create", "set-experiment-tag")]
REQUESTS += [f"runs/{name}" for name in ("create", "log-batch", "log-inputs", "set-tag", "update", "search")]
REQUESTS += ["metrics/get-history", "mlflow-artifacts/artifacts"]


def check_metrics() -> None:
    """Each run is there once, with its params, its data and each metric of each epoch once."""
    runs = stored()
    assert runs.keys() == RUNS
    for run in runs.values():
        assert points(run, "epochs/train_loss") == {1: 1.0, 2: 0.5}
        assert points(run, "test_accuracy") == {0: 0.25}
        assert run.data.params["training.learning_rate"] == "0.1"
        assert len(run.inputs.dataset_inputs) == 1
        assert run.info.status == "FINISHED"


def check_all(server: FaultyServer) -> None:
    """The files of each run are there, too."""
    check_metrics()
    for run in stored().values():
        assert server.files(run.info.run_id) == {"predictions.csv", "history.csv", "result.json"}


# -- A request fails ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_path", ["experiments/create", "runs/create", "runs/log-batch", "-artifacts/artifacts"]
)
def test_a_request_that_fails_twice_is_sent_again(request_path: str, plan: Plan, server: FaultyServer) -> None:
    server.fault = lambda path: BROKEN if request_path in path and server.faults < 2 else None

    assert sync_results(plan, Tracking(uri=server.uri)) == 2

    assert server.faults == 2  # MLflow's own second try fails, too
    check_all(server)
    assert sync_results(plan, Tracking(uri=server.uri)) == 0


def test_a_request_that_is_done_but_not_answered_counts_once(plan: Plan, server: FaultyServer) -> None:
    lost = set[str]()

    def lose_the_first_of_each_kind(path: str) -> str | None:
        kind = next((kind for kind in REQUESTS if kind in path and kind not in lost), None)
        lost.update([kind] if kind else [])
        return "lost" if kind else None

    server.fault = lose_the_first_of_each_kind

    assert sync_results(plan, Tracking(uri=server.uri)) == 2

    assert lost == set(REQUESTS)
    check_all(server)


# -- A store fails for a while ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [REFUSED, BROKEN, "hang"])
def test_metrics_of_all_runs_arrive_where_files_are_refused_and_the_files_arrive_later(
    fault: str, plan: Plan, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.tracking.sync.PATIENCE", 2.0)
    server.fault = lambda path: fault if "mlflow-artifacts" in path else None

    with pytest.raises(GreedymmError, match=r"all metrics have arrived, but not all files: .*(403|500|timed out)"):
        sync_results(plan, Tracking(uri=server.uri))

    check_metrics()
    server.fault = lambda _path: None
    assert sync_results(plan, Tracking(uri=server.uri)) == 2
    check_all(server)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("200 OK", "not in a valid JSON format"),  # the page of a proxy
        ("302 Found", "error code 302"),
        ("401 Unauthorized", r"401(?s:.*)MLFLOW_TRACKING_TOKEN"),
        ("413 Content Too Large", "error code 413"),
        ("429 Too Many Requests", "too many 429"),
        ("503 Service Unavailable", "too many 503"),
    ],
)
def test_a_server_that_answers_otherwise_is_given_up_soon_with_the_reason(
    status: str, reason: str, plan: Plan, server: FaultyServer
) -> None:
    server.fault = lambda _path: status
    with pytest.raises(GreedymmError, match=reason):
        sync_results(plan, Tracking(uri=server.uri))

    server.fault = lambda _path: None

    assert sync_results(plan, Tracking(uri=server.uri)) == 2
    check_all(server)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:9", "refused"),
        ("http://no-such-host.invalid", "resolve"),
        ("http://127.0.0.1:99999", "Invalid url"),
        ("https://127.0.0.1:PORT", "SSL"),
        ("sqlite:///results", "Is a directory"),
        ("sqlite:////proc/no/mlflow.db", "No such file"),
        ("postgresql://me:Secret@127.0.0.1:9/db", "psycopg2|refused"),
    ],
)
def test_an_address_that_leads_nowhere_is_said_at_once(uri: str, reason: str, plan: Plan, server: FaultyServer) -> None:
    started = time.monotonic()
    with pytest.raises(GreedymmError, match=reason) as raised:
        sync_results(plan, Tracking(uri=uri.replace("PORT", server.uri.rpartition(":")[2])))

    assert time.monotonic() - started < 10
    assert "Secret" not in str(raised.value)


@pytest.mark.parametrize("count", [3, 20])
def test_a_store_that_disappears_gets_the_rest_when_it_is_back(count: int, plan: Plan, server: FaultyServer) -> None:
    requests = itertools.count()
    server.fault = lambda _path: BROKEN if next(requests) >= count else None
    with pytest.raises(GreedymmError, match=r"failed: .*500"):
        sync_results(plan, Tracking(uri=server.uri))

    server.fault = lambda _path: None

    assert sync_results(plan, Tracking(uri=server.uri)) == 2
    check_all(server)


def test_one_run_that_the_store_refuses_does_not_stop_the_others(
    plan: Plan, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, create = next(iter(plan.runs)), Store.create

    def refuse(store: Store, experiment: str, name: str, *rest: Any) -> Any:
        if name == first:
            raise ValueError("this one is refused")
        return create(store, experiment, name, *rest)

    monkeypatch.setattr(Store, "create", refuse)
    with pytest.raises(GreedymmError, match="this one is refused"):
        sync_results(plan, Tracking(uri=server.uri))

    assert len(stored()) == 1


# -- Several clones -----------------------------------------------------------------------------------------


def test_an_experiment_that_another_clone_created_meanwhile_is_no_error(server: FaultyServer) -> None:
    mine, other = Store(server.uri), Store(server.uri)
    get = mine.client.get_experiment_by_name
    answers = iter([None])
    mine.client.get_experiment_by_name = lambda name: next(answers, None) or get(name)  # type: ignore[method-assign]
    identity = other.experiment("shared")

    assert mine.experiment("shared") == identity


def test_of_many_clones_one_at_a_time_sends_to_an_experiment(server: FaultyServer) -> None:
    inside, most, entered = 0, 0, []

    def enter(number: int) -> None:
        nonlocal inside, most
        store = Store(server.uri)
        store.clone = str(number)
        for _ in range(2):
            with store.alone("shared"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.01)
                entered.append(number)
                inside -= 1

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(enter, range(5)))

    assert (most, sorted(entered)) == (1, sorted([*range(5)] * 2))


def test_a_clone_that_was_killed_while_it_sent_is_not_waited_for_forever(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.tracking.store.LEASE", 0.2)
    killed, other = Store(server.uri), Store(server.uri)
    killed.clone = "killed"
    killed.alone("shared").__enter__()

    with other.alone("shared"):
        pass
    with killed.alone("shared"):  # started again, at once
        pass


def test_a_run_that_another_clone_has_sent_is_not_sent_again(
    plan: Plan, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sync_results(plan, Tracking(uri=server.uri)) == 2
    monkeypatch.setattr("platform.node", lambda: "another machine")
    finish(plan.default_runs)
    path = result_path(plan.default_runs[0])
    path.write_text(path.read_text().replace("0.25", "0.26"))  # measured there

    assert sync_results(plan, Tracking(uri=server.uri)) == 0

    check_all(server)


def test_runs_that_were_sent_twice_become_one(plan: Plan, server: FaultyServer) -> None:
    store, run = Store(server.uri), plan.default_runs[0]
    for _ in range(2):
        store.create(run.dataset, run.id, {"mlflow.runName": "greedy-seed3"}, 0)

    assert sync_results(plan, Tracking(uri=server.uri)) == 2

    check_all(server)


@pytest.mark.parametrize("after", ["create", "describe", "log_epochs", "finish"])
def test_a_run_that_was_cut_off_in_the_store_gets_all_the_rest_later(
    after: str, plan: Plan, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(Store, after)

    def interrupted(*args: Any) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, after, interrupted)
    with pytest.raises(KeyboardInterrupt):
        sync_results(plan, Tracking(uri=server.uri))
    monkeypatch.setattr(Store, after, real)

    assert sync_results(plan, Tracking(uri=server.uri)) == 2
    check_all(server)


# -- Passwords ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, BROKEN])
def test_the_password_is_neither_in_the_store_nor_in_files_nor_in_what_is_printed(
    fault: str | None,
    plan: Plan,
    server: FaultyServer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.fault = lambda path: fault if path.endswith("runs/create") else None
    write_text(plan.folder / "index.html", "content")
    uri = server.uri.replace("//", "//user:Sec%2Fret%40@")

    with caplog.at_level("DEBUG", "greedymm"):
        if fault:
            with pytest.raises(GreedymmError) as raised:
                sync_results(plan, Tracking(uri=uri))
        else:
            assert sync_results(plan, Tracking(uri=uri)) == 2

    contents = [path.read_text(errors="ignore") for path in server.folder.rglob("*") if path.is_file()]
    for text in (*contents, *capfd.readouterr(), caplog.text, str(raised.value) if fault else ""):
        assert "Sec" not in text
