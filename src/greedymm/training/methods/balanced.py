"""Balanced multi-modal learning: when the branches' learning speeds drift apart, accelerate the one left behind.

Source: Wu et al., ICML 2022 (there: "guided").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method
from greedymm.training.speed import modality_gap

if TYPE_CHECKING:
    from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `balanced`: balanced multi-modal learning (Wu et al. 2022)."""

    tolerance: float = Field(
        default=0.01, gt=0, description="alpha, in units of log10: |d_speed| that opens a re-balancing window"
    )
    window: int = Field(strict=True, default=5, ge=1, description="Q: steps in one re-balancing window")


class Balanced(Method):
    """Re-balancing windows, opened by |d_speed| > tolerance.

    The first epoch is warm-up, as is the first step of the second. A regular step that finds |d_speed| above the
    tolerance opens a window: the next `window` steps are re-balancing steps for the modality with the largest
    speed s, which leans most on the others. At least one regular step follows.
    """

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Re-balancing steps."""
        return frozenset({"mode"})

    def groups(self, modalities: int) -> list[str]:
        """Those whose learning speeds are compared with the branches'."""
        return [f"fusion.side_{k}" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Begin without a window."""
        super().setup(network, generator)
        self.regular = torch.zeros((), dtype=torch.int64, device=self.device)
        self.left = self.regular.clone()  # re-balancing steps still to come
        self.chosen = self.regular.clone()  # the modality they accelerate

    def plan(self, step: Step) -> Pass:
        """A re-balancing step while a window is open."""
        return Pass(present=step.present, mode=torch.where(self.left > 0, self.chosen + 1, self.regular))

    def after_backward(self, step: Step) -> None:
        """Count the open window down, or see whether one is to be opened."""
        drifting = modality_gap(step.speeds).abs() > self.settings.tolerance
        opens = (step.mode == 0) & drifting & (step.epoch > 0)
        self.chosen = torch.where(opens, step.speeds.argmax(), self.chosen)
        self.left = torch.where(opens, self.settings.window, (self.left - 1).clamp(min=0))

    def state_dict(self) -> dict[str, Tensor]:
        """The open window."""
        return {"left": self.left, "chosen": self.chosen}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the window that was open."""
        self.left, self.chosen = (state[name].to(self.device) for name in ("left", "chosen"))


def build(settings: Settings) -> Balanced:
    """The method from its settings."""
    return Balanced(settings)
