"""The network: M branches, a fusion between their stages or after them, and a head.

Inputs of M modalities -> logits of the network and of each branch.
"""

# B samples; C_k channels of branch k; D_k its last features; M branches; *s_k any axes of space and time.

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError


class Output(NamedTuple):
    """What one forward pass gives."""

    logits: Tensor  # (B, classes), the network's own answer: mean of the branches' logits, or a joint head's
    branches: list[Tensor]  # (B, classes) of each modality: of its own head, or its share of the joint head
    features: list[Tensor]  # (B, D_k), what the head saw
    present: Tensor | None = None  # bool (M,) or (B, M): who has a vote; None: all


class Pass(NamedTuple):
    """How a forward pass is made. The default: all modalities are there, and every gate is regular.

    What a modality's absence means is defined here alone: the other branches are cut from it, and it has no vote.
    """

    present: Tensor | None = None  # bool (M,) or (B, M)
    hears: Tensor | None = None  # bool (M, M): whom each branch's fusion hears; the unit matrix: cut
    mode: Tensor | None = None  # a scalar, 0: regular; k + 1: the gate of branch k is its running mean
    detach: bool = False  # the others are heard, but no gradient flows to them

    @property
    def uses(self) -> frozenset[str]:
        """Fields that are not at their defaults."""
        return frozenset(name for name, value in self._asdict().items() if value is not None and value is not False)

    def equals(self, other: "Pass") -> bool:
        """Whether two passes are the same."""
        pairs = zip(self, other, strict=True)
        return all(torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a is b for a, b in pairs)

    def to(self, device: torch.device) -> "Pass":
        """The same on a device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in self._asdict().items() if isinstance(value, Tensor)
        }
        return self._replace(**moved)

    def heard(self) -> Tensor | None:
        """Whom each branch hears in each sample: bool (1 or B, M, M); None: everybody."""
        if self.present is None:
            return None if self.hears is None else self.hears.unsqueeze(0)
        present = by_sample(self.present)
        present = present.unsqueeze(1).expand(-1, present.shape[1], -1)
        return present if self.hears is None else present & self.hears


class Branch(nn.Module):
    """Stages of one modality, and what makes features of what the last one gives.

    Args:
        stages: one after the other; stage i gives (B, widths[i], *s).
        widths: channels after each stage.
        pool: what the last stage gives -> features (B, D), or (B, T, D) where logits are averaged over T time steps.
        width: D; None: widths[-1].
        initialize: gives the branch its initial weights, where they are not those of its layers.
    """

    def __init__(
        self,
        stages: Iterable[nn.Module],
        widths: Sequence[int],
        pool: nn.Module,
        width: int | None = None,
        initialize: "Callable[[Branch], None] | None" = None,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.widths = tuple(widths)
        self.pool = pool
        self.width = width or widths[-1]
        self._initialize = initialize

    def initialize(self) -> None:
        """Draw or load the initial weights; called once all layers of the branch and its head are made."""
        if self._initialize is not None:
            self._initialize(self)

    def forward(self, h: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """What stages `start` to `stop` make of (B, C, *s)."""
        for stage in self.stages[start:stop]:
            h = stage(h)
        return h


class Fusion(nn.Module):
    """Base class of what stands between stages: the branches exchange what they see.

    Attributes:
        makes: fields of `Pass` that it can follow.
        tracks_means: whether, in training, running means are kept of what cut branches hear; for methods that cut.
    """

    makes: ClassVar[frozenset[str]] = frozenset()
    tracks_means = False

    def forward(
        self, features: list[Tensor], heard: Tensor | None = None, mode: Tensor | None = None, *, detach: bool = False
    ) -> list[Tensor]:
        """Features (B, C_k, *s_k) of each branch -> the same shapes. See `Pass`; `heard` is bool (1 or B, M, M)."""
        raise NotImplementedError

    def side_parameters(self, branch: int) -> Iterable[nn.Parameter]:  # noqa: ARG002
        """Parameters that serve one branch alone."""
        return ()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that serve every branch."""
        return self.parameters()

    def start_recording(self) -> None:
        """From now on note what a cut branch is to hear of the others."""

    def finish_recording(self) -> None:
        """Keep what was noted."""


class LateFusion(nn.Module):
    """Base class of what joins the branches' last features for one head.

    Attributes:
        width: D of what it gives.
        makes: fields of `Pass` that it can follow.
    """

    width: int
    makes: ClassVar[frozenset[str]] = frozenset({"present"})

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Features (B, D_k) of each branch -> (B, D); of an absent modality, bool (M,) or (B, M), nothing is seen."""
        raise NotImplementedError


class Head(nn.Module):
    """Base class of what gives logits. Its weights are drawn after those of the branch, or fusion, that it reads.

    Attributes:
        averages: the network's logits are the mean of the branches', instead of a joint layer's.
    """

    averages = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def add_branch(self, width: int) -> None:
        """Be told of the next branch, whose features have D = `width`."""

    def finish(self, fusion: LateFusion | None) -> None:
        """Be told of the fusion, once all branches are there."""

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Features (B, D_k) or (B, T, D_k) of each branch -> logits of the network, and of each branch."""
        raise NotImplementedError

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:  # noqa: ARG002
        """Parameters that serve one branch alone."""
        return ()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that serve every branch."""
        return self.parameters()


class MultimodalNetwork(nn.Module):
    """M branches that exchange what they see.

    Args:
        branches: one for each modality.
        head: gives logits.
        fusions: one for each place where the branches are fused between stages.
        fuse_after: of each branch the stages, counted from 1, after which these stand.

    Attributes:
        decide: decision rule for evaluation, Output -> logits (B, classes). None: the head's.
        modalities, classes: their names, where the network is a trained one.
    """

    def __init__(
        self,
        branches: Sequence[Branch],
        head: Head,
        fusions: Sequence[Fusion] = (),
        fuse_after: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.head = head
        self.fusions = nn.ModuleList(fusions)
        # Stages up to each fusion, and to the end.
        self._stops = [[*(fuse_after[k] if fuse_after else ()), len(b.stages)] for k, b in enumerate(branches)]
        self.decide: Callable[[Output], Tensor] | None = None
        self.modalities: tuple[str, ...] = ()
        self.classes: tuple[str, ...] = ()

    def forward(self, inputs: Sequence[Tensor], how: Pass = Pass()) -> Output:  # noqa: B008  immutable
        """Logits of the network and of each branch; inputs (B, channels, *s_k) of each modality."""
        if how.uses and (missing := how.uses - self.makes):  # most passes use nothing
            raise GreedymmError(f"the fusion cannot make a pass with {', '.join(sorted(missing))}")
        heard = how.heard()
        features, start = list(inputs), [0] * len(inputs)
        for place in range(len(self._stops[0])):
            stops = [of[place] for of in self._stops]
            features = [b(h, i, j) for b, h, i, j in zip(self.branches, features, start, stops, strict=True)]
            if place < len(self.fusions):
                features = self.fusions[place](features, heard, how.mode, detach=how.detach)
            start = stops
        features = [cast(Branch, b).pool(h) for b, h in zip(self.branches, features, strict=True)]
        logits, branches = self.head(features, how.present)
        output = Output(logits, branches, [h if h.dim() == 2 else h.mean(dim=1) for h in features], how.present)  # noqa: PLR2004
        if self.decide is None or self.training:
            return output
        return output._replace(logits=self.decide(output))

    # -- What methods and measures ask for ------------------------------------------------------------------

    @property
    def makes(self) -> frozenset[str]:
        """Fields of `Pass` that every fusion can follow."""
        late = [part for part in self.head.children() if isinstance(part, LateFusion)]
        every = [part.makes for part in late] + [_fusion(part).makes for part in self.fusions]
        return frozenset.intersection(frozenset(Pass._fields), *every)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters, by what they serve; a group can be empty."""
        groups = {}
        for k, branch in enumerate(self.branches):
            groups[f"branch_{k}.body"] = list(branch.parameters())
            groups[f"branch_{k}.head"] = list(self.head.branch_parameters(k))
            groups[f"fusion.side_{k}"] = [p for f in self.fusions for p in _fusion(f).side_parameters(k)]
        groups["fusion.shared"] = [p for f in self.fusions for p in _fusion(f).shared_parameters()]
        return groups | {"head.shared": list(self.head.shared_parameters())}

    def group(self, *names: str) -> list[nn.Parameter]:
        """Parameters of some groups together.

        Raises:
            GreedymmError: if one does not exist or is empty; the message lists those that are not.
        """
        groups = self.groups()
        if empty := [name for name in names if not groups.get(name)]:
            there = ", ".join(name for name, parameters in groups.items() if parameters)
            raise GreedymmError(f"the network has no parameters {', '.join(empty)}; it has: {there}")
        return [p for name in names for p in groups[name]]

    @torch.no_grad()
    def record_means(self, batches: Iterable[tuple[list[Tensor], Tensor]]) -> None:
        """Record, in one pass, what a cut branch will hear of the others; the batches are the training set."""
        self.eval()
        for fusion in self.fusions:
            _fusion(fusion).start_recording()
        for inputs, _ in batches:
            self(inputs)
        for fusion in self.fusions:
            _fusion(fusion).finish_recording()


def _fusion(module: nn.Module) -> Fusion:
    return cast(Fusion, module)


def by_sample(present: Tensor) -> Tensor:
    """Who is present, (M,) or (B, M), with an axis of samples: (1 or B, M)."""
    return present if present.dim() > 1 else present.unsqueeze(0)


def votes(present: Tensor | None, k: int) -> Tensor | None:
    """Who has a vote among the samples, of modality k: (1,) or (B,); None: all."""
    return None if present is None else by_sample(present)[:, k]
