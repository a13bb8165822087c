"""What all parts of `make bench` share: rows of the table, turns of timed actions, child processes."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
# As in workflow/rules/common.smk, and one thread, as Snakemake gives to a job.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**26),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT / "src"),
}


class Row(NamedTuple):
    """One line of the table: the median over rounds, and the range."""

    what: str
    value: float
    goal: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""


def take_turns(actions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action in each round. In each round another action is the first."""
    names, seconds = list(actions), {name: [] for name in actions}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            actions[name]()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(what: str, own: Sequence[float], other: Sequence[float], goal: str, unit: str = "ms", per: int = 1) -> Row:
    """Row of the ratio of two lists of seconds, round by round; the note has both medians, each divided by `per`."""
    ratios = [a / b for a, b in zip(own, other, strict=True)]
    scale = {"s": 1, "ms": 1000}[unit] / per
    note = f"{scale * statistics.median(own):.3g} / {scale * statistics.median(other):.3g} {unit}"
    return Row(what, statistics.median(ratios), goal, min(ratios), max(ratios), note)


def run_child(*arguments: str, folder: Path | None = None) -> str:
    """Standard output of a Python process in the environment of a job.

    Raises:
        RuntimeError: with its errors, if it fails.
    """
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)[:200]}: {done.stderr[-2000:]}")
    return done.stdout


def memory_mib(which: str) -> float:
    """Memory of this process: `VmRSS`, now, or `VmHWM`, the peak. That of getrusage includes the parent's."""
    return int(re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Mappings with the same keys as a Markdown table; numbers with three digits."""

    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
