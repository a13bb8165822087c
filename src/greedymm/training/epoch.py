"""One epoch, the same for every method; and one pass of evaluation."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.models.multistream import MultiStream, prediction
from greedymm.training.methods.greedy import Greedy
from greedymm.training.speed import ConditionalLearningSpeed, spread

Batch = tuple[list[Tensor], Tensor]  # (B, C_k, *s_k) of each modality; labels (B,)


@dataclass
class Steps:
    """What each of N steps did, fetched from the device once an epoch."""

    loss: Tensor  # (N,)
    mode: Tensor  # (N,), 0: regular; k + 1: re-balancing for modality k
    speeds: Tensor  # (N, M)
    correct: Tensor  # (N, 1 + M): samples that the mean and each branch got right
    samples: Tensor  # (N,)

    @property
    def d_speed(self) -> Tensor:
        """Shape (N,)."""
        return torch.stack([spread(s) for s in self.speeds])

    @staticmethod
    def joined(parts: Iterable["Steps"]) -> "Steps":
        """The steps of several epochs, one after the other."""
        parts = list(parts)
        return Steps(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Steps)))


def train_epoch(
    model: MultiStream,
    batches: Iterable[Batch],
    method: Greedy,
    speed: ConditionalLearningSpeed | None,
    optimizer: torch.optim.Optimizer,
) -> Steps:
    """Train on every batch once. No step waits for the device.

    Args:
        speed: None for a unimodal reference, whose speeds are not a number.
    """
    model.train()
    unknown = torch.full((len(model.branches),), torch.nan, dtype=torch.float64)
    seen: list[tuple[Tensor, ...]] = []
    for inputs, labels in batches:
        mode = method.mode()
        logits = model(inputs, mode)
        loss = method.loss(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        speeds = unknown
        if speed is not None:
            speed.add(regular=mode == 0)
            speeds = speed.speeds()
            method.after_backward(mode, speeds)
        optimizer.step()
        seen.append((loss.detach(), mode, speeds, right(logits, labels), torch.tensor(len(labels))))
    return Steps(*(torch.stack(column).cpu() for column in zip(*seen, strict=True)))


@torch.no_grad()
def right(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Samples that the mean and each branch get right: int64 (1 + M,)."""
    predictions = torch.stack([prediction(logits), *logits]).argmax(dim=2)  # (1 + M, B)
    return (predictions == labels).sum(dim=1)


@torch.no_grad()
def evaluate(model: MultiStream, batches: Iterable[Batch]) -> tuple[float, list[float]]:
    """Mean over samples of the sum of the branches' losses, and accuracies of the mean and of each branch.

    Always un-cut and regular, whatever the method does in training.
    """
    model.eval()
    losses, corrects, count = [], [], 0
    for inputs, labels in batches:
        logits = model(inputs)
        losses.append(torch.stack([cross_entropy(y, labels, reduction="sum") for y in logits]).sum())
        corrects.append(right(logits, labels))
        count += len(labels)
    total = torch.stack(corrects).sum(dim=0).double() / count
    return float(torch.stack(losses).sum() / count), total.tolist()
