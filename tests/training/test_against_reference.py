"""Training on random networks, step for step against the plain loops of `reference`."""

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
import tiny
import torch
from reference import Array
from torch import Tensor, nn

from greedymm.models.fusions.mmtm import MMTM
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.step import Steps

TOLERANCE, WINDOW = 0.05, 3
METHOD = Balanced(tolerance=TOLERANCE, window=WINDOW)
CLOSE = 1e-5


class Recording:
    """What hooks observe in every training step, by group of parameters. Trains the run to the end."""

    def __init__(self, run: tiny.Run) -> None:
        self.model, self.modalities = run.fit.model, len(run.fit.model.branches)
        groups = self.model.groups()
        self.parameters = {f"{group}/{i}": p for group, members in groups.items() for i, p in enumerate(members)}
        assert len(self.parameters) == len(list(self.model.parameters()))
        self.weights: list[dict[str, Array]] = []  # before the update
        self.gradients: list[dict[str, Array | None]] = []
        self.gate_means: list[list[list[Array]]] = []  # of each step, fusion and branch
        self.gates: list[list[list[Array]]] = [[] for _ in self.model.fusions]  # of each fusion, step and branch
        run.fit.optimizer.register_step_pre_hook(self.before_update)
        for index, fusion in enumerate(self.model.fusions):
            fusion.register_forward_pre_hook(partial(self.before_fusion, index))
        self.steps = Steps.joined(run.go().steps)
        self.modes = [int(mode) for mode in self.steps.mode]

    def before_update(self, *_: Any) -> None:
        self.weights.append({name: array(p) for name, p in self.parameters.items()})
        self.gradients.append({name: None if p.grad is None else array(p.grad) for name, p in self.parameters.items()})
        branches = range(self.modalities)
        self.gate_means.append([[array(mmtm_of(f).gate_mean(k)) for k in branches] for f in self.model.fusions])

    def before_fusion(self, index: int, fusion: nn.Module, arguments: tuple[Any, ...]) -> None:
        if fusion.training:
            mmtm, squeezed = mmtm_of(fusion), [reference.squeezed(array(h)) for h in arguments[0]]
            layers = [{name: array(p) for name, p in m.named_parameters()} for m in (mmtm.squeeze, *mmtm.excite)]
            self.gates[index].append(reference.gates(squeezed, layers[0], layers[1:]))

    def speeds(self) -> list[list[float]]:
        """Learning speeds after every step, by the reference."""
        branches = [(f"branch_{k}.body", f"branch_{k}.head") for k in range(self.modalities)]
        fusions = [(f"fusion.side_{k}", "fusion.shared") for k in range(self.modalities)]
        mus = [
            reference.Mu([self._mu(i, g) for g in branches], [self._mu(i, g) for g in fusions])
            for i in range(len(self.weights))
        ]
        return reference.learning_speeds(mus, self.modes)

    def _mu(self, step: int, groups: tuple[str, ...]) -> float:
        names = self.names(*groups)
        gradients = [g for name in names if (g := self.gradients[step][name]) is not None]
        return reference.mu(gradients, [self.weights[step][name] for name in names])

    def names(self, *groups: str) -> set[str]:
        return {name for name in self.parameters if name.split("/")[0] in groups}

    def unused(self, mode: int) -> set[str]:
        """Parameters without influence on a step: the excitations that a running mean replaces."""
        return self.names(f"fusion.side_{mode - 1}") if mode else set()


def mmtm_of(fusion: nn.Module) -> MMTM:
    assert isinstance(fusion, MMTM)
    return fusion


def array(tensor: Tensor) -> Array:
    copied: npt.NDArray[np.float64] = tensor.detach().double().numpy().copy()
    return copied


# (clarity of each modality, seed)
RUNS = {
    "two modalities": ((1.0, 0.3), 3),
    "two modalities, other data": ((3.0, 0.0), 3),
    "two modalities, other weights": ((1.0, 0.3), 0),
    "three modalities": ((1.0, 1.0, 1.0), 0),
}


@pytest.fixture(scope="module", params=list(RUNS.values()), ids=list(RUNS))
def balanced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    clarity, seed = request.param
    return Recording(tiny.run(tmp_path_factory.mktemp("run") / "r.pt", "balanced", METHOD, seed=seed, clarity=clarity))


def test_learning_speeds_and_modes_are_those_of_the_formulas_at_every_step(balanced: Recording) -> None:
    speeds = balanced.speeds()

    np.testing.assert_allclose(balanced.steps.speeds.numpy(), speeds, atol=CLOSE)
    np.testing.assert_allclose(balanced.steps.d_speed, [reference.difference(s) for s in speeds], atol=CLOSE)
    assert balanced.modes == reference.balanced_modes(speeds, 5, TOLERANCE, WINDOW)
    assert any(balanced.modes)  # or nothing was compared


def test_windows_as_compared_here_are_of_both_signs_and_cross_epochs(tmp_path: Path) -> None:
    runs = [tiny.run(tmp_path / f"{seed}.pt", "balanced", METHOD, seed=seed) for seed in range(4)]
    epochs = [[steps.mode.tolist() for steps in run.go().steps] for run in runs]

    assert {mode for run in epochs for steps in run for mode in steps} == {0, 1, 2}
    assert any(before[-1] == after[0] > 0 for run in epochs for before, after in pairwise(run))


def test_running_means_of_gates_are_plain_averages_at_every_step(balanced: Recording) -> None:
    for index, fusion in enumerate(balanced.model.fusions):
        for k in range(balanced.modalities):
            expected = reference.running_means([gates[k] for gates in balanced.gates[index]])
            means = [of_step[index][k] for of_step in balanced.gate_means]
            np.testing.assert_allclose(means, expected, atol=CLOSE)
            np.testing.assert_allclose(mmtm_of(fusion).gate_mean(k), expected[-1], atol=CLOSE)  # not validation


def test_every_parameter_has_a_gradient_at_every_step_that_is_zero_for_unused_ones(balanced: Recording) -> None:
    for mode, gradients in zip(balanced.modes, balanced.gradients, strict=True):
        for name, gradient in gradients.items():
            assert gradient is not None, name
            assert (np.abs(gradient).max() == 0) == (name in balanced.unused(mode)), name


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.01)], ids=["plain", "momentum and decay"])
def test_updates_are_those_of_sgd_at_the_learning_rate_of_the_epoch(
    tmp_path: Path, momentum: float, decay: float
) -> None:
    training = tiny.TRAINING.model_copy(update={"momentum": momentum, "weight_decay": decay})
    run = tiny.run(tmp_path / "resume.pt", "balanced", METHOD, training=training)
    recording = Recording(run)
    rates = [row["learning_rate"] for row in run.fit.progress.history for _ in range(len(run.train))]
    assert len(set(rates)) > 1

    for name in recording.parameters:
        velocity: float | Array = 0.0
        for i, (before, after) in enumerate(pairwise(weights[name] for weights in recording.weights)):
            gradient = recording.gradients[i][name]
            assert gradient is not None
            velocity = momentum * velocity + gradient + decay * before
            np.testing.assert_allclose(after, before - rates[i] * velocity, atol=CLOSE)
            fixed = momentum == 0 and name in recording.unused(recording.modes[i])
            assert np.array_equal(before, after) == fixed, name


def test_official_gates_average_the_gate_of_modality_0_for_all(tmp_path: Path) -> None:
    recording = Recording(tiny.run(tmp_path / "resume.pt", "balanced", official_gates=True))
    for index, fusion in enumerate(recording.model.fusions):
        expected = reference.running_means([gates[0] for gates in recording.gates[index]])[-1]
        for k in range(2):
            np.testing.assert_allclose(mmtm_of(fusion).gate_mean(k), expected, atol=CLOSE)


@pytest.mark.parametrize(
    ("method", "clarity"), [("greedy", (1.0, 0.3)), ("random", (1.0, 0.3)), ("random", (1.0, 1.0, 1.0))]
)
def test_learning_speeds_of_other_methods_are_those_of_the_formula(
    tmp_path: Path, method: str, clarity: tuple[float, ...]
) -> None:
    recording = Recording(tiny.run(tmp_path / "resume.pt", method, clarity=clarity))

    assert any(recording.modes) == (method == "random")
    np.testing.assert_allclose(recording.steps.speeds.numpy(), recording.speeds(), atol=CLOSE)


def test_loss_is_the_sum_of_the_branches_cross_entropies(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "resume.pt", training=tiny.TRAINING.model_copy(update={"epochs": 1}))
    logits: list[list[Array]] = []
    labels = [of_batch.numpy() for _, of_batch in tiny.split(26, (1.0, 0.3), 6, order=_copy(run.streams["order"]))]
    run.fit.model.register_forward_hook(
        lambda module, _, given: logits.append([array(y) for y in given.branches]) if module.training else None
    )

    found = Steps.joined(run.go().steps).loss.numpy()

    np.testing.assert_allclose(found, [_loss(y, c) for y, c in zip(logits, labels, strict=True)], rtol=CLOSE)


def _copy(generator: torch.Generator) -> torch.Generator:
    return torch.Generator().set_state(generator.get_state())


def _loss(logits: list[Array], labels: npt.NDArray[np.int64]) -> float:
    total = 0.0
    for of_branch in logits:
        for y, label in zip(of_branch, labels, strict=True):
            total += (np.log(np.exp(y).sum()) - y[label]) / len(labels)
    return float(total)
