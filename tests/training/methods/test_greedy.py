import math

import pytest
import torch

from greedymm.params import Greedy
from greedymm.training.methods.greedy import build


def test_every_step_is_regular_whatever_the_speeds() -> None:
    method = build(Greedy(), 2, torch.device("cpu"), torch.Generator())
    for epoch in range(3):
        method.start_epoch(epoch, 4)
        for _ in range(4):
            assert method.mode() == 0
            method.after_backward(method.mode(), torch.tensor([5.0, -5.0]))


@pytest.mark.parametrize("modalities", [1, 2, 3], ids="{} branches".format)
def test_loss_is_the_sum_over_branches_of_the_mean_over_samples(modalities: int) -> None:
    method = build(Greedy(), modalities, torch.device("cpu"), torch.Generator())
    logits, labels = [torch.tensor([[0.0, k], [k, 0.0]]) for k in range(modalities)], torch.tensor([1, 1])

    by_hand = sum((math.log(1 + math.e**-k) + math.log(1 + math.e**k)) / 2 for k in range(modalities))

    assert float(method.loss(logits, labels)) == pytest.approx(by_hand)
