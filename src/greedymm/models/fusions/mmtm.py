"""MMTM: branches, at one depth, re-weight their channels by what all of them see.

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
        description="as in the authors' code, every running mean is that of the first modality's gate",
    )


class MMTM(Fusion):
    """Multi-modal transfer module for M branches.

    Args:
        channels: C_k of each branch.
        ratio: the joint vector has 2 * (sum of C_k) / ratio elements.
        official_gates: every running mean is that of branch 0's gate, as in the authors' code; needs equal C_k.

    Raises:
        GreedymmError: if the joint vector would be empty, or if official_gates meets unequal channels.
    """

    makes = frozenset({"present", "hears", "mode", "detach"})
    steps: Tensor

    def __init__(self, channels: Sequence[int], ratio: int = 4, *, official_gates: bool = False) -> None:
        super().__init__()
        joint = 2 * sum(channels) // ratio
        if joint < 1:
            raise GreedymmError(f"mmtm: ratio {ratio} leaves nothing of {sum(channels)} channels; lower it")
        if official_gates and len(set(channels)) > 1:
            raise GreedymmError(f"mmtm: official_gates needs branches of equal width, not {list(channels)}")
        self.official_gates = official_gates
        self.squeeze = nn.Linear(sum(channels), joint)
        self.excite = nn.ModuleList(nn.Linear(joint, c) for c in channels)
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))  # training steps so far
        for k, c in enumerate(channels):
            self.register_buffer(f"gate_mean{k}", torch.zeros(c, dtype=torch.float64))
            # What others hear of branch k when they are cut from it: the mean over the training set, recorded after
            # training; until then a running mean, where it is tracked. NaN, so that a cut made before cannot pass for
            # a result.
            self.register_buffer(f"squeeze_mean{k}", torch.full((c,), torch.nan))
        self._recording: list[list[Tensor]] | None = None

    def forward(
        self, features: list[Tensor], heard: Tensor | None = None, mode: Tensor | None = None, *, detach: bool = False
    ) -> list[Tensor]:
        """Gate every branch.

        Args:
            features: (B, C_k, *s_k) of each branch.
            heard: bool (1 or B, M, M), whom each branch hears: of the others only their means. None: everybody.
            mode: a scalar, 0: a regular step; k + 1: branch k is gated by the running mean of its gate.
            detach: no gradient flows to the others' features.
        """
        squeezed = [h.flatten(2).mean(dim=2) for h in features]  # (B, C_k)
        if self._recording is not None:
            self._recording.append([z.double().sum(dim=0) for z in squeezed] + [torch.tensor(len(squeezed[0]))])
        if self.training and self.tracks_means:
            self.update_squeeze_means(squeezed)
        gates = [self.gate(k, self.squeezed_for(k, squeezed, heard, detach=detach)) for k in range(len(squeezed))]
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
        """Cumulative mean of a branch's gate over all training steps so far: (C_k,)."""
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
        """Move the running means of the squeezed vectors towards those of the batch; they begin with the first."""
        for k, z in enumerate(squeezed):
            mean, batch = self.get_buffer(f"squeeze_mean{k}"), z.mean(dim=0)
            mean.copy_(torch.where(mean.isnan(), batch, mean.lerp(batch, MOMENTUM)))

    def squeezed_for(
        self, branch: int, squeezed: list[Tensor], heard: Tensor | None, *, detach: bool = False
    ) -> list[Tensor]:
        """What one branch hears: itself, the others where it hears them, and elsewhere their means."""
        vectors = [z.detach() if detach and k != branch else z for k, z in enumerate(squeezed)]
        if heard is None:
            return vectors
        return [
            z if k == branch else torch.where(heard[:, branch, k, None], z, self.get_buffer(f"squeeze_mean{k}"))
            for k, z in enumerate(vectors)
        ]

    def start_recording(self) -> None:
        """From now on add up the squeezed vectors of every batch."""
        self._recording = []

    def finish_recording(self) -> None:
        """Keep the means of the squeezed vectors over all samples since the recording started."""
        *sums, counts = zip(*(self._recording or ()), strict=True)
        for k, batches in enumerate(sums):
            self.get_buffer(f"squeeze_mean{k}").copy_(torch.stack(batches).sum(dim=0) / sum(counts))
        self._recording = None

    def side_parameters(self, branch: int) -> Iterable[nn.Parameter]:
        """Parameters that serve one branch alone: its excitation."""
        return self.excite[branch].parameters()

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that serve every branch: the squeeze."""
        return self.squeeze.parameters()


def scale(feature: Tensor, weight: Tensor) -> Tensor:
    """Multiply (B, C, *s) by a weight of each channel, (B, C) or (C,)."""
    weight = weight.expand(feature.shape[:2])
    return feature * weight.reshape(*weight.shape, *(1 for _ in feature.shape[2:]))


def build(settings: Settings, channels: Sequence[int]) -> MMTM:
    """An MMTM from its settings."""
    return MMTM(channels, settings.ratio, official_gates=settings.official_gates)
