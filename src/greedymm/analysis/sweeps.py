"""Runs of sweeps -> for each sweep a table, a figure and a text -> one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from greedymm.analysis.claims.statistics import Estimate
from greedymm.analysis.figures.style import MOST_LINES, Style, draw_curves, label, save, styles
from greedymm.analysis.page import write_page
from greedymm.analysis.report import published_table
from greedymm.analysis.results import read_results
from greedymm.analysis.study import estimates_table, format_estimates, headline_table, to_csv
from greedymm.files import write_text
from greedymm.info import read_info
from greedymm.plan import Plan
from greedymm.run import Run

INDEX = ["value", "method"]
MEASURES = {
    "test_accuracy": "test accuracy (%)",
    "val_d_util": "d_util, validation",
    "d_speed": "d_speed (units of log10)",
}
OF_FUSIONS = ("model", "model.fusion")  # settings that vary the fusion, for which there are published numbers
OFFSET = 0.08  # between methods, where a step between values is 1


class SweepResult(NamedTuple):
    """Results of one sweep."""

    name: str
    setting: str  # that varies
    title: str  # name of the dataset
    styles: dict[str, Style]  # of each method, as in the report
    runs: pd.DataFrame  # a row per value and run: value, method, MEASURES
    table: pd.DataFrame  # estimates over seeds: value, method, measure, n, mean, sd, low, high
    published: pd.DataFrame  # published test accuracies with the same fusions, beside those of the sweep; may be empty


def read_sweep(plan: Plan, name: str) -> SweepResult:
    """Read the results of one sweep.

    Raises:
        GreedymmError: if a run cannot be used; the message names all such runs.
    """
    # A run that the setting does not concern is listed at several values.
    points = [(value, plan.runs[run]) for value, run in plan.sweeps[name]]
    results = read_results({run.id: run for _, run in points}.values())
    values = pd.DataFrame([(value, run.name) for value, run in points], columns=["value", "run"])
    groups = values.merge(results.runs, on="run").groupby("value", sort=False)
    table = pd.concat([estimates_table(part.drop(columns="value")).assign(value=value) for value, part in groups])
    table = table.loc[table["measure"].isin(MEASURES), [*INDEX, "measure", *Estimate._fields]]
    every = [method for section in plan.params.datasets.values() for method in section.methods]
    return SweepResult(
        name=name,
        setting=plan.params.sweeps[name].setting,
        title=read_info(points[0][1].data_path).display_name,
        styles=styles([run.method for _, run in points], every),
        runs=groups.obj.reindex(columns=[*INDEX, *MEASURES]),
        table=table,
        published=published(dict(points), table) if plan.params.sweeps[name].setting in OF_FUSIONS else pd.DataFrame(),
    )


def published(runs: dict[str, Run], table: pd.DataFrame) -> pd.DataFrame:
    """Published test accuracies with the fusions of a sweep's values. `runs`: a run of each value."""
    accuracies = format_estimates(table, INDEX)["test_accuracy"]
    tables = []
    for value, run in runs.items():
        texts = {(run.dataset, method): text for method, text in accuracies[value].items()}
        fusion = run.settings.fusion
        assert fusion is not None  # of several modalities
        tables.append(published_table([run.dataset], texts, {run.dataset: fusion.name}))
    rows = pd.concat(tables, ignore_index=True)
    return rows[rows["this study"] != ""]


def write_sweeps(sweeps: Sequence[SweepResult], folder: Path) -> None:
    """Write the table and the figure of each sweep, and then the page, in the layout of the report."""
    contents = []
    for sweep in sweeps:
        picture = folder / f"figures/{sweep.name}.png"
        write_text(folder / f"tables/{sweep.name}.csv", to_csv(sweep.table))
        save(draw_sweep(sweep), picture)
        estimates = headline_table(sweep.table, INDEX).rename(columns={"value": sweep.setting})
        contents.append((sweep, picture, summarize_sweep(sweep), estimates))
    write_page(folder / "index.html", "sweeps.html.j2", contents=contents)


def draw_sweep(sweep: SweepResult) -> Figure:
    """Draw a dot for each run, and means over seeds with 95 % intervals. The axes show all runs, not all intervals."""
    drawn, values = sweep.styles, list(sweep.runs["value"].unique())
    offsets = {m: OFFSET * (k - (len(drawn) - 1) / 2) * (len(drawn) <= MOST_LINES) for k, m in enumerate(drawn)}
    runs, table = (t.assign(x=t["value"].map(values.index)) for t in (sweep.runs, sweep.table))
    runs["test_accuracy"] *= 100
    table.loc[table["measure"] == "test_accuracy", ["mean", "low", "high"]] *= 100
    tables = {m: table[table["measure"] == m] for m in MEASURES}
    means = [t.pivot_table(index="x", columns="method", values="mean", sort=False) for t in tables.values()]
    curves = dict(zip(MEASURES.values(), means, strict=True))
    figure, panels = draw_curves(curves, drawn, sweep.setting, OFFSET)
    figure.suptitle(sweep.title)
    for measure, axes in zip(MEASURES, panels, strict=True):
        for method, ax in axes.items():
            offset, color = offsets[method], drawn[method].color
            dots, part = runs[runs["method"] == method], tables[measure].query("method == @method")
            ax.plot(dots["x"] + offset, dots[measure], ".", color=color, markersize=6, alpha=0.5)
            bounds = part[["x", "low", "high"]].to_numpy(float)
            ends = [[(x + offset, low), (x + offset, high)] for x, low, high in bounds]
            ax.add_collection(LineCollection(ends, colors=color, linewidths=1), autolim=False)
            ax.set_xticks(range(len(values)), values, fontsize="small", rotation=30)
    return figure


def summarize_sweep(sweep: SweepResult) -> str:
    """For each method, the values with the lowest and the highest mean test accuracy, in a sentence."""
    accuracy = sweep.table[sweep.table["measure"] == "test_accuracy"].sort_values("mean", kind="stable")
    texts = [f"Mean test accuracy over values of {sweep.setting}."]
    for method in sweep.table["method"].unique():
        part = accuracy[accuracy["method"] == method]
        low, high = part.iloc[0], part.iloc[-1]
        ends = " to ".join(f"{100 * end['mean']:.1f} % ({end['value']})" for end in (low, high))
        texts.append(f"{label(method)}: {ends}, {100 * (high['mean'] - low['mean']):.1f} points apart.")
    return " ".join([*texts, f"Seeds: {' to '.join(map(str, sorted(accuracy['n'].unique())))}. Not tested."])
