"""A trained network + batches -> predictions, un-cut and cut -> accuracies and utilization rates."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from greedymm.analysis.metrics.utilization import conditional_utilization_rate
from greedymm.errors import GreedymmError
from greedymm.models.multistream import MultiStream, prediction

log = logging.getLogger(__name__)

Batch = tuple[list[Tensor], Tensor]
CUT = "_cut"
PAIR = 2


@torch.no_grad()
def predictions(model: MultiStream, batches: Iterable[Batch], modalities: Sequence[str], *, cut: bool) -> pd.DataFrame:
    """Predicted classes: a row per sample, a column `mean` and one per modality; with `cut`, named `..._cut`.

    Raises:
        GreedymmError: if a logit is not finite.
    """
    model.eval()
    outputs = (model(inputs, cut=cut) for inputs, _ in batches)
    scores = torch.cat([torch.stack([prediction(logits), *logits], dim=1) for logits in outputs])  # (N, 1 + M, classes)
    if not scores.isfinite().all():
        raise GreedymmError("the network gives logits that are not finite: was it cut before its means were recorded?")
    names = [name + CUT * cut for name in ("mean", *modalities)]
    return pd.DataFrame(scores.argmax(dim=2).cpu().numpy().astype(np.int16), columns=names)


def samples(
    model: MultiStream, batches: Iterable[Batch], known: pd.DataFrame, modalities: Sequence[str]
) -> pd.DataFrame:
    """One row per sample of a split: what is known of it, and all predictions, un-cut and, for M > 1, cut.

    Args:
        model: trained, its means recorded.
        batches: the split, in the order of `known`.
        known: columns split, id and label.
        modalities: M names, m0 first.
    """
    ways = (False, True) if len(modalities) > 1 else (False,)
    return pd.concat([known, *(predictions(model, batches, modalities, cut=cut) for cut in ways)], axis=1)


def rates(frame: pd.DataFrame, modalities: Sequence[str]) -> dict[str, Any]:
    """Accuracies and utilization of one split.

    Args:
        frame: as `samples` gives it.
        modalities: M names, m0 first.

    Returns:
        accuracy of the mean. For M > 1 also of each branch, un-cut and cut, `utilization_<m>` of the branch of each
        modality (what it owes to the others: u(others | m)) and their difference d_util. A rate is None where it is
        undefined: the branch is right on no sample.
    """
    correct = {name: (frame[name] == frame["label"]).to_numpy() for name in frame.columns[3:]}
    result: dict[str, Any] = {"accuracy": float(correct["mean"].mean())}
    if len(modalities) == 1:
        return result
    for m in modalities:
        result[f"accuracy_{m}"] = float(correct[m].mean())
        result[f"accuracy_{m}{CUT}"] = float(correct[m + CUT].mean())
    utilization = [_rate(correct[m], correct[m + CUT], m) for m in modalities]
    result |= {f"utilization_{m}": u for m, u in zip(modalities, utilization, strict=True)}
    return result | {"d_util": _difference(utilization)}


def during_training(
    model: MultiStream,
    snapshots: Mapping[int, Mapping[str, Tensor]],
    train: Iterable[Batch],
    batches: Iterable[Batch],
    known: pd.DataFrame,
    modalities: Sequence[str],
) -> pd.DataFrame:
    """Utilization at chosen epochs: a row per snapshot, `epoch` and what `rates` gives; the means are recorded anew.

    Args:
        model: of the snapshots' form; it is left with the weights of the last one.
        snapshots: epoch -> weights and buffers.
        train: the training set, as it is evaluated, for the means.
        batches: the split to measure on, in the order of `known`.
        known: columns split, id and label.
        modalities: M names, m0 first.
    """
    rows = []
    for epoch, weights in sorted(snapshots.items()):
        model.load_state_dict(weights)
        model.record_means(train)
        rows.append({"epoch": epoch} | rates(samples(model, batches, known, modalities), modalities))
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["epoch"])


def _rate(correct: npt.NDArray[np.bool_], correct_cut: npt.NDArray[np.bool_], modality: str) -> float | None:
    try:
        return conditional_utilization_rate(correct, correct_cut)
    except ValueError as error:
        log.warning("utilization of the branch of %s is undefined: %s", modality, error)
        return None


def _difference(utilization: Sequence[float | None]) -> float | None:
    """d_util: u(m1|m0) - u(m0|m1) for two modalities, the largest - the smallest for more."""
    known = [u for u in utilization if u is not None]
    if len(known) < len(utilization):
        return None
    return known[0] - known[1] if len(known) == PAIR else max(known) - min(known)
