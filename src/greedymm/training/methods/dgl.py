"""DGL: branches learn from their own losses only, the fusion and a joint head from the network's loss only.

    grad(branch k) = alpha * d/dtheta_k sum_j CE(y_j)      no gradient flows from one branch to another
    grad(fusions, joint head) = d/dtheta CE(network)

Source: Wei et al., "Disentangled gradient learning", ICCV 2025, and its code. There, one head reads joined features:
y_k is its output when the other features are zero. As in the code, a joint head has no gradient of the branches'
losses. Unlike in the code, parameters are found by groups and not by names, and gradients are not clipped. Our choice
for fusions between stages: branches use each other's features, without gradient. A branch is its body and its own head:
with own heads and no fusion, this is independent unimodal training, and an ensemble. With SGD, alpha is a factor of the
branches' learning rate; the released code notes that its best value depends on the versions of libraries. There is no
coefficient to log: alpha is constant. Cost: one more backward pass.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings, log_uniform
from greedymm.training.methods.base import Method, branch_losses
from greedymm.training.methods.branchwise import branch_parameters
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `dgl` (Wei et al. 2025)."""

    objective: Literal["multi"] = Field(default="multi", description="losses of the branches and of the network")
    alpha: float = Field(
        default=4.0,
        gt=0,
        description="weight of the branches' losses; published: 4 or 5 on CREMA-D, 2 or 3 on Kinetics-Sounds",
        json_schema_extra=log_uniform(0.5, 5.0),
    )


class Dgl(Method):
    """Routes the gradients of two losses to two kinds of parameters."""

    settings: Settings

    def passes(self) -> frozenset[str]:
        """No gradient between branches."""
        return frozenset({"detach"})

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Find the parameters of each loss."""
        super().setup(network, generator)
        own = [parameter for parameters in branch_parameters(network) for parameter in parameters]
        shared = [p for name, group in network.groups().items() if not name.startswith("branch_") for p in group]
        self.routes = [("branches", self.settings.alpha, own), ("network", 1.0, shared)]

    def plan(self, step: Step) -> Pass:
        """A pass without gradient between branches."""
        return Pass(present=step.present, detach=True)

    def separates(self, step: Step) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Loss of the branches, and of the network."""
        branches = torch.stack(branch_losses(step.output, step.labels)).sum()
        return {"branches": branches, "network": cross_entropy(step.output.logits, step.labels)}

    def after_backward(self, step: Step) -> None:
        """Give each parameter the gradient of its loss."""
        for name, factor, parameters in self.routes:
            for parameter in parameters:
                if parameter.grad is not None:  # it is None in a frozen branch
                    parameter.grad = factor * step.gradients[name][parameter]


def build(settings: Settings) -> Dgl:
    """Build the method from its settings."""
    return Dgl(settings)
