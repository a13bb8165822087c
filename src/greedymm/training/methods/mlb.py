"""MLB: slow the branches that are ahead, and speed up those that are behind, with a loss for each branch.

    s_k = mean over the batch of softmax(y_k)[label]       r_k = mean over j != k of s_j / s_k
    c_k = 1 + (beta - 1) tanh(alpha (r_k - 1)) where r_k > 1, else 1 + tanh(alpha (r_k - 1))
    loss CE(network) + sum_k CE(y_k)                       grad(theta_k) <- c_k grad(theta_k)

theta_k is a branch with its own head, and c_k is in [1 - tanh(alpha), beta]. Fusions and a joint head keep their
gradients. Source: Kontras et al., BMVC 2024 (multi-loss gradient modulation), and the code kkontras/MLB. The mean over
the other branches is that of the code for three modalities. There, each branch has a head for its loss alone; here the
own heads also give the logits of the network [our choice]. Unlike in the code, parameters are found by group, and not
by name. A score near 0 gives beta, and never a division by zero. At the start of training the ratios are noise:
`active: {start: 2}` is a warm-up. Cost: 1; with the evidence `cut`, one more forward pass.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import ScoringSettings, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import branch_parameters, scale_gradients
from greedymm.training.methods.ogm_ge import EPSILON, mean_probabilities
from greedymm.training.step import Step


class Settings(ScoringSettings):
    """Method `mlb` (Kontras et al. 2024)."""

    objective: Literal["multi", "branch"] = Field(
        default="multi", description="multi, as published: losses of network and branches; branch: of branches only"
    )
    alpha: float = Field(
        default=0.5,
        ge=0,
        description="strength; published: 0.5 on CREMA-D, 2 to 5 on other sets",
        json_schema_extra=log_uniform(0.1, 5.0),
    )
    beta: float = Field(
        default=10.0,
        ge=1,
        description="largest factor of a branch that is behind; published: 10 on CREMA-D",
        json_schema_extra=log_uniform(1.5, 15.0),
    )


class Mlb(Method):
    """Scales the gradients of each branch by its score relative to the others."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Find the parameters of each branch. With a joint head, no branch has a head of its own."""
        super().setup(network, generator)
        self.branches = branch_parameters(network)
        self.scales = torch.ones(self.modalities, device=self.device)

    def after_backward(self, step: Step) -> None:
        """Scale the gradients."""
        self.scales = torch.ones_like(self.scales)
        if not self.settings.active.contains(step.epoch, step.number):
            return
        scores = mean_probabilities(step.evidence(self.settings.evidence), step.labels)
        self.scales = scales(scores, self.settings.alpha, self.settings.beta)
        scale_gradients(self.branches, self.scales)

    def log(self) -> Mapping[str, Tensor]:
        """Scale of each branch's gradients."""
        return {f"scale_{k}": scale for k, scale in enumerate(self.scales)}


def scales(scores: Tensor, alpha: float, beta: float) -> Tensor:
    """c_k of each branch from its score: (M,), in [1 - tanh(alpha), beta]."""
    ratios = scores / scores.clamp(min=EPSILON)[:, None]  # (M, M), row k: s_j / s_k
    behind = torch.tanh(alpha * ((ratios.sum(dim=1) - ratios.diagonal()) / (len(scores) - 1) - 1))
    return 1 + torch.where(behind > 0, beta - 1, 1) * behind


def build(settings: Settings) -> Mlb:
    """Build the method from its settings."""
    return Mlb(settings)
