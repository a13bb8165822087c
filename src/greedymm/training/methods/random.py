"""Random re-balancing: after the warm-up epoch each step is drawn uniformly from regular and re-balancing steps.

It is a control: re-balancing at random times and for random modalities. Source: the code of Wu et al., ICML 2022, and
its authors' answer in issue 1 of their repository. With M modalities there are M + 1 modes, each as likely. The mode of
each step is in steps.parquet.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from greedymm.models.network import Pass
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method
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
        """A random mode; the modes of an epoch are drawn at its first step."""
        if step.number == 0:
            drawn = torch.randint(self.modalities + 1, (step.count,), generator=self.generator)
            modes = drawn if step.epoch > 0 else torch.zeros_like(drawn)
            self.modes = iter(modes.to(self.device))
        return Pass(present=step.present, mode=next(self.modes))


def build(settings: Settings) -> Random:
    """Build the method from its settings."""
    return Random(settings)
