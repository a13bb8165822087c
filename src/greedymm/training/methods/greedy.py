"""Greedy training: every step is regular. The baseline of Wu et al. 2022, and the base class of all methods.

A method is asked for each step's mode, and told what the step did. What it keeps are tensors on the device, so that
no step waits for the host. Mode 0 is a regular step, k + 1 a re-balancing step for modality k.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.params import Strict


class Greedy:
    """Every step is regular.

    Args:
        modalities: M.
        device: where the model is.
        draws: the method's own random stream, on the CPU.
    """

    def __init__(self, modalities: int, device: torch.device, draws: torch.Generator) -> None:
        self.modalities, self.device, self.draws = modalities, device, draws
        self.regular = torch.zeros((), dtype=torch.int64, device=device)

    def start_epoch(self, epoch: int, steps: int) -> None:
        """Called before each epoch, counted from 0, with its number of steps."""

    def mode(self) -> Tensor:
        """Mode of the coming step: an int64 scalar."""
        return self.regular

    def loss(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Sum of the branches' cross-entropies; logits (B, classes) of each branch, labels (B,)."""
        return torch.stack([cross_entropy(y, labels) for y in logits]).sum()

    def after_backward(self, mode: Tensor, speeds: Tensor) -> None:
        """Called between backward and update, with the step's mode and the learning speeds (M,) up to it."""

    def state_dict(self) -> dict[str, Tensor]:
        """All that the method has to remember between epochs."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` gave."""


def build(_settings: Strict, modalities: int, device: torch.device, draws: torch.Generator) -> Greedy:
    """The method; it has no settings."""
    return Greedy(modalities, device, draws)
