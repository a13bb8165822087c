"""OGM-GE: slow the branch with the best score, and add noise to the gradients.

    s_k = mean over the batch of softmax(y_k)[label]        rho_k = mean over j != k of s_k / s_j
    c_k = 1 - tanh(alpha * rho_k) where rho_k > 1, else 1   grad(theta_k) <- c_k grad(theta_k) + N(0, std(grad)^2)

Source: Peng et al., CVPR 2022, and the code GeWu-Lab/OGM-GE_CVPR2022. For more than two modalities: the authors' answer
in issue 16 of their repository. As in the code, only the kernels of convolutions are scaled, and all kernels have
noise. std is that of the unscaled gradient of one kernel. Unlike in the code, a tie scales no branch, and convolutions
of any number of axes are scaled.

It was published for one head over joined features and epochs 1 to 51. Set `objective: joint` and `active` for this,
because the defaults here are `branch` and all epochs. Cost: 1; with the evidence `cut`, one more forward pass.
"""

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import ScoringSettings, log_uniform
from greedymm.training.methods.base import Method
from greedymm.training.step import Step

KERNEL = 3  # axes of the kernel of a convolution, at least
EPSILON = 1e-8


class Settings(ScoringSettings):
    """Method `ogm_ge` (Peng et al. 2022)."""

    alpha: float = Field(
        default=0.8,
        ge=0,
        description="strength; published: 0.8 on CREMA-D, 0.1 on VGGSound",
        json_schema_extra=log_uniform(0.1, 2.0),
    )
    noise: bool = Field(default=True, description="add noise as large as the gradients (GE)")


class OgmGe(Method):
    """Scales the gradients of each branch's convolutions by its relative score."""

    settings: Settings

    def groups(self, modalities: int) -> list[str]:
        """Bodies of the branches."""
        return [f"branch_{k}.body" for k in range(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Find the kernels, and seed the noise."""
        super().setup(network, generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        self.stream = torch.Generator(self.device).manual_seed(seed)
        self.kernels = [[p for p in network.group(g) if p.dim() >= KERNEL] for g in self.groups(self.modalities)]
        if not all(self.kernels):
            raise GreedymmError("method 'ogm_ge' scales the kernels of convolutions: a branch has none")
        self.scales = torch.ones(self.modalities, device=self.device)

    def after_backward(self, step: Step) -> None:
        """Scale the gradients, and add noise."""
        self.scales = torch.ones_like(self.scales)
        if not self.settings.active.contains(step.epoch, step.number):
            return
        evidence = step.evidence(self.settings.evidence)
        self.scales = scales(mean_probabilities(evidence, step.labels), self.settings.alpha)
        for k, kernels in enumerate(self.kernels):
            for kernel in kernels:
                self._edit(kernel, self.scales[k])

    def _edit(self, kernel: nn.Parameter, scale: Tensor) -> None:
        if kernel.grad is None:
            return
        deviation = kernel.grad.std(correction=0) + EPSILON
        kernel.grad.mul_(scale)
        if self.settings.noise:
            noise = torch.empty_like(kernel.grad).normal_(generator=self.stream)
            kernel.grad.add_(noise * deviation)

    def log(self) -> Mapping[str, Tensor]:
        """Scale of each branch's gradients."""
        return {f"scale_{k}": scale for k, scale in enumerate(self.scales)}

    def state_dict(self) -> dict[str, Tensor]:
        """State of the generator of noise."""
        return {"stream": self.stream.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the generator of noise."""
        self.stream.set_state(state["stream"])


def mean_probabilities(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Mean probability of the label by each branch: (M,), in [0, 1]."""
    return torch.stack([y.softmax(dim=1).gather(1, labels[:, None]).mean() for y in logits])


def scales(scores: Tensor, alpha: float) -> Tensor:
    """c_k of each branch from its score: (M,), in [0, 1]."""
    ratios = scores[:, None] / scores.clamp(min=EPSILON)  # (M, M), 1 on the diagonal
    rho = (ratios.sum(dim=1) - ratios.diagonal()) / (len(scores) - 1)
    return torch.where(rho > 1, 1 - torch.tanh(alpha * rho), torch.ones_like(rho))


def build(settings: Settings) -> OgmGe:
    """Build the method from its settings."""
    return OgmGe(settings)
