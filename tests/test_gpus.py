"""Processes share the GPUs of a machine evenly, tested with GPUs that do not exist."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greedymm import gpus

CODE = "import os; from greedymm import gpus; gpus.reserve(); print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)"
Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Start a process that reserves a GPU of two, and keeps it until it is killed or its input ends."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = []

    def run() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", f"{CODE}; input()"]
        started.append(subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def gpu_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_processes_spread_over_the_gpus_and_then_share_them(start: Start) -> None:
    processes = [start() for _ in range(2)]
    assert Counter(map(gpu_of, processes)) == {"GPU-a": 1, "GPU-b": 1}

    assert Counter(map(gpu_of, [start() for _ in range(2)])) == {"GPU-a": 1, "GPU-b": 1}


def test_the_gpu_of_a_killed_process_is_free(start: Start) -> None:
    first, second = start(), start()
    freed, _ = gpu_of(first), gpu_of(second)
    first.kill()
    first.wait()

    assert gpu_of(start()) == freed


@pytest.mark.parametrize(
    ("script", "listed"),
    [
        ("echo GPU-1; echo GPU-2", ["GPU-1", "GPU-2"]),
        ("echo NVIDIA-SMI has failed; exit 9", []),
        ("exec /bin/sleep 60", []),
        (None, []),
    ],
    ids=["two", "no driver", "a driver that hangs", "no nvidia-smi"],
)
def test_gpus_are_listed_by_nvidia_smi(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None, listed: list[str]
) -> None:
    monkeypatch.setattr(gpus, "PATIENCE", 0.2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    assert gpus.list_gpus() == listed


@pytest.mark.parametrize("visible", ["", " ", "3", "-1", "-1,0", "3,,0", "NoDevFiles"])
def test_a_single_gpu_or_none_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    gpus.reserve()

    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert not list(tmp_path.iterdir())
