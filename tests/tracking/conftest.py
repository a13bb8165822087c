"""A folder with an empty store, and a plan whose runs are finished."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import FaultyServer
from made_up import make_params
from tracked import finish

from greedymm.plan import Plan
from greedymm.tracking.store import Store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite store: creating one takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def folder(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a test."""
    shutil.copy(empty_store, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plan() -> Plan:
    """A plan whose runs are finished."""
    plan = Plan.make(make_params([3]))
    finish(plan.default_runs)
    return plan


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """MLflow's server on the store of the folder, and clients that soon give up."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    with FaultyServer(folder) as server:
        yield server
