"""d_speed over epochs, and d_util at snapshots."""

from matplotlib.figure import Figure

from greedymm.analysis.figures.style import curve_table, draw_curves, styles
from greedymm.analysis.study import Study

CAPTION = (
    "Left: d_speed over epochs; far from zero, one modality is learned faster. Right: d_util on validation; dots are"
    " runs. If d_speed is a proxy of d_util, both have the same sign."
)


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw means over seeds of d_speed and d_util. d_speed is defined for a fusion between stages."""
    curves = study.curves[study.curves["dataset"] == dataset].reindex(columns=["method", "epoch", "d_speed"]).dropna()
    snapshots = study.results.snapshots.query("dataset == @dataset").reindex(columns=["method", "epoch", "d_util"])
    snapshots = snapshots.dropna()
    if curves.empty:
        return None
    methods = styles(curves["method"], study.curves["method"])
    tables = {
        "d_speed (units of log10)": curve_table(curves, "d_speed"),
        "d_util, validation": curve_table(snapshots, "d_util"),
    }
    figure, (speeds, utils) = draw_curves(tables, methods, "epoch")
    for method, ax in utils.items():
        dots = snapshots[snapshots["method"] == method]
        ax.plot(dots["epoch"], dots["d_util"], ".", color=methods[method].color, alpha=0.5)
    for ax in {*speeds.values(), *utils.values()}:
        ax.axhline(0, color="black", linewidth=0.8)
    if snapshots.empty:
        figure.text(0.75, 0.5, "d_util: not measured, no snapshots", ha="center")
    return figure
