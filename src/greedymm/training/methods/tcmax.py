"""TCMax: maximize a bound of the total correlation of the modalities and the label, in place of the cross-entropy.

    f = sum_k f_k, f_k = y_k or y_k / M
    loss = -mean_i f(x_i)[label_i] + log Z,  Z = mean of exp f over independent draws of each modality and of the label
    log Z = logsumexp_c( sum_k ( logsumexp_i f_k(x_i)[c] - log B ) ) - log C

Source: ICLR 2026 (arXiv 2602.13015), and its code. Z has all B^M C combinations of a batch, so it depends on the batch
size. The published f is the sum of the branches' logits (`scale: sum`), which are those of a joint head with `concat`.
With own heads, `mean` is the scale of the network's logits. Unlike in the code, log Z is a true logsumexp, and the
constant log(B C) is not added to the loss. The form needs logits that are a sum over branches. Fusions between stages
mix modalities within y_k; then Z is an approximation. For an absent modality f_k is 0. No extra pass.
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings, choice
from greedymm.training.methods.additive import require_additive
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import votes
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `tcmax` (ICLR 2026)."""

    objective: Literal["joint"] = Field(default="joint", description="of the network's logits, in all combinations")
    scale: Literal["sum", "mean"] = Field(
        default="sum", description="f: sum or mean of the branches' logits", json_schema_extra=choice("sum", "mean")
    )


class TcMax(Method):
    """A loss on all combinations of the modalities of a batch."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Refuse a head whose logits are not a sum over branches."""
        super().setup(network, generator)
        require_additive(network, "tcmax")

    def loss(self, step: Step) -> Tensor:
        """Minus the bound of the total correlation."""
        shares = torch.stack(step.output.branches) * votes(step.output)
        return total_correlation_loss(shares if self.settings.scale == "sum" else shares / len(shares), step.labels)


def total_correlation_loss(shares: Tensor, labels: Tensor) -> Tensor:
    """Loss from f_k, (M, B, classes): a scalar, which can be negative."""
    _, samples, classes = shares.shape
    positive = shares.sum(dim=0).gather(1, labels[:, None]).mean()
    log_means = shares.logsumexp(dim=1) - math.log(samples)  # (M, classes)
    return log_means.sum(dim=0).logsumexp(dim=0) - math.log(classes) - positive


def build(settings: Settings) -> TcMax:
    """Build the method from its settings."""
    return TcMax(settings)
