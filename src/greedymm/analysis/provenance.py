"""Settings of each dataset, and whose they are: read in the code of the paper's authors, or chosen here.

Source: the code that Wu et al. (ICML 2022) released, for ModelNet40. What they used on other data is not known.
"""

import pandas as pd

from greedymm.params.schema import Params
from greedymm.settings import flat

AUTHORS = {
    "modalities": ["view0", "view6"],
    "inputs.scaling": "imagenet",
    "inputs.flip": True,
    "data.validation": 0.2,
    "model.branch.name": "resnet18",
    "model.branch.width": 64,
    "model.branch.weights": None,
    "model.fusion.name": "mmtm",
    "model.fusion.ratio": 4,
    "model.fuse_after": [2, 3, 4],
    "training.epochs": 299,
    "training.batch_size": 8,
    "training.learning_rate": 0.1,
    "training.momentum": 0.0,
    "training.weight_decay": 0.0,
    "training.schedule": "plateau",
    "training.factor": 0.3,
    "training.patience": 10,
    "training.threshold": 0.001,
    "training.min_learning_rate": 1e-6,
    "training.perfect_epochs": 5,
    "methods.balanced.tolerance": 0.01,
    "methods.balanced.window": 5,
}
THEIRS, AS_THEIRS, OURS = "authors' code", "our choice, as in the authors' code for ModelNet40", "our choice"


def settings_table(params: Params) -> pd.DataFrame:
    """A row per dataset and setting: dataset, setting, value (as text), and whose it is: THEIRS, AS_THEIRS or OURS."""
    rows = [
        {"dataset": name, "setting": place, "value": str(value), "whose": _whose(name, place, value)}
        for name, section in params.datasets.items()
        for place, value in flat(section.model_dump(mode="json")).items()
    ]
    return pd.DataFrame(rows)


def _whose(dataset: str, place: str, value: object) -> str:
    if place not in AUTHORS or value != AUTHORS[place]:
        return OURS
    return THEIRS if dataset == "modelnet40" else AS_THEIRS
