"""Absent modalities, for fusions of any kind."""

import torch
from torch import Tensor

from greedymm.models.network import by_sample


def zero_absent(features: list[Tensor], present: Tensor | None) -> list[Tensor]:
    """Replace the features (B, *s_k) of absent modalities by zeros; `present` is bool (M,) or (B, M), None: all."""
    if present is None:
        return features
    kept = by_sample(present).T  # (M, 1 or B)
    return [torch.where(kept[k].view(-1, *(1 for _ in h.shape[1:])), h, 0) for k, h in enumerate(features)]
