"""Modality dropout: in training, each modality of each sample is absent with probability p, never all of them.

Source: ModDrop, Neverova et al., TPAMI 2016, which sets inputs to zero (`mask: input`), after its branches were trained
alone [recalled, as is the default p]; no code was found. With `mask: cut`, our default, an absent modality is cut from
the fusions of the others, has no vote, and its branch has no loss on the sample. A sample that would lose all
modalities is drawn again. Inputs that are kept are not multiplied by 1 / (1 - p). In evaluation all modalities are
present. No extra pass.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MethodSettings, Window, uniform
from greedymm.training.methods.base import Method
from greedymm.training.step import Step


class Settings(MethodSettings):
    """Method `modality_dropout` (Neverova et al. 2016)."""

    p: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="probability that a modality of a sample is absent",
        json_schema_extra=uniform(0.05, 0.6),
    )
    mask: Literal["cut", "input"] = Field(
        default="cut", description="cut: absent for the fusion, the vote and the loss; input: its input is zeros"
    )
    active: Window = Window()


class ModalityDropout(Method):
    """Draws which modalities are present in each sample of a step."""

    settings: Settings
    drawn: Tensor  # bool (steps, B, M)

    def passes(self) -> frozenset[str]:
        """Absent modalities, unless inputs are zeroed."""
        return frozenset({"present"} if self.settings.mask == "cut" else ())

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Nothing is absent yet."""
        super().setup(network, generator)
        self.absent = torch.zeros(self.modalities, device=self.device)

    def plan(self, step: Step) -> Pass:
        """Absent modalities of each sample."""
        self.absent = torch.zeros_like(self.absent)
        if self.settings.p == 0:
            return super().plan(step)
        if step.number == 0:  # draw for the whole epoch, so that no step waits for the device
            count = step.count * len(step.labels)
            drawn = draw_present(count, self.modalities, self.settings.p, self.generator)
            self.drawn = drawn.view(step.count, -1, self.modalities).to(self.device)
        present = self.drawn[step.number, : len(step.labels)]
        if not self.settings.active.contains(step.epoch, step.number):
            return super().plan(step)
        self.absent = (~present).to(self.absent).mean(dim=0)
        if self.settings.mask == "cut":
            return Pass(present=present)
        columns = zip(step.inputs, present.T, strict=True)
        step.inputs = [x * kept.view(-1, *(1 for _ in x.shape[1:])) for x, kept in columns]
        return super().plan(step)

    def log(self) -> Mapping[str, Tensor]:
        """Share of the samples of the step in which each modality is absent."""
        return {f"absent_{k}": share for k, share in enumerate(self.absent)}


def draw_present(samples: int, modalities: int, p: float, generator: torch.Generator) -> Tensor:
    """Which modalities are present: bool (B, M), at least one of each sample."""
    present = torch.rand(samples, modalities, generator=generator) >= p
    while not (whole := present.any(dim=1)).all():
        again = torch.rand(int((~whole).sum()), modalities, generator=generator) >= p
        present[~whole] = again
    return present


def build(settings: Settings) -> ModalityDropout:
    """Build the method from its settings."""
    return ModalityDropout(settings)
