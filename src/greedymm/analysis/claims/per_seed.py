"""Tables of runs and of training -> per dataset and measure, a table of seeds x methods."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.claims.statistics import DIGITS, Floats

UNIMODAL = "unimodal_"
TWO_MODALITIES = 2  # d_util of more modalities has no sign
SPEED, UTIL, MAGNITUDE, ACCURACY = "d_speed", "d_util", "|d_util|", "test accuracy"


class PerSeed(NamedTuple):
    """Measurements of one dataset."""

    dataset: str
    unimodal: list[str]  # methods that train one modality alone, in the order of the runs
    multimodal: list[str]  # methods that train all modalities together
    signed: bool  # two modalities: d_util says which branch depends more on the other
    split: str  # of d_util, for display
    measures: pd.DataFrame  # rows: seeds; columns: measure, method. NaN: no run, or undefined
    paths: tuple[Floats, Floats] | None = None  # d_speed and d_util: (seeds, multi-modal methods, epochs)


def per_seed(runs: pd.DataFrame, training: pd.DataFrame | None, split: str) -> Iterator[PerSeed]:
    """Arrange the measurements by dataset, in the order of the runs; seeds ascending.

    Args:
        runs: a row per run. Values that are not finite count as missing.
        training: columns dataset, method, seed, epoch, d_speed, d_util; or None.
        split: test or val, whose d_util is meant.

    Raises:
        ValueError: if a dataset has two runs of the same method and seed.
    """
    names = {SPEED: SPEED, f"{split}_d_util": UTIL, "test_accuracy": ACCURACY}
    values = runs.reindex(columns=list(names)).astype(float).rename(columns=names)
    values = values.where(np.isfinite(values)).round(DIGITS)
    values[MAGNITUDE] = values[UTIL].abs()
    modalities = runs.filter(regex=f"^{split}_utilization_").notna().sum(axis=1)
    display = "validation" if split == "val" else split
    table = pd.concat([runs[["dataset", "method", "seed"]], values], axis=1)
    for dataset, group in table.groupby("dataset", sort=False):
        unimodal = [m for m in group["method"].unique() if m.startswith(UNIMODAL)]
        multimodal = [m for m in group["method"].unique() if m not in unimodal]
        signed = bool((modalities[group.index] <= TWO_MODALITIES).all())
        # Not pivot_table, which would average two runs of one seed.
        measures = group.pivot(index="seed", columns="method", values=list(values))  # noqa: PD010
        data = PerSeed(str(dataset), unimodal, multimodal, signed, display, measures)
        yield data if training is None else data._replace(paths=_paths(data, training))


def _paths(data: PerSeed, training: pd.DataFrame) -> tuple[Floats, Floats] | None:
    """d_speed and d_util over training; None where no epoch of this dataset was measured."""
    rows = training[training["dataset"] == data.dataset].set_index(["seed", "method", "epoch"])
    if rows.empty:
        return None
    axes = [data.measures.index, pd.Index(data.multimodal), rows.index.unique("epoch").sort_values()]
    rows = rows.reindex(pd.MultiIndex.from_product(axes))
    speed, util = (rows[name].to_numpy(float).reshape([len(axis) for axis in axes]) for name in (SPEED, UTIL))
    return speed, util
