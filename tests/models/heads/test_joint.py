"""The joint head over the features side by side."""

import pytest
import tiny
import torch

from greedymm.models.network import Pass


@pytest.mark.parametrize("modalities", [2, 3])
@torch.no_grad()
def test_logits_are_those_of_one_layer_over_all_features_and_shares_add_up_to_them(modalities: int) -> None:
    torch.manual_seed(0)
    model = tiny.network(modalities, joint=True).eval()

    output = model(tiny.split(5, (1.0, 0.3, 0.7)[:modalities], 5).inputs)

    linear = model.head.linear
    assert isinstance(linear, torch.nn.Linear)
    torch.testing.assert_close(output.logits, linear(torch.cat(output.features, dim=1)))
    torch.testing.assert_close(torch.stack(output.branches).sum(dim=0), output.logits)
    for k, (share, h) in enumerate(zip(output.branches, output.features, strict=True)):
        block = linear.weight[:, 8 * k : 8 * (k + 1)]
        torch.testing.assert_close(share, h @ block.T + linear.bias / modalities)


@torch.no_grad()
def test_an_absent_modality_has_no_part_in_the_logits() -> None:
    model = tiny.network(3, joint=True).eval()
    inputs, others = (tiny.split(4, (1.0, 0.3, 0.7), 4, seed=s).inputs for s in (1, 2))
    how = Pass(present=torch.tensor([[True, False, True]] * 4))

    assert torch.equal(model(inputs, how).logits, model([inputs[0], others[1], inputs[2]], how).logits)
    assert not torch.equal(model(inputs, how).logits, model(inputs).logits)


def test_its_parameters_serve_all_branches() -> None:
    groups = tiny.network(2, joint=True).groups()

    assert len(groups["head.shared"]) == 2
    assert not groups["branch_0.head"]
    assert not groups["fusion.shared"]
