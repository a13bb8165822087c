"""Trained tiny networks, and what a measure makes of them."""

import tempfile
from functools import cache
from pathlib import Path

import pandas as pd
import tiny
import torch

from greedymm.evaluation.evaluate import compute_measures, predict_split
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MeasureSettings

CLARITY = (1.0, 0.7, 0.6)
Values = dict[str, float | None]


def train_split(modalities: int = 2) -> tiny.Split:
    return tiny.split(26, CLARITY[:modalities], 6)


def split(modalities: int = 2, samples: int = 40, size: int = 7) -> tiny.Split:
    return tiny.split(samples, CLARITY[:modalities], size, seed=5)


@cache
def network(modalities: int = 2) -> MultimodalNetwork:
    """A trained network with recorded means, in evaluation mode. Its fusion is strong, so that branches interact."""
    with tempfile.TemporaryDirectory() as folder:
        run = tiny.run(Path(folder, "resume.pt"), clarity=CLARITY[:modalities])
        run.go()
    model = run.fit.model
    with torch.no_grad():
        for fusion in model.fusions:
            for p in fusion.parameters():
                p.mul_(5)
    model.record_means(train_split(modalities))
    return model.eval()


def apply(settings: MeasureSettings, model: MultimodalNetwork, of: tiny.Split) -> tuple[pd.DataFrame, Values]:
    """The table of one measure on a split, and its values."""
    count = of.count
    samples = pd.DataFrame({"split": "val", "id": range(count), "label": of.labels.numpy()})
    table = predict_split(model, of, samples, [settings], train_split(len(model.branches)))
    return table, compute_measures(table, [settings], model.modalities)


def correct(model: MultimodalNetwork, inputs: list[torch.Tensor], labels: torch.Tensor) -> float:
    """Accuracy of the network, in one pass."""
    with torch.no_grad():
        return float((model(inputs).logits.argmax(dim=1) == labels).double().mean())
