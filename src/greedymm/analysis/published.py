"""Test accuracies that others published, under their own conditions, beside those of this study."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from greedymm.analysis.figures.style import label

CONTENT = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def published_table(datasets: list[str], accuracies: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Published numbers for some datasets, and the comparable ones of this study.

    Args:
        datasets: names.
        accuracies: dataset and method -> test accuracy in this study, as text.

    Returns:
        Columns data, method, test accuracy (%), conditions, source and this study.
    """
    sources = {name: CONTENT["same_as"].get(name, name) for name in datasets}
    rows = []
    for data in dict.fromkeys(sources.values()):
        for row in CONTENT["numbers"].get(data, []):
            method = CONTENT["comparable"].get(row["method"])
            keys = [(name, method) for name in datasets if sources[name] == data and (name, method) in accuracies]
            texts = [f"{label(method)} on {name}: {accuracies[name, method]}" for name, method in keys]
            rows.append({"data": data, **row, "this study": "; ".join(texts)})
    columns = ["data", "method", "accuracy", "conditions", "source", "this study"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"accuracy": "test accuracy (%)"})
