"""Runs of a sweep -> a table with a row per value and method, a figure, a line of text; and a page of all of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from greedymm.analysis.aggregate import HEADLINE, as_text, out_of, summary_table
from greedymm.analysis.collect import LEFT_OUT, collect
from greedymm.analysis.figures.style import MOST_LINES, WIDEST, Style, label, line_panels, styles
from greedymm.analysis.page import address, write_page
from greedymm.params.schema import Sweep
from greedymm.plan import Point

INDEX = ["value", "method"]
MEASURES = {
    "test_accuracy": "test accuracy (%)",
    "val_d_util": "d_util, validation",
    "d_speed": "d_speed (units of log10)",
}


class Results(NamedTuple):
    """What a sweep came to."""

    runs: pd.DataFrame  # a row per run that can be used: value, and as `collect` gives it
    # Estimates over seeds: value, method, wanted (runs), measure, n, mean, sd, low, high; values in their order.
    # Where no run can be used there is a row without a measure.
    table: pd.DataFrame
    left_out: list[str]  # runs that cannot be used, and why


def sweep_results(points: Sequence[Point]) -> Results:
    """Read what the runs of a sweep left.

    Raises:
        GreedymmError: if no run can be used.
    """
    collected = collect({point.run.name: point.run for point in points}.values())
    # What varies may not concern a run: then it stands at several values.
    each = [(point.value, point.run.method, point.run.name) for point in points]
    places = pd.DataFrame(each, columns=["value", "method", "run"])
    wanted = places.groupby(INDEX, sort=False).size().rename("wanted").reset_index()
    runs = places[["value", "run"]].merge(collected.used, on="run")
    summaries = [summary_table(of.drop(columns="value")).assign(value=v) for v, of in runs.groupby("value", sort=False)]
    table = pd.concat(summaries, ignore_index=True)
    table = table[table["measure"].isin(MEASURES)].drop(columns="dataset")
    reasons = [
        f"{row['method']}, seed {row['seed']}, at {_values(places, row['run'])}: {row[LEFT_OUT]}"
        for row in collected.runs[collected.runs[LEFT_OUT] != ""].to_dict("records")
    ]
    return Results(runs, wanted.merge(table, on=INDEX, how="left"), reasons)


def _values(places: pd.DataFrame, run: str) -> str:
    return ", ".join(places.loc[places["run"] == run, "value"])


def sweep_figure(results: Results, setting: str, title: str, methods: Iterable[str] = ()) -> Figure:
    """Test accuracy, d_util and d_speed over the values: a dot per run, means over seeds with their 95 % intervals.

    The axes show all runs; an interval that is wider, as those of few seeds are, goes on beyond the border.

    Args:
        results: of a sweep.
        setting: that varies.
        title: of the figure.
        methods: of all datasets, so that each looks as in the report.
    """
    values = list(dict.fromkeys(results.table["value"]))
    drawn = styles(results.table["method"], methods)
    if len(drawn) > MOST_LINES:
        return _panels(results, drawn, values, setting, title)
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(WIDEST, 3), layout="constrained")
    for ax, (measure, text) in zip(axes, MEASURES.items(), strict=True):
        factor = 100 if measure.endswith("accuracy") else 1
        for k, (method, style) in enumerate(drawn.items()):
            aside = 0.08 * (k - (len(drawn) - 1) / 2)
            runs = results.runs[results.runs["method"] == method]
            of = results.table[(results.table["measure"] == measure) & (results.table["method"] == method)]
            x = [values.index(v) + aside for v in of["value"]]
            ax.plot(x, factor * of["mean"], markersize=5, label=label(method), **style.line)
            x_of_runs = [values.index(v) + aside for v in runs["value"]]
            ax.plot(x_of_runs, factor * runs[measure], ".", color=style.color, markersize=6, alpha=0.5)
            bounds = factor * of[["low", "high"]].to_numpy()
            ends = [[(a, low), (a, high)] for a, (low, high) in zip(x, bounds, strict=True)]
            ax.add_collection(LineCollection(ends, colors=style.color, linewidths=1), autolim=False)
        if factor == 1:
            ax.axhline(0, color="black", linewidth=0.8)
        ax.set_xticks(range(len(values)), values, rotation=20 if max(map(len, values)) > 6 else 0)  # noqa: PLR2004
        ax.set(xlabel=setting, ylabel=text)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    return figure


def _panels(results: Results, drawn: Mapping[str, Style], values: list[str], setting: str, title: str) -> Figure:
    """Means of many methods, a panel for each."""
    tables = {}
    for measure, text in MEASURES.items():
        of = results.table[results.table["measure"] == measure]
        of = of.assign(place=of["value"].map(values.index), mean=of["mean"] * (100 if "accuracy" in measure else 1))
        tables[text] = of.pivot_table(index="place", columns="method", values="mean", sort=False)
    figure, axes = line_panels(tables, drawn, title, setting)
    for ax in (ax for of_measure in axes for ax in of_measure.values()):
        ax.set_xticks(range(len(values)), values, fontsize="x-small", rotation=45)
    return figure


def sweep_text(results: Results, setting: str) -> str:
    """What the sweep shows, in a sentence for each method: the values of the highest and lowest mean test accuracy."""
    accuracy = results.table[results.table["measure"] == "test_accuracy"]
    sentences = [_sentence(str(method), of, setting) for method, of in accuracy.groupby("method", sort=False)]
    seeds = sorted(set(accuracy["n"].astype(int)))
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    sentences.append(f"Over {number} seed{'s' * (seeds != [1])}; not tested.")
    if results.left_out:
        sentences.append(f"Left out: {'; '.join(results.left_out)}.")
    return " ".join(sentences)


def _sentence(method: str, accuracy: pd.DataFrame, setting: str) -> str:
    ordered = accuracy.sort_values("mean", kind="stable").to_dict("records")
    worst, best = ordered[0], ordered[-1]
    low, high = (f"{100 * row['mean']:.1f} %" for row in (worst, best))
    if len(ordered) == 1:
        return f"{label(method)}: mean test accuracy {low}, at {setting} = {worst['value']} alone."
    gap = f"{100 * (best['mean'] - worst['mean']):.1f} points apart"
    return (
        f"{label(method)}: mean test accuracy from {low} at {setting} = {worst['value']}"
        f" to {high} at {best['value']}, {gap}."
    )


def shown(table: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Estimates as a person reads them: a row per value and method, `mean [low, high]` of each measure.

    Where runs are left out, column `seeds` says how many of those wanted are there.
    """
    wide = as_text(table.dropna(subset=["measure"]), INDEX).reindex(columns=list(MEASURES)).rename(columns=HEADLINE)
    groups = table.groupby(INDEX, sort=False)
    n, wanted = groups["n"].max().fillna(0).astype(int), groups["wanted"].first()
    seeds = pd.Series(list(map(out_of, n, wanted)), n.index)
    return seeds.rename("seeds").to_frame().join(wide).fillna("").reset_index().rename(columns={"value": setting})


class Section(NamedTuple):
    """What is shown of one sweep."""

    name: str
    setting: str  # what varies
    text: str
    picture: str  # its address
    table: pd.DataFrame


def sections(places: Mapping[str, Path], sweeps: Mapping[str, Sweep]) -> list[Section]:
    """Gather what is shown of each sweep.

    Args:
        places: name of a sweep -> where its files are, without their endings.
        sweeps: those of the params.
    """
    return [
        Section(
            name,
            sweeps[name].setting,
            place.with_suffix(".txt").read_text(encoding="utf-8"),
            address(place.with_suffix(".png")),
            shown(pd.read_csv(place.with_suffix(".csv"), dtype={"value": str}), sweeps[name].setting),
        )
        for name, place in places.items()
    ]


def write_sweeps(path: Path, sweeps: list[Section]) -> None:
    """Write the page of all sweeps."""
    write_page(path, "sweeps.html.j2", {"sweeps": sweeps})
