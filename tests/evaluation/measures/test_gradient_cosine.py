"""Gradient cosines against a closed form, and gradients of one batch by hand."""

import measured
import numpy as np
import pytest
import tiny
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from greedymm.evaluation.measures.gradient_cosine import Settings, cosines
from greedymm.models.network import MultimodalNetwork, Output

SETTINGS = Settings(name="gradient_cosine", batches=3, batch_size=8)


def gradient(model: MultimodalNetwork, loss: Tensor, branch: int) -> Tensor:
    model.zero_grad()
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten() for p in model.branches[branch].parameters() if p.grad is not None])


def test_cosines_are_those_of_mean_gradients_of_each_fixed_batch() -> None:
    model, split = measured.network(), measured.split()

    table, found = measured.apply(SETTINGS, model, split)

    order = torch.randperm(split.count, generator=torch.Generator().manual_seed(0))
    for k, m in enumerate(model.modalities):
        expected = []
        for rows in (order[:8], order[8:16], order[16:24]):
            output = model([x[rows] for x in split.inputs])
            losses = [cross_entropy(y, split.labels[rows]) for y in (output.branches[k], output.logits)]
            own, joint = (gradient(model, loss, k) for loss in losses)
            expected.append(float(cosine_similarity(own, joint, dim=0)))
            assert table[f"{m}_gradient_cosine"][rows.numpy()].to_numpy() == pytest.approx(expected[-1], abs=1e-5)
        assert found[f"gradient_cosine_{m}"] == pytest.approx(np.mean(expected), abs=1e-5)
        assert table[f"{m}_gradient_cosine"].isna().sum() == split.count - 24


def test_the_cosine_is_one_if_the_other_branch_has_no_influence() -> None:
    model, split = tiny.network(), measured.split()
    model.remove_fusions()
    with torch.no_grad():
        for p in model.head.branch_parameters(1):
            p.zero_()
        for p in model.head.branch_parameters(0):
            p.mul_(1e-3)  # logits of the branch and their half then have parallel gradients

    found = cosines(model.eval(), list(split))

    assert found[0] == pytest.approx(1, abs=1e-4)
    assert np.isnan(found[1])  # the gradient of branch 1 is 0


def test_a_frozen_branch_has_no_cosine() -> None:
    model, split = tiny.network(), measured.split()
    model.branches[1].requires_grad_(requires_grad=False)

    found = cosines(model.eval(), list(split))

    assert np.isfinite(found[0])
    assert np.isnan(found[1])


def test_a_batch_in_parts_gives_the_cosine_of_the_whole() -> None:
    model, split = measured.network(), measured.split()
    whole = [(split.inputs, split.labels)]

    assert cosines(model, list(split)) == pytest.approx(cosines(model, whole), abs=1e-6)


def test_a_decision_rule_and_the_networks_state_are_left_as_they_were() -> None:
    model, split = measured.network(), measured.split()
    without = measured.apply(SETTINGS, model, split)[1]
    state = {name: value.clone() for name, value in model.state_dict().items()}

    def decide(output: Output) -> Tensor:
        return output.branches[1].detach()

    model.decide = decide
    try:
        found = measured.apply(SETTINGS, model, split)[1]
        assert model.decide is decide
    finally:
        model.decide = None

    for name in ("gradient_cosine_m0", "gradient_cosine_m1"):
        assert found[name] == without[name]
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert not model.training
