"""Clones of the project train at once and send to one tracking store: each metric of each run must arrive once.

    python benchmarks/load.py [--clones 8] [--store sqlite] [--store server] [--output results/load.md]

Each clone trains a run of its own and one that all clones train, and sends epochs meanwhile.
Then, in one clone, two `greedymm track` run at once, two workflows, and a workflow beside `dvc repro`.
`server` is `mlflow server` on PostgreSQL. It needs Debian's package postgresql, and psycopg2-binary.
All servers listen on 127.0.0.1 only, and end with the script.
"""

import argparse
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from mlflow import MlflowClient
from workflow.project import Project, fresh

from greedymm.analysis.results import read_result
from greedymm.params.load import load
from greedymm.plan import Plan
from greedymm.tracking import sync
from greedymm.tracking.ui import environment

TIMEOUT = 1200  # seconds of one step
EPOCHS = 5
Points = Counter[tuple[str, str, int]]  # how often each metric of each step of each run is there


class Recorder:
    """In place of a store: which metrics of which steps are sent for a run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.points: set[tuple[str, str, int]] = set()

    def log_epochs(self, _stored: object, rows: Iterable[Mapping[str, Any]], _metric: str) -> None:
        """Note the metrics of epochs."""
        for row in rows:
            self.points |= {
                (self.run, key, int(row["epoch"])) for key, v in row.items() if key != "epoch" and not isnan(v)
            }

    def log_final(self, _stored: object, metrics: Mapping[str, Any]) -> None:
        """Note the metrics of the whole run."""
        self.points |= {(self.run, key, 0) for key, v in metrics.items() if v is not None and not isnan(v)}


def expected(project: Project) -> set[tuple[str, str, int]]:
    """What the finished runs of a clone send."""
    before = Path.cwd()
    os.chdir(project.folder)
    try:
        points = set()
        for run in Plan.make(load(Path("params.yaml"))).default_runs:
            recorder = Recorder(run.id)
            sync._log_metrics(recorder, None, read_result(run))  # type: ignore[arg-type]  # noqa: SLF001
            points |= recorder.points
        return points
    finally:
        os.chdir(before)


def arrived(uri: str) -> tuple[Points, Counter[str]]:
    """Metrics in a store, and how often each run is there."""
    client, points, runs = MlflowClient(uri), Points(), Counter[str]()
    experiment = client.get_experiment_by_name("colored_mnist_5k")
    for run in client.search_runs([experiment.experiment_id]) if experiment else []:
        identity = run.data.tags["greedymm.run"]
        runs[identity] += 1
        for key in run.data.metrics:
            points.update((identity, key, point.step) for point in client.get_metric_history(run.info.run_id, key))
    return points, runs


# -- Servers ------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(command: list[str], ready: Any, log: Path, **how: Any) -> Iterator[None]:
    """A server in a group of processes of its own, which is ended."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **how)
    try:
        deadline = time.monotonic() + 120
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """PostgreSQL in a folder, run by another user than root. Yields its address."""
    found = [shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    programs = next((Path(path).resolve().parent for path in found if path), None)
    if programs is None or importlib.util.find_spec("psycopg2") is None:
        sys.exit(
            "--store server needs PostgreSQL and psycopg2: apt-get install postgresql; pip install psycopg2-binary"
        )
    who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder.mkdir()
    password = "p@ss/" + secrets.token_hex(8)
    (folder / "password").write_text(password)
    for path in (folder, folder / "password") if who else ():
        shutil.chown(path, "postgres", "postgres")
    data, port = str(folder / "data"), free_port()
    made = [str(programs / "initdb"), "-D", data, "-U", "tracker", "-A", "scram-sha-256", f"--pwfile={folder}/password"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, **who)
    command = [
        str(programs / "postgres"),
        "-D",
        data,
        "-k",
        str(folder),
        "-p",
        str(port),
        "-c",
        "listen_addresses=127.0.0.1",
    ]

    def is_ready() -> bool:
        asked = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    with running(command, is_ready, folder.with_suffix(".log"), cwd=folder, **who):
        yield f"postgresql://tracker:{password.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:{port}/postgres"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """`mlflow server` on PostgreSQL. Yields its address."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        try:
            return bool(urllib.request.urlopen(f"{uri}/health", timeout=2).status == 200)  # noqa: S310
        except OSError:
            return False

    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    with postgres(folder / "postgres") as database:
        variables = environment(database, port) | {"MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts")}
        with running(command, is_ready, folder / "mlflow.log", env=variables):
            yield uri


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """An SQLite store that does not exist yet. Yields its address."""
    yield f"sqlite:///{folder}/mlflow.db"


STORES = {"sqlite": sqlite, "server": server}


# -- Load ---------------------------------------------------------------------------------------------------


def make_clones(folder: Path, count: int, uri: str) -> list[Project]:
    """Clones with tiny params. Seed 0 is in all of them."""
    clones = []
    for number in range(count):
        (folder / f"clone{number}").mkdir()
        clone = fresh(folder / f"clone{number}")
        clone.set_params(seeds=[0, number + 1], training__epochs=EPOCHS, methods__balanced=...)
        clone.track_at(uri)
        clones.append(clone)
    return clones


def wait_for(processes: Iterable[subprocess.Popen[str]], refusal: str | None = None) -> None:
    """Wait for processes, which must end well. With a `refusal`, one of them may fail with this message."""
    started = list(processes)
    printed = [process.communicate(timeout=TIMEOUT)[0] for process in started]
    failed = [text for text, process in zip(printed, started, strict=True) if process.returncode]
    if failed and (refusal is None or refusal not in failed[0] or len(failed) == len(started)):
        raise RuntimeError("\n".join(failed))


def train_at_once(clones: list[Project]) -> None:
    """Train in all clones, and send meanwhile."""
    watching = [clone.start("greedymm", "track", "--watch") for clone in clones]
    try:
        wait_for(clone.start("snakemake", "--cores", "1", "runs_colored_mnist_5k") for clone in clones)
    finally:
        for process in watching:
            process.send_signal(signal.SIGINT)
        for process in watching:
            process.communicate(timeout=TIMEOUT)


def meet_in_one_clone(clone: Project) -> None:
    """Two `track` at once, two workflows, and a workflow beside `dvc repro`: one is refused, nothing is lost."""
    wait_for(clone.start("greedymm", "track") for _ in range(2))
    workflow = ("snakemake", "--cores", "1", "all")
    for other in (workflow, ("dvc", "repro")):
        wait_for([clone.start(*workflow), clone.start(*other)], refusal="Another workflow works in this folder")
        wait_for([clone.start(*workflow)])


def measure(name: str, count: int, folder: Path) -> str:
    """A row of the table."""
    with STORES[name](folder) as uri:
        clones = make_clones(folder, count, uri)
        started = time.monotonic()
        train_at_once(clones)
        seconds = time.monotonic() - started
        meet_in_one_clone(clones[0])
        sent = set[tuple[str, str, int]]().union(*map(expected, clones))
        points, runs = arrived(uri)
    twice = sum(number - 1 for number in (*points.values(), *runs.values()))
    runs_sent = len({run for run, _, _ in sent})
    cells = (name, count, runs_sent, len(runs), len(sent), len(sent & points.keys()), twice, round(seconds))
    return f"| {' | '.join(map(str, cells))} |"


HEAD = """| store | clones | runs | runs there | metrics sent | arrived | twice | s |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Measure, and fail where something is missing or there twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", type=int, default=8)
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--output", type=Path, default=Path("results/load.md"))
    options = parser.parse_args()
    rows = []
    for name in options.store or STORES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o711)  # PostgreSQL's user has a folder in it
            rows.append(measure(name, options.clones, Path(folder)))
            sys.stdout.write(f"{rows[-1]}\n")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join([HEAD, *rows]) + "\n")
    columns = [row.split(" | ") for row in rows]
    if any(row[2] != row[3] or row[4] != row[5] or row[6] != "0" for row in columns):
        sys.exit("not every metric of every run has arrived once")


if __name__ == "__main__":
    main()
