"""OPM: in some steps, the features of a branch with a good score are dropped for a share of the samples.

    s_k = mean over the batch of softmax(y_k)[label]        rho_k = s_k / mean over j != k of s_j
    q_k = min(q * (1 + strength * tanh(rho_k - 1)), 1) where rho_k > 1, else 0: probability that k is absent in a sample

Source: on-the-fly prediction modulation, Wei, Hu et al., TPAMI 2024, and its code, which does not parse as released. It
was published for one head over joined features: objective `joint`, epochs from 6 on, 7 of 10 steps. The mean over j is
our choice for more than two modalities. The branch with the lowest score is never dropped, so no sample loses all.

An absent modality is cut from the fusions of the others, has no vote, and its branch has no loss on the sample. With
objective `branch`, dropping therefore acts through the gates of the others and the losses of the branches alone. Unlike
in the code, the other features are not multiplied by 1 / (1 - share dropped): with a mean of logits, those that are
present are averaged; the features of a joint head are not scaled [our choice]. The scores come from an extra pass in
evaluation mode, without gradient: cost about 1.2.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import ScoringSettings, Window, uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.ogm_ge import EPSILON, mean_probabilities
from greedymm.training.step import Step


class Settings(ScoringSettings):
    """Method `opm` (Wei et al. 2024)."""

    objective: Literal["branch", "joint", "multi"] = Field("joint", description="loss; published: joint")
    q: float = Field(
        default=0.5, ge=0, le=1, description="probability at rho slightly above 1", json_schema_extra=uniform(0.1, 0.9)
    )
    strength: float = Field(
        default=0.5, ge=0, description="lambda, how q grows with rho", json_schema_extra=uniform(0.0, 1.0)
    )
    share: float = Field(
        default=0.7, ge=0, le=1, description="of the steps that drop", json_schema_extra=uniform(0.3, 1.0)
    )
    active: Window = Window(start=6)


class Opm(Method):
    """Draws which modalities are present in each sample, from the scores of the branches in the same step."""

    settings: Settings

    def passes(self) -> frozenset[str]:
        """Absent modalities, and cut branches if these are scored."""
        return super().passes() | {"present"}

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Nothing is dropped yet."""
        super().setup(network, generator)
        self.drops = torch.zeros(self.modalities, device=self.device)

    def plan(self, step: Step) -> Pass:
        """Drop modalities of samples, in the steps that are drawn for it."""
        if step.number == 0:  # draw for the whole epoch, so that no step waits for the device
            self.acts = (torch.rand(step.count, generator=self.generator) < self.settings.share).tolist()
            draws = torch.rand(step.count, len(step.labels), self.modalities, generator=self.generator)
            self.draws = draws.to(self.device)
        self.drops = torch.zeros_like(self.drops)
        if not self.acts[step.number] or not self.settings.active.contains(step.epoch, step.number):
            return super().plan(step)
        self.drops = probabilities(self.scores(step), self.settings.q, self.settings.strength)
        return Pass(present=self.draws[step.number, : len(step.labels)] >= self.drops)

    @torch.no_grad()
    def scores(self, step: Step) -> Tensor:
        """s_k of each branch before anything is dropped: (M,)."""
        output = step.extra_pass(self.network.cut if self.settings.evidence == "cut" else Pass())
        return mean_probabilities(output.branches, step.labels)

    def log(self) -> Mapping[str, Tensor]:
        """Probability that each modality is absent."""
        return {f"drop_{k}": q for k, q in enumerate(self.drops)}


def probabilities(scores: Tensor, q: float, strength: float) -> Tensor:
    """Compute q_k of each branch from its score: (M,), in [0, 1]; 0 for all if the scores are equal or NaN."""
    others = (scores.sum() - scores) / (len(scores) - 1)
    rho = scores / others.clamp(min=EPSILON)
    grown = (q * (1 + strength * torch.tanh(rho - 1))).clamp(max=1)
    return torch.where(scores > others, grown, 0)


def build(settings: Settings) -> Opm:
    """Build the method from its settings."""
    return Opm(settings)
