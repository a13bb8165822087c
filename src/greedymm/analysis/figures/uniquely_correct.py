"""Test samples that one method classifies correctly more often than any other."""

from matplotlib.figure import Figure

from greedymm.analysis.figures import confusion
from greedymm.analysis.figures.images import CLIP_AXES, stack
from greedymm.analysis.figures.style import MOST_LINES, grid, label
from greedymm.analysis.study import Study

CAPTION = (
    "Test samples that one method classifies correctly more often than any other. Title: method, class, its rate, best"
    " other rate. Modalities are below each other."
)
WIDTH, CLIP_WIDTH = 1.5, 3.0  # inches of a sample

datasets = confusion.datasets


def draw(study: Study, dataset: str) -> Figure:
    """Draw a panel for each sample. Of many methods one sample each."""
    table = study.uniquely_correct.query("dataset == @dataset").reset_index()
    if table["method"].nunique() > MOST_LINES:
        table = table.groupby("method", sort=False).head(1)
    images, classes = study.images[dataset].uniquely_correct, study.info[dataset].classes
    clips = any(1 + image.ndim == CLIP_AXES for modality in images.values() for image in modality)
    figure, axes = grid(max(1, len(table)), CLIP_WIDTH if clips else WIDTH, 0.5 * len(images) + 0.8)
    for ax, number, sample in zip(axes, table.index, table.to_dict("records"), strict=False):
        ax.imshow(stack(modality[number][None] for modality in images.values()), interpolation="nearest")
        rates = f"{sample['rate']:.0%}, others {sample['best_other']:.0%}"
        name = classes[sample["label"]].replace("_", " ")
        ax.set_title(f"{label(sample['method'])}\n{name}\n{rates}", fontsize="small")
    for ax in axes:
        ax.set_axis_off()
    if table.empty:
        axes[0].text(0.5, 0.5, "none", ha="center")
    figure.suptitle(study.names[dataset])
    return figure
