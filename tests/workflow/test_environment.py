"""The workflow in environments of users: nothing is activated, HOME cannot be written, variables of other programs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import project as p
from .project import Project

HOSTILE = {
    "PATH": "/usr/bin:/bin",  # without the environment's folder
    "HOME": "/proc/no",
    "XDG_CACHE_HOME": "/proc/no/cache",
    "TMPDIR": "/proc/no/tmp",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MLFLOW_TRACKING_URI": "sqlite:///theirs.db",
    "http_proxy": "http://127.0.0.1:9",
    "PYTHONOPTIMIZE": "2",
    "OMP_NUM_THREADS": "64",
    "CUDA_VISIBLE_DEVICES": "",
    "GIT_DIR": "/proc/no/git",
}


@pytest.mark.slow
def test_the_workflow_runs_in_the_environment_of_a_notebook_or_a_container(project: Project) -> None:
    project.track_at("sqlite:///mlflow.db")
    commit = project.run("git", "rev-parse", "HEAD").strip()
    snakemake = Path(sys.executable).with_name("snakemake")

    done = subprocess.run(
        [snakemake, "--cores", "2", "all"],
        cwd=project.folder,
        env=HOSTILE,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "MLFLOW_TRACKING_URI is not used" in done.stderr
    assert len(project.tracked()) == 2
    (record, *_) = project.folder.glob("results/runs/*/*/*/record.json")
    assert commit in record.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_job_that_the_system_kills_says_what_to_lower(project: Project, number: int) -> None:
    project.edit(
        "src/greedymm/steps/prepare.py",
        "splits, facts = ",
        f"__import__('os').kill(__import__('os').getpid(), {number})\n    splits, facts = ",
    )

    printed = project.run("snakemake", "--cores", "2", "all", fails=True)

    assert "The system killed this job" in printed
    assert "execution.preparers" in printed


# A user with a number, without a name, and without root's right to write anywhere.
USER = ("unshare", "--user", "--map-user=4242", "--map-group=4242")
FOLDERS = [".", ".snakemake", ".snakemake/metadata", "results", "results/plans", "results/data"]
FOLDERS += [f"results/runs/{p.DATASET}", "results/analysis", "results/report", "results/logs/train"]
FOLDERS += ["results/benchmarks"]


@pytest.mark.slow
@pytest.mark.skipif(subprocess.call([*USER, "true"]) != 0, reason="no user can be mapped here")
def test_a_folder_that_cannot_be_written_is_named_before_the_first_job(project: Project) -> None:
    project.track_at("sqlite:///mlflow.db")
    for name in FOLDERS:
        folder = project.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o555)

        printed = project.run(*USER, "snakemake", "--cores", "2", "all", fails=True)

        folder.chmod(0o755)
        assert f"{folder} cannot be written" in printed or f"Permission denied: '{name}/" in printed
        assert "ermissions" in printed
        assert "Traceback" not in printed
        assert not list(project.folder.glob("results/data/*/*"))

    project.run(*USER, "snakemake", "--cores", "2", "all")
    assert len(project.tracked()) == 2


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small /dev/shm")
def test_streamed_data_are_trained_on_with_a_small_shared_memory(project: Project) -> None:
    execution = {"device": "cpu", "threads": 1, "resident_gb": 0.0, "workers": 2, "memory_mb": 1000}
    project.set_params(execution=execution)
    mount = "mount -t tmpfs -o size=64k none /dev/shm && snakemake --cores 2 all"

    project.run("unshare", "--mount", "bash", "-c", mount)

    assert (project.folder / "results/report/index.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full_leaves_nothing_that_stops_the_next_workflow(project: Project) -> None:
    project.track_at("sqlite:///mlflow.db")
    small = "mount -t tmpfs -o size=300m none $PWD/../disk && cp -a . ../disk/project && cd ../disk/project"
    used = 'mount -o remount,size=$(($(du -sk .. | cut -f1) + 700))k "$PWD/.."'
    more = 'mount -o remount,size=300m "$PWD/.." && snakemake --cores 2 all && snakemake --cores 2 all'
    (project.folder.parent / "disk").mkdir()

    printed = project.run("unshare", "--mount", "bash", "-ec", f"{small}; {used}; ! snakemake --cores 2 all; {more}")

    assert "No space left on device" in printed
    assert "Nothing to be done" in printed
