"""A disk that fills up at each write of each step: an error with the cure, no partial file, and success with space."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from smallest import CPU, PARAMS

from greedymm.errors import cure_of
from greedymm.plan import Plan, planned
from greedymm.steps.evaluate import evaluate
from greedymm.steps.prepare import prepare
from greedymm.steps.report import make_report
from greedymm.steps.train import train

FIRST, MORE = {"report": 640}, {"prepare": 2048}  # KiB of space at the first try; more at each of the next tries


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder `results` on a small disk of its own."""
    monkeypatch.chdir(tmp_path)
    disk = tmp_path / "results"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def leave(disk: Path, kib: int) -> None:
    """Leave so much space on the disk."""
    state = os.statvfs(disk)
    used = (state.f_blocks - state.f_bfree) * state.f_frsize // 1024
    subprocess.run(["mount", "-o", f"remount,size={used + kib}k", str(disk)], check=True)


def files(disk: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in disk.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_full_disk_leaves_no_partial_file_and_more_space_mends_it(disk: Path, tmp_path: Path) -> None:
    plan = Plan.make(PARAMS)
    plan.write()
    (data,), (run,) = plan.data.values(), planned(PARAMS)
    steps: dict[str, Callable[[], None]] = {
        "prepare": lambda: prepare(data, tmp_path, 1),
        "train": lambda: train(run, CPU),
        "evaluate": lambda: evaluate(run, CPU),
        "report": lambda: make_report(plan),
    }
    for name, step in steps.items():
        seen: list[dict[Path, bytes]] = []
        space = FIRST.get(name, 0)
        while True:
            leave(disk, space)
            try:
                step()
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
                assert "Free some space and run again" in cure_of(error)  # noqa: PT017
            seen.append(files(disk))
            assert not list(disk.rglob(".*.part"))
            space += MORE.get(name, 8)
        whole = files(disk)
        for partial in seen:
            same = {"timing.csv", "record.json", "live.jsonl", "resume.pt"}
            assert [p for p, content in partial.items() if p.name not in same and whole[p] != content] == []
        assert seen
