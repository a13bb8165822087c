"""A run's folder -> what it is and what came of it, as text for people."""

from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.errors import GreedymmError
from greedymm.files import read, read_json
from greedymm.settings import flat


def described(folder: Path) -> str:
    """Settings, where they ran, the best and the last epoch, and utilization, a line of each.

    Raises:
        GreedymmError: if the folder is not that of a finished run, or if a file in it is broken.
    """
    record, history = read(folder / "record.json", _record), read(folder / "history.csv", _history)
    parts: dict[str, dict[str, Any]] = {
        "settings": flat(record["settings"]),
        "made with": flat({name: value for name, value in record.items() if name != "settings"}),
        "last epoch": _row(history.tail(1)),
    }
    for path in sorted(folder.glob("evaluation-*/rates.json")):
        rates = read(path, _rates)
        best = history[history["epoch"] == rates["best_epoch"]]
        if len(best) != 1:
            raise GreedymmError(f"{path} is broken: its best epoch, {rates['best_epoch']}, is not in history.csv")
        parts["best epoch"] = _row(best)
        parts |= {f"{split} split ({path.parent.name})": rates[split] for split in ("val", "test")}
    return "\n".join(_part(title, lines) for title, lines in parts.items())


def _record(path: Path) -> dict[str, Any]:
    return _with(read_json(path), {"settings"})


def _rates(path: Path) -> dict[str, Any]:
    return _with(read_json(path), {"best_epoch", "val", "test"})


def _history(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    _with(dict(frame), {"epoch"})
    return frame


def _with(content: Any, names: set[str]) -> dict[str, Any]:
    lacking = names - content.keys() if isinstance(content, dict) else names
    if lacking:
        raise ValueError(f"it has no {', '.join(sorted(lacking))}")
    return dict(content)


def _row(one: pd.DataFrame) -> dict[str, Any]:
    return {str(name): one[name].item() for name in one}


def _part(title: str, lines: dict[str, Any]) -> str:
    width = max(map(len, lines), default=0)
    return f"{title}\n" + "".join(f"  {name:<{width}}  {_shown(value)}\n" for name, value in lines.items())


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
