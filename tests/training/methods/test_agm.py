"""AGM against plain NumPy, written from the formulas; its shares against all orders of joining."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny
import torch

from greedymm.training.methods.agm import Settings, scale_gradient

Array = npt.NDArray[np.float64]


def plain_scales(shares: list[list[Array]], labels: list[npt.NDArray[np.int64]], alpha: float, cap: float) -> Any:
    """c_k of every step, from the shares (B, classes) of every step."""
    totals, found = [0.0] * len(shares[0]), []
    for number, (of_step, classes) in enumerate(zip(shares, labels, strict=True), start=1):
        scores = []
        for phi in of_step:
            losses = [math.log(np.exp(y).sum()) - y[label] for y, label in zip(phi, classes, strict=True)]
            scores.append(sum(losses) / len(losses))
        totals = [t + s for t, s in zip(totals, scores, strict=True)]
        means = [t / number for t in totals]
        found.append([math.exp(alpha * min(_ahead(means, k) - _ahead(scores, k), cap)) for k in range(len(scores))])
    return found


def _ahead(scores: list[float], k: int) -> float:
    others = [s for j, s in enumerate(scores) if j != k]
    return math.exp(sum(others) / len(others) - scores[k])


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
@pytest.mark.parametrize("additive", [False, True], ids=["all passes", "additive"])
def test_scales_are_those_of_plain_loops_at_every_step(
    tmp_path: Path, clarity: tuple[float, ...], *, additive: bool
) -> None:
    run = tiny.run(tmp_path / "r.pt", "agm", Settings(alpha=1.2, cap=0.2, additive=additive), clarity=clarity)
    method: Any = run.fit.method
    given, labels, split = [], [], method.shares

    def watched(step: Any) -> Any:
        shares = split(step)
        given.append([phi.detach().double().numpy().copy() for phi in shares])
        labels.append(step.labels.numpy().copy())
        torch.testing.assert_close(sum(shares), step.output.logits)
        return shares

    method.shares = watched
    steps = run.go().steps

    found = np.concatenate(
        [np.stack([s.log[f"scale_{k}"].numpy() for k in range(len(clarity))], axis=1) for s in steps]
    )
    np.testing.assert_allclose(found, plain_scales(given, labels, 1.2, 0.2), rtol=1e-4)
    assert (found < 1).any()
    assert (found > 1).any()


def test_the_gradient_alone_is_scaled() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)

    scaled = scale_gradient(values, torch.tensor(0.25))
    scaled.sum().backward()  # type: ignore[no-untyped-call]

    assert torch.equal(scaled, values)
    assert values.grad is not None
    assert values.grad.tolist() == [0.25, 0.25]


def test_a_branch_that_gets_better_relative_to_the_others_is_slowed(tmp_path: Path) -> None:
    steps = tiny.run(tmp_path / "r.pt", "agm", Settings(), clarity=(5.0, 0.0)).go().steps

    second = steps[1].log  # the first branch has begun to learn, against the mean since the start

    assert second["scale_0"].mean() < second["scale_1"].mean()


def test_passes_with_absent_modalities_leave_norms_and_running_means_as_one_pass_does(tmp_path: Path) -> None:
    model = tiny.run(tmp_path / "r.pt", "agm", Settings()).fit.model
    run = tiny.run(
        tmp_path / "s.pt", "agm", Settings(), training=tiny.TRAINING.model_copy(update={"epochs": 1}), samples=6
    )
    inputs = next(iter(run.train.view()))[0]
    order = torch.randperm(6, generator=torch.Generator().set_state(run.streams["order"].get_state()))

    run.go()
    model.train()([x[order] for x in inputs])

    for name, value in model.named_buffers():
        torch.testing.assert_close(run.fit.model.get_buffer(name), value, msg=name)


def test_outside_the_window_nothing_is_scaled_and_the_objective_multi_adds_the_branches(tmp_path: Path) -> None:
    joint, multi = (
        tiny.run(tmp_path / o, "agm", Settings.model_validate({"objective": o, "active": {"start": 2}})).go().steps
        for o in ("joint", "multi")
    )

    assert (joint[0].log["scale_0"] == 1).all()
    assert (joint[1].log["scale_0"] != 1).any()
    assert (multi[0].loss[0] > joint[0].loss[0] + 1).all()  # two losses of three classes, about log 3 each


def test_its_objective_is_never_the_branches_alone() -> None:
    with pytest.raises(ValueError, match="objective"):
        Settings.model_validate({"objective": "branch"})
