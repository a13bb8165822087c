"""Runs of a sweep -> a table with a row per value and method, a figure, a line of text; and a page of all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from greedymm.analysis.aggregate import summary_table
from greedymm.analysis.collect import collect
from greedymm.analysis.figures.style import colours, label
from greedymm.analysis.page import address, write_page
from greedymm.runs import Point

MEASURES = {
    "test_accuracy": "test accuracy (%)",
    "val_d_util": "d_util, validation",
    "d_speed": "d_speed (units of log10)",
}


def sweep_table(points: Sequence[Point]) -> pd.DataFrame:
    """Estimates over seeds: columns value, method, measure, n, mean, sd, low and high; values in their order.

    Raises:
        GreedymmError: if no run of a value can be used.
    """
    parts = []
    for value in dict.fromkeys(point.value for point in points):
        summary = summary_table(collect([point.run for point in points if point.value == value]).used)
        parts.append(summary[summary["measure"].isin(MEASURES)].assign(value=value))
    table = pd.concat(parts, ignore_index=True)
    return table[["value", *table.columns.drop(["value", "dataset"])]]


def sweep_figure(table: pd.DataFrame, setting: str, title: str) -> Figure:
    """Test accuracy, d_util and d_speed over the values: means over seeds with their 95 % intervals."""
    values = list(dict.fromkeys(table["value"]))
    size = (3.6 * len(MEASURES), 3)
    figure, axes = plt.subplots(1, len(MEASURES), figsize=size, layout="constrained")
    every = colours(list(dict.fromkeys(table["method"])))
    for ax, (measure, text) in zip(axes, MEASURES.items(), strict=True):
        factor = 100 if measure.endswith("accuracy") else 1
        for k, (method, colour) in enumerate(every.items()):
            of = table[(table["measure"] == measure) & (table["method"] == method)]
            x = [values.index(v) + 0.08 * (k - (len(every) - 1) / 2) for v in of["value"]]
            ax.plot(x, factor * of["mean"], "-s", color=colour, markersize=5, label=label(method))
            ax.vlines(x, factor * of["low"], factor * of["high"], color=colour, linewidth=1)
        if factor == 1:
            ax.axhline(0, color="black", linewidth=0.8)
        ax.set_xticks(range(len(values)), values, rotation=20 if max(map(len, values)) > 6 else 0)  # noqa: PLR2004
        ax.set(xlabel=setting, ylabel=text)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    return figure


def sweep_text(table: pd.DataFrame, setting: str) -> str:
    """What the sweep shows, in a sentence for each method: the values of the highest and lowest mean test accuracy."""
    accuracy = table[table["measure"] == "test_accuracy"]
    sentences = []
    for method, of in accuracy.groupby("method", sort=False):
        worst, *_, best = of.sort_values("mean", kind="stable").to_dict("records")
        gap = 100 * (best["mean"] - worst["mean"])
        sentences.append(
            f"{label(str(method))}: mean test accuracy from {100 * worst['mean']:.1f} % at {setting} ="
            f" {worst['value']} to {100 * best['mean']:.1f} % at {best['value']}, {gap:.1f} points apart."
        )
    seeds = sorted(set(accuracy["n"]))
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return " ".join([*sentences, f"Over {number} seed{'s' * (seeds != [1])}; not tested."])


def write_sweeps(path: Path, places: Mapping[str, Path], settings: Mapping[str, str]) -> None:
    """Write the page of all sweeps.

    Args:
        path: of the page.
        places: name of a sweep -> where its files are, without their endings.
        settings: name of a sweep -> what varies in it.
    """
    sweeps = [
        {
            "name": name,
            "setting": settings[name],
            "text": place.with_suffix(".txt").read_text(encoding="utf-8"),
            "picture": address(place.with_suffix(".png")),
            "table": pd.read_csv(place.with_suffix(".csv"), dtype={"value": str}).rename(
                columns={"value": settings[name]}
            ),
        }
        for name, place in places.items()
    ]
    write_page(path, "sweeps.html.j2", {"sweeps": sweeps})
