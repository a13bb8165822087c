"""What the tests in a browser share: the browser, a project with a report and runs in MLflow, and MLflow's UI."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page, expect, sync_playwright
from workflow.conftest import made
from workflow.project import Project, clone

from .watch import Outside

__all__ = ["made"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60  # seconds for the UI to start, and for what is to be seen: other tests may keep the machine busy
TESTING = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST")  # with one of them MLflow asks less of the network


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's own browser, without a window."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"there is none of {', '.join(PROGRAMS)}; on Debian: apt-get install chromium")
    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page, with nothing kept from others."""
    with browser.new_context() as context:
        context.set_default_timeout(1000 * PATIENCE)
        yield context.new_page()


@pytest.fixture(scope="session")
def tracked(browser: Browser, made: Project) -> Project:
    """A clone of the project with a sweep, whose runs and pages are in MLflow as well; none without a browser."""
    shared = made.folder.parent
    folder = shared / "tracked"
    with FileLock(shared / "tracked.lock"):
        if not (folder / "mlflow.db").exists():
            project = clone(made, folder)
            project.track_at("sqlite:///mlflow.db")
            project.sweep(setting="training.learning_rate", values=[0.1, 0.2], methods=["greedy"])
            project.run("snakemake", "--cores", "2", "all", "sweeps")
    return Project(folder)


@pytest.fixture(scope="session", params=["index", "sweeps/index"])
def report(request: pytest.FixtureRequest, tracked: Project) -> str:
    """The report's address, and that of the page of sweeps."""
    return (tracked.folder / f"results/report/{request.param}.html").as_uri()


class UI(NamedTuple):
    """MLflow's UI at work."""

    url: str
    outside: Outside  # takes down what the server asks of the network


@pytest.fixture(scope="session")
def ui(tracked: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    """Started by the command of `make ui`, on a free port; stopped with all its processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Printed only: run by make, it would set up an environment of its own.
    printed = ("make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.ready", "ui")
    command = tracked.run(*printed, "ACTIVE=", f"PORT={port}")
    log = tmp_path_factory.mktemp("ui") / "log.txt"
    with Outside() as outside, _group(command, tracked, outside.environment, log) as server:
        url = f"http://127.0.0.1:{port}/"
        _wait_for(f"{url}health", server, log)
        yield UI(url, outside)


@contextmanager
def _group(command: str, project: Project, variables: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a group of processes of its own, and end all of them."""
    environment = {k: v for k, v in project.environment.items() if k not in TESTING} | variables
    with log.open("wb") as printed:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=project.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a group of processes, by force those that take more than ten seconds for it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # none is left
            os.killpg(process.pid, how)
            for _ in range(100):
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.1)
    process.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until an address answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), direct.open(url, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail(f"{url} does not answer:\n{log.read_text()}")
