"""Workflows and jobs are processes of their own here, as the locks are."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from greedymm.errors import GreedymmError
from greedymm.jobs import PARENT, lock_workflow

Process = subprocess.Popen[str]
WORKFLOW = "from greedymm import jobs; jobs.lock_workflow(); print('ready', flush=True); input()"
JOB = "from greedymm import jobs; jobs.join_workflow(); print('ready', flush=True); input()"


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Process]]:
    monkeypatch.chdir(tmp_path)
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(processes: list[Process], code: str, **environment: str) -> Process:
    """Start a process, and wait until it has its locks."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, env=os.environ | environment, text=True
    )
    processes.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_second_workflow_is_refused_with_the_process_of_the_first_and_a_killed_one_leaves_no_lock(
    processes: list[Process],
) -> None:
    first = start(processes, WORKFLOW)
    with pytest.raises(GreedymmError, match=rf"process {first.pid}\. .*\n.* stop it with: kill -INT {first.pid}\n"):
        lock_workflow()

    first.kill()
    first.wait()

    start(processes, WORKFLOW)


def test_a_job_ends_with_its_workflow_and_the_next_workflow_waits_for_it(processes: list[Process]) -> None:
    workflow = start(processes, WORKFLOW)
    job = start(processes, JOB, **{PARENT: str(workflow.pid)})
    workflow.kill()
    workflow.wait()

    start(processes, WORKFLOW)

    assert job.wait(timeout=1) != 0


def test_a_job_that_starts_after_the_end_of_its_workflow_does_nothing(processes: list[Process]) -> None:
    workflow = start(processes, WORKFLOW)
    workflow.kill()
    workflow.wait()

    command = [sys.executable, "-c", JOB]
    done = subprocess.run(command, env=os.environ | {PARENT: str(workflow.pid)}, capture_output=True, check=False)

    assert (done.returncode != 0, done.stdout) == (True, b"")


def test_a_workflow_does_not_wait_forever_for_jobs_of_a_workflow_elsewhere(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.jobs.PATIENCE", 0.1)
    start(processes, JOB, **{PARENT: str(os.getpid())})
    started = time.monotonic()

    with pytest.raises(GreedymmError, match=r"Jobs of an earlier workflow still work .*\n.*squeue.* Then run the same"):
        lock_workflow()

    assert time.monotonic() - started < 5
