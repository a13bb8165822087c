"""Step `zoo`: results of all methods, with the params' settings and with those that searches chose -> one page."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from greedymm.analysis.results import read_results
from greedymm.analysis.zoo.leaderboard import Board
from greedymm.analysis.zoo.zoo import write_zoo
from greedymm.info import read_info
from greedymm.params.schema import Tuning
from greedymm.params.tuning import ranges_of
from greedymm.plan import Plan
from greedymm.run import Run
from greedymm.search import Search

CHOSEN = ["dataset", "method", "chosen by", "setting", "value", "range", "val_accuracy", "val_shift_accuracy", "trials"]
TUNED = {"val": "tuned", "val_shift": "tuned under shift"}  # split to choose by -> name of the board


def make_zoo(plan: Plan, folder: Path, *, exclude: bool = False) -> None:
    """Write tables, figures and the page of the zoo; with `exclude`, of the runs that can be used.

    Raises:
        GreedymmError: if a run, or with `exclude` every run, cannot be used.
    """
    searches = [search for search in plan.searches.values() if search.path.exists() or not exclude]
    boards = list(make_boards(plan.default_runs, searches, exclude=exclude))
    info = {run.dataset: read_info(run.data_path) for run in plan.default_runs if run.data_path.exists()}
    rows = [row for search in searches for row in describe_choice(search, plan.params.tuning)]
    write_zoo(boards, plan.params, info, pd.DataFrame(rows, columns=CHOSEN), folder)


def make_boards(default: list[Run], searches: list[Search], *, exclude: bool = False) -> Iterator[Board]:
    """The results with the params' settings, then with those that are best on each split to choose by."""
    yield Board("published", read_results(default, exclude=exclude))
    for split, name in TUNED.items():
        runs = [run for search in searches for run in search.best(split)]
        if runs:
            yield Board(name, read_results(runs, exclude=exclude), split)


def describe_choice(search: Search, tuning: Tuning | None) -> Iterator[dict[str, object]]:
    """A row for each setting that a search chose."""
    assert tuning is not None
    run, content = search.base, search.results()
    ranges = ranges_of(run.settings.method_settings, tuning, tuning.choices_of(run.dataset, run.method))
    for split, index in content["chosen"].items():
        trial = content["trials"][index]
        scores = {f"{s}_accuracy": trial[s]["accuracy"] for s in TUNED if s in trial}
        common = {"dataset": run.dataset, "method": run.method, "chosen by": split, **scores}
        for setting, value in trial["values"].items():
            own = {"setting": setting, "value": value, "range": ranges[setting], "trials": len(content["trials"])}
            yield common | own
