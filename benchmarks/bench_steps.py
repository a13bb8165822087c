"""Inside one process: training steps against a bare loop, balanced against greedy, evaluation against its passes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from bench_rows import Row, ratio, take_turns
from torch.nn.functional import cross_entropy

from greedymm.data.batches import Loader
from greedymm.models.network import Batch, MultimodalNetwork
from greedymm.plan import Plan
from greedymm.run import Run
from greedymm.seeding import prepare_device, seed_everything
from greedymm.settings import Execution
from greedymm.steps.evaluate import evaluate
from greedymm.steps.train import train
from greedymm.training.fit import Fit
from greedymm.training.networks import new_network


def run_of(plan: Plan, dataset: str, method: str) -> Run:
    """The first run of a method on a dataset."""
    return next(run for run in plan.default_runs if (run.dataset, run.method) == (dataset, method))


def short(run: Run) -> Run:
    """The same run with one epoch and one snapshot."""
    training = run.settings.training.model_copy(update={"epochs": 1, "snapshots": (1,)})
    return run.model_copy(update={"settings": run.settings.model_copy(update={"training": training})}).model_copy(
        deep=True
    )


def make_fit(run: Run, execution: Execution) -> tuple[Fit, list[Batch]]:
    """A run that has not begun, and the batches of its first epoch."""
    settings, device = run.settings, prepare_device(execution)
    loader = Loader(run.data_path, settings.stored, settings.training.batch_size, device, execution, settings.inputs)
    streams = seed_everything(settings.seed)
    network, method = new_network(settings, loader.channels, len(loader.classes), device, streams["method"])
    fit = Fit(network, method, settings.training, streams, Path("unused"), {})
    return fit, list(loader.batches("train", streams["order"], streams["augmentation"]))


def train_bare(network: MultimodalNetwork, optimizer: torch.optim.Optimizer, batches: list[Batch]) -> None:
    """The shortest loop that trains the same network."""
    network.train()
    for inputs, labels in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = sum(cross_entropy(logits, labels) for logits in network(inputs).branches)
        loss.backward()
        optimizer.step()
    loss.item()


def measure_steps(plan: Plan, dataset: str, rounds: int, seconds: float) -> list[Row]:
    """Our step against a bare one, and a step of `balanced` against one of `greedy`, in turns of some seconds."""
    execution = plan.params.execution
    greedy, batches = make_fit(run_of(plan, dataset, "greedy"), execution)
    balanced, _ = make_fit(run_of(plan, dataset, "balanced"), execution)
    bare, _ = make_fit(run_of(plan, dataset, "greedy"), execution)
    batches = [batch for batch in batches if len(batch[1]) == len(batches[0][1])]
    train_bare(bare.model, bare.optimizer, batches[:2])
    started = time.perf_counter()
    train_bare(bare.model, bare.optimizer, batches[:2])
    count = max(2, round(2 * seconds / (time.perf_counter() - started)))
    batches = list(islice(cycle(batches), count))
    actions = {
        "bare": lambda: train_bare(bare.model, bare.optimizer, batches),
        "greedy": lambda: greedy.train_batches(1, batches, count),
        "balanced": lambda: balanced.train_batches(1, batches, count),
    }
    take_turns(actions, 1)
    taken = take_turns(actions, rounds)
    return [
        ratio(f"step of greedy / bare loop, {dataset}", taken["greedy"], taken["bare"], "<= 1.05", per=count),
        ratio(f"step of balanced / greedy, {dataset}", taken["balanced"], taken["greedy"], "<= 1.05", per=count),
    ]


@contextmanager
def timed_passes() -> Iterator[list[float]]:
    """Yield the seconds of the parts of each forward pass of any network."""
    parts, seconds = {name: getattr(MultimodalNetwork, name) for name in ("stem", "fuse")}, list[float]()

    def timed(part: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            output = part(*arguments)
            seconds.append(time.perf_counter() - started)
            return output

        return call

    for name, part in parts.items():
        setattr(MultimodalNetwork, name, timed(part))
    try:
        yield seconds
    finally:
        for name, part in parts.items():
            setattr(MultimodalNetwork, name, part)


def measure_evaluation(plan: Plan, dataset: str, rounds: int) -> Row:
    """The step `evaluate` in a process that has imported everything, against the forward passes inside of it."""
    run, execution = short(run_of(plan, dataset, "balanced")), plan.params.execution
    train(run, execution)
    evaluate(run, execution)
    whole, passes = [], []
    for _ in range(rounds):
        with timed_passes() as seconds:
            started = time.perf_counter()
            evaluate(run, execution)
            whole.append(time.perf_counter() - started)
        passes.append(sum(seconds))
    return ratio(f"evaluation / its forward passes, {dataset}", whole, passes, "<= 1.1", "s")
