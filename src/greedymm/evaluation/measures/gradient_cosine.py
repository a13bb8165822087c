"""Gradient cosine: whether a branch's own loss and the network's loss pull the branch in the same direction.

    cos(grad CE(y_k), grad CE(y))        both on the parameters of the body of branch k

y_k: logits of branch k. y: the network's logits in training, without a method's decision rule. Both gradients are
means over a batch of fixed samples, in evaluation mode, so that batch norm uses its running statistics. Cost: for each
batch a forward pass and 2 M backward passes.

Pitfalls: gradients of a split that the network fits perfectly are small, and their direction is noise. Through a
fusion, the network's loss also reaches branch k by way of the other branches. Near 1: the branch is trained as it would
train itself; near 0 or below: other branches decide what it learns.

Source: conflict of gradients, Yu et al., NeurIPS 2020; between unimodal and multi-modal losses Wei & Hu, ICML 2024.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from greedymm.evaluation.evaluate import column
from greedymm.evaluation.measures.common import generator
from greedymm.models.network import Batch, Batches, MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings

COSINE = "gradient_cosine"


class Settings(MeasureSettings):
    """Measure `gradient_cosine`: cosine of the gradients of a branch's own loss and of the network's loss."""

    batches: int = Field(default=8, ge=1, description="fixed batches of the split")
    batch_size: int = Field(default=64, ge=1, description="samples in one batch")
    seed: int = Field(default=0, ge=0, description="of the draw of the batches")


def passes(_settings: Settings, _modalities: Sequence[str]) -> dict[str, Pass]:
    """None."""
    return {}


def columns(
    settings: Settings, network: MultimodalNetwork, _train: Batches, split: Batches
) -> dict[str, npt.NDArray[np.float64]]:
    """`<m>_gradient_cosine`: the cosine of a sample's batch; NaN for samples in no batch, and for a gradient of 0."""
    order = torch.randperm(split.count, generator=generator(settings.seed))
    result = {column(m, COSINE): np.full(split.count, np.nan) for m in network.modalities}
    decide, network.decide = network.decide, None
    for rows in torch.split(order[: settings.batches * settings.batch_size], settings.batch_size):
        for values, cosine in zip(result.values(), cosines(network, list(split.of(rows))), strict=True):
            values[rows.numpy()] = cosine
    network.decide = decide
    return result


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split: `gradient_cosine_<m>` in [-1, 1], the mean over batches. None if all gradients are 0."""
    means = {m: float(table[column(m, COSINE)].mean()) for m in modalities}
    return {f"{COSINE}_{m}": None if np.isnan(mean) else mean for m, mean in means.items()}


def cosines(network: MultimodalNetwork, parts: Sequence[Batch]) -> list[float]:
    """Cosine for each branch, on one batch that may come in parts; NaN if a gradient is 0."""
    own, joint = ([torch.zeros(()) for _ in network.branches] for _ in range(2))
    for inputs, labels in parts:
        output = network(inputs)
        for k, logits in enumerate(output.branches):
            body = [p for p in network.group(f"branch_{k}.body") if p.requires_grad]
            own[k] = own[k] + gradient(logits, labels, body)
            joint[k] = joint[k] + gradient(output.logits, labels, body)
    return [cosine(a, b) for a, b in zip(own, joint, strict=True)]


def gradient(logits: Tensor, labels: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Gradient of the sum of the samples' cross-entropies, flat, on the CPU; 0 if all parameters are frozen."""
    if not parameters:
        return torch.zeros(1, dtype=torch.float64)
    loss = cross_entropy(logits, labels, reduction="sum")
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([part.double().flatten() for part in parts]).cpu()


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine of two vectors; NaN if one is 0."""
    return float(a @ b / (a.norm() * b.norm()))
