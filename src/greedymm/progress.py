"""What is left of a plan, and about how long it takes."""

import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from greedymm.files import read, read_json
from greedymm.info import read_info
from greedymm.run import key_of


def describe_left(plan: Path) -> str:
    """A line such as `Left: 12 runs, about 4 min`.

    The workflow writes the plan's file at its start. The time per run since then is that of the runs to come.
    """
    started, now = plan.stat().st_mtime, time.time()
    units = list(_units(read(plan, read_json)))
    left = sum(count for count, finished in units if finished is None)
    fresh = sum(count for count, finished in units if finished is not None and finished >= started)
    minutes = f", about {left * (now - started) / fresh / 60:.0f} min" if fresh and left else ""
    return f"Left: {left} runs{minutes}"


def _units(content: dict[str, Any]) -> Iterator[tuple[int, float | None]]:
    """Number of runs and time of the result, of each run and each search; None: it is not finished."""
    for name in content["default"]:
        key = key_of(content["runs"][name]["evaluation"])  # an evaluation with other measures does not count
        yield 1, _time_of(Path("results/runs", name, f"evaluation-{key}", "result.json"))
    searches = content["searches"]
    files = {search["base"]["data_path"] for search in searches.values()}
    choices = {file: 1 + ("val_shift" in _splits(Path(file))) for file in files}  # each split may choose another trial
    for name, search in searches.items():
        runs = len(search["trials"]) + choices[search["base"]["data_path"]] * len(search["seeds"])
        yield runs, _time_of(Path("results/searches", f"{name}.json"))


def _splits(data: Path) -> Collection[str]:
    return read_info(data).counts if data.with_suffix(".json").exists() else ()


def _time_of(path: Path) -> float | None:
    return path.stat().st_mtime if path.exists() else None
