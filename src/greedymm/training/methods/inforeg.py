"""InfoReg: while a branch gains information quickly, hold it near its weights at the start of the epoch.

    F_k(e): trace of the Fisher information of branch k, mean over the steps of epoch e
    s_k: mean of softmax(y_k)[label] in epoch e - 1       D_k: mean of s_k - s_j over the modalities j with s_j < s_k
    in epoch e, if D_k > 0 and F_k(e - 1) - F_k(e - 2) > K F_k(e - 1) (the prime window):
        grad(theta_k) <- grad(theta_k) + a_k (theta_k - theta_k at the start of epoch e),  a_k = exp(beta tanh(D_k))

Source: Huang et al., CVPR 2025, and the code GeWu-Lab/InfoReg_CVPR2025. The formulas are those of the paper. The code
differs: constants depend on the modality, only the audio branch opens the window, and means of squared gradients
replace traces. The code also adds losses of the branches, and sums scores over the batch, so that tanh is 1.

Our choices: F_k is approximated by B |g|^2, with g the gradient of a batch of B samples. g is that of the branch's body
and own head. Performance is s_k on the training batches. F_k is 0 before the first epoch, so the window is open in the
second epoch. No branch is held in the first epoch, and the worst branch is never held. As in the paper, the objective
is `joint` by default. Cost: 1, and one more forward pass with the evidence `cut`.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import ScoringSettings, log_uniform, uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import branch_parameters
from greedymm.training.methods.ogm_ge import mean_probabilities
from greedymm.training.step import Batches, Step


class Settings(ScoringSettings):
    """Method `inforeg` (Huang et al. 2025)."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="joint", description="loss: of branches, network, or both"
    )
    beta: float = Field(default=0.9, ge=0, description="strength, in the exponent", json_schema_extra=uniform(0.0, 2.0))
    threshold: float = Field(
        default=0.04,
        ge=0,
        description="K, relative growth of the Fisher information that opens the window; 1 or more: never",
        json_schema_extra=log_uniform(0.01, 0.5),
    )


class InfoReg(Method):
    """Pulls better branches to their weights at the start of the epoch."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize the sums."""
        super().setup(network, generator)
        self.parameters = branch_parameters(network)
        self.sums = torch.zeros(2, self.modalities, device=self.device)  # of Fisher traces and scores, in the epoch
        self.steps = torch.zeros((), device=self.device)
        self.previous = self.sums[0].clone()  # mean Fisher trace of the epoch before the last one
        self.applied = self.pulls = self.sums[0].clone()

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Set the coefficients from the last epoch, and keep the weights."""
        if epoch > 0:
            fisher, scores = self.sums / self.steps
            self.pulls = pulls(scores, self.settings.beta) * in_window(fisher, self.previous, self.settings.threshold)
            self.previous = fisher
        self.sums, self.steps = torch.zeros_like(self.sums), torch.zeros_like(self.steps)
        self.start = [[p.detach().clone() for p in parameters] for parameters in self.parameters]

    @torch.no_grad()
    def after_backward(self, step: Step) -> None:
        """Add to the sums, and pull the weights."""
        scores = mean_probabilities(step.evidence(self.settings.evidence), step.labels)
        self.sums = self.sums + torch.stack([len(step.labels) * self.squared_norms(), scores])
        self.steps = self.steps + 1
        inside = self.settings.active.contains(step.epoch, step.number)
        self.applied = self.pulls if inside else torch.zeros_like(self.pulls)
        for pull, parameters, start in zip(self.applied, self.parameters, self.start, strict=True):
            for parameter, old in zip(parameters, start, strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_(pull * (parameter - old))

    def squared_norms(self) -> Tensor:
        """Squared norm of each branch's gradient: (M,), 0 for a frozen branch."""
        zero = self.steps.new_zeros(())
        return torch.stack(
            [
                torch.stack([zero, *(p.grad.square().sum() for p in own if p.grad is not None)]).sum()
                for own in self.parameters
            ]
        )

    def log(self) -> Mapping[str, Tensor]:
        """a_k of each branch; 0: it is not held."""
        return {f"pull_{k}": pull for k, pull in enumerate(self.applied)}

    def state_dict(self) -> dict[str, Tensor]:
        """Sums of the last epoch, and the Fisher trace of the one before."""
        return {"sums": self.sums, "steps": self.steps, "previous": self.previous}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the sums."""
        self.sums, self.steps, self.previous = (state[name].to(self.device) for name in ("sums", "steps", "previous"))


def pulls(scores: Tensor, beta: float) -> Tensor:
    """a_k of each branch, from scores in [0, 1]: (M,); 0 for the worst."""
    ahead = (scores[:, None] - scores).clamp(min=0)  # (M, M), of k over j
    worse = (ahead > 0).sum(dim=1)
    advantage = ahead.sum(dim=1) / worse.clamp(min=1)
    return torch.where(worse > 0, torch.exp(beta * torch.tanh(advantage)), 0)


def in_window(fisher: Tensor, previous: Tensor, threshold: float) -> Tensor:
    """Whether each branch is in its prime window: bool (M,)."""
    return fisher - previous > threshold * fisher


def build(settings: Settings) -> InfoReg:
    """Build the method from its settings."""
    return InfoReg(settings)
