"""MLflow's UI: for this machine only, and without the store's address on a command line."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflow.project import TINY

from greedymm.errors import GreedymmError
from greedymm.params.schema import Tracking
from greedymm.plan import Plan
from greedymm.tracking import serve

PATIENCE = 120  # seconds until the server answers: other tests may keep the machine busy


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """Of `greedymm ui`, started in the folder of the test."""
    tracking = {"tracking": {"enabled": True, "uri": "sqlite:///mlflow.db?timeout=1827364"}}
    Path("params.yaml").write_text(yaml.safe_dump(TINY | tracking))
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = int(free.getsockname()[1])
    command = [sys.executable, "-m", "greedymm", "ui", "--port", str(number)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while ask(number, "/health", f"127.0.0.1:{number}") != 200:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", number))


def ask(port: int, path: str, host: str) -> int:
    """Status of an answer; 0 without one."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        return int(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def commands() -> Iterator[str]:
    """Command lines of all processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_text(errors="replace")


@pytest.mark.slow
def test_the_ui_listens_on_this_machine_only_and_refuses_foreign_hosts(port: int) -> None:
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert [ask(port, path, f"{host}:{port}") for host in ("127.0.0.1", "localhost")] == [200, 200]
    for host in ("evil.example", f"evil.example:{port}", f"10.0.0.1:{port}", f"127.0.0.1.evil.example:{port}", ""):
        assert ask(port, path, host) == 403
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening
    assert not [words for words in commands() if "1827364" in words]


def test_a_server_has_a_ui_of_its_own(plan: Plan) -> None:
    with pytest.raises(GreedymmError, match="open its address in a browser"):
        serve(plan, Tracking(uri="http://user:secret@127.0.0.1:9"), 5000)


def test_a_port_in_use_is_named(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    start: Any = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **how: start(["false"], **how))
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    with pytest.raises(GreedymmError, match="Is port 5000 in use"):
        serve(plan, Tracking(uri=f"sqlite:///{Path.cwd()}/mlflow.db"), 5000)
