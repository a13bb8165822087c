"""Balanced multi-modal learning: when the branches' learning speeds drift apart, accelerate the one left behind.

Source: Wu et al., ICML 2022 (there: "guided").
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from greedymm.params import Balanced as Settings
from greedymm.training.methods.greedy import Greedy
from greedymm.training.speed import spread


class Balanced(Greedy):
    """Re-balancing windows, opened by |d_speed| > tolerance.

    The first epoch is warm-up, as is the first step of the second. A regular step that finds |d_speed| above the
    tolerance opens a window: the next `window` steps are re-balancing steps for the modality with the largest
    speed s, which leans most on the others. At least one regular step follows.
    """

    def __init__(
        self, modalities: int, device: torch.device, draws: torch.Generator, tolerance: float, window: int
    ) -> None:
        super().__init__(modalities, device, draws)
        self.tolerance, self.window = tolerance, window
        self.warmed_up = False
        self.left = torch.zeros((), dtype=torch.int64, device=device)  # re-balancing steps still to come
        self.chosen = torch.zeros((), dtype=torch.int64, device=device)  # the modality they accelerate

    def start_epoch(self, epoch: int, steps: int) -> None:  # noqa: ARG002
        """Windows may open from the second epoch on."""
        self.warmed_up = epoch > 0

    def mode(self) -> Tensor:
        """A re-balancing step while a window is open."""
        return torch.where(self.left > 0, self.chosen + 1, self.regular)

    def after_backward(self, mode: Tensor, speeds: Tensor) -> None:
        """Count the open window down, or see whether one is to be opened."""
        opens = (mode == 0) & (spread(speeds).abs() > self.tolerance) & self.warmed_up
        self.chosen = torch.where(opens, speeds.argmax(), self.chosen)
        self.left = torch.where(opens, self.window, (self.left - 1).clamp(min=0))

    def state_dict(self) -> dict[str, Tensor]:
        """The open window."""
        return {"left": self.left, "chosen": self.chosen}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the window that was open."""
        self.left, self.chosen = (state[name].to(self.device) for name in ("left", "chosen"))


def build(settings: Settings, modalities: int, device: torch.device, draws: torch.Generator) -> Balanced:
    """The method from its settings."""
    return Balanced(modalities, device, draws, settings.tolerance, settings.window)
