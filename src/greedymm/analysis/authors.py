"""Settings of each dataset, and their origin: the code of the paper's authors, or our choice."""

from pathlib import Path

import pandas as pd
import yaml

from greedymm.params.schema import Params
from greedymm.settings import flat

AUTHORS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))  # setting -> value
FROM_AUTHORS, AS_AUTHORS, OURS = "authors' code", "our choice, as in the authors' code for ModelNet40", "our choice"


def settings_table(params: Params) -> pd.DataFrame:
    """A row for each dataset and setting: dataset, setting, value (text) and origin."""
    rows = [
        {"dataset": name, "setting": setting, "value": str(value), "origin": _origin(name, setting, value)}
        for name, section in params.datasets.items()
        for setting, value in flat(section.model_dump(mode="json")).items()
    ]
    return pd.DataFrame(rows)


def _origin(dataset: str, setting: str, value: object) -> str:
    if setting not in AUTHORS or value != AUTHORS[setting]:
        return OURS
    return FROM_AUTHORS if dataset == "modelnet40" else AS_AUTHORS
