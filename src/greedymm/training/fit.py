"""Epochs, stopping and resume: model + batches -> the best checkpoint, and the history of all epochs."""

import logging
import math
import resource
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau
from tqdm import tqdm

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.params.plugins import module_of
from greedymm.seeding import Generators
from greedymm.settings import MethodSettings, Training
from greedymm.training.methods.base import Method
from greedymm.training.services import Batches, Services, make_optimizer
from greedymm.training.speed import ConditionalLearningSpeed, side_parameters
from greedymm.training.step import Steps, evaluate, train_epoch

log = logging.getLogger(__name__)

Row = dict[str, float]  # one line of a history


class Best(TypedDict):
    """The weights with the best validation accuracy so far."""

    epoch: int
    val_accuracy: float
    model: dict[str, Tensor]


@dataclass
class Progress:
    """What training has come to after some epochs."""

    history: list[Row] = field(default_factory=list)  # fixed by the settings
    timing: list[Row] = field(default_factory=list)  # not fixed: seconds, samples a second, memory
    steps: list[Steps] = field(default_factory=list)  # of each epoch
    best: Best | None = None
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # epoch -> weights, on the CPU


def make_method(settings: MethodSettings, network: MultimodalNetwork, generator: torch.Generator) -> Method:
    """A training method that has taken hold of a network with fresh weights.

    Modules of its own become a part of the network, and so of the optimizer and the checkpoint.

    Raises:
        GreedymmError: if the network lacks a group of parameters, or a fusion cannot make a pass, that it needs.
    """
    plugin = module_of(settings)
    method, name = plugin.build(settings), type(settings).__module__.rpartition(".")[2]
    if not isinstance(method, Method):
        raise GreedymmError(f"{plugin.__file__}: build must return a Method, not {method!r}")
    try:
        for group in method.groups(len(network.branches)):
            network.group(group)
    except GreedymmError as error:
        raise GreedymmError(f"method '{name}': {error}") from None
    if missing := method.passes() - network.makes:
        raise GreedymmError(
            f"method '{name}' needs passes with {', '.join(sorted(missing))}, which the fusion cannot make; it can:"
            f" {', '.join(sorted(network.makes))}"
        )
    for fusion in network.fusions:
        fusion.tracks_means = bool(method.passes() & {"hears", "present"})  # type: ignore[assignment]
    own = method.setup(network, generator)
    if not network.head.averages and settings.objective == "branch" and len(network.branches) > 1:
        raise GreedymmError(
            f"method '{name}': with a joint head, objective branch trains shares of its logits and not"
            " these: set `objective: joint` or `multi`"
        )
    if own is not None:
        network.add_module("method", own)
    network.decide = method.predict
    return method


class Fit:
    """A training run, epoch by epoch.

    Args:
        network: with fresh weights, of which `method` has taken hold.
        method: as `make_method` gives it.
        settings: budget and optimizer.
        modalities: names, for the history.
        streams: all random streams of the run.
        state: file that holds the state after the last whole epoch, and the settings it belongs to.
        identity: the run's settings: a state of others is refused.
    """

    def __init__(
        self,
        network: MultimodalNetwork,
        method: Method,
        settings: Training,
        modalities: Sequence[str],
        streams: Generators,
        state: Path,
        identity: dict[str, Any],
    ) -> None:
        self.model, self.method, self.settings, self.modalities = network, method, settings, modalities
        self.streams, self.state, self.identity = streams, state, identity
        measured = method.measures_speed and len(modalities) > 1 and side_parameters(network.groups(), 0)
        self.speed = ConditionalLearningSpeed(network) if measured else None
        self.optimizer = make_optimizer(network, settings)
        self.scheduler = make_scheduler(self.optimizer, settings)
        self.progress = Progress()

    def run(self, train: Batches, val: Batches, after_epoch: Callable[[Row, Row], None]) -> Progress:
        """Train to the end, from the state of an earlier, interrupted run where there is one.

        Args:
            after_epoch: called with the epoch's lines of history and timing, once its state is safe.

        Raises:
            GreedymmError: if a loss is not finite.
        """
        if self.state.exists():
            self.resume()
        done = len(self.progress.history)
        # disable=None: a bar on a terminal alone; a log gets a line per epoch
        with tqdm(total=self.settings.epochs, initial=done, unit="epoch", disable=None) as bar:
            while not self.finished():
                self.epoch(train, val)
                self.save()
                row, timing = self.progress.history[-1], self.progress.timing[-1]
                after_epoch(row, timing)
                bar.update()
                bar.set_postfix(loss=row["train_loss"], val_accuracy=row["val_accuracy"])
                if bar.disable:
                    log.info("%s", " ".join(f"{name}={value:.4g}" for name, value in (row | timing).items()))
        return self.progress

    def finished(self) -> bool:
        """Whether the budget is used up, or enough epochs had a training accuracy of 100 %."""
        perfect = sum(row["train_accuracy"] == 1 for row in self.progress.history)
        return perfect >= self.settings.perfect_epochs or len(self.progress.history) >= self.settings.epochs

    def epoch(self, train: Batches, val: Batches) -> None:
        """One epoch of training, and one of validation."""
        number, started = len(self.progress.history), time.perf_counter()
        learning_rate = self.optimizer.param_groups[0]["lr"]
        self.method.start_epoch(number, Services(self.model, train, val, self.optimizer, self.settings))
        steps = self.train_epoch(number, train)
        seconds = time.perf_counter() - started
        scores = evaluate(self.model, val)
        val_loss = scores.loss(self.method.settings.objective)
        before = [float(s.loss[-1]) for s in self.progress.steps[-1:]]  # the last loss of the epoch before
        done = sum(len(s.loss) for s in self.progress.steps)
        # The loss of validation is that of the weights after the epoch's last step.
        check_finite([*before, *steps.loss.tolist(), val_loss], done - len(before), learning_rate)
        row = self.row(steps) | {"val_loss": val_loss} | self.named("val_accuracy", scores.accuracies)
        row = {"epoch": number + 1, "learning_rate": learning_rate} | row
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row["train_loss"])
        else:
            self.scheduler.step()
        self.progress.history.append(row)
        self.progress.timing.append(cost(number, time.perf_counter() - started, int(steps.samples.sum()) / seconds))
        self.progress.steps.append(steps)
        if self.progress.best is None or row["val_accuracy"] > self.progress.best["val_accuracy"]:
            self.progress.best = {"epoch": number + 1, "val_accuracy": row["val_accuracy"], "model": self.weights()}
        if number + 1 in self.settings.snapshots:
            self.progress.snapshots[number + 1] = {name: w.cpu() for name, w in self.weights().items()}

    def train_epoch(self, number: int, train: Batches) -> Steps:
        """The steps of one epoch: on all samples, shuffled, or in the method's order; of all branches, or of some."""
        order = self.method.order(number, train.count)
        batches: Any = train if order is None else train.of(order.rows)
        count = len(train) if order is None else math.ceil(len(order.rows) / self.settings.batch_size)
        present = None
        if order is not None and order.present is not None:
            present = torch.split(order.present.to(self.method.device), self.settings.batch_size)
        with self.frozen(self.method.active(number)):
            return train_epoch(self.model, batches, count, self.method, self.speed, self.optimizer, number, present)

    @contextmanager
    def frozen(self, active: Collection[int] | None) -> Iterator[None]:
        """Parameters of the branches that are not among the active ones do not learn; None: all are."""
        groups = self.model.groups()
        others = set(range(len(self.modalities))) - set(active) if active is not None else set()
        names = [name for k in others for name in (f"branch_{k}.body", f"branch_{k}.head", f"fusion.side_{k}")]
        parameters = [p for name in names for p in groups[name]]
        for p in parameters:
            p.requires_grad_(False)
        yield
        for p in parameters:
            p.requires_grad_(True)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the network's weights and buffers; a plain dict, as after a resume: both give the same bytes."""
        return {name: w.detach().clone() for name, w in self.model.state_dict().items()}

    def row(self, steps: Steps) -> Row:
        """What an epoch's steps come to."""
        samples = steps.samples.sum()
        accuracy = (steps.correct.sum(dim=0).double() / samples).tolist()
        counts = {"regular_steps": int((steps.mode == 0).sum())}
        speeds = {}
        if len(self.modalities) > 1:
            counts |= {f"rebalancing_{m}": int((steps.mode == k + 1).sum()) for k, m in enumerate(self.modalities)}
        if self.speed is not None:
            speeds = {f"speed_{m}": float(s) for m, s in zip(self.modalities, steps.speeds[-1], strict=True)}
            speeds["d_speed"] = float(steps.d_speed[-1])
        loss = float((steps.loss.double() * steps.samples).sum() / samples)
        coefficients = {f"{name}_mean": float(values.double().mean()) for name, values in steps.log.items()}
        return {"train_loss": loss} | self.named("train_accuracy", accuracy) | speeds | counts | coefficients

    def named(self, measure: str, values: Sequence[float]) -> Row:
        """Values of the mean and of each branch; of the one branch alone for a unimodal reference."""
        names = [measure, *(f"{measure}_{m}" for m in self.modalities)]
        return dict(zip(names, values, strict=True)) if len(self.modalities) > 1 else {measure: values[0]}

    def save(self) -> None:
        """Keep all that the next epoch builds on."""
        progress = self.progress
        checkpoint.save(
            self.state,
            checkpoint.stamped(self.identity)
            | {name: part.state_dict() for name, part in self._parts().items()}
            | {"history": progress.history, "timing": progress.timing, "best": progress.best}
            | {"steps": vars(Steps.joined(progress.steps)), "snapshots": progress.snapshots},
        )

    def resume(self) -> None:
        """Go on where an interrupted run was after its last whole epoch.

        Raises:
            GreedymmError: if the state is broken or of other settings.
        """
        device = next(self.model.parameters()).device
        state = checkpoint.load(self.state, self.identity, torch.device("cpu"))
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        best = state["best"] | {"model": {n: w.to(device) for n, w in state["best"]["model"].items()}}
        self.progress = Progress(state["history"], state["timing"], [Steps(**state["steps"])], best, state["snapshots"])
        log.info("resuming after epoch %d", len(self.progress.history))

    def _parts(self) -> dict[str, Any]:
        parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "method": self.method,
            "streams": self.streams,
        }
        return parts if self.speed is None else parts | {"speed": self.speed}


def make_scheduler(optimizer: Optimizer, settings: Training) -> ReduceLROnPlateau | CosineAnnealingLR:
    """What lowers the learning rate after each epoch."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, settings.epochs, settings.min_learning_rate)
    return ReduceLROnPlateau(
        optimizer,
        factor=settings.factor,
        patience=settings.patience,
        threshold=settings.threshold,
        min_lr=settings.min_learning_rate,
    )


def check_finite(losses: Sequence[float], first: int, learning_rate: float) -> None:
    """Make sure that losses are finite.

    Args:
        losses: of steps one after the other, and of the validation that follows them.
        first: number of steps before them.
        learning_rate: that of the steps.

    Raises:
        GreedymmError: with the step, the last finite loss, and what to try.
    """
    bad = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if bad is None:
        return
    where = f"of step {first + bad + 1}" if bad < len(losses) - 1 else f"of validation after step {first + bad}"
    last = f"the last finite one was {losses[bad - 1]:.4g}" if bad else "none before it was finite"
    raise GreedymmError(
        f"the loss {where} is {losses[bad]}; {last}.\n"
        f"  Try a lower training.learning_rate (now {learning_rate:g}), or a larger batch_size."
    )


def cost(epoch: int, seconds: float, rate: float) -> Row:
    """What an epoch cost."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return {
        "epoch": epoch + 1,
        "seconds": seconds,
        "samples_per_second": rate,
        "peak_memory_mb": memory,
        "peak_gpu_memory_mb": gpu,
    }
