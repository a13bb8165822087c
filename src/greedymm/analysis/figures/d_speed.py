"""d_speed over epochs, and d_util at snapshots."""

from matplotlib.figure import Figure

from greedymm.analysis.figures.lines import curve_table, draw_curves
from greedymm.analysis.figures.style import styles
from greedymm.analysis.study import Study
from greedymm.params.schema import Params

CAPTION = (
    "Left: d_speed, the difference of the conditional learning speeds, at the end of each epoch; means over seeds. Far"
    " from zero: the network learns from one modality faster than from the other. Right: d_util on validation at"
    " snapshots; means over seeds, and a dot for each run. If d_speed is a proxy of d_util, both have the same sign."
)


def datasets(params: Params) -> list[str]:
    """Datasets whose fusion is between stages, so that it has conditional learning speeds."""
    return [name for name in params.multimodal if not params.datasets[name].model.fusion.late]


def draw(study: Study, dataset: str) -> Figure:
    """Draw means over seeds of d_speed and d_util."""
    curves = study.curves.query("dataset == @dataset").reindex(columns=["method", "epoch", "d_speed"])
    curves = curves.dropna(subset=["d_speed"])
    during = study.results.during.query("dataset == @dataset").reindex(columns=["method", "epoch", "d_util"])
    during = during.dropna(subset=["d_util"])
    methods = styles(curves["method"], study.curves["method"])
    tables = {
        "d_speed (units of log10)": curve_table(curves, "d_speed"),
        "d_util, validation": curve_table(during, "d_util"),
    }
    figure, (speeds, utils) = draw_curves(tables, methods, study.names[dataset], "epoch")
    for method, ax in utils.items():
        dots = during[during["method"] == method]
        ax.plot(dots["epoch"], dots["d_util"], ".", color=methods[method].color, alpha=0.5)
    for ax in {*speeds.values(), *utils.values()}:
        ax.axhline(0, color="black", linewidth=0.8)
    if during.empty:
        figure.text(0.75, 0.5, "d_util: not measured, no snapshots", ha="center")
    return figure
