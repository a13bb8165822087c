"""Do two versions of the code train the same networks: python benchmarks/compare_runs.py RESULTS OTHER_RESULTS.

Each is the folder `results` of a clone. Runs are matched by dataset, method and seed. Prints the largest difference in
their histories, and in the accuracies and rates on both splits.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.settings import flat


def runs_in(results: Path) -> dict[str, Path]:
    """Folders of finished runs, by dataset, method and seed."""
    folders = [path.parent for path in sorted(results.glob("runs/*/*/*/history.csv"))]
    return {"/".join([*folder.parts[-3:-1], folder.name.partition("-")[0]]): folder for folder in folders}


def rates_of(run: Path) -> dict[str, Any]:
    """Best epoch, accuracies and measures of a run; an undefined measure is 0. Earlier versions wrote rates.json."""
    (path,) = [*run.glob("*/result.json"), *run.glob("*/rates.json")]
    content = json.loads(path.read_text(encoding="utf-8"))
    values = flat({name: content[name] for name in ("best_epoch", "val", "test")})
    return {name: value or 0.0 for name, value in values.items()}


def main(one: Path, other: Path) -> None:
    """Print a line for each run, and one for all."""
    first, second = runs_in(one), runs_in(other)
    largest = [0.0, 0.0]
    for name in sorted(first.keys() & second.keys()):
        histories = [pd.read_csv(folder / "history.csv") for folder in (first[name], second[name])]
        rates = [rates_of(folder) for folder in (first[name], second[name])]
        columns = [c for c in histories[0] if c in histories[1]]
        differences = [
            float((histories[0][columns] - histories[1][columns]).abs().max(axis=None)),
            max(abs(rates[0][key] - rates[1][key]) for key in rates[0].keys() & rates[1].keys()),
        ]
        largest = [max(pair) for pair in zip(largest, differences, strict=True)]
        sys.stdout.write(f"{name}: histories {differences[0]:.1e}, accuracies and rates {differences[1]:.1e}\n")
    sys.stdout.write(f"{len(first.keys() & second.keys())} runs: {largest[0]:.1e} and {largest[1]:.1e} at most\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
