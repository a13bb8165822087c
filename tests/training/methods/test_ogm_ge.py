"""OGM-GE against plain NumPy, written from the formulas."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

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


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
@pytest.mark.parametrize("noise", [False, True], ids=["scales", "scales and noise"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...], *, noise: bool) -> None:
    settings = Settings(alpha=0.5, noise=noise, objective="joint")
    training = tiny.STEADY.model_copy(update={"learning_rate": 0.03})
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=clarity, training=training) for i in range(2)
    )
    method: Any = bare.fit.method

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        output = step.model(step.inputs)
        cross_entropy(output.logits, step.labels).backward()  # type: ignore[no-untyped-call]
        logits = [y.detach().double().numpy() for y in output.branches]
        found = plain_scales(logits, step.labels.numpy(), 0.5)
        for branch, c in zip(step.model.branches, found, strict=True):
            for kernel in (module.weight for module in branch.modules() if isinstance(module, torch.nn.Conv2d)):
                assert kernel.grad is not None
                draws = torch.empty_like(kernel).normal_(generator=method.stream).detach()
                deviation = float(((kernel.grad - kernel.grad.mean()) ** 2).mean()) ** 0.5 + 1e-8
                kernel.grad = float(c) * kernel.grad + noise * deviation * draws
        return {f"scale_{k}": float(c) for k, c in enumerate(found)}

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)
    assert any(scale < 1 for row in rows for scale in row.values())


def test_the_quicker_branch_is_slowed_more_often(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", "ogm_ge", Settings(noise=False), clarity=(5.0, 0.0))
    steps = run.go().steps

    slowed = [sum(int((s.log[f"scale_{k}"] < 1).sum()) for s in steps) for k in range(2)]

    assert slowed[0] > 3 * slowed[1]


def test_a_tie_slows_no_branch() -> None:
    assert scales(torch.tensor([0.3, 0.3]), alpha=0.8).tolist() == [1, 1]


def test_a_branch_without_any_probability_is_no_division_by_zero() -> None:
    assert scales(torch.tensor([0.5, 0.0]), alpha=0.8).isfinite().all()


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
