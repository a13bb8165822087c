"""A password of a tracking address is nowhere after a whole workflow, wherever the user gave it."""

import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from faulty_server import BROKEN, FaultyServer

from greedymm.tracking.store import Store

from .project import Project

# Of ', /, @, :, %, #, ?, a space, é, and what looks encoded already.
ENCODED, PASSWORD = "Se1Kx7q'%2Fc%40%3A%25%23%3F%20%C3%A9%252FRe1tW9z", "Se1Kx7q'/c@:%#? é%2FRe1tW9z"
TOKEN = "Se1Kx7q-token-Re1tW9z"  # noqa: S105
PARTS = (b"Se1Kx7q", b"Re1tW9z")
USER_FILES = {"params.yaml", "overlay.yaml", "test_secrets.py"}


@pytest.fixture
def server(project: Project) -> Iterator[FaultyServer]:
    """A server whose store is in the project's folder."""
    Store(f"sqlite:///{project.folder}/mlflow.db")
    with FaultyServer(project.folder) as server:
        yield server


def run(project: Project, *options: str, fails: bool = False, **variables: str) -> str:
    """Run the workflow, and write down what it prints and the words of the processes of its steps."""
    (project.folder / "results/report/index.html").unlink(missing_ok=True)  # so that there is something to do
    output, steps = project.folder / "printed.txt", set[str]()
    command = ["snakemake", "--cores", "2", "all", *options]
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=project.folder, env=project.environment | variables, stdout=file, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    words = child.cmdline()
                    if words[-len(command) + 1 :] != command[1:]:  # a fork of Snakemake, with the user's own words
                        steps.add(" ".join(words))
            time.sleep(0.02)
    (project.folder / "ps.txt").write_text("\n".join(steps))
    printed = output.read_text()
    assert (process.returncode != 0) == fails, printed
    return printed


def leaks(folder: Path) -> list[Path]:
    """Files with a part of the password, but for the user's own."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in USER_FILES]
    return [path for path in files if any(part in path.read_bytes() for part in PARTS)]


@pytest.mark.slow
def test_the_password_is_nowhere_after_a_whole_workflow(project: Project, server: FaultyServer) -> None:
    address = server.uri.replace("//", f"//me:{ENCODED}@")
    report = project.folder / "src/greedymm/steps/report.py"
    code = report.read_text()

    # In params.yaml, with a server that fails.
    server.fault = lambda _path: BROKEN
    project.track_at(address)
    assert "500" in run(project)
    assert "--plan" in (project.folder / "ps.txt").read_text()
    assert leaks(project.folder) == []

    # In --config, with a step that fails.
    report.write_text(f"{code}\n\ndef make_report(_: object) -> None:\n    raise GreedymmError('fails')\n")
    project.track_at("sqlite:///other.db")
    printed = run(project, "--config", f'tracking={{uri: "{address}"}}', fails=True)
    assert "Make the rest with: snakemake" in printed
    report.write_text(code)
    assert leaks(project.folder) == []

    # In an overlay, in the environment, and as a token.
    server.fault = lambda _path: None
    (project.folder / "overlay.yaml").write_text(yaml.safe_dump({"tracking": {"uri": address}}))
    run(project, "--configfile", "overlay.yaml")
    project.track_at(server.uri)
    run(project, MLFLOW_TRACKING_USERNAME="me", MLFLOW_TRACKING_PASSWORD=PASSWORD)
    run(project, MLFLOW_TRACKING_TOKEN=TOKEN)
    project.set_params(tracking={"enabled": True})
    run(project, MLFLOW_TRACKING_URI=address)
    project.run("snakemake", "--report", "workflow.html", "--configfile", "overlay.yaml")

    assert server.authorizations >= {f"Basic {b64encode(f'me:{PASSWORD}'.encode()).decode()}", f"Bearer {TOKEN}"}
    assert len(project.tracked()) == 2
    assert leaks(project.folder) == []
