"""A run's folder -> its settings and results, as text."""

from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.errors import GreedymmError
from greedymm.files import read, read_json
from greedymm.settings import flat


def describe_run(folder: Path) -> str:
    """Settings, where the run was computed, best and last epoch, and measures.

    Raises:
        GreedymmError: if the folder has no result, or if a result is broken.
    """
    paths = sorted(folder.glob("evaluation-*/result.json"))
    if not paths:
        raise GreedymmError(
            f"{folder} has no evaluation-*/result.json. Take the folder of a finished run in results/runs"
        )
    return "\n".join(text for path in paths for text in read(path, _describe))


def _describe(path: Path) -> list[str]:
    result = read_json(path)
    try:
        history = pd.DataFrame(result["history"]).set_index("epoch")
        sections = {
            "settings": flat(result["settings"]),
            "computed with": flat(result["record"]),
            f"best epoch, {result['best_epoch']}": history.loc[result["best_epoch"]].to_dict(),
            f"last epoch, {history.index[-1]}": history.iloc[-1].to_dict(),
            "measures, validation split": result["val"],
            "measures, test split": result["test"],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(repr(error)) from None
    return [f"{path.parent.name}\n", *(_format(title, lines) for title, lines in sections.items())]


def _format(title: str, lines: dict[str, Any]) -> str:
    width = max(map(len, lines), default=0)
    texts = {
        name: "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
        for name, value in lines.items()
    }
    return f"{title}\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in texts.items())
