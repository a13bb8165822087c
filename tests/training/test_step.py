import math

import pytest
import tiny
import torch
from torch import Tensor, nn

from greedymm.models.network import Branch, Head, MultimodalNetwork, Output
from greedymm.training.step import Steps, count_correct, evaluate


class Given(Head):
    """A head that gives its input as logits."""

    def forward(self, features: list[Tensor], _present: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        return torch.stack(features).mean(dim=0), features


def echo(branches: int) -> MultimodalNetwork:
    """A network whose branches' logits are their inputs."""
    return MultimodalNetwork([Branch([nn.Identity()], (3,), nn.Identity()) for _ in range(branches)], Given(3))


# Logits of two branches for five samples. The mean is right where the surer branch is.
Y0 = torch.tensor([[9.0, 0, 0], [9.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 9.0, 0]])
Y1 = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 9.0], [0, 0, 9.0], [0, 1.0, 0]])
LABELS = torch.tensor([0, 1, 2, 2, 0])
RIGHT = ([1, 0, 1, 1, 0], [1, 0, 0, 1, 0], [1, 1, 1, 1, 0])  # by hand: the mean, branch 0, branch 1


@pytest.mark.parametrize("size", [1, 2, 3, 5], ids="batches of {}".format)
def test_accuracies_are_right_whatever_the_batch_size(size: int) -> None:
    batches = [([Y0[rows], Y1[rows]], LABELS[rows]) for rows in torch.split(torch.arange(5), size)]

    for inputs, labels in batches:
        first = int(next(i for i in range(5) if torch.equal(Y0[i], inputs[0][0]) and torch.equal(Y1[i], inputs[1][0])))
        by_hand = [sum(column[first : first + len(labels)]) for column in RIGHT]
        assert count_correct(Output((inputs[0] + inputs[1]) / 2, inputs, inputs), labels).tolist() == by_hand
    assert evaluate(echo(2), batches).accuracies == pytest.approx([3 / 5, 2 / 5, 4 / 5])


def test_loss_of_an_evaluation_is_the_mean_over_samples_not_over_batches() -> None:
    batches = [([Y0[rows], Y1[rows]], LABELS[rows]) for rows in torch.split(torch.arange(5), 3)]
    by_hand = []
    for y in ((Y0 + Y1) / 2, Y0, Y1):
        losses = [math.log(sum(map(math.exp, of))) - of[c] for of, c in zip(y.tolist(), LABELS.tolist(), strict=True)]
        by_hand.append(sum(losses) / 5)

    scores = evaluate(echo(2), batches)

    assert scores.losses == pytest.approx(by_hand)
    assert scores.loss("branch") == pytest.approx(by_hand[1] + by_hand[2])
    assert scores.loss("joint") == pytest.approx(by_hand[0])
    assert scores.loss("multi") == pytest.approx(sum(by_hand))


def test_evaluation_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    model, val = tiny.network(), tiny.split(10, (1.0, 0.3), 4)
    model.train()
    model(next(iter(val))[0])
    before = {name: value.clone() for name, value in model.state_dict().items()}

    evaluate(model, val)

    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


def test_steps_of_several_epochs_are_joined_in_order() -> None:
    def steps(first: int, count: int) -> Steps:
        of = torch.arange(first, first + count)
        return Steps(
            of.float(),
            of,
            torch.stack([of.double(), 2.0 * of], dim=1),
            torch.stack([of, of, of], dim=1),
            of,
            {"scale": of},
        )

    joined = Steps.joined([steps(0, 3), steps(3, 2)])

    assert joined.mode.tolist() == joined.loss.tolist() == joined.samples.tolist() == [0, 1, 2, 3, 4]
    assert joined.d_speed.tolist() == [0, -1, -2, -3, -4]
    assert joined.correct.shape == (5, 3)
    assert joined.log["scale"].tolist() == [0, 1, 2, 3, 4]
