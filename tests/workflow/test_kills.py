"""Kills at random moments of the whole workflow: the next call makes the rest, with the bytes of an undisturbed run.

`make test-faults` kills 50 times.
"""

import json
import os
import random
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from .project import Project

KILLS = int(os.environ.get("GREEDYMM_KILLS", "6"))
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
TARGETS = ("group", "snakemake", "step", "dvc")  # each meets each signal within 12 kills
# The kill comes up to a second after a file that matches is there.
MOMENTS = (
    "params.yaml",
    "results/plans/*",
    "results/data/*/.*.part",
    "results/data/*/*.h5",
    "results/runs/*/*/*/resume.pt",
    "results/runs/*/*/*/checkpoint.pt",
    "results/runs/*/*/*/*/result.json",
    "results/analysis/*/figures/*.png",
    "results/analysis/*/index.html",
    "results/report/index.html",
    "mlflow.db.lock",
    "mlflow.db",
)
TIMED = {"timing.csv", "costs.csv", "costs.png", "costs.svg", "index.html"}
SNAKEMAKE = ("snakemake", "--cores", "2", "all")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(KILLS))
def test_after_a_kill_one_call_makes_all_with_the_same_bytes(seed: int, made: Project, project: Project) -> None:
    draw = random.Random(seed)  # noqa: S311
    number, target = SIGNALS[seed % 3], TARGETS[seed % 4]
    project.track_at("sqlite:///mlflow.db")

    printed = kill(project, number, target, draw.choice(MOMENTS), delay=draw.uniform(0, 1))

    if "Error in rule" in printed and target == "step":
        assert "Make the rest with: snakemake --cores 2 all" in printed
    again = subprocess.run(
        SNAKEMAKE, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False
    ).stderr
    if refused := re.search(r"stop it with: kill -INT (\d+)", again):  # dvc is dead, and its Snakemake is not
        stop(int(refused[1]))
        project.run(*SNAKEMAKE)
    assert different(project, made) == []
    assert project.tracked() == {"greedy-seed0": 2, "balanced-seed0": 2}
    assert "Nothing to be done" in project.run(*SNAKEMAKE)
    if target == "dvc":
        project.run("dvc", "repro")


def kill(project: Project, number: signal.Signals, target: str, moment: str, delay: float) -> str:
    """Start the workflow, and send a signal to one of its processes, or to all; returns what was printed."""
    output = project.folder / "printed.txt"
    command = ("dvc", "repro") if target == "dvc" else SNAKEMAKE
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=project.folder, env=project.environment, stdout=file, stderr=file, start_new_session=True
        )
    while process.poll() is None and not any(project.folder.glob(moment)):
        time.sleep(0.01)
    time.sleep(delay)
    while process.poll() is None:
        steps = steps_of(process.pid) if target == "step" else [process.pid]
        if steps:
            os.killpg(steps[0], number) if target == "group" else os.kill(steps[0], number)
            break
        time.sleep(0.01)
    process.wait(timeout=280)
    printed = output.read_text()
    output.unlink()
    return printed


def steps_of(process: int) -> list[int]:
    """Processes of the steps that a workflow computes."""
    found = []
    for child in psutil.Process(process).children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            words = child.cmdline()
            if "--plan" in words and words[1:3] == ["-m", "greedymm"]:
                found.append(child.pid)
    return found


def stop(process: int) -> None:
    os.kill(process, signal.SIGINT)
    psutil.Process(process).wait(timeout=60)


def different(project: Project, other: Project) -> list[str]:
    """Files of two projects' results that are not the same, times left out."""
    mine, theirs = contents(project), contents(other)
    return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))


def contents(project: Project) -> dict[str, Any]:
    folders = [project.folder / "results" / name for name in ("data", "runs", "analysis", "report")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(project.folder)): content(path) for path in files}


def content(path: Path) -> Any:
    if path.name in TIMED or path.name == ".snakemake_timestamp":
        return None
    if path.name in {"record.json", "result.json"}:
        return {
            k: v
            for k, v in json.loads(path.read_text()).items()
            if k not in {"timing", "commit", "record", "sha256", "checksum"}
        }
    return path.read_bytes()
