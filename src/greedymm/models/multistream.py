"""The network: M branches, a fusion after chosen stages, M heads. The prediction is the mean of their logits."""

# B samples; C_k channels of branch k; *s_k any axes of space and time.

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError


class Branch(nn.Module):
    """Stages and a head for one modality.

    Args:
        stages: one after the other; stage i gives (B, widths[i], *s).
        widths: channels after each stage.
        head: what the last stage gives -> logits (B, classes).
    """

    def __init__(self, stages: Iterable[nn.Module], widths: Sequence[int], head: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.widths = tuple(widths)
        self.head = head


class Fusion(Protocol):
    """What a fusion module has to offer; `mmtm.MMTM` says what each part means."""

    def __call__(self, features: list[Tensor], mode: Tensor | None, *, cut: bool) -> list[Tensor]: ...
    def start_recording(self) -> None: ...
    def finish_recording(self) -> None: ...
    def side_parameters(self, branch: int) -> Iterable[nn.Parameter]: ...
    def shared_parameters(self) -> Iterable[nn.Parameter]: ...


class MultiStream(nn.Module):
    """M branches that exchange what they see.

    Args:
        branches: one for each modality, all with as many stages.
        fuse: makes the fusion for branches with these channels.
        fuse_after: stages, counted from 1, after which the branches are fused; () where there is one branch.

    Raises:
        GreedymmError: if a stage to fuse after does not exist.
    """

    def __init__(
        self,
        branches: Sequence[Branch],
        fuse: Callable[[Sequence[int]], nn.Module] | None = None,
        fuse_after: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.depth = len(branches[0].stages)
        if any(not 1 <= stage <= self.depth for stage in fuse_after):
            raise GreedymmError(f"fuse_after: the branches have stages 1 to {self.depth}, not {max(fuse_after)}")
        self.branches = nn.ModuleList(branches)
        self.fusions = nn.ModuleDict()
        if fuse is not None:
            for stage in sorted(set(fuse_after)):
                self.fusions[str(stage)] = fuse([b.widths[stage - 1] for b in branches])

    def forward(self, inputs: Sequence[Tensor], mode: Tensor | None = None, *, cut: bool = False) -> list[Tensor]:
        """Logits of each branch, (B, classes).

        Args:
            inputs: (B, channels, *s_k) of each modality.
            mode: a scalar, 0: a regular step; k + 1: a re-balancing step for modality k.
            cut: no branch hears what the others see.
        """
        features = list(inputs)
        for stage in range(1, self.depth + 1):
            features = [b.stages[stage - 1](h) for b, h in zip(self.streams, features, strict=True)]
            if stage in self.meetings:
                features = self.meetings[stage](features, mode, cut=cut)
        return [b.head(h) for b, h in zip(self.streams, features, strict=True)]

    @property
    def streams(self) -> list[Branch]:
        """The branches, m0's first."""
        return cast(list[Branch], list(self.branches))

    @property
    def meetings(self) -> dict[int, Fusion]:
        """The fusions, by the stage after which they stand."""
        return {int(stage): cast(Fusion, fusion) for stage, fusion in self.fusions.items()}

    def branch_parameters(self, branch: int) -> list[nn.Parameter]:
        """theta_k: all parameters of a branch, norm layers and head included."""
        return list(self.streams[branch].parameters())

    def fusion_parameters(self, branch: int) -> list[nn.Parameter]:
        """theta_k': parameters of the fusions on the side of a branch, and those that all sides share."""
        sides = ((f.side_parameters(branch), f.shared_parameters()) for f in self.meetings.values())
        return list(chain.from_iterable(chain.from_iterable(sides)))

    @torch.no_grad()
    def record_means(self, batches: Iterable[tuple[list[Tensor], Tensor]]) -> None:
        """Record, in one pass, what a cut branch will hear of the others; the batches are the training set."""
        self.eval()
        for fusion in self.meetings.values():
            fusion.start_recording()
        for inputs, _ in batches:
            self(inputs)
        for fusion in self.meetings.values():
            fusion.finish_recording()


def prediction(logits: Sequence[Tensor]) -> Tensor:
    """Logits of the whole network, (B, classes): the mean over its branches."""
    return torch.stack(list(logits)).mean(dim=0)
