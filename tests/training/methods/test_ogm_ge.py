"""OGM-GE against plain NumPy, written from the formulas."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny
import torch

from greedymm.errors import GreedymmError
from greedymm.training.methods.ogm_ge import Settings, scales
from greedymm.training.networks import make_method

Array = npt.NDArray[np.float64]


def plain_scales(logits: list[Array], labels: npt.NDArray[np.int64], alpha: float) -> list[float]:
    """c_k of each branch, sample by sample."""
    scores = []
    for of_branch in logits:
        probabilities = [np.exp(y)[label] / np.exp(y).sum() for y, label in zip(of_branch, labels, strict=True)]
        scores.append(sum(probabilities) / len(labels))
    found = []
    for k, own in enumerate(scores):
        ratios = [own / other for j, other in enumerate(scores) if j != k]
        rho = sum(ratios) / len(ratios)
        found.append(1 - np.tanh(alpha * rho) if rho > 1 else 1.0)
    return found


class Watched:
    """Gradients of the kernels of each branch in every step, before and after the method has edited them."""

    def __init__(self, run: tiny.Run) -> None:
        self.before: list[list[Array]] = []
        self.after: list[list[Array]] = []
        self.logits: list[list[Array]] = []
        self.labels: list[npt.NDArray[np.int64]] = []
        method: Any = run.fit.method
        edit = method.after_backward

        def watched(step: Any) -> None:
            self.logits.append([y.detach().double().numpy().copy() for y in step.output.branches])
            self.labels.append(step.labels.numpy().copy())
            self.before.append(self.kernels(method))
            edit(step)
            self.after.append(self.kernels(method))

        method.after_backward = watched
        run.go()

    def kernels(self, method: Any) -> list[Array]:
        """One long vector for each branch."""
        return [np.concatenate([p.grad.double().numpy().ravel().copy() for p in kernels]) for kernels in method.kernels]


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_kernels_are_scaled_as_in_plain_loops(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run = tiny.run(tmp_path / "r.pt", "ogm_ge", Settings(alpha=0.5, noise=False), clarity=clarity)

    seen = Watched(run)

    assert len(seen.before) == 20
    scaled = set()
    for before, after, logits, labels in zip(seen.before, seen.after, seen.logits, seen.labels, strict=True):
        for k, c in enumerate(plain_scales(logits, labels, 0.5)):
            np.testing.assert_allclose(after[k], c * before[k], rtol=1e-5, atol=1e-9)
            scaled |= {k} if c < 1 else set()
    assert scaled


def test_the_quicker_branch_is_slowed_more_often(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "ogm_ge", Settings(noise=False), clarity=(5.0, 0.0))
    steps = run.go().steps

    slowed = [sum(int((s.log[f"scale_{k}"] < 1).sum()) for s in steps) for k in range(2)]

    assert slowed[0] > 3 * slowed[1]


def test_a_tie_slows_no_branch() -> None:
    assert scales(torch.tensor([0.3, 0.3]), alpha=0.8).tolist() == [1, 1]


def test_a_branch_without_any_probability_is_no_division_by_zero() -> None:
    assert scales(torch.tensor([0.5, 0.0]), alpha=0.8).isfinite().all()


def test_noise_is_as_large_as_the_gradient_of_each_kernel(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "ogm_ge", Settings(alpha=0.0))
    seen = Watched(run)

    ratios = [
        (after[k] - before[k]).std() / before[k].std()
        for before, after in zip(seen.before, seen.after, strict=True)
        for k in range(2)
    ]
    assert 0.5 < np.mean(ratios) < 1.5
    assert abs(np.mean([(a[0] - b[0]).mean() / b[0].std() for a, b in zip(seen.after, seen.before, strict=True)])) < 0.1


def test_outside_the_window_training_goes_on_without_the_method(tmp_path: Path) -> None:
    window = Settings.model_validate({"alpha": 5.0, "noise": False, "active": {"start": 2, "stop": 3, "every": 2}})
    run = tiny.run(tmp_path / "r.pt", "ogm_ge", window)

    history = run.go()

    active = [[bool((s.log["scale_0"][i] < 1) | (s.log["scale_1"][i] < 1)) for i in range(5)] for s in history.steps]
    assert active == [[False] * 5, *[[True, False, True, False, True]] * 2, [False] * 5]
    losses = [row["train_loss"] for row in history.history]
    assert len(set(losses)) == 4


def test_cut_evidence_leaves_norms_and_running_means_as_one_pass_does(tmp_path: Path) -> None:
    runs = [
        tiny.run(tmp_path / f"{e}.pt", "ogm_ge", Settings.model_validate({"alpha": 0, "noise": False, "evidence": e}))
        for e in ("full", "cut")
    ]
    for run in runs:
        run.go()

    for name, value in runs[0].fit.model.state_dict().items():
        assert "squeeze_mean" in name or torch.equal(value, runs[1].fit.model.state_dict()[name]), name


def test_cut_evidence_is_another_score(tmp_path: Path) -> None:
    found = [
        tiny.run(tmp_path / f"{e}.pt", "ogm_ge", Settings.model_validate({"noise": False, "evidence": e})).go()
        for e in ("full", "cut")
    ]

    assert not torch.equal(found[0].steps[-1].loss, found[1].steps[-1].loss)


def test_a_branch_without_convolutions_is_refused() -> None:
    model = tiny.network()
    model.branches[1].stages = torch.nn.ModuleList([torch.nn.Linear(3, 3)])

    with pytest.raises(GreedymmError, match="a branch has none"):
        make_method(Settings(), model, torch.Generator())
