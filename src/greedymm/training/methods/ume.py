"""UME: an ensemble of branches that are trained separately.

    loss: sum_k CE(y_k);  prediction: mean of y_k (their sum with the fusion `sum`: the same classes)

Source: Du et al., ICML 2023 (unimodal ensemble). A control: no branch learns from another. The fusions are removed, and
a joint head is replaced by a linear head for each branch. So no parameter is shared, and a step of SGD on the sum is a
step of SGD on each loss: the weights are those of M separate trainings on the same batches. But unlike in M trainings,
the learning rate schedule, early stopping and the epoch of the checkpoint are the same for all branches. The epoch is
chosen by the accuracy of the ensemble.
"""

from typing import Literal

import torch
from pydantic import Field

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method
from greedymm.training.methods.unimodal import separate_branches


class Settings(MethodSettings):
    """Method `ume` (Du et al. 2023)."""

    objective: Literal["branch"] = Field(default="branch", description="the loss of each branch alone")


class Ume(Method):
    """Trains branches that share nothing."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Remove what the branches share."""
        super().setup(network, generator)
        separate_branches(network, generator)


def build(settings: Settings) -> Ume:
    """Build the method from its settings."""
    return Ume(settings)
