import pytest
import torch

from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.branches.cnn import build


@pytest.mark.parametrize("side", [28, 9], ids=["28 x 28", "odd"])
def test_every_stage_has_its_width_and_all_but_the_last_halve_the_image(side: int) -> None:
    branch = build(Cnn(name="cnn", widths=(4, 6, 8)), channels=3)
    h = torch.randn(2, 3, side, side)

    shapes = []
    for stage in branch.stages:
        h = stage(h)
        shapes.append(tuple(h.shape[1:]))

    assert shapes == [(4, side // 2, side // 2), (6, side // 4, side // 4), (8, side // 4, side // 4)]
    assert branch.widths == (4, 6, 8)
    assert branch.pool(h).shape == (2, 8)


def test_a_single_stage_keeps_the_size_of_the_image() -> None:
    (stage,) = build(Cnn(name="cnn", widths=(4,)), channels=1).stages

    assert stage(torch.randn(2, 1, 7, 7)).shape == (2, 4, 7, 7)
