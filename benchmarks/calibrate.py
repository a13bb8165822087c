"""How often the claims' tests find a difference where there is none: runs of one method, split into made-up methods.

make calibrate, or: snakemake --cores 8 runs_colored_mnist_5k --configfile params/false_alarms.yaml; then
python benchmarks/calibrate.py results/calibration.md
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.claims.evidence import mean_evidence
from greedymm.analysis.claims.statistics import MIN_SEEDS_FOR_FLIPS, Floats
from greedymm.analysis.claims.text import to_markdown
from greedymm.analysis.claims.verdicts import ALPHA, CONTRADICTED, EQUAL, SUPPORTED, judge
from greedymm.analysis.results import read_results
from greedymm.params.load import load
from greedymm.plan import Plan

SEEDS = (3, 5, 10)
PARTITIONS = 200  # of the runs, at random
SIMULATIONS = 60  # of as many normal values as there are runs
FAMILY = 5  # made-up methods that are compared with one, or as many as the runs allow
BELOW = (
    "False: share of comparisons that are supported or contradicted. It should be at most 0.05.",
    "Sign flips: the same at p <= 0.05, where that test is defined. Equal: share that are practically equal.",
    "Family: share of questions with a false verdict, of several made-up methods against one, corrected by Holm.",
    "Brackets: 95 % of the shares of as many independent normal values as there are runs, split in the same way.",
    "A share within them does not contradict the level.",
)


class Shares(NamedTuple):
    """Shares of verdicts among made-up methods."""

    false: float
    sign_flips: float  # NaN: too few seeds
    equal: float
    family: float


def split(values: Floats, n: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Disjoint made-up methods, (methods, n): the runs in random order, as many groups as there are."""
    count = len(values) // n
    for _ in range(PARTITIONS):
        yield rng.permutation(values)[: count * n].reshape(count, n)


def measure(values: Floats, n: int, limit: float, margin: float, rng: np.random.Generator) -> Shares:
    """Shares of verdicts over random partitions of the values."""
    flips = n >= MIN_SEEDS_FOR_FLIPS
    pairs, families = [], []
    for groups in split(values, n, rng):
        for x, y in zip(groups[0:-1:2], groups[1::2], strict=True):
            evidence = mean_evidence(x - y, 1, limit, margin)
            pairs.append([*_kinds(judge([evidence])[0].verdict), evidence.p_sign_flip <= ALPHA])
        for start in range(0, len(groups) - size_of(len(values), n), size_of(len(values), n) + 1):
            reference, *others = groups[start : start + size_of(len(values), n) + 1]
            verdicts = judge([mean_evidence(x - reference, 1, limit, margin) for x in others])
            families.append(any(_kinds(v.verdict)[0] for v in verdicts))
    false, equal, by_flips = np.mean(pairs, axis=0)
    return Shares(false, by_flips if flips else np.nan, equal, float(np.mean(families)))


def size_of(runs: int, n: int) -> int:
    """Methods of a family, beside the one that they are compared with."""
    return min(FAMILY, runs // n - 1)


def _kinds(verdict: str) -> tuple[bool, bool]:
    return verdict in (SUPPORTED, CONTRADICTED), verdict == EQUAL


def spread(runs: int, n: int, margin: float) -> pd.DataFrame:
    """Central 95 % of the shares of normal values. Rows: low, high. `margin` in standard deviations."""
    shares = [measure(np.random.default_rng(i).normal(size=runs), n, np.inf, margin, np.random.default_rng(i))
              for i in range(SIMULATIONS)]  # fmt: skip
    return pd.DataFrame(shares).quantile([0.025, 0.975])


def tabulate(measures: dict[str, tuple[Floats, float]], seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """A row for each number of seeds and measure. A measure has values per run and a margin, NaN: none."""
    (first, margin), *_ = measures.values()
    rows = []
    for n in seeds:
        ranges = spread(len(first), n, margin / first.std(ddof=1))  # without unit, so the same for all measures
        for name, (values, own) in measures.items():
            shares = measure(values, n, np.inf, own, np.random.default_rng(0))
            cells = {field: _cell(getattr(shares, field), ranges[field]) for field in Shares._fields}
            cells["equal"] = cells["equal"] if own > 0 else ""
            pairs, size = PARTITIONS * (len(values) // n // 2), size_of(len(values), n)
            rows.append({"measure": name, "seeds": n, "comparisons": pairs, "level": ALPHA, **cells, "methods": size})
    return pd.DataFrame(rows)


def _cell(share: float, ranges: "pd.Series[float]") -> str:
    return "" if np.isnan(share) else f"{share:.3f} [{ranges.iloc[0]:.3f}, {ranges.iloc[1]:.3f}]"


def main(path: Path) -> None:
    """Read the runs, and write the table."""
    params = load(Path("params.yaml"), Path("params/false_alarms.yaml"))
    runs = read_results(Plan.make(params).default_runs).runs
    measures = {
        "test accuracy": (runs["test_accuracy"].to_numpy(float), params.equal_within / 100),
        "|d_util|, validation": (runs["val_d_util"].abs().dropna().to_numpy(float), np.nan),
    }
    text = to_markdown(tabulate(measures), [f"{len(runs)} greedy runs, {PARTITIONS} random partitions.", *BELOW])
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
