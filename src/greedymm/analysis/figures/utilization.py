"""Utilization rate of each branch, and its accuracy full and cut."""

from itertools import cycle

from matplotlib.figure import Figure

from greedymm.analysis.figures.style import UNIMODAL, draw_intervals, method_rows
from greedymm.analysis.study import SPLITS, Study

CAPTION = (
    "Utilization rate of each branch: the share of its accuracy that it owes to the other modalities. Unequal rates:"
    " the network uses its modalities unequally. Beside it: accuracy of the branch, with and without the others."
)


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw rates and accuracies on both splits: a row for each method, a marker for each branch."""
    estimates = study.estimates[study.estimates["dataset"] == dataset]
    methods = list(estimates.loc[estimates["measure"] == "val_d_util", "method"])
    if not methods:
        return None
    branches = dict(zip(study.modalities[dataset], cycle(UNIMODAL), strict=False))
    figure, axes = method_rows(methods, 4)
    for (rates, accuracies), (split, name) in zip((axes[:2], axes[2:]), SPLITS.items(), strict=True):
        for k, (m, style) in enumerate(branches.items()):
            offset = 0.5 * ((k + 0.5) / len(branches) - 0.5)
            full, cut = (dict.fromkeys(methods, style._replace(filled=filled)) for filled in (True, False))
            draw_intervals(rates, estimates, f"{split}_utilization_{m}", full, offset)
            draw_intervals(accuracies, estimates, f"{split}_accuracy_{m}", full, offset)
            draw_intervals(accuracies, estimates, f"{split}_accuracy_{m}_cut", cut, offset)
        rates.axvline(0, color="black", linewidth=0.8)
        rates.set(title=name, xlabel="utilization rate u(others | m)")
        accuracies.set(title=name, xlabel="accuracy of the branch (%)")
    for m, style in branches.items():
        axes[0].plot([], [], linestyle="", label=f"branch of {m}", **style.line)
    axes[0].plot([], [], "s", color="black", label="accuracy: full")
    axes[0].plot([], [], "s", color="black", markerfacecolor="white", label="accuracy: cut")
    figure.legend(loc="outside lower center", ncols=len(branches) + 2)
    return figure
