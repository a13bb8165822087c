"""What several measures share: passes without some modalities, and predictions with another sample's modality."""

# B samples; M modalities.

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from greedymm.evaluation.evaluate import FULL
from greedymm.modalities import Subset
from greedymm.models.network import Batch, MultimodalNetwork, Pass

CUT = "cut"  # name of the pass in which each branch hears only itself
Predicted = npt.NDArray[np.int16]  # classes


def cut_pass(modalities: Sequence[str]) -> dict[str, Pass]:
    """The pass in which each branch hears only itself."""
    return {CUT: Pass(hears=torch.eye(len(modalities), dtype=torch.bool))}


def subset_name(subset: Subset, modalities: Sequence[str]) -> str:
    """Name of the pass in which only some modalities are present."""
    return FULL if len(subset) == len(modalities) else "only_" + "+".join(modalities[k] for k in subset)


def subset_pass(subset: Subset, modalities: Sequence[str]) -> dict[str, Pass]:
    """The pass in which only some modalities are present."""
    present = torch.tensor([k in subset for k in range(len(modalities))])
    return {subset_name(subset, modalities): Pass(present=present)}


def others(modality: int, modalities: Sequence[str]) -> Subset:
    """All modalities but one."""
    return tuple(k for k in range(len(modalities)) if k != modality)


def predict_replaced(network: MultimodalNetwork, own: list[Tensor], other: list[Tensor]) -> list[Predicted]:
    """Classes that the network predicts, (B,), with the stem's features of modality k from `other`: for each k."""
    mixed = [[*own[:k], other[k], *own[k + 1 :]] for k in range(len(own))]
    return [classes(network.fuse(features, Pass()).logits) for features in mixed]


def classes(logits: Tensor) -> Predicted:
    """Predicted classes (B,)."""
    return logits.argmax(dim=1).cpu().numpy().astype(np.int16)


def accuracy(predicted: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of predictions that are correct."""
    return float((np.asarray(predicted) == np.asarray(labels)).mean())


def generator(seed: int) -> torch.Generator:
    """A generator on the CPU, so that a GPU gets the same numbers."""
    return torch.Generator().manual_seed(seed)


def paired(first: Iterator[Batch], second: Iterator[Batch]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Inputs of two passes of the same length, batch by batch."""
    for (own, _), (other, _) in zip(first, second, strict=True):
        yield own, other
