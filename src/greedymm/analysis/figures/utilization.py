"""Utilization rate of each branch, and its accuracy full and cut."""

from matplotlib.figure import Figure

from greedymm.analysis.figures.style import Style, draw_interval, method_rows
from greedymm.analysis.study import Study
from greedymm.analysis.tables import SPLITS
from greedymm.params.schema import Params

CAPTION = (
    "Utilization rate u(others | m) of each branch: the share of its accuracy that it owes to the other modalities."
    " Beside it, the accuracy of the branch: full, and with the cross-modal flow cut. Means over seeds with 95 %"
    " intervals. Unequal rates: the network uses its modalities unequally. Negative rates: the other modalities"
    " mislead the branch."
)
MODALITIES = (Style("#CC79A7", "^"), Style("#E69F00", "v"), Style("#56B4E9", "s"), Style("#332288", "D"))


def datasets(params: Params) -> list[str]:
    """Datasets whose utilization is measured."""
    measures = {name: {m.name for m in params.datasets[name].measures} for name in params.multimodal}
    return [name for name, names in measures.items() if "utilization" in names]


def draw(study: Study, dataset: str) -> Figure:
    """Draw rates and accuracies on both splits: a row for each method, a marker for each branch."""
    summary, modalities = study.summary, list(study.modalities[dataset])
    methods = list(summary.query("dataset == @dataset and measure == 'val_d_util'")["method"])
    figure, axes = method_rows(methods, 4, study.names[dataset])
    for (rates, accuracies), (split, name) in zip((axes[:2], axes[2:]), SPLITS.items(), strict=True):
        for k, m in enumerate(modalities):
            style = MODALITIES[k % len(MODALITIES)]
            offset = 0.5 * ((k + 0.5) / len(modalities) - 0.5)
            for y, method in enumerate(methods):
                key = dataset, method
                draw_interval(rates, y + offset, summary, (*key, f"{split}_utilization_{m}"), style)
                draw_interval(accuracies, y + offset, summary, (*key, f"{split}_accuracy_{m}"), style)
                cut = style._replace(filled=False)
                draw_interval(accuracies, y + offset, summary, (*key, f"{split}_accuracy_{m}_cut"), cut)
        rates.axvline(0, color="black", linewidth=0.8)
        rates.set(title=name, xlabel="utilization rate u(others | m)")
        accuracies.set(title=name, xlabel="accuracy of the branch (%)")
    for m, style in zip(modalities, MODALITIES * len(modalities), strict=False):
        axes[0].plot([], [], linestyle="", label=f"branch of {m}", **style.line)
    axes[0].plot([], [], "s", color="black", label="accuracy: full")
    axes[0].plot([], [], "s", color="black", markerfacecolor="white", label="accuracy: cut")
    figure.legend(loc="outside lower center", ncols=len(modalities) + 2)
    return figure
