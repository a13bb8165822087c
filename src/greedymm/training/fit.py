"""Epochs, early stopping and resume: network + batches -> the best weights, and the history of all epochs."""

import logging
import math
import resource
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from inspect import unwrap
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau
from tqdm import tqdm

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.files import atomic_write
from greedymm.models.network import Batch, MultimodalNetwork
from greedymm.seeding import Generators
from greedymm.settings import Training
from greedymm.system import peak_memory
from greedymm.training.methods.base import Method
from greedymm.training.speed import ConditionalLearningSpeed
from greedymm.training.step import Batches, Scores, Step, Steps, count_correct, evaluate

log = logging.getLogger(__name__)

Row = dict[str, float]  # one line of a CSV file


class PlainSGD(SGD):
    """SGD without the wrappers that import torch's compiler at their first call, which takes a second."""

    add_param_group = unwrap(SGD.add_param_group)
    load_state_dict = unwrap(SGD.load_state_dict)
    state_dict = unwrap(SGD.state_dict)
    step = torch.no_grad()(unwrap(SGD.step))
    zero_grad = unwrap(SGD.zero_grad)


@dataclass
class Progress:
    """Results of all epochs so far."""

    history: list[Row] = field(default_factory=list)
    timing: list[Row] = field(default_factory=list)
    steps: list[Steps] = field(default_factory=list)  # of each epoch
    best: dict[str, Any] = field(default_factory=dict)  # epoch, val_accuracy and model of the best validation accuracy
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # epoch -> weights, on the CPU

    def write(self, folder: Path, modalities: Sequence[str]) -> None:
        """Write history.csv and timing.csv, one row per epoch, and steps.parquet, one row per step."""
        for name, rows in (("history", self.history), ("timing", self.timing)):
            with atomic_write(folder / f"{name}.csv") as temporary:
                pd.DataFrame(rows).to_csv(temporary, index=False)
        steps = Steps.joined(self.steps)
        numbers = torch.arange(1, len(steps.loss) + 1)
        columns = {"step": numbers, "loss": steps.loss, "mode": steps.mode.to(torch.int8)}
        if len(modalities) > 1:
            columns |= {f"speed_{m}": speeds for m, speeds in zip(modalities, steps.speeds.T, strict=True)}
            columns |= {"d_speed": steps.d_speed} | steps.log
        with atomic_write(folder / "steps.parquet") as temporary:
            pd.DataFrame({name: x.numpy() for name, x in columns.items()}).to_parquet(temporary, index=False)


class Fit:
    """A training run.

    Args:
        network: with fresh weights and the names of its modalities, on its device.
        method: made for this network by `make_method`.
        settings: budget and optimizer.
        streams: all random generators of the run.
        state: file for the state after the last complete epoch.
        identity: settings of the run. A state with other settings is refused.
    """

    def __init__(
        self,
        network: MultimodalNetwork,
        method: Method,
        settings: Training,
        streams: Generators,
        state: Path,
        identity: dict[str, Any],
    ) -> None:
        self.model, self.method, self.settings = network, method, settings
        self.streams, self.state, self.identity = streams, state, identity
        method.epochs = settings.epochs
        rate, momentum, decay = settings.learning_rate, settings.momentum, settings.weight_decay
        self.optimizer: Optimizer = PlainSGD(network.parameters(), rate, momentum, weight_decay=decay)
        self.scheduler = make_scheduler(self.optimizer, settings)
        measured = method.measures_speed and any(list(fusion.parameters()) for fusion in network.fusions)
        self.speed = ConditionalLearningSpeed(network) if measured else None
        self.progress = Progress()

    def run(self, train: Batches, val: Batches, on_epoch: Callable[[Row], None]) -> Progress:
        """Train to the end, from the state of an interrupted run if there is one.

        `on_epoch` is called with history and timing of each epoch, after its state is saved.

        Raises:
            GreedymmError: if a loss is not finite.
        """
        self.method.check_schedule()
        self.method.check(train, val)
        if self.state.exists():
            self.resume()
        done, total = len(self.progress.history), self.settings.epochs
        # disable=None: a progress bar on a terminal, and one line per epoch elsewhere
        with tqdm(total=total, initial=done, unit="epoch", disable=None) as bar:
            while not self.finished():
                row = self.run_epoch(train, val)
                self.save()
                on_epoch(row)
                bar.update()
                bar.set_postfix(loss=row["train_loss"], val_accuracy=row["val_accuracy"])
                if bar.disable:
                    log.info("%s", " ".join(f"{name}={value:.4g}" for name, value in row.items()))
        return self.progress

    def finished(self) -> bool:
        """Whether all epochs are done, or enough epochs had a training accuracy of 100 %."""
        perfect = sum(row["train_accuracy"] == 1 for row in self.progress.history[self.method.pretraining :])
        return perfect >= self.settings.perfect_epochs or len(self.progress.history) >= self.settings.epochs

    def run_epoch(self, train: Batches, val: Batches) -> Row:
        """Train for one epoch, validate, and add the results to the progress. Return those of history and timing."""
        started = time.perf_counter()
        progress, objective = self.progress, self.method.settings.objective
        number, learning_rate = len(progress.history), self.optimizer.param_groups[0]["lr"]
        self.method.start_epoch(number, train, val, self.optimizer)
        steps = self.train_epoch(number, train)
        train_seconds = time.perf_counter() - started
        scores = evaluate(self.model, val)
        check_finite([*steps.loss.tolist(), scores.loss(objective)], number + 1, learning_rate)
        row: Row = {"epoch": number + 1, "learning_rate": learning_rate}
        row |= history_row(steps, scores, objective, self.model.modalities, measures_speed=self.speed is not None)
        pretrains = number < self.method.pretraining
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
        elif not pretrains:
            self.scheduler.step(row["train_loss"])
        timing = timing_row(number + 1, time.perf_counter() - started, int(steps.samples.sum()) / train_seconds)
        progress.history.append(row)
        progress.timing.append(timing)
        progress.steps.append(steps)
        if not pretrains and row["val_accuracy"] > progress.best.get("val_accuracy", -1):
            progress.best = {"epoch": number + 1, "val_accuracy": row["val_accuracy"], "model": self.weights()}
        if number + 1 in self.settings.snapshots:
            progress.snapshots[number + 1] = self.weights()
        return row | timing

    def train_epoch(self, number: int, train: Batches) -> Steps:
        """Train on the samples of the method's order, or on all of them, with the method's active branches."""
        order, size = self.method.order(number, train.count), self.settings.batch_size
        frozen = self.freeze_inactive(self.method.active(number))
        if order is None:
            steps = self.train_batches(number, train, len(train))
        else:
            present = repeat(None) if order.present is None else torch.split(order.present.to(self.method.device), size)
            steps = self.train_batches(number, train.of(order.rows), train.count_of(len(order.rows)), present)
        for parameter in frozen:
            parameter.requires_grad_(True)
        return steps

    def train_batches(
        self, epoch: int, batches: Iterable[Batch], count: int, present: Iterable[Tensor | None] = repeat(None)
    ) -> Steps:
        """Train on every batch once. `present`, bool (B, M) of each batch: modalities to keep; None: all.

        No step waits for the device: results are fetched at the end.
        """
        self.model.train()
        results: dict[str, Tensor] = {}
        regular = torch.zeros((), dtype=torch.int64, device=self.method.device)
        for number, ((inputs, labels), kept) in enumerate(zip(batches, present, strict=False)):
            step = Step(self.model, self.optimizer, self.speed, epoch, number, count, inputs, labels, kept)
            self.method.training_step(step)
            row = {"loss": step.loss, "mode": regular if step.mode is None else step.mode, "speeds": step.speeds}
            row |= {"correct": count_correct(step.output, labels), "samples": torch.tensor(len(labels))}
            row |= {f"log.{name}": value for name, value in self.method.log().items()}
            for name, value in row.items():
                if number == 0:  # a small tensor kept from each step would split the free memory: 3 MB a step were lost
                    results[name] = value.new_empty(count, *value.shape)
                results[name][number] = value.detach()
        fetched = {name: values[: number + 1].cpu() for name, values in results.items()}
        log = {name.removeprefix("log."): fetched.pop(name) for name in list(fetched) if name.startswith("log.")}
        return Steps(log=log, **fetched)

    def freeze_inactive(self, active: Collection[int] | None) -> list[nn.Parameter]:
        """Freeze the branches that are not active, None: none of them. Return the parameters that were frozen here."""
        groups, branches = self.model.groups(), range(len(self.model.branches))
        inactive = [] if active is None else [k for k in branches if k not in active]
        names = [name for k in inactive for name in (f"branch_{k}.body", f"branch_{k}.head", f"fusion.side_{k}")]
        frozen = [parameter for name in names for parameter in groups[name] if parameter.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(False)
        return frozen

    def weights(self) -> dict[str, Tensor]:
        """Copy weights and buffers to the CPU. The dict is a plain one, so that a resumed run saves the same bytes."""
        return {name: w.cpu().clone() for name, w in self.model.state_dict().items()}

    def save(self) -> None:
        """Save everything that the next epoch depends on."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        progress = vars(self.progress) | {"steps": vars(Steps.joined(self.progress.steps))}
        checkpoint.save(self.state, self.identity, state | progress)

    def resume(self) -> None:
        """Continue after the last complete epoch of an interrupted run with the same settings."""
        state = checkpoint.load(self.state, torch.device("cpu"), self.identity)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        steps = [Steps(**state["steps"])]
        self.progress = Progress(state["history"], state["timing"], steps, state["best"], state["snapshots"])
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
    """Raise an error if a loss is not finite. The last loss is that of validation, the others those of the steps."""
    for step, loss in enumerate(losses, start=1):
        if not math.isfinite(loss):
            where = f"step {step}" if step < len(losses) else "validation"
            raise GreedymmError(
                f"the loss is {loss} in epoch {epoch}, {where}.\n"
                f"  Try a lower training.learning_rate (now {learning_rate:g}), or a larger batch_size."
            )


def history_row(
    steps: Steps, scores: Scores, objective: str, modalities: Sequence[str], *, measures_speed: bool
) -> Row:
    """Results of the steps of one epoch, and its scores on the validation split."""
    multimodal, samples = len(modalities) > 1, steps.samples.sum()

    def by_head(name: str, values: Sequence[float]) -> Row:
        names = [name, *(f"{name}_{m}" for m in modalities)]
        return dict(zip(names, values, strict=True)) if multimodal else {name: values[0]}

    row: Row = {"train_loss": float((steps.loss.double() * steps.samples).sum() / samples)}
    row |= by_head("train_accuracy", (steps.correct.sum(dim=0).double() / samples).tolist())
    if measures_speed:
        row |= {f"speed_{m}": float(s) for m, s in zip(modalities, steps.speeds[-1], strict=True)}
        row["d_speed"] = float(steps.d_speed[-1])
    row["regular_steps"] = int((steps.mode == 0).sum())
    if multimodal:
        row |= {f"rebalancing_{m}": int((steps.mode == k + 1).sum()) for k, m in enumerate(modalities)}
    row |= {f"{name}_mean": float(values.double().mean()) for name, values in steps.log.items()}
    return row | {"val_loss": scores.loss(objective)} | by_head("val_accuracy", scores.accuracies)


def timing_row(epoch: int, seconds: float, samples_per_second: float) -> Row:
    """Time of one epoch, counted from 1, and peak memory of the process, which may have trained other runs before.

    They differ between two runs with the same settings.
    """
    return {
        "epoch": epoch,
        "seconds": seconds,
        "samples_per_second": samples_per_second,
        "peak_memory_mb": peak_memory(resource.getrusage(resource.RUSAGE_SELF)),
        "peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0,
    }
