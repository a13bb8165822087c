"""AGM: adaptive gradient modulation by the Shapley values of each modality's logits.

    phi_k = sum over S without k of |S|! (M - |S| - 1)! / M! * (f(S + k) - f(S)),  f(none) = 0;  loss CE(sum_k phi_k)
    s_k = mean CE(phi_k);  r_k = exp(mean over j != k of s_j - s_k);  tau_k: the same of the means of s_k so far
    c_k = exp(alpha * min(tau_k - r_k, cap)) scales the gradient that enters phi_k

A branch is slowed if, relative to the others, it is better than its mean so far. The mean includes the current step,
and steps outside of the window.

Source: Li et al., ICCV 2023, and the code lihong2303/AGM_ICCV2023. f(S): logits with the modalities S present and
without the others in the fusions; the code sets the other inputs to zero. If the head averages logits, f(S) is
multiplied by |S| / M, so that absent branches count as zeros [our choice]. As in the code, the loss of a sample in s_k
is at most -log 1e-8. As in the code, passes with absent modalities are in evaluation mode, and have gradients. If an
element of the heads' gradient exceeds `clip`, the whole gradient is clipped to the norm `clip`, as in the code
[elements: recalled]. Cost: 2^M - 1 forward and backward passes; 1 if `additive`.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.modalities import shapley_values, subsets
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings, Window, log_uniform
from greedymm.training.methods.base import Method, branch_losses
from greedymm.training.step import Step

WORST = 18.42  # -log(1e-8), the loss of one sample at most in a score


class Settings(MethodSettings):
    """Method `agm` (Li et al. 2023)."""

    objective: Literal["joint", "multi"] = Field(
        default="joint", description="cross-entropy. joint: of the sum of phi; multi: of the sum and of each branch"
    )
    alpha: float = Field(
        default=1.5,
        ge=0,
        description="strength; published: 1.5 on CREMA-D, 2.5 on AV-MNIST",
        json_schema_extra=log_uniform(0.3, 5.0),
    )
    cap: float = Field(default=10.0, ge=0, description="of tau - r")
    additive: bool = Field(
        default=False,
        description="phi_k: each branch's share of the logits, without extra passes; exact with late fusion",
    )
    clip: float | None = Field(default=1.0, gt=0, description="limit of the gradient; published: 1; null: none")
    active: Window = Window()


class Agm(Method):
    """Splits the logits into shares of the modalities, and scales the gradient of each share."""

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Absent modalities."""
        return frozenset(() if self.settings.additive else {"present"})

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize the running means."""
        super().setup(network, generator)
        self.sums = torch.zeros(self.modalities, dtype=torch.float64, device=self.device)
        self.steps = torch.zeros((), dtype=torch.float64, device=self.device)
        self.scales = torch.ones(self.modalities, device=self.device)
        self.averages = network.head.averages
        self.factor = torch.ones((), device=self.device)
        groups = network.groups()
        self.heads = [p for name in groups if "head" in name for p in groups[name]]
        everyone = range(self.modalities)
        some = [subset for subset in subsets(self.modalities) if 0 < len(subset) < self.modalities]
        self.present = {s: torch.tensor([k in s for k in everyone], device=self.device) for s in some}

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy of the sum of the shares, whose gradients are scaled."""
        shares = self.shares(step)
        with torch.no_grad():
            self.scales = self.update([losses.mean() for losses in sample_losses(shares, step.labels)], step)
        total = torch.stack([scale_gradient(phi, c) for phi, c in zip(shares, self.scales, strict=True)]).sum(dim=0)
        loss = cross_entropy(total, step.labels)
        if self.settings.objective == "multi":
            loss = loss + torch.stack(branch_losses(step.output, step.labels)).sum()
        return loss

    def shares(self, step: Step) -> list[Tensor]:
        """phi_k of each modality: (B, classes)."""
        count = self.modalities
        if self.settings.additive:
            return [y / count if self.averages else y for y in step.output.branches]
        value = {(): torch.zeros_like(step.output.logits), tuple(range(count)): step.output.logits}
        for subset, present in self.present.items():
            logits = step.extra_pass(Pass(present=present)).logits
            value[subset] = len(subset) / count * logits if self.averages else logits
        return shapley_values(value.__getitem__, count)

    def update(self, scores: list[Tensor], step: Step) -> Tensor:
        """Add a step's scores to the running means, and return c_k of each modality: (M,)."""
        now = torch.stack(scores).double()
        self.sums, self.steps = self.sums + now, self.steps + 1
        if not self.settings.active.contains(step.epoch, step.number):
            return torch.ones_like(self.scales)
        gap = advantages(self.sums / self.steps) - advantages(now)
        return torch.exp(self.settings.alpha * gap.clamp(max=self.settings.cap)).to(self.scales.dtype)

    def after_backward(self, step: Step) -> None:
        """Clip the gradient."""
        self.factor = torch.ones_like(self.factor)
        if self.settings.clip is None or not self.settings.active.contains(step.epoch, step.number):
            return
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        largest = [p.grad.abs().max() for p in self.heads if p.grad is not None]
        if largest:
            norm = torch.nn.utils.get_total_norm(gradients)
            limit = (self.settings.clip / norm).clamp(max=1)
            self.factor = torch.where(torch.stack(largest).max() > self.settings.clip, limit, self.factor)
        for gradient in gradients:
            gradient.mul_(self.factor)

    def log(self) -> Mapping[str, Tensor]:
        """Scale of each modality's gradient, and of the whole gradient where it is clipped."""
        return {f"scale_{k}": scale for k, scale in enumerate(self.scales)} | {"clip": self.factor}

    def state_dict(self) -> dict[str, Tensor]:
        """Sums and number of the scores."""
        return {"sums": self.sums, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the sums."""
        self.sums, self.steps = (state[name].to(self.device) for name in ("sums", "steps"))


def sample_losses(shares: list[Tensor], labels: Tensor) -> list[Tensor]:
    """Cross-entropy of each sample for each share: (B,), clamped."""
    return [cross_entropy(phi, labels, reduction="none").clamp(max=WORST) for phi in shares]


def advantages(scores: Tensor) -> Tensor:
    """r_k: larger than 1 for a modality that is better than the mean of the others: (M,)."""
    others = (scores.sum() - scores) / (len(scores) - 1)
    return torch.exp(others - scores)


def scale_gradient(values: Tensor, scale: Tensor) -> Tensor:
    """Return the same values, with a gradient multiplied by `scale`."""
    return values.detach() + scale * (values - values.detach())  # exact, also for a large scale


def build(settings: Settings) -> Agm:
    """Build the method from its settings."""
    return Agm(settings)
