"""MMTM: at one depth, each branch re-weights its channels by the pooled features of all branches.

Source: Joze et al., CVPR 2020. Re-balancing and cutting the cross-modal flow: Wu et al., ICML 2022.
"""

# B samples; C_k channels of branch k; *s_k any axes of space and time.

from collections.abc import Iterable, Iterator, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import Fusion
from greedymm.settings import FusionSettings

MOMENTUM = 0.1  # of the running means of squeezed vectors, as in batch norm


class Settings(FusionSettings):
    """Fusion `mmtm` (Joze et al., CVPR 2020)."""

    ratio: int = Field(
        strict=True, default=4, ge=1, description="the joint vector has 2 * (sum of channels) / ratio elements"
    )
    official_gates: bool = Field(
        default=False,
        description="as in the authors' code, use the running mean of the first modality's gate for all branches",
    )


class MMTM(Fusion):
    """Multi-modal transfer module for M branches.

    Args:
        channels: C_k of each branch.
        ratio: the joint vector has 2 * (sum of C_k) / ratio elements.
        official_gates: use the running mean of branch 0's gate for all branches, as in the authors' code.

    Raises:
        GreedymmError: if the joint vector would be empty, or if official_gates is set and C_k differ.
    """

    supports = frozenset({"present", "hears", "mode", "detach"})
    steps: Tensor

    def __init__(self, channels: Sequence[int], ratio: int = 4, *, official_gates: bool = False) -> None:
        super().__init__()
        joint = 2 * sum(channels) // ratio
        if joint < 1:
            raise GreedymmError(f"mmtm: ratio {ratio} is too large for {sum(channels)} channels; lower it")
        if official_gates and len(set(channels)) > 1:
            raise GreedymmError(f"mmtm: official_gates needs branches of equal width, not {list(channels)}")
        self.official_gates = official_gates
        self.squeeze = nn.Linear(sum(channels), joint)
        self.excite = nn.ModuleList(nn.Linear(joint, c) for c in channels)
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))  # training steps so far
        for k, c in enumerate(channels):
            self.register_buffer(f"gate_mean{k}", torch.zeros(c, dtype=torch.float64))
            # Replaces branch k for the branches that are cut from it. It is recorded over the training set after
            # training, and can be a running mean before. NaN, so that a cut before that gives no valid result.
            self.register_buffer(f"squeeze_mean{k}", torch.full((c,), torch.nan))
        self._recording: list[list[Tensor]] | None = None

    def forward(
        self, features: list[Tensor], hears: Tensor | None = None, mode: Tensor | None = None, *, detach: bool = False
    ) -> list[Tensor]:
        """Gate every branch.

        Args:
            features: (B, C_k, *s_k) of each branch.
            hears: bool (1 or B, M, M), the branches that each branch hears; means replace the others. None: all.
            mode: a scalar, 0: a regular step; k + 1: the gate of branch k is its running mean.
            detach: no gradient flows to the features of other branches.
        """
        squeezed = [h.flatten(2).mean(dim=2) for h in features]  # (B, C_k)
        if self._recording is not None:
            self._recording.append([z.double().sum(dim=0) for z in squeezed] + [torch.tensor(len(squeezed[0]))])
        if self.training and self.tracks_means:
            self.update_squeeze_means(squeezed)
        gates = [self.gate(k, self.squeezed_for(k, squeezed, hears, detach=detach)) for k in range(len(squeezed))]
        if self.training:
            self.update_gate_means(gates)
        if mode is not None:
            gates = [torch.where(mode == k + 1, self.gate_mean(k).to(w.dtype), w) for k, w in enumerate(gates)]
        return [scale(h, w) for h, w in zip(features, gates, strict=True)]

    def gate(self, branch: int, pooled: list[Tensor]) -> Tensor:
        """Weight of each channel of one branch, in (0, 1): (B, C_k)."""
        joint = self.squeeze(torch.cat(pooled, dim=1)).relu()  # (B, joint)
        weight: Tensor = self.excite[branch](joint).sigmoid()
        return weight

    def gate_mean(self, branch: int) -> Tensor:
        """Mean of a branch's gate over all training steps so far: (C_k,)."""
        return self.get_buffer(f"gate_mean{branch}")

    @torch.no_grad()
    def update_gate_means(self, gates: list[Tensor]) -> None:
        """Add the batch means of the gates to their running means."""
        self.steps += 1
        for k in range(len(gates)):
            source = gates[0 if self.official_gates else k]
            self.gate_mean(k).add_((source.double().mean(dim=0) - self.gate_mean(k)) / self.steps)

    @torch.no_grad()
    def update_squeeze_means(self, squeezed: list[Tensor]) -> None:
        """Update the running means of the squeezed vectors; they start at the means of the first batch."""
        for k, z in enumerate(squeezed):
            mean, batch = self.get_buffer(f"squeeze_mean{k}"), z.mean(dim=0)
            mean.copy_(torch.where(mean.isnan(), batch, mean.lerp(batch, MOMENTUM)))

    def squeezed_for(
        self, branch: int, squeezed: list[Tensor], hears: Tensor | None, *, detach: bool = False
    ) -> list[Tensor]:
        """Squeezed vectors for the gate of one branch: means replace the branches that it does not hear."""
        vectors = [z.detach() if detach and k != branch else z for k, z in enumerate(squeezed)]
        if hears is None:
            return vectors
        return [
            z if k == branch else torch.where(hears[:, branch, k, None], z, self.get_buffer(f"squeeze_mean{k}"))
            for k, z in enumerate(vectors)
        ]

    def start_recording(self) -> None:
        """Begin to sum the squeezed vectors of all batches."""
        self._recording = []

    def finish_recording(self) -> None:
        """Store the means of the squeezed vectors over all samples since the recording started."""
        *sums, counts = zip(*(self._recording or ()), strict=True)
        for k, batches in enumerate(sums):
            self.get_buffer(f"squeeze_mean{k}").copy_(torch.stack(batches).sum(dim=0) / sum(counts))
        self._recording = None

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """Parameters of one branch only: its excitation."""
        return self.excite[branch].parameters()

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of all branches: the squeeze."""
        return self.squeeze.parameters()


def scale(feature: Tensor, weight: Tensor) -> Tensor:
    """Multiply (B, C, *s) by a weight of each channel, (B, C) or (C,)."""
    weight = weight.expand(feature.shape[:2])
    return feature * weight.reshape(*weight.shape, *(1 for _ in feature.shape[2:]))


def build(settings: Settings, channels: Sequence[int]) -> MMTM:
    """Build an MMTM from its settings."""
    return MMTM(channels, settings.ratio, official_gates=settings.official_gates)
