"""Losses of all heads and their gradients as long vectors, in plain torch: for references of methods."""

from collections.abc import Sequence

import tiny
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def losses_of(step: tiny.BareStep, *, joint: bool = True) -> list[Tensor]:
    """Cross-entropy of each branch, then of the network."""
    output = step.model(step.inputs)
    return [cross_entropy(y, step.labels) for y in (*output.branches, *([output.logits] if joint else []))]


def vectors(losses: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Gradient of each loss, float64 (P,)."""
    found = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
        found.append(torch.cat([g.flatten().double() for g in parts]))
    return found


def assign(vector: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Set the gradients of parameters from one vector."""
    for p, part in zip(parameters, torch.split(vector, [p.numel() for p in parameters]), strict=True):
        p.grad = part.view_as(p).to(p.dtype)
