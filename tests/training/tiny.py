"""Tiny samples, networks and runs: what trains in milliseconds."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from cases import CASES
from torch import Tensor

from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.build import build
from greedymm.models.fusions.concat import Settings as Concat
from greedymm.models.fusions.mmtm import Settings as Mmtm
from greedymm.models.heads.joint import Settings as Joint
from greedymm.models.heads.own import Settings as Own
from greedymm.models.network import MultimodalNetwork
from greedymm.params.plugins import settings_class
from greedymm.seeding import Generators, seed_everything
from greedymm.settings import FusionSettings, HeadSettings, MethodSettings, Training
from greedymm.training.fit import Fit, Progress
from greedymm.training.networks import make_method
from greedymm.training.step import Steps

Batch = tuple[list[Tensor], Tensor]

CLASSES = 3
CHANNELS = (3, 1, 2)  # of the inputs of m0, m1, m2
NAMES = ("m0", "m1", "m2")
METHODS: dict[str, MethodSettings] = {name: case.settings for name, case in CASES.items()}
TRAINING = Training(
    epochs=4, batch_size=6, learning_rate=0.1, momentum=0.9, patience=0, threshold=0.1, snapshots=(1, 3)
)


STEADY = TRAINING.model_copy(update={"patience": 99})  # with a constant learning rate


class Split:
    """Samples in batches; the last one may be smaller, but in training not one sample.

    Args:
        inputs: (N, C_k, *s) of each modality.
        labels: (N,).
        size: samples in one batch.
        order: draws the order of each pass; None: as stored.
    """

    def __init__(self, inputs: list[Tensor], labels: Tensor, size: int, order: torch.Generator | None = None) -> None:
        self.inputs, self.labels, self.size, self.order = inputs, labels, size, order

    def __len__(self) -> int:
        return self.count_of(len(self.labels))

    def count_of(self, rows: int) -> int:
        return math.ceil((rows - (self.order is not None)) / self.size)

    @property
    def count(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self.labels)
        return self.of(torch.arange(count) if self.order is None else torch.randperm(count, generator=self.order))

    def view(self, order: torch.Generator | None = None, _augmentation: torch.Generator | None = None) -> "Split":
        return Split(self.inputs, self.labels, self.size, order)

    def of(self, rows: Tensor) -> Iterator[Batch]:
        if self.order is not None and len(rows) % self.size == 1:
            rows = rows[:-1]
        for chosen in torch.split(rows, self.size):
            yield [x[chosen] for x in self.inputs], self.labels[chosen]


def split(
    count: int, clarity: Sequence[float], size: int, *, seed: int = 0, order: torch.Generator | None = None
) -> Split:
    """Samples 8 x 8, their classes mixed: a pattern of each class times the clarity of its modality, and noise."""
    patterns, noise = (torch.Generator().manual_seed(s) for s in (0, seed + 1))
    labels = torch.randint(CLASSES, (count,), generator=noise)
    inputs = []
    for channels, clear in zip(CHANNELS, clarity, strict=False):
        pattern = torch.randn(CLASSES, channels, 8, 8, generator=patterns)
        inputs.append(clear * pattern[labels] + torch.randn(count, channels, 8, 8, generator=noise))
    return Split(inputs, labels, size, order)


def network(modalities: int = 2, *, official_gates: bool = False, joint: bool = False) -> MultimodalNetwork:
    """Branches of three stages, fused after the last two; or, joint, one head over their features side by side."""
    cnn = Cnn(name="cnn", widths=(4, 6, 8))
    fusion: FusionSettings | None = Mmtm(name="mmtm", official_gates=official_gates) if modalities > 1 else None
    head: HeadSettings = Own(name="own")
    if joint:
        fusion, head = Concat(name="concat"), Joint(name="joint")
    stages = (2, 3) if fusion and not joint else ()
    model = build([cnn] * modalities, fusion, [stages] * modalities, head, CHANNELS[:modalities], CLASSES)
    model.modalities = NAMES[:modalities]
    return model


def fused(name: str, modalities: int = 2, **settings: Any) -> MultimodalNetwork:
    """Branches of three stages with any fusion, and the head that it needs."""
    fusion = settings_class("fusion", name)(name=name, **settings)
    head = settings_class("head", fusion.head)(name=fusion.head)
    stages = () if fusion.late else (2, 3)
    cnn = Cnn(name="cnn", widths=(4, 6, 8))
    model = build([cnn] * modalities, fusion, [stages] * modalities, head, CHANNELS[:modalities], CLASSES)
    model.modalities = NAMES[:modalities]
    return model


def logits_of(model: MultimodalNetwork, h: Tensor) -> Tensor:
    """Logits of a network of one branch."""
    logits: Tensor = model([h]).logits
    return logits


@dataclass
class Run:
    """All that one training run needs."""

    fit: Fit
    streams: Generators
    train: Split
    val: Split

    def go(self) -> Progress:
        """Train to the end."""
        return self.fit.run(self.train, self.val, lambda _row: None)


def run(
    state: Path,
    method: str = "greedy",
    settings: MethodSettings | None = None,
    *,
    seed: int = 0,
    clarity: Sequence[float] = (1.0, 0.3),
    training: Training = TRAINING,
    official_gates: bool = False,
    samples: int = 26,
    joint: bool = False,
) -> Run:
    """A run on fresh weights, as a new process would start it.

    Args:
        state: file for the state that an interrupted run resumes from.
        method, settings: name, and settings if not those of METHODS.
        seed: of everything but the samples.
        clarity: of each modality, and so their number: how well it shows the class.
        training: budget and optimizer.
        official_gates: of the fusions.
        samples: in training; there are 10 in validation.
        joint: whether one head reads the features of all branches.
    """
    streams = seed_everything(seed)
    model = network(len(clarity), official_gates=official_gates, joint=joint)
    chooser = make_method(settings or METHODS[method], model, streams["method"])
    identity: dict[str, Any] = {"method": method, "seed": seed, "training": training.model_dump(mode="json")}
    fit = Fit(model, chooser, training, streams, state, identity)
    train = split(samples, clarity, training.batch_size, order=streams["order"])
    return Run(fit, streams, train, split(10, clarity, 4, seed=1))


class BareStep(NamedTuple):
    """A step of `bare_loop`."""

    model: MultimodalNetwork
    inputs: list[Tensor]
    labels: Tensor
    epoch: int
    number: int  # within the epoch


Row = dict[str, float]


def bare_loop(run: Run, differentiate: Callable[[BareStep], Row]) -> list[Row]:
    """Train the network of a run with torch's SGD in a plain loop: an independent reference of a method.

    Args:
        run: with `training=STEADY`. Its method is not called.
        differentiate: sets the gradients of a step, and returns its coefficients by name.
    """
    model, training = run.fit.model.train(), run.fit.settings
    optimizer = torch.optim.SGD(model.parameters(), lr=training.learning_rate, momentum=training.momentum)
    rows = []
    for epoch in range(training.epochs):
        for number, (inputs, labels) in enumerate(run.train):
            optimizer.zero_grad()
            rows.append(differentiate(BareStep(model, inputs, labels, epoch, number)))
            optimizer.step()
    return rows


def assert_agree(run: Run, bare: Run, rows: list[Row], close: float = 1e-5) -> None:
    """A finished run has the coefficients of the plain loop in every step, and its weights at the end."""
    steps = Steps.joined(run.fit.progress.steps)
    assert len(rows) >= 20
    for name in rows[0]:
        expected = torch.tensor([row[name] for row in rows], dtype=torch.float64)
        torch.testing.assert_close(steps.log[name].double(), expected, rtol=close, atol=close, msg=name)
    for (name, p), q in zip(run.fit.model.named_parameters(), bare.fit.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=close, atol=close, msg=name)


def assert_start_epoch_changes_nothing(run: Run) -> None:
    """The passes before the second epoch leave the network, with all its statistics, and the orders as they were."""
    before = {name: x.clone() for name, x in run.fit.model.state_dict().items()}
    order = run.streams["order"].get_state()

    run.fit.method.start_epoch(1, run.train, run.val, run.fit.optimizer)

    for name, x in run.fit.model.state_dict().items():
        torch.testing.assert_close(x, before[name], rtol=0, atol=0, equal_nan=True, msg=name)
    assert torch.equal(run.streams["order"].get_state(), order)
