from collections.abc import Sequence

import pytest
import tiny
import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.build import build
from greedymm.models.fusions.centralnet import CentralNet
from greedymm.models.fusions.centralnet import Settings as Central
from greedymm.models.heads.central import Settings as CentralHead
from greedymm.models.network import Branch, MultimodalNetwork, Pass

CLARITY = (1.0, 0.3, 0.7)


def trained(modalities: int) -> tuple[MultimodalNetwork, CentralNet]:
    """A network whose weights of features are all different, and its tower."""
    torch.manual_seed(0)
    model = tiny.fused("centralnet", modalities)
    model(tiny.split(20, CLARITY[:modalities], 20).inputs)
    central = model.head.fusion
    assert isinstance(central, CentralNet)
    with torch.no_grad():
        for p in (*central.weights, central.own):
            p.uniform_(0.5, 1.5)
    return model.eval(), central


@pytest.mark.parametrize("modalities", [2, 3])
@torch.no_grad()
def test_the_tower_adds_up_its_own_features_and_those_of_the_branches_at_each_level(modalities: int) -> None:
    model, central = trained(modalities)
    inputs = tiny.split(5, CLARITY[:modalities], 5).inputs

    def total(stop: int, level: int, present: Sequence[int]) -> Tensor:
        terms = [central.weights[k][level] * model.branches[k](inputs[k], 0, stop) for k in present]
        return torch.stack(terms).sum(dim=0)

    for present in ([0, 1], [1]):
        h = total(2, 0, present)
        h = central.own[0] * central.tower.stages[0](h) + total(3, 1, present)  # the tower's third stage
        expected = model.head.linear(h.mean(dim=(2, 3)))  # type: ignore[operator]
        how = Pass(present=torch.tensor([k in present for k in range(modalities)]))
        torch.testing.assert_close(model(inputs, how).logits, expected)
    assert len(central.tower.stages) == 1


@torch.no_grad()
def test_branches_keep_their_own_heads_and_hear_nothing() -> None:
    model, _ = trained(2)
    inputs, others = (tiny.split(5, CLARITY[:2], 5, seed=s).inputs for s in (1, 2))

    output, changed = model(inputs), model([inputs[0], others[1]])

    assert torch.equal(output.branches[0], changed.branches[0])
    assert not torch.equal(output.logits, changed.logits)
    torch.testing.assert_close(output.branches[0], model.head.linears[0](output.features[0]))  # type: ignore[index, operator]


@torch.no_grad()
def test_removed_fusions_and_passes_alone_leave_the_tower_as_it_is() -> None:
    model, _ = trained(2)
    inputs = tiny.split(5, CLARITY[:2], 5).inputs
    expected = model(inputs).logits

    assert torch.equal(model(inputs, Pass(alone=True)).logits, expected)
    model.remove_fusions()
    assert torch.equal(model(inputs).logits, expected)


@pytest.mark.parametrize("stages", [(1,), (3,), (1, 2, 3)], ids=str)
def test_any_stages_can_be_levels(stages: tuple[int, ...]) -> None:
    cnn = Cnn(name="cnn", widths=(4, 6, 8))
    head = CentralHead(name="central")
    model = build([cnn] * 2, Central(name="centralnet"), [stages] * 2, head, (3, 1), 5)

    logits = model(tiny.split(4, CLARITY[:2], 4).inputs).logits

    assert logits.shape == (4, 5)
    logits.sum().backward()
    assert model.head.fusion is not None
    assert all(p.grad is not None for p in model.head.fusion.parameters() if p.numel())


def test_branches_of_unequal_width_are_refused() -> None:
    with pytest.raises(GreedymmError, match=r"equal widths at each level, not \[\[4, 4\], \[6, 8\]\]"):
        CentralNet([[4, 4], [6, 8]], Branch([], [8], nn.Identity()), (1, 2))


@torch.no_grad()
def test_the_tower_of_clips_gives_logits_of_time_steps() -> None:
    def clip_branch() -> Branch:
        stages = [nn.Conv3d(2, 2, 1), nn.Conv3d(2, 2, 1)]
        return Branch(stages, (2, 2), Steps())

    class Steps(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            return h.mean(dim=(3, 4)).transpose(1, 2)  # (B, T, C)

    central = CentralNet([[2, 2]], clip_branch(), (1,))
    head = tiny.fused("centralnet").head
    head.linears = nn.ModuleList(nn.Linear(2, 3) for _ in range(2))
    head.finish(central)
    branches, clips = [clip_branch(), clip_branch()], [torch.randn(4, 2, 5, 3, 3) for _ in range(2)]
    model = MultimodalNetwork(branches, head, (), [(1,), (1,)])

    output = model(clips)

    h = sum(0.5 * b(x, 0, 1) for b, x in zip(branches, clips, strict=True))
    steps = head.linear(central.tower.pool(central.tower.stages[0](h)))  # type: ignore[operator]
    assert steps.shape == (4, 5, 3)
    torch.testing.assert_close(output.logits, steps.mean(dim=1))
