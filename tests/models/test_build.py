import pytest
import torch

from greedymm.models.build import build
from greedymm.models.fusion.mmtm import MMTM
from greedymm.params import Cnn, Mmtm

BRANCH = Cnn(name="cnn", widths=(4, 6, 8))
FUSION = Mmtm(name="mmtm", ratio=2)


def test_every_branch_takes_the_channels_of_its_modality_and_gives_logits_of_all_classes() -> None:
    model = build(BRANCH, FUSION, (2,), (3, 1, 2), 5)

    logits = model([torch.randn(4, channels, 8, 8) for channels in (3, 1, 2)])

    assert [tuple(y.shape) for y in logits] == [(4, 5)] * 3


def test_fusions_stand_after_the_stages_that_were_asked_for_and_nowhere_else() -> None:
    model = build(BRANCH, FUSION, (3, 1), (3, 1), 5)

    assert {
        stage: fusion.squeeze.in_features for stage, fusion in model.fusions.items() if isinstance(fusion, MMTM)
    } == {
        "1": 2 * 4,
        "3": 2 * 8,
    }


@pytest.mark.parametrize("fusion", [FUSION, None], ids=["fused", "one modality"])
def test_weights_are_drawn_from_torchs_own_generator(fusion: Mmtm | None) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        model = build(BRANCH, fusion, (2,) if fusion else (), (3, 1) if fusion else (3,), 5)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_number_of_channels_stay_channels_last_from_the_first_stage_on(channels: int) -> None:
    # A branch whose first convolution gives the plain layout takes a quarter longer.
    model = build(BRANCH, None, (), (channels,), 5)
    images = torch.randn(4, channels, 8, 8).contiguous(memory_format=torch.channels_last)

    seen = model.streams[0].stages[0](images)

    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert not seen.is_contiguous()
