"""Tables of runs and of training -> per dataset and measure, an array of seeds x methods."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.collect import GROUP
from greedymm.analysis.statistics import DIGITS, Floats

KEY = [*GROUP, "seed"]
ALONE = "unimodal_"
REFERENCES = ("greedy", "random")  # every other multi-modal method is one that balances
PAIR = 2  # modalities; for more, d_util has no sign
SPEED, UTIL, MAGNITUDE = "d_speed", "d_util", "|d_util|"
ACCURACY = "test accuracy"


class Data(NamedTuple):
    """What was measured on one dataset."""

    dataset: str
    seeds: int  # that are planned
    methods: list[str]  # that are planned, in the order of the runs
    signed: bool  # two modalities: d_util says which branch leans more on the other
    split: str  # whose d_util it is
    tables: dict[str, Floats]  # measure -> (seeds, methods), not a number where there is none
    paths: tuple[Floats, Floats]  # d_speed and d_util over training: (seeds, multi-modal methods, epochs)

    @property
    def multimodal(self) -> list[str]:
        """Methods that train all modalities together."""
        return [m for m in self.methods if not m.startswith(ALONE)]

    @property
    def balancing(self) -> list[str]:
        """Methods that claim to balance: what is neither greedy nor random."""
        return [m for m in self.multimodal if m not in REFERENCES]

    def of(self, measure: str, method: str) -> Floats:
        """One value per seed, (seeds,)."""
        return self.tables[measure][:, self.methods.index(method)]

    def over_runs(self, measure: str) -> Floats:
        """One value per multi-modal run, (seeds, methods)."""
        return self.tables[measure][:, [self.methods.index(m) for m in self.multimodal]]


def per_seed(runs: pd.DataFrame, training: pd.DataFrame | None, split: str) -> Iterator[Data]:
    """Arrange what the claims are about, dataset by dataset in the order of the runs, seeds ascending.

    Args:
        runs: as `collect` gives it; what is not finite, as of runs left out, counts as missing.
        training: columns dataset, method, seed, epoch, d_speed, d_util; or None.
        split: test or val, whose d_util is meant.

    Raises:
        ValueError: if a dataset has two runs of the same method and seed.
    """
    if runs.duplicated(KEY).any():
        twice = ", ".join(map(str, runs.loc[runs.duplicated(KEY), KEY].iloc[0]))
        raise ValueError(f"two runs of the same dataset, method and seed ({twice}): leave one of them out")
    measured = _measured(runs, split)
    for dataset, group in measured.groupby("dataset", sort=False):
        data = _arranged(str(dataset), split, group)
        yield data if training is None else data._replace(paths=_paths(data, group, training))


def _measured(runs: pd.DataFrame, split: str) -> pd.DataFrame:
    """A row per run: what it is, and the numbers that the claims are about."""
    names = {SPEED: SPEED, f"{split}_d_util": UTIL, "test_accuracy": ACCURACY}
    numbers = runs.reindex(columns=list(names)).astype(float).rename(columns=names)
    numbers = numbers.where(np.isfinite(numbers)).round(DIGITS)
    numbers[MAGNITUDE] = numbers[UTIL].abs()
    numbers["modalities"] = runs.filter(regex=f"^{split}_utilization_").notna().sum(axis=1)
    return pd.concat([runs[KEY], numbers], axis=1)


def _arranged(dataset: str, split: str, group: pd.DataFrame) -> Data:
    seeds, row = np.unique(group["seed"], return_inverse=True)
    column, methods = pd.factorize(group["method"])
    measures = [c for c in group.columns if c not in KEY]
    tables = np.full((len(measures), len(seeds), len(methods)), np.nan)
    tables[:, row, column] = group[measures].to_numpy(float).T
    signed = bool((group["modalities"] <= PAIR).all())
    none, by_measure = np.empty((len(seeds), 0, 0)), dict(zip(measures, tables, strict=True))
    return Data(dataset, len(seeds), list(methods), signed, split, by_measure, (none, none))


def _paths(data: Data, group: pd.DataFrame, training: pd.DataFrame) -> tuple[Floats, Floats]:
    """d_speed and d_util of each seed, multi-modal method and epoch; not a number where there is none."""
    of = training[(training["dataset"] == data.dataset) & training["method"].isin(data.multimodal)]
    seeds, epochs = np.unique(group["seed"]), np.unique(of["epoch"])
    of = of[of["seed"].isin(seeds)]
    place = (
        np.searchsorted(seeds, of["seed"]),
        pd.Index(data.multimodal).get_indexer(pd.Index(of["method"])),
        np.searchsorted(epochs, of["epoch"]),
    )
    shape = (len(seeds), len(data.multimodal), len(epochs))
    speed, util = np.full(shape, np.nan), np.full(shape, np.nan)
    speed[place], util[place] = of[SPEED], of[UTIL]
    return speed, util
