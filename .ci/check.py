"""Is everything there that `make all` promises."""

import json
import sqlite3
from pathlib import Path

import pandas as pd

from greedymm.params.load import load
from greedymm.plan import Plan

GAP = 0.2  # balanced above greedy, on colored_mnist_5k
# Of the best method, test accuracy at least, and how far above the better single modality.
GOALS = {"solids": (0.85, 0.05), "handwave": (0.8, 0)}
REPORT = Path("results/report")
plan = Plan.make(load(Path("params.yaml")))
runs = plan.default_runs
assert plan.path.exists(), "the plan is missing"
table = pd.read_csv(REPORT / "tables/runs.csv")
assert list(table["run"]) == [run.name for run in runs], "the table holds other runs than params ask for"
assert table["test_accuracy"].between(0, 1).all(), "a run has no test accuracy"
for run in runs:
    for name in ("checkpoint.pt", "history.csv", "timing.csv", "steps.parquet", "record.json"):
        assert (run.folder / name).stat().st_size, f"{run.folder / name} is empty"

summary = pd.read_csv(REPORT / "tables/summary.csv")
accuracy = summary[summary["measure"] == "test_accuracy"].set_index(["dataset", "method"]).sort_index()
greedy, balanced = (accuracy.loc[("colored_mnist_5k", method)] for method in ("greedy", "balanced"))
assert balanced["mean"] - greedy["mean"] >= GAP, "the gap between greedy and balanced is below 20 points"
assert balanced["low"] > greedy["high"], "the intervals of greedy and balanced overlap"

for dataset, (least, above) in GOALS.items():
    reached = accuracy.loc[dataset, "mean"]
    alone = reached[reached.index.str.startswith("unimodal_")]
    best = reached.drop(alone.index).max()
    assert best >= least, f"the best method reaches {best:.1%} on {dataset}"
    assert best - alone.max() > above, f"on {dataset} the best method reaches {best:.1%}, one alone {alone.max():.1%}"

page, figures = (REPORT / "index.html").read_text(encoding="utf-8"), len(list((REPORT / "figures").glob("*.png")))
assert page.count("data:image/png;base64,") == figures > len(plan.params.datasets), "the report lacks figures"
for dataset in GOALS:
    assert f"{dataset} (generated data)" in page, "the report does not say which data are generated"
assert json.loads((REPORT / "tables/metrics.json").read_text(encoding="utf-8")), "no metrics"
with sqlite3.connect("mlflow.db") as database:
    (tracked,) = database.execute("select count(*) from runs where status = 'FINISHED'").fetchone()
assert tracked >= len(runs), f"{tracked} of {len(runs)} runs are tracked"
print(f"{len(runs)} runs, all there")  # noqa: T201
