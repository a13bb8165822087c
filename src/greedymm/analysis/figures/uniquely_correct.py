"""Test samples that one method classifies correctly more often than any other."""

from matplotlib.figure import Figure

from greedymm.analysis.figures.samples import CLIP_AXES, stack
from greedymm.analysis.figures.style import MOST_LINES, class_label, grid, label
from greedymm.analysis.study import Study

CAPTION = (
    "Test samples that one method classifies correctly more often than any other: method, true class, share of its runs"
    " that are correct, largest share of another method."
)
WIDTH, CLIP_WIDTH = 1.5, 3.0  # inches of a sample


def draw(study: Study, dataset: str) -> Figure | None:
    """Draw a panel for each sample. Of many methods one sample each."""
    table = study.uniquely_correct.query("dataset == @dataset").reset_index()
    if table.empty:
        return None
    if table["method"].nunique() > MOST_LINES:
        table = table.groupby("method", sort=False).head(1)
    images, classes = study.images[dataset].uniquely_correct, study.info[dataset].classes
    clips = any(1 + image.ndim == CLIP_AXES for modality in images.values() for image in modality)
    figure, axes = grid(len(table), CLIP_WIDTH if clips else WIDTH, 0.5 * len(images) + 0.8)
    for ax, number, sample in zip(axes, table.index, table.to_dict("records"), strict=True):
        ax.imshow(stack(modality[number][None] for modality in images.values()), interpolation="nearest")
        rates = f"{sample['rate']:.0%}, others {sample['best_other']:.0%}"
        name = class_label(classes[sample["label"]])
        ax.set_title(f"{label(sample['method'])}\n{name}\n{rates}", fontsize="small")
        ax.set_axis_off()
    return figure
