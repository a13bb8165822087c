"""Validation accuracy of the network and of each branch over epochs."""

from matplotlib.figure import Figure

from greedymm.analysis.figures.style import curve_table, draw_curves, is_unimodal, styles
from greedymm.analysis.study import Study

CAPTION = (
    "Validation accuracy of the network and of each branch over epochs. Dashed: a modality alone. A branch that learns"
    " much later than its modality alone is neglected."
)


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw curves of the network, and of each branch with its modality's unimodal reference."""
    modalities = list(study.modalities[dataset])
    columns = ["method", "epoch", "val_accuracy", *(f"val_accuracy_{m}" for m in modalities)]
    curves = study.curves.query("dataset == @dataset").reindex(columns=columns)
    curves[columns[2:]] *= 100
    unimodal = curves["method"].map(is_unimodal)
    if unimodal.all():
        return None
    tables = {"network": curve_table(curves[~unimodal], "val_accuracy")}
    for m in modalities:
        reference = curves["val_accuracy"].where(curves["method"] == f"unimodal_{m}")
        values = curves[f"val_accuracy_{m}"].mask(unimodal, reference)
        tables[f"branch of {m}"] = curve_table(curves.assign(value=values), "value")
    methods = styles(curves["method"], study.curves["method"])
    figure, panels = draw_curves(tables, methods, "epoch")
    axes = {ax for table in panels for ax in table.values()}
    bounds = [y for ax in axes for y in ax.get_ylim()]
    for ax in axes:  # the same axis, so that branches can be compared
        ax.set_ylim(min(bounds), max(bounds))
    figure.supylabel("validation accuracy (%)", fontsize="medium")
    return figure
