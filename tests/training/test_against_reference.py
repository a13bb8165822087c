"""Training on random networks, step for step against the plain loops of `reference`."""

from dataclasses import dataclass, field
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


@dataclass
class Recording:
    """What hooks saw of every training step."""

    weights: list[dict[str, Array]] = field(default_factory=list)  # name -> before the update
    gradients: list[dict[str, Array | None]] = field(default_factory=list)
    running_means: list[dict[str, Array]] = field(default_factory=list)
    squeezed: dict[int, list[list[Array]]] = field(default_factory=dict)  # fusion -> of each step, of each branch

    def mus(self, modalities: int) -> list[reference.Mu]:
        """mu of every step; the groups are told by the parameters' names."""
        groups = [(f"branches.{k}.", f"head.linears.{k}.") for k in range(modalities)]
        sides = [(f".excite.{k}.", ".squeeze.") for k in range(modalities)]
        return [
            reference.Mu([self._mu(i, g) for g in groups], [self._mu(i, s) for s in sides])
            for i in range(len(self.weights))
        ]

    def _mu(self, step: int, parts: tuple[str, ...]) -> float:
        names = [n for n in self.weights[step] if any(p in n for p in parts)]
        gradients = [g for n in names if (g := self.gradients[step][n]) is not None]
        return reference.mu(gradients, [self.weights[step][n] for n in names])

    def gates(self, place: int, step: int) -> list[Array]:
        """Gates of all branches at one step, worked out from the squeezed vectors."""

        def layer(name: str) -> dict[str, Array]:
            return {part: self.weights[step][f"fusions.{place}.{name}.{part}"] for part in ("weight", "bias")}

        heard = self.squeezed[place][step]
        return reference.gates(heard, layer("squeeze"), [layer(f"excite.{k}") for k in range(len(heard))])


def array(tensor: Tensor) -> Array:
    copied: npt.NDArray[np.float64] = tensor.detach().double().numpy().copy()
    return copied


def record(run: tiny.Run) -> Recording:
    """Train to the end, and note what happens."""
    recording = Recording()

    def before_update(*_: Any) -> None:
        parameters = dict(run.fit.model.named_parameters())
        recording.weights.append({n: array(p) for n, p in parameters.items()})
        recording.gradients.append({n: None if p.grad is None else array(p.grad) for n, p in parameters.items()})
        buffers = dict(run.fit.model.named_buffers())
        recording.running_means.append({n: array(b) for n, b in buffers.items() if "gate_mean" in n})

    def follow(place: int, fusion: nn.Module) -> None:
        def before_fusion(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
            if fusion.training:
                of_step = [reference.squeezed(array(h)) for h in arguments[0]]
                recording.squeezed.setdefault(place, []).append(of_step)

        fusion.register_forward_pre_hook(before_fusion)

    run.fit.optimizer.register_step_pre_hook(before_update)
    for place, fusion in enumerate(run.fit.model.fusions):
        follow(place, fusion)
    run.go()
    return recording


@dataclass
class Recorded:
    """A run, what it says of its steps, and what hooks saw of them."""

    run: tiny.Run
    steps: Steps
    recording: Recording

    @property
    def modes(self) -> list[int]:
        return [int(m) for m in self.steps.mode]


# (clarity of each modality, seed)
RUNS = {
    "two modalities": ((1.0, 0.3), 3),
    "two modalities, other data": ((3.0, 0.0), 3),
    "two modalities, other weights": ((1.0, 0.3), 0),
    "three modalities": ((1.0, 1.0, 1.0), 0),
}


@pytest.fixture(scope="module", params=list(RUNS.values()), ids=list(RUNS))
def balanced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    clarity, seed = request.param
    run = tiny.run(tmp_path_factory.mktemp("run") / "resume.pt", "balanced", METHOD, seed=seed, clarity=clarity)
    recording = record(run)
    return Recorded(run, Steps.joined(run.fit.progress.steps), recording)


def test_learning_speeds_equal_the_formula_at_every_step(balanced: Recorded) -> None:
    speeds = reference.learning_speeds(balanced.recording.mus(len(balanced.run.fit.modalities)), balanced.modes)

    np.testing.assert_allclose(balanced.steps.speeds.numpy(), speeds, atol=CLOSE)
    d_speed = [reference.difference(s) for s in speeds]
    np.testing.assert_allclose(balanced.steps.d_speed.numpy(), d_speed, atol=CLOSE)


def test_modes_are_those_of_the_plain_state_machine(balanced: Recorded) -> None:
    speeds = reference.learning_speeds(balanced.recording.mus(len(balanced.run.fit.modalities)), balanced.modes)

    assert balanced.modes == reference.balanced_modes(speeds, len(balanced.run.train), TOLERANCE, WINDOW)
    assert any(balanced.modes)  # or nothing was compared


def test_windows_as_compared_here_are_of_both_signs_and_cross_epochs(tmp_path: Path) -> None:
    runs = [tiny.run(tmp_path / f"{seed}.pt", "balanced", METHOD, seed=seed) for seed in range(4)]
    epochs = [[steps.mode.tolist() for steps in run.go().steps] for run in runs]

    assert {mode for run in epochs for steps in run for mode in steps} == {0, 1, 2}
    assert any(before[-1] == after[0] > 0 for run in epochs for before, after in pairwise(run))


def test_running_means_are_plain_averages_at_every_step(balanced: Recorded) -> None:
    recording, steps = balanced.recording, range(len(balanced.modes))
    for place, fusion in enumerate(balanced.run.fit.model.fusions):
        assert isinstance(fusion, MMTM)
        for k in range(len(balanced.run.fit.modalities)):
            wanted = reference.running_means([recording.gates(place, i)[k] for i in steps])
            found = [recording.running_means[i][f"fusions.{place}.gate_mean{k}"] for i in steps]
            np.testing.assert_allclose(found, wanted, atol=CLOSE)
            np.testing.assert_allclose(fusion.gate_mean(k).numpy(), wanted[-1], atol=CLOSE)  # validation left it alone


def test_every_parameter_has_a_gradient_at_every_step_and_the_unused_excitation_a_zero_one(balanced: Recorded) -> None:
    for mode, gradients in zip(balanced.modes, balanced.recording.gradients, strict=True):
        for name, gradient in gradients.items():
            assert gradient is not None, name
            unused = mode > 0 and f".excite.{mode - 1}." in name
            assert (np.abs(gradient).max() == 0) == unused, name


def test_every_parameter_moves_in_re_balancing_steps_too(tmp_path: Path) -> None:
    without_momentum = tiny.TRAINING.model_copy(update={"momentum": 0.0})
    run = tiny.run(tmp_path / "resume.pt", "balanced", METHOD, training=without_momentum)
    recording = record(run)
    modes = [int(m) for m in Steps.joined(run.fit.progress.steps).mode]
    steps = zip(modes, recording.weights, recording.weights[1:], strict=False)

    moved = [(mode, {n for n in w if not np.array_equal(w[n], after[n])}) for mode, w, after in steps if mode > 0]

    assert moved
    for mode, names in moved:
        unused = {n for n in recording.weights[0] if f".excite.{mode - 1}." in n}
        assert names == recording.weights[0].keys() - unused


@pytest.mark.parametrize("decay", [0.0, 0.01], ids=["no weight decay", "weight decay"])
@pytest.mark.parametrize("momentum", [0.0, 0.9], ids=["no momentum", "momentum"])
def test_updates_are_those_of_plain_sgd_at_the_learning_rate_of_the_epoch(
    tmp_path: Path, momentum: float, decay: float
) -> None:
    training = tiny.TRAINING.model_copy(update={"momentum": momentum, "weight_decay": decay})
    run = tiny.run(tmp_path / "resume.pt", "balanced", METHOD, training=training)
    recording = record(run)
    rates = [row["learning_rate"] for row in run.fit.progress.history for _ in range(len(run.train))]
    assert len(set(rates)) > 1

    for name in recording.weights[0]:
        velocity: float | Array = 0.0
        for i, (before, after) in enumerate(pairwise(of_step[name] for of_step in recording.weights)):
            gradient = recording.gradients[i][name]
            assert gradient is not None
            velocity = momentum * velocity + gradient + decay * before
            np.testing.assert_allclose(after, before - rates[i] * velocity, atol=CLOSE)


def test_official_gates_average_the_gate_of_modality_0_for_all(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "resume.pt", "balanced", official_gates=True)
    recording = record(run)
    for place, fusion in enumerate(run.fit.model.fusions):
        assert isinstance(fusion, MMTM)
        gates = [recording.gates(place, i)[0] for i in range(len(recording.weights))]
        for k in range(2):
            np.testing.assert_allclose(fusion.gate_mean(k).numpy(), reference.running_means(gates)[-1], atol=CLOSE)


def test_greedy_runs_have_the_learning_speeds_of_the_formula_too(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "resume.pt", "greedy")
    recording = record(run)
    steps = Steps.joined(run.fit.progress.steps)

    speeds = reference.learning_speeds(recording.mus(2), [0] * len(steps.mode))

    np.testing.assert_allclose(steps.speeds.numpy(), speeds, atol=CLOSE)


@pytest.mark.parametrize("clarity", [(1.0, 0.3), (1.0, 1.0, 1.0)], ids=["two modalities", "three modalities"])
def test_random_steps_leave_the_sums_of_regular_steps_alone(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run = tiny.run(tmp_path / "resume.pt", "random", clarity=clarity)
    recording = record(run)
    steps = Steps.joined(run.fit.progress.steps)
    modes = [int(m) for m in steps.mode]

    assert any(modes)
    np.testing.assert_allclose(
        steps.speeds.numpy(), reference.learning_speeds(recording.mus(len(clarity)), modes), atol=CLOSE
    )


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
