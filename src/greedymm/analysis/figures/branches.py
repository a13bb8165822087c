"""Validation accuracy of the network and of each branch over epochs."""

from matplotlib.figure import Figure

from greedymm.analysis.figures.lines import curve_table, draw_curves
from greedymm.analysis.figures.style import is_unimodal, styles
from greedymm.analysis.study import Study
from greedymm.params.schema import Params

CAPTION = (
    "Validation accuracy of the network and of each branch, means over seeds. A branch that learns much later than its"
    " modality alone (dashed) is neglected."
)


def datasets(params: Params) -> list[str]:
    """Datasets with multi-modal networks."""
    return params.multimodal


def draw(study: Study, dataset: str) -> Figure:
    """Draw a table of curves for the network, and for each branch with its modality's unimodal reference."""
    modalities = list(study.modalities[dataset])
    columns = ["method", "epoch", "val_accuracy", *(f"val_accuracy_{m}" for m in modalities)]
    curves = study.curves.query("dataset == @dataset").reindex(columns=columns)
    multimodal = curves[~curves["method"].map(is_unimodal)]
    tables = {"network": curve_table(multimodal.assign(value=100 * multimodal["val_accuracy"]), "value")}
    for m in modalities:
        values = curves[f"val_accuracy_{m}"].where(~curves["method"].map(is_unimodal))
        reference = curves["val_accuracy"].where(curves["method"] == f"unimodal_{m}")
        tables[f"branch of {m}"] = curve_table(curves.assign(value=100 * values.fillna(reference)), "value")
    methods = styles(curves["method"], study.curves["method"])
    figure, panels = draw_curves(tables, methods, study.names[dataset], "epoch")
    axes = {ax for table in panels for ax in table.values()}
    bounds = [y for ax in axes for y in ax.get_ylim()]
    for ax in axes:  # the same axis, so that branches can be compared
        ax.set_ylim(min(bounds), max(bounds))
    figure.supylabel("validation accuracy (%)", fontsize="medium")
    return figure
