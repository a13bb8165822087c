"""Balanced multi-modal learning: when the branches' learning speeds drift apart, accelerate the slow one.

    mu(theta; i) = |grad(theta)|^2 / |theta|^2 in regular step i
    s_k = log10(sum_i mu(fusion on the side of branch k) / sum_i mu(branch k))
    d_speed = s_0 - s_1;  |d_speed| > tolerance: re-balancing steps for argmax_k s_k, as many as `window`

In a re-balancing step for modality k, the gates of its branch are their running means. Source: Wu et al., ICML 2022,
and their code, which calls it "guided". As there, the first epoch has regular steps only, and the sums are never reset.
For more than two modalities, d_speed is the largest s_k minus the smallest [our choice]. Unlike in the code, each gate
has its own running mean (`official_gates: true` of the fusion: as in the code), and evaluation is always regular.
The mode of each step and the speeds are in steps.parquet.
"""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from greedymm.modalities import modality_gap
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings, choice, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `balanced`: balanced multi-modal learning (Wu et al. 2022)."""

    tolerance: float = Field(
        default=0.01,
        gt=0,
        description="alpha, in units of log10: |d_speed| that opens a re-balancing window",
        json_schema_extra=log_uniform(0.001, 1.0),
    )
    window: int = Field(
        default=5, ge=1, description="Q: steps in one re-balancing window", json_schema_extra=choice(1, 2, 5, 10, 20)
    )


class Balanced(Method):
    """Re-balancing windows, opened by |d_speed| > tolerance.

    The first epoch and the first step of the second are warm-up. A regular step with |d_speed| above the tolerance
    opens a window: the next `window` steps are re-balancing steps for the modality with the largest speed s, which
    depends most on the others. At least one regular step follows.
    """

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Re-balancing steps."""
        return frozenset({"mode"})

    def groups(self, modalities: int) -> list[str]:
        """Parameters whose learning speeds are compared with those of the branches."""
        return [f"fusion.side_{k}" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize without an open window."""
        super().setup(network, generator)
        self.regular = torch.zeros((), dtype=torch.int64, device=self.device)
        self.remaining = self.regular.clone()  # remaining re-balancing steps of the window
        self.chosen = self.regular.clone()  # modality that is accelerated

    def plan(self, step: Step) -> Pass:
        """A re-balancing step while a window is open."""
        return Pass(present=step.present, mode=torch.where(self.remaining > 0, self.chosen + 1, self.regular))

    def after_backward(self, step: Step) -> None:
        """Count down the open window, or open one."""
        drifting = modality_gap(step.speeds).abs() > self.settings.tolerance
        opens = (step.mode == 0) & drifting & (step.epoch > 0)
        # In place, so that a CUDA graph of a step finds them again.
        self.chosen.copy_(torch.where(opens, step.speeds.argmax(), self.chosen))
        self.remaining.copy_(torch.where(opens, self.settings.window, (self.remaining - 1).clamp(min=0)))

    def state_dict(self) -> dict[str, Tensor]:
        """The open window."""
        return {"remaining": self.remaining.clone(), "chosen": self.chosen.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the open window."""
        self.remaining, self.chosen = (state[name].to(self.device) for name in ("remaining", "chosen"))


def build(settings: Settings) -> Balanced:
    """Build the method from its settings."""
    return Balanced(settings)
