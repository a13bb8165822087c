"""A run's folder -> what it is and what came of it, as text for people."""

from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.files import read, read_json
from greedymm.params import flat


def described(folder: Path) -> str:
    """Settings, where they ran, the best and the last epoch, and utilization, a line of each.

    Raises:
        GreedymmError: if the folder is not that of a finished run, or if a file in it is broken.
    """
    record, history = read(folder / "record.json", read_json), read(folder / "history.csv", pd.read_csv)
    parts: dict[str, dict[str, Any]] = {
        "settings": flat(record["settings"]),
        "made with": flat({name: value for name, value in record.items() if name != "settings"}),
        "last epoch": _row(history.tail(1)),
    }
    for path in sorted(folder.glob("utilization-*/rates.json")):
        rates = read(path, read_json)
        parts["best epoch"] = _row(history[history["epoch"] == rates["best_epoch"]])
        parts |= {f"{split} split ({path.parent.name})": rates[split] for split in ("val", "test")}
    return "\n".join(_part(title, lines) for title, lines in parts.items())


def _row(one: pd.DataFrame) -> dict[str, Any]:
    return {str(name): one[name].item() for name in one}


def _part(title: str, lines: dict[str, Any]) -> str:
    width = max(map(len, lines), default=0)
    return f"{title}\n" + "".join(f"  {name:<{width}}  {_shown(value)}\n" for name, value in lines.items())


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
