"""Runs of sweeps -> for each sweep a table, a figure and a text -> one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from greedymm.analysis.figures.lines import draw_curves
from greedymm.analysis.figures.style import MOST_LINES, Style, label, save, styles
from greedymm.analysis.page import write_page
from greedymm.analysis.results import read_results
from greedymm.analysis.tables import HEADLINE, format_estimates, summary_table, to_csv
from greedymm.files import write_text
from greedymm.info import read_info
from greedymm.plan import Plan

INDEX = ["value", "method"]
MEASURES = {
    "test_accuracy": "test accuracy (%)",
    "val_d_util": "d_util, validation",
    "d_speed": "d_speed (units of log10)",
}
OFFSET = 0.08  # between methods, where a step between values is 1


class SweepResult(NamedTuple):
    """Results of one sweep."""

    name: str
    setting: str  # that varies
    title: str  # name of the dataset
    styles: dict[str, Style]  # of each method, as in the report
    runs: pd.DataFrame  # a row per value and run: value, method, MEASURES
    table: pd.DataFrame  # estimates over seeds: value, method, measure, n, mean, sd, low, high


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
    table = pd.concat([summary_table(part.drop(columns="value")).assign(value=value) for value, part in groups])
    columns = [*INDEX, "measure", "n", "mean", "sd", "low", "high"]
    every = [method for section in plan.params.datasets.values() for method in section.methods]
    return SweepResult(
        name=name,
        setting=plan.params.sweeps[name].setting,
        title=read_info(points[0][1].data_path).display_name,
        styles=styles([run.method for _, run in points], every),
        runs=groups.obj.reindex(columns=[*INDEX, *MEASURES]),
        table=table.loc[table["measure"].isin(MEASURES), columns],
    )


def write_sweeps(sweeps: Sequence[SweepResult], folder: Path) -> None:
    """Write into a folder `sweeps/` with the table and the figure of each sweep, and then the page `sweeps.html`."""
    pictures = [folder / f"sweeps/{sweep.name}.png" for sweep in sweeps]
    for sweep, picture in zip(sweeps, pictures, strict=True):
        write_text(picture.with_suffix(".csv"), to_csv(sweep.table))
        save(draw_sweep(sweep), picture)
    contents = zip(sweeps, pictures, map(summarize_sweep, sweeps), map(format_sweep, sweeps), strict=True)
    write_page(folder / "sweeps.html", "sweeps.html.j2", contents=list(contents))


def draw_sweep(sweep: SweepResult) -> Figure:
    """Draw a dot for each run, and means over seeds with their 95 % intervals.

    The axes show all runs. An interval may exceed them.
    """
    values, drawn = list(sweep.runs["value"].unique()), sweep.styles
    offsets = {m: OFFSET * (k - (len(drawn) - 1) / 2) * (len(drawn) <= MOST_LINES) for k, m in enumerate(drawn)}
    runs, table = (t.assign(x=t["value"].map(values.index)) for t in (sweep.runs, sweep.table))
    tables = {m: table[table["measure"] == m] for m in MEASURES}
    factors = {m: 100 if "accuracy" in m else 1 for m in MEASURES}
    curves = {
        text: factors[m] * tables[m].pivot_table(index="x", columns="method", values="mean", sort=False)
        for m, text in MEASURES.items()
    }
    figure, panels = draw_curves(curves, drawn, sweep.title, sweep.setting, OFFSET)
    for (measure, factor), axes in zip(factors.items(), panels, strict=True):
        for method, ax in axes.items():
            offset, color = offsets[method], drawn[method].color
            dots, part = runs[runs["method"] == method], tables[measure].query("method == @method")
            ax.plot(dots["x"] + offset, factor * dots[measure], ".", color=color, markersize=6, alpha=0.5)
            bounds = factor * part[["low", "high"]].to_numpy(float)
            ends = [[(x + offset, low), (x + offset, high)] for x, (low, high) in zip(part["x"], bounds, strict=True)]
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


def format_sweep(sweep: SweepResult) -> pd.DataFrame:
    """A row for each value and method: number of seeds, and `mean [low, high]` of each measure."""
    texts = format_estimates(sweep.table, INDEX)
    texts = texts[[measure for measure in MEASURES if measure in texts]].rename(columns=HEADLINE)
    seeds = sweep.table.groupby(INDEX, sort=False)["n"].max().rename("seeds").astype(str)
    return seeds.to_frame().join(texts).fillna("").reset_index().rename(columns={"value": sweep.setting})
