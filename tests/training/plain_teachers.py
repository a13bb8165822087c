"""Teachers as plain loops train them, and what holds for the teachers of every method."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.settings import MethodSettings

Teacher = Callable[[Tensor], tuple[Tensor, Tensor]]  # inputs of one modality -> features, logits

CALM = tiny.STEADY.model_copy(update={"learning_rate": 0.02})  # rounding errors do not grow


def train_teachers(run: tiny.Run, epochs: int) -> list[Teacher]:
    """Train the teachers of a run in plain loops, one after another. They are ready for use, in evaluation mode."""
    network: Any = run.fit.model.method.network  # type: ignore[union-attr]
    seed, _ = (int(torch.randint(2**31, (), generator=run.streams["method"])) for _ in range(2))
    training, teachers = run.fit.settings, []
    for k, (body, head) in enumerate(zip(network.branches, network.head.linears, strict=True)):
        split = run.train.view(torch.Generator().manual_seed(seed))
        weights = [p.requires_grad_() for p in (*body.parameters(), *head.parameters())]
        optimizer = torch.optim.SGD(weights, lr=training.learning_rate, momentum=training.momentum)
        body.train()
        for epoch in range(epochs):
            optimizer.param_groups[0]["lr"] = training.learning_rate * (0.5 + 0.5 * math.cos(math.pi * epoch / epochs))
            for inputs, labels in split:
                optimizer.zero_grad()
                cross_entropy(head(body.pool(body(inputs[k]))), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        body.eval()
        for p in weights:
            p.requires_grad_(requires_grad=False).grad = None
        teachers.append(teacher(body, head))
    return teachers


def teacher(body: Any, head: Any) -> Teacher:
    """The pass of a trained teacher."""

    def teach(x: Tensor) -> tuple[Tensor, Tensor]:
        features = body.pool(body(x))
        return features, head(features)

    return teach


def assert_frozen(state: Path, settings: MethodSettings) -> None:
    """The teachers of a run that has weight decay do not change in its epochs, in no weight and no statistic."""
    run = tiny.run(state, settings=settings, training=tiny.TRAINING.model_copy(update={"weight_decay": 0.1}))
    teachers: Any = run.fit.model.method
    initial = [w.clone() for w in teachers.state_dict().values()]
    run.fit.run_epoch(run.train, run.val)
    trained = {name: w.clone() for name, w in teachers.state_dict().items()}

    for _ in range(2):
        run.fit.run_epoch(run.train, run.val)
    run.fit.model.train()

    assert not all(torch.equal(w, other) for w, other in zip(trained.values(), initial, strict=True))
    for name, w in teachers.state_dict().items():
        assert torch.equal(w, trained[name]), name
    assert not any(module.training for module in teachers.modules())
    assert not any(p.requires_grad or p.grad is not None for p in teachers.parameters())
    assert any(name.startswith("method.") for name in run.fit.progress.best["model"])
