"""Random re-balancing: after the warm-up epoch each step is drawn uniformly from regular and re-balancing steps.

It shows what re-balancing does without the choice of when and for which modality. Source: the code of
Wu et al., ICML 2022, and its authors' answer in issue 1 of their repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from greedymm.models.network import Pass
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method

if TYPE_CHECKING:
    from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `random`: each step after the warm-up epoch is drawn from regular and re-balancing for each modality."""


class Random(Method):
    """Every step of an epoch after the first is regular or re-balancing for one modality, all equally likely."""

    modes: Iterator[Tensor]

    def passes(self) -> frozenset[str]:
        """Re-balancing steps."""
        return frozenset({"mode"})

    def plan(self, step: Step) -> Pass:
        """The mode that was drawn for the step; those of an epoch are drawn at once."""
        if step.number == 0:
            drawn = torch.randint(self.modalities + 1, (step.count,), generator=self.generator)
            modes = drawn if step.epoch > 0 else torch.zeros_like(drawn)
            self.modes = iter(modes.to(self.device))
        return Pass(present=step.present, mode=next(self.modes))


def build(settings: Settings) -> Random:
    """The method from its settings."""
    return Random(settings)
