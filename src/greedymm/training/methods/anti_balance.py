"""Anti-balance: accelerate the branch with the best score. A control: OGM with the opposite sign.

    s_k = mean over the batch of softmax(y_k)[label]        rho_k = mean over j != k of s_k / s_j
    c_k = 1 + tanh(alpha * rho_k) where rho_k > 1, else 1   grad(theta_k) <- c_k grad(theta_k)

The definition is ours: 2 - c_k of OGM (Peng et al., CVPR 2022), for the same parameters, the kernels of convolutions,
and without noise. If this control is as good as a method that balances, then the balance is not what helps. Compare it
with `ogm_ge` of the same objective and window, with `noise: false`.

Two published methods favor a branch as well. ARL (Wei et al., ICCV 2025) multiplies the gradients by 1 + w_k. Its w_k
depend on the entropy and the size of the logits; in its code both w_k are constant. PDMP (Wei et al., arXiv 2604.05773)
multiplies the gradients of the best modality by a constant above 1, whose value is unknown here. Cost: 1; with the
evidence `cut`, one more forward pass.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import ScoringSettings, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import scale_gradients
from greedymm.training.methods.ogm_ge import KERNEL, mean_probabilities, scales
from greedymm.training.step import Step


class Settings(ScoringSettings):
    """Method `anti_balance`."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="joint", description="loss: of branches, network, or both"
    )
    alpha: float = Field(
        default=0.8, ge=0, description="strength, as in ogm_ge", json_schema_extra=log_uniform(0.05, 2.0)
    )


class AntiBalance(Method):
    """Scales the gradients of each branch's convolutions by its relative score."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Find the kernels."""
        super().setup(network, generator)
        self.kernels = [[p for p in network.group(g) if p.dim() >= KERNEL] for g in self.groups(self.modalities)]
        if not all(self.kernels):
            raise GreedymmError("method 'anti_balance' scales the kernels of convolutions: a branch has none")
        self.scales = torch.ones(self.modalities, device=self.device)

    def after_backward(self, step: Step) -> None:
        """Scale the gradients."""
        self.scales = torch.ones_like(self.scales)
        if self.settings.active.contains(step.epoch, step.number):
            evidence = step.evidence(self.settings.evidence)
            self.scales = 2 - scales(mean_probabilities(evidence, step.labels), self.settings.alpha)
            scale_gradients(self.kernels, self.scales)

    def log(self) -> Mapping[str, Tensor]:
        """Scale of each branch's gradients."""
        return {f"scale_{k}": scale for k, scale in enumerate(self.scales)}


def build(settings: Settings) -> AntiBalance:
    """Build the method from its settings."""
    return AntiBalance(settings)
