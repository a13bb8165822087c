"""Epochs, early stopping and resume: network + batches -> the best weights, and the history of all epochs."""

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau
from tqdm import tqdm

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.models.network import Batch, MultimodalNetwork
from greedymm.seeding import Generators
from greedymm.settings import Training
from greedymm.training.history import Row, history_row, timing_row
from greedymm.training.methods.base import Method
from greedymm.training.speed import ConditionalLearningSpeed, side_parameters
from greedymm.training.step import Batches, Step, Steps, count_correct, evaluate

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Results of all epochs so far."""

    history: list[Row] = field(default_factory=list)
    timing: list[Row] = field(default_factory=list)
    steps: list[Steps] = field(default_factory=list)  # of each epoch
    best: dict[str, Any] = field(default_factory=dict)  # epoch, val_accuracy and model of the best validation accuracy
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # epoch -> weights, on the CPU


class Fit:
    """A training run.

    Args:
        network: with fresh weights, on its device.
        method: made for this network by `make_method`.
        settings: budget and optimizer.
        modalities: names, for the history.
        streams: all random generators of the run.
        state: file for the state after the last complete epoch.
        identity: settings of the run. A state with other settings is refused.
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
        rate, momentum, decay = settings.learning_rate, settings.momentum, settings.weight_decay
        self.optimizer: Optimizer = SGD(network.parameters(), rate, momentum, weight_decay=decay)
        self.scheduler = make_scheduler(self.optimizer, settings)
        self.progress = Progress()

    def run(self, train: Batches, val: Batches, on_epoch: Callable[[Row, Row], None]) -> Progress:
        """Train to the end, from the state of an interrupted run if there is one.

        Args:
            train, val: batches of the training and validation splits.
            on_epoch: called with the rows of history and timing of each epoch, after its state is saved.

        Raises:
            GreedymmError: if a loss is not finite.
        """
        if self.state.exists():
            self.resume()
        done, total = len(self.progress.history), self.settings.epochs
        # disable=None: a progress bar on a terminal, and one line per epoch elsewhere
        with tqdm(total=total, initial=done, unit="epoch", disable=None) as bar:
            while not self.finished():
                row, timing = self.run_epoch(train, val)
                self.save()
                on_epoch(row, timing)
                bar.update()
                bar.set_postfix(loss=row["train_loss"], val_accuracy=row["val_accuracy"])
                if bar.disable:
                    log.info("%s", " ".join(f"{name}={value:.4g}" for name, value in (row | timing).items()))
        return self.progress

    def finished(self) -> bool:
        """Whether all epochs are done, or enough epochs had a training accuracy of 100 %."""
        perfect = sum(row["train_accuracy"] == 1 for row in self.progress.history)
        return perfect >= self.settings.perfect_epochs or len(self.progress.history) >= self.settings.epochs

    def run_epoch(self, train: Batches, val: Batches) -> tuple[Row, Row]:
        """Train for one epoch, validate, and add the results to the progress. Return the rows of history and timing."""
        progress, number, started = self.progress, len(self.progress.history), time.perf_counter()
        learning_rate, objective = self.optimizer.param_groups[0]["lr"], self.method.settings.objective
        self.method.start_epoch(number, train, val, self.optimizer)
        steps = self.train_epoch(number, train)
        train_seconds = time.perf_counter() - started
        scores = evaluate(self.model, val)
        check_finite([*steps.loss.tolist(), scores.loss(objective)], number + 1, learning_rate)
        row = history_row(steps, scores, objective, self.modalities, measures_speed=self.speed is not None)
        row = {"epoch": number + 1, "learning_rate": learning_rate} | row
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row["train_loss"])
        else:
            self.scheduler.step()
        timing = timing_row(number + 1, time.perf_counter() - started, int(steps.samples.sum()) / train_seconds)
        progress.history.append(row)
        progress.timing.append(timing)
        progress.steps.append(steps)
        if row["val_accuracy"] > progress.best.get("val_accuracy", -1):
            progress.best = {"epoch": number + 1, "val_accuracy": row["val_accuracy"], "model": self.weights()}
        if number + 1 in self.settings.snapshots:
            progress.snapshots[number + 1] = {name: w.cpu() for name, w in self.weights().items()}
        return row, timing

    def train_epoch(self, number: int, train: Batches) -> Steps:
        """Train on the samples of the method's order, or on all of them, with the method's active branches."""
        order, size = self.method.order(number, train.count), self.settings.batch_size
        with self.frozen(self.method.active(number)):
            if order is None:
                return self.train_batches(number, train, len(train))
            count = math.ceil(len(order.rows) / size)
            present = repeat(None) if order.present is None else torch.split(order.present.to(self.method.device), size)
            return self.train_batches(number, train.of(order.rows), count, present)

    def train_batches(
        self, epoch: int, batches: Iterable[Batch], count: int, present: Iterable[Tensor | None] = repeat(None)
    ) -> Steps:
        """Train on every batch once. `present`, bool (B, M) of each batch: modalities to keep; None: all.

        No step waits for the device: results are fetched at the end.
        """
        self.model.train()
        columns: list[tuple[Tensor, ...]] = []
        logs: list[dict[str, Tensor]] = []
        regular = torch.zeros((), dtype=torch.int64, device=self.method.device)
        for number, ((inputs, labels), kept) in enumerate(zip(batches, present, strict=False)):
            step = Step(self.model, self.optimizer, self.speed, epoch, number, count, inputs, labels, kept)
            self.method.training_step(step)
            mode = regular if step.mode is None else step.mode
            correct = count_correct(step.output, labels)
            columns.append((step.loss.detach(), mode, step.speeds, correct, torch.tensor(len(labels))))
            logs.append({name: value.detach() for name, value in self.method.log().items()})
        loss, mode, speeds, correct, samples = (torch.stack(column).cpu() for column in zip(*columns, strict=True))
        log = {name: torch.stack([log[name] for log in logs]).cpu() for name in logs[0]}
        return Steps(loss, mode, speeds, correct, samples, log)

    @contextmanager
    def frozen(self, active: Collection[int] | None) -> Iterator[None]:
        """Freeze the parameters of all branches that are not active; None: all branches are active."""
        branches, groups = range(len(self.modalities)), self.model.groups()
        inactive = [k for k in branches if active is not None and k not in active]
        names = [name for k in inactive for name in (f"branch_{k}.body", f"branch_{k}.head", f"fusion.side_{k}")]
        parameters = [p for name in names for p in groups[name]]
        for p in parameters:
            p.requires_grad_(False)
        yield
        for p in parameters:
            p.requires_grad_(True)

    def weights(self) -> dict[str, Tensor]:
        """Copy the network's weights and buffers into a plain dict. After a resume it is saved as the same bytes."""
        return {name: w.detach().clone() for name, w in self.model.state_dict().items()}

    def save(self) -> None:
        """Save everything that the next epoch depends on."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        progress = vars(self.progress) | {"steps": vars(Steps.joined(self.progress.steps))}
        checkpoint.save(self.state, self.identity, state | progress)

    def resume(self) -> None:
        """Continue after the last complete epoch of an interrupted run.

        Raises:
            GreedymmError: if the state is broken or has other settings.
        """
        device = next(self.model.parameters()).device
        state = checkpoint.load(self.state, torch.device("cpu"), self.identity)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        best = state["best"] | {"model": {n: w.to(device) for n, w in state["best"]["model"].items()}}
        self.progress = Progress(state["history"], state["timing"], [Steps(**state["steps"])], best, state["snapshots"])
        log.info("resuming after epoch %d", len(self.progress.history))

    def _parts(self) -> dict[str, Any]:
        names = ("model", "optimizer", "scheduler", "method", "streams", "speed")
        return {name: part for name in names if (part := getattr(self, name)) is not None}


def make_scheduler(optimizer: Optimizer, settings: Training) -> ReduceLROnPlateau | CosineAnnealingLR:
    """Make the schedule of the learning rate; its steps are epochs."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, settings.epochs, settings.min_learning_rate)
    plateau = settings.model_dump(include={"factor", "patience", "threshold"})
    return ReduceLROnPlateau(optimizer, min_lr=settings.min_learning_rate, **plateau)


def check_finite(losses: Sequence[float], epoch: int, learning_rate: float) -> None:
    """Refuse losses of the steps of an epoch and, last, of validation that are not finite."""
    for step, loss in enumerate(losses, start=1):
        if not math.isfinite(loss):
            where = f"step {step}" if step < len(losses) else "validation"
            raise GreedymmError(
                f"the loss is {loss} in epoch {epoch}, {where}.\n"
                f"  Try a lower training.learning_rate (now {learning_rate:g}), or a larger batch_size."
            )
