"""Random re-balancing: after the warm-up epoch each step is drawn uniformly from regular and re-balancing steps.

It shows what re-balancing does without the choice of when and for which modality. Source: the code of
Wu et al., ICML 2022, and its authors' answer in issue 1 of their repository.
"""

import torch
from torch import Tensor

from greedymm.params import Random as Settings
from greedymm.training.methods.greedy import Greedy


class Random(Greedy):
    """Every step of an epoch after the first is regular or re-balancing for one modality, all equally likely."""

    def start_epoch(self, epoch: int, steps: int) -> None:
        """Draw the modes of all steps of the epoch."""
        drawn = torch.randint(self.modalities + 1, (steps,), generator=self.draws)
        modes = drawn if epoch > 0 else torch.zeros_like(drawn)
        self._modes = iter(modes.to(self.device))

    def mode(self) -> Tensor:
        """The mode that was drawn for the step."""
        mode: Tensor = next(self._modes)
        return mode


def build(_settings: Settings, modalities: int, device: torch.device, draws: torch.Generator) -> Random:
    """The method; it has no settings."""
    return Random(modalities, device, draws)
