"""The workflow on a Slurm of two nodes: run by tests/workflow/slurm.sh, skipped without it."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import pytest

from .project import DATASET, TINY, Project

# Status checks are 14 s apart, then 24 s: what takes longer is noticed late.
SNAKEMAKE = ("snakemake", "--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "4")
# A measure that takes 1.2 GB for three seconds.
HUNGRY = """
import time
import numpy as np
from greedymm.settings import MeasureSettings

class Settings(MeasureSettings):
    during_training = False

def passes(_settings, _modalities):
    return {}

def compute(_settings, table, modalities):
    held = np.ones(150_000_000)
    time.sleep(3)
    return {"hungry": held[0]}
"""


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def has_test_cluster() -> bool:
    if shutil.which("scontrol") is None:
        return False
    shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=False).stdout
    return re.search(r"ClusterName += greedymm-test", shown) is not None


pytestmark = pytest.mark.skipif(not has_test_cluster(), reason="no Slurm: tests/workflow/slurm.sh starts one")


class Job(NamedTuple):
    """A job in Slurm's queue, or one that has ended."""

    id: str
    state: str
    memory: str
    node: str
    start: str
    end: str
    gpus: str
    rule: str

    def overlaps(self, other: "Job") -> bool:
        spans = [[datetime.fromisoformat(t) for t in (job.start, job.end)] for job in (self, other)]
        return max(start for start, _ in spans) < min(end for _, end in spans)


def jobs(project: Project, step: str = "train") -> list[Job]:
    """Jobs of a project's step, in the order of submission."""
    fields = "JobID,State,MinMemory,NodeList,StartTime,EndTime,tres-per-job,Comment"
    form = ",".join(f"{field}:|" for field in fields.split(","))
    lines = slurm("squeue", "--noheader", "--states=all", "--sort=i", f"--Format={form},WorkDir:").splitlines()
    rows = [[field.strip() for field in line.split("|")] for line in lines]
    return [Job(*row[:-1]) for row in rows if row[-1] == str(project.folder) and row[-2].startswith(f"rule_{step}")]


def wait_until(condition: Callable[[], bool], seconds: int = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, slurm("squeue", "--states=all")
        time.sleep(0.5)


@pytest.fixture
def cluster(project: Project) -> Project:
    project.set_params(execution=TINY["execution"] | {"preparers": 2})
    return project


@pytest.fixture
def prepared(cluster: Project) -> Project:
    """Data are there, made on this machine."""
    cluster.run("snakemake", "--cores", "2", f"data_{DATASET}")
    return cluster


def test_a_workflow_runs_on_both_nodes_and_has_more_memory_after_a_failure(cluster: Project) -> None:
    (cluster.folder / "hungry.py").write_text(HUNGRY)
    settings = {DATASET: {"measures": [{"name": "hungry"}]}}
    cluster.replace_datasets(settings, plugins=["hungry"], execution=TINY["execution"] | {"preparers": 2})

    printed = cluster.run(*SNAKEMAKE, "all")

    assert len(cluster.runs()) == 2
    trained = jobs(cluster)
    assert {job.node for job in trained} == {"node1", "node2"}
    assert [(job.state, job.memory) for job in trained] == 2 * [("FAILED", "1000M")] + 2 * [("COMPLETED", "2000M")]
    logs = cluster.folder / "results/logs"
    repeated = [path.read_text() for path in logs.glob("train/*.log")]
    assert len(repeated) == 2
    assert "epoch=" not in "".join(repeated)  # only the evaluation was repeated
    reasons = [path.read_text() for path in logs.glob("slurm/*/*.log")]
    assert len(reasons) == 2
    assert all("exceeded memory limit" in reason for reason in reasons)
    assert "Runs request" not in printed  # the device is not `auto`


def test_a_failing_job_is_noticed_and_gpus_are_counted(prepared: Project) -> None:
    prepared.set_params(execution=TINY["execution"] | {"device": "cuda"})

    printed = prepared.run(*SNAKEMAKE, "--retries", "0", "all", fails=True)

    assert printed.count("execution.device is cuda, but torch finds no GPU") == 2
    assert "SLURM status is: 'FAILED'" in printed
    assert [path.name for path in prepared.folder.glob("results/logs/slurm/*/*.log")]
    first, second = jobs(prepared)
    assert [first.gpus, second.gpus] == ["gres:gpu:1"] * 2
    assert first.node == second.node == "node2"  # the only one with a GPU
    assert not first.overlaps(second)


def test_canceled_jobs_and_a_canceled_workflow_are_noticed(prepared: Project) -> None:
    prepared.set_params(training__epochs=100_000)
    process = prepared.start(*SNAKEMAKE, "--retries", "0", "all")
    wait_until(lambda: [job.state for job in jobs(prepared)] == ["RUNNING", "RUNNING"])
    slurm("scancel", jobs(prepared)[0].id)
    assert process.stdout
    while "SLURM status is: 'CANCELLED'" not in (line := process.stdout.readline()):
        assert line, "Snakemake has ended without notice of the canceled job"

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode
    wait_until(lambda: [job.state for job in jobs(prepared)] == ["CANCELLED", "CANCELLED"])
    assert prepared.planned("all")["train"] == 2  # the folder is not locked
