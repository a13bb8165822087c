"""AGM against a plain loop, written from the formulas, with its shares from all orders of joining."""

import math
from itertools import permutations
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.models.network import Output, Pass
from greedymm.training.methods.agm import Settings, scale_gradient

ALPHA, CAP, CLIP = 1.2, 0.08, 0.15


class Plain:
    """The plain loop. Shares are mean gains over all orders in which the modalities join."""

    def __init__(self, modalities: int, *, additive: bool) -> None:
        self.modalities, self.additive = range(modalities), additive
        self.scores: list[list[float]] = []  # s_k of each step

    def value(self, step: tiny.BareStep, members: tuple[int, ...]) -> Tensor:
        """Sum of the logits of the branches that are present, over the number of all branches."""
        step.model.eval()
        how = Pass(present=torch.tensor([k in members for k in self.modalities]))
        branches = step.model(step.inputs, how).branches
        step.model.train()
        return torch.stack([branches[k] for k in members]).sum(dim=0) / len(self.modalities)

    def shares(self, step: tiny.BareStep, output: Output) -> list[Tensor]:
        """phi_k of each modality."""
        count = len(self.modalities)
        if self.additive:
            return [y / count for y in output.branches]
        values = {(): torch.zeros_like(output.logits), tuple(self.modalities): output.logits}
        shares = [torch.zeros_like(output.logits) for _ in self.modalities]
        orders = list(permutations(self.modalities))
        for order in orders:
            for place, k in enumerate(order):
                before, after = (tuple(sorted(order[:size])) for size in (place, place + 1))
                for members in (before, after):
                    if members not in values:
                        values[members] = self.value(step, members)
                shares[k] = shares[k] + (values[after] - values[before]) / len(orders)
        return shares

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        output = step.model(step.inputs)
        shares = self.shares(step, output)
        batch = range(len(step.labels))
        self.scores.append([float(-phi.detach().log_softmax(dim=1)[batch, step.labels].mean()) for phi in shares])
        means = [sum(column) / len(self.scores) for column in zip(*self.scores, strict=True)]
        gaps = [ahead(means, k) - ahead(self.scores[-1], k) for k in self.modalities]
        scales = [math.exp(ALPHA * min(gap, CAP)) for gap in gaps]
        loss = cross_entropy(torch.stack(shares).sum(dim=0), step.labels)
        upper = torch.autograd.grad(loss, shares, retain_graph=True)  # the gradients that enter phi_k
        torch.autograd.backward(shares, [c * g for c, g in zip(scales, upper, strict=True)])
        return {f"scale_{k}": c for k, c in enumerate(scales)} | {"clip": clip(step.model)}


def clip(model: torch.nn.Module) -> float:
    """Clip the gradient of a model, and return its factor."""
    heads = [p for name, p in model.named_parameters() if name.startswith("head.")]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    if not any(float(x) > CLIP for p in heads if p.grad is not None for x in p.grad.abs().flatten()):
        return 1.0
    factor = min(1.0, CLIP / norm)
    for g in gradients:
        g.mul_(factor)
    return factor


def ahead(scores: list[float], k: int) -> float:
    """r_k."""
    others = [s for j, s in enumerate(scores) if j != k]
    return math.exp(sum(others) / len(others) - scores[k])


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
@pytest.mark.parametrize("additive", [False, True], ids=["all passes", "additive"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...], *, additive: bool) -> None:
    settings = Settings(alpha=ALPHA, cap=CAP, clip=CLIP, additive=additive)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )

    rows = tiny.bare_loop(bare, Plain(len(clarity), additive=additive))
    run.go()

    tiny.assert_agree(run, bare, rows)
    scales = [row[f"scale_{k}"] for row in rows for k in range(len(clarity))]
    assert any(row["clip"] < 1 for row in rows)
    assert min(scales) < 0.99
    assert max(scales) == pytest.approx(math.exp(ALPHA * CAP))  # the cap is reached


def test_the_gradient_alone_is_scaled() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)

    scaled = scale_gradient(values, torch.tensor(0.25))
    scaled.sum().backward()  # type: ignore[no-untyped-call]

    assert torch.equal(scaled, values)
    assert torch.equal(scale_gradient(values, torch.tensor(1e6)), values)
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
