"""UME against networks of one branch that are trained alone."""

from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from greedymm.models.heads.own import Own

CLARITY = (1.0, 0.3, 0.7)


def heads(run: tiny.Run) -> nn.ModuleList:
    """Heads of the branches."""
    assert isinstance(run.fit.model.head, Own)
    return run.fit.model.head.linears


def train_alone(run: tiny.Run, k: int) -> tuple[nn.Module, nn.Module, Tensor]:
    """Train the body and head of branch k alone on the batches of a run. Return them with the loss of each step."""
    model, training = run.fit.model.train(), run.fit.settings
    body, head = model.branches[k], heads(run)[k]
    weights = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(weights, lr=training.learning_rate, momentum=training.momentum)
    losses = []
    for _ in range(training.epochs):
        for inputs, labels in run.train:
            loss = cross_entropy(head(body.pool(body(inputs[k]))), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
    return body, head, torch.stack(losses)


@pytest.mark.parametrize("joint", [False, True], ids=["own heads", "joint head"])
def test_each_branch_is_that_of_a_training_of_its_own(tmp_path: Path, *, joint: bool) -> None:
    run = tiny.run(tmp_path / "r.pt", "ume", clarity=CLARITY, training=tiny.STEADY, joint=joint)
    steps = torch.cat([s.loss for s in run.go().steps])

    total = torch.zeros(20)
    for k in range(3):
        other = tiny.run(tmp_path / f"{k}.pt", "ume", clarity=CLARITY, training=tiny.STEADY, joint=joint)
        body, head, losses = train_alone(other, k)
        total += losses
        torch.testing.assert_close(run.fit.model.branches[k].state_dict(), body.state_dict(), rtol=0, atol=0)
        torch.testing.assert_close(heads(run)[k].state_dict(), head.state_dict(), rtol=0, atol=0)

    torch.testing.assert_close(steps, total)


@pytest.mark.parametrize("joint", [False, True], ids=["own heads", "joint head"])
def test_the_branches_share_nothing_and_the_network_predicts_their_mean(tmp_path: Path, *, joint: bool) -> None:
    run = tiny.run(tmp_path / "r.pt", "ume", joint=joint)
    model, (inputs, _) = run.fit.model.eval(), next(iter(run.train))

    output, changed = model(inputs), model([inputs[0], -inputs[1]])

    assert sum(len(group) for name, group in model.groups().items() if "shared" in name or "fusion" in name) == 0
    assert torch.equal(output.branches[0], changed.branches[0])
    torch.testing.assert_close(output.logits, torch.stack(output.branches).mean(dim=0))
    assert len(list(model.parameters())) == sum(len(group) for group in model.groups().values())
