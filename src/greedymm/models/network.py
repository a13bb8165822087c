"""The network: M branches, fusions between their stages or after the last one, and a head.

Inputs of M modalities -> logits of the network and of each branch.
"""

# B samples; C_k channels of branch k; D_k features of branch k; M branches; *s_k any axes of space and time.

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError

Batch = tuple[list[Tensor], Tensor]  # (B, C_k, *s_k) of each modality; labels (B,)


class Batches(Protocol):
    """Batches of a split of `count` samples, `size` in one: the same number in each pass, in an order of its own.

    `of` gives the samples with some row numbers, in `count_of` batches, and `view` the split in another order: without
    generators in the stored order and not augmented.
    """

    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def count_of(self, rows: int) -> int: ...
    def of(self, rows: Tensor) -> Iterator[Batch]: ...
    def view(self, order: torch.Generator | None = ..., augmentation: torch.Generator | None = ...) -> "Batches": ...


class Output(NamedTuple):
    """Result of one forward pass."""

    logits: Tensor  # (B, classes) of the network: mean or sum of the branches' logits, or those of a joint head
    branches: list[Tensor]  # (B, classes) of each modality: of its own head, or its share of the joint head
    features: list[Tensor]  # (B, D_k), input of the head
    present: Tensor | None = None  # bool (M,) or (B, M): modalities that have a vote; None: all


class Pass(NamedTuple):
    """Options of one forward pass. Default: all modalities are present, and all gates are regular.

    An absent modality is cut from the fusions of the other branches, and has no vote.
    """

    present: Tensor | None = None  # bool (M,) or (B, M)
    # bool (M, M): row k says which branches' features the fusion uses for branch k; the unit matrix: cut
    hears: Tensor | None = None
    mode: Tensor | None = None  # a scalar, 0: regular; k + 1: the gate of branch k is its running mean
    detach: bool = False  # branches use each other's features, but no gradient flows between them
    alone: bool = False  # no fusion between stages: each branch computes as it would without the others

    @property
    def uses(self) -> frozenset[str]:
        """Names of the fields that are not at their defaults."""
        return frozenset(name for name, value in self._asdict().items() if value is not None and value is not False)

    def hears_by_sample(self) -> Tensor | None:
        """`hears` without absent modalities: bool (1 or B, M, M); None: each branch uses all others."""
        if self.present is None:
            return None if self.hears is None else self.hears.unsqueeze(0)
        present = by_sample(self.present)
        present = present.unsqueeze(1).expand(-1, present.shape[1], -1)
        return present if self.hears is None else present & self.hears


def by_sample(present: Tensor) -> Tensor:
    """Add an axis of samples to bool (M,): (1 or B, M)."""
    return present if present.dim() > 1 else present.unsqueeze(0)


class Branch(nn.Module):
    """Stages of one modality, stage i gives (B, widths[i], *s), and the pooling after the last one.

    `pool` maps the output of the last stage to features (B, D), D = widths[-1]; (B, T, D): logits are averaged over T.
    """

    def __init__(self, stages: Iterable[nn.Module], widths: Sequence[int], pool: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.widths, self.width = tuple(widths), widths[-1]
        self.pool = pool

    def initialize(self) -> None:
        """Replace the default initial weights; called after the weights of the branch's head are drawn."""

    def forward(self, h: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Apply stages `start` to `stop`, the latter excluded, to (B, C, *s)."""
        for stage in self.stages[start:stop]:
            h = stage(h)
        return h


class Part(nn.Module):
    """Base class of modules with parameters of each branch, and shared parameters."""

    def branch_parameters(self, branch: int) -> Iterable[nn.Parameter]:  # noqa: ARG002
        """Parameters of one branch only."""
        return ()

    def shared_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of all branches."""
        return self.parameters()


class Fusion(Part):
    """Base class of fusions between stages, where branches exchange information."""

    supports: ClassVar[frozenset[str]] = frozenset()  # fields of `Pass` that it implements
    tracks_means: bool = False  # in training, keep running means for branches that are cut; for methods that cut

    def forward(
        self, features: list[Tensor], hears: Tensor | None = None, mode: Tensor | None = None, *, detach: bool = False
    ) -> list[Tensor]:
        """Map features (B, C_k, *s_k) of each branch to the same shapes. See `Pass`; `hears` is (1 or B, M, M)."""
        raise NotImplementedError

    def start_recording(self) -> None:
        """Begin to record the means that replace the other branches in a cut pass."""

    def finish_recording(self) -> None:
        """Store the recorded means."""


class LateFusion(Part):
    """Base class of fusions that join the branches for the network's logits. No branch hears another in any pass."""

    width: int  # D of the joined features, for a joint head
    averages: ClassVar[bool] = False  # it joins the logits of the branches to their mean
    supports: ClassVar[frozenset[str]] = frozenset({"present", "hears", "detach"})

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> Tensor:
        """Join features (B, D_k), or logits, of the modalities that are present, bool (M,) or (B, M): (B, D)."""
        raise NotImplementedError


class Head(Part):
    """Base class of heads. The weights of a head are drawn after those of the branch, or fusion, that it reads."""

    averages = False  # whether the network's logits are the mean of the branches' logits
    joint = False  # whether the network's logits are not trained by the losses of the branches' logits
    reads_levels = (
        False  # whether `forward` also gets the features (B, C_k, *s) of the branches at each of `fuse_after`
    )

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.fusion: LateFusion | None = None

    def add_branch(self, width: int) -> None:
        """Called for each branch in order; its features have D = `width`."""

    def finish(self, fusion: LateFusion | None) -> None:
        """Called once all branches are added."""
        self.fusion = fusion

    def forward(self, features: list[Tensor], present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Logits of the network and of each branch, from features (B, D_k) or (B, T, D_k)."""
        raise NotImplementedError


class MultimodalNetwork(nn.Module):
    """M branches with fusions and a head.

    Args:
        branches: one for each modality.
        head: computes the logits.
        fusions: between stages, in order.
        fuse_after: for each branch, the stages, counted from 1, that the fusions follow, or that the head reads.

    Attributes:
        decide: decision rule for evaluation, Output -> logits (B, classes). None: the head's logits.
        modalities, classes: names, of the network of a run.
    """

    def __init__(
        self,
        branches: Sequence[Branch],
        head: Head,
        fusions: Sequence[Fusion] = (),
        fuse_after: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__()
        self.branches = cast("list[Branch]", nn.ModuleList(branches))
        self.head = head
        self.fusions = cast("list[Fusion]", nn.ModuleList(fusions))
        # The stage of each branch at every fusion and at the end.
        self._stops = [*zip(*fuse_after, strict=True), tuple(len(branch.stages) for branch in branches)]
        self.decide: Callable[[Output], Tensor] | None = None
        self.modalities: tuple[str, ...] = ()
        self.classes: tuple[str, ...] = ()

    def forward(self, inputs: Sequence[Tensor], how: Pass = Pass()) -> Output:  # noqa: B008  immutable
        """Compute the logits of the network and of each branch from inputs (B, channels, *s_k) of each modality."""
        return self.fuse(self.stem(inputs), how)

    def stem(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Features of each branch before the first fusion: the same in every pass over these inputs."""
        return [b(h, 0, stop) for b, h, stop in zip(self.branches, inputs, self._stops[0], strict=True)]

    def fuse(self, features: list[Tensor], how: Pass) -> Output:
        """Complete a pass from the features of `stem`."""
        if how.uses:  # most passes use nothing
            self.require(how.uses, "this call")
        hears = how.hears_by_sample()
        levels = []
        for level, (starts, stops) in enumerate(pairwise(self._stops)):
            if self.fusions and not how.alone:
                features = self.fusions[level](features, hears, how.mode, detach=how.detach)
            levels.append(features)
            features = [b(h, i, j) for b, h, i, j in zip(self.branches, features, starts, stops, strict=True)]
        features = [branch.pool(h) for branch, h in zip(self.branches, features, strict=True)]
        more = (levels,) if self.head.reads_levels else ()
        logits, branches = self.head(features, how.present, *more)
        output = Output(logits, branches, [h if h.dim() == 2 else h.mean(dim=1) for h in features], how.present)  # noqa: PLR2004
        if self.decide is None or self.training:
            return output
        return output._replace(logits=self.decide(output))

    def require(self, fields: frozenset[str], user: str) -> None:
        """Raise a GreedymmError that names the `user`, unless every fusion implements some fields of `Pass`."""
        fusions = [part for part in self.modules() if isinstance(part, Fusion | LateFusion)]
        supported = frozenset(Pass._fields).intersection(*(fusion.supports | {"alone"} for fusion in fusions))
        if not fusions:  # without gates, a re-balancing step is a regular one
            supported -= {"mode"}
        if missing := fields - supported:
            raise GreedymmError(
                f"{user} needs passes with {', '.join(sorted(missing))}, which the fusion cannot make; it can:"
                f" {', '.join(sorted(supported))}. Delete it from the params, or set the fusion mmtm between stages"
            )

    def remove_fusions(self) -> None:
        """Remove the fusions between stages: each branch computes alone."""
        if self.fusions:
            self.fusions, self._stops = cast("list[Fusion]", nn.ModuleList()), self._stops[-1:]

    @property
    def cut(self) -> Pass:
        """The pass in which no branch uses another's features."""
        device = next(self.parameters()).device
        return Pass(hears=torch.eye(len(self.branches), dtype=torch.bool, device=device))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by group; a group can be empty."""
        groups, fusions = {}, [*self.fusions, *filter(None, [self.head.fusion])]
        for k, branch in enumerate(self.branches):
            groups[f"branch_{k}.body"] = list(branch.parameters())
            groups[f"branch_{k}.head"] = list(self.head.branch_parameters(k))
            groups[f"fusion.side_{k}"] = [p for fusion in fusions for p in fusion.branch_parameters(k)]
        groups["fusion.shared"] = [p for fusion in fusions for p in fusion.shared_parameters()]
        return groups | {"head.shared": list(self.head.shared_parameters())}

    def group(self, *names: str) -> list[nn.Parameter]:
        """Parameters of some groups together. A group that does not exist or is empty is a GreedymmError."""
        groups = {name: parameters for name, parameters in self.groups().items() if parameters}
        if missing := [name for name in names if name not in groups]:
            raise GreedymmError(f"the network has no parameters {', '.join(missing)}; it has: {', '.join(groups)}")
        return [p for name in names for p in groups[name]]

    @torch.no_grad()
    def record_means(self, batches: Iterable[Batch]) -> None:
        """Record the means that replace the other branches in a cut pass, in one pass over the training set."""
        self.eval()
        for fusion in self.fusions:
            fusion.start_recording()
        for inputs, _ in batches:
            self(inputs)
        for fusion in self.fusions:
            fusion.finish_recording()
