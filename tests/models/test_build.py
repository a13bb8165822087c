import pytest
import torch

from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.branches.resnet18 import Settings as Resnet18
from greedymm.models.build import build
from greedymm.models.fusions.mmtm import MMTM
from greedymm.models.fusions.mmtm import Settings as Mmtm
from greedymm.models.heads.own import Settings as Own

BRANCH = Cnn(name="cnn", widths=(4, 6, 8))
FUSION = Mmtm(name="mmtm", ratio=2)
OWN = Own(name="own")


def test_every_branch_takes_the_channels_of_its_modality_and_gives_logits_of_all_classes() -> None:
    model = build([BRANCH] * 3, FUSION, [(2,)] * 3, OWN, (3, 1, 2), 5)

    logits = model([torch.randn(4, channels, 8, 8) for channels in (3, 1, 2)]).branches

    assert [tuple(y.shape) for y in logits] == [(4, 5)] * 3


def test_fusions_stand_after_the_stages_that_were_asked_for_and_nowhere_else() -> None:
    model = build([BRANCH] * 2, FUSION, [(1, 3)] * 2, OWN, (3, 1), 5)

    widths = [fusion.squeeze.in_features for fusion in model.fusions if isinstance(fusion, MMTM)]
    assert widths == [2 * 4, 2 * 8]


@pytest.mark.parametrize("fusion", [FUSION, None], ids=["fused", "one modality"])
def test_weights_are_drawn_from_torchs_own_generator(fusion: Mmtm | None) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        count = 2 if fusion else 1
        model = build([BRANCH] * count, fusion, [(2,)] * count if fusion else [()], OWN, (3, 1)[:count], 5)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_convolutions_that_corrupt_memory_on_some_cpus_get_contiguous_images() -> None:
    model = build([Resnet18(name="resnet18", width=4)], None, [()], OWN, (3,), 5)
    layouts: dict[int, bool] = {}
    for conv in model.modules():
        if isinstance(conv, torch.nn.Conv2d) and conv.kernel_size == (1, 1):
            conv.register_forward_hook(lambda c, given, _: layouts.update({c.in_channels: given[0].is_contiguous()}))

    model([torch.randn(2, 3, 64, 64)])

    assert layouts == {4: True, 8: False, 16: False}


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_number_of_channels_stay_channels_last_from_the_first_stage_on(channels: int) -> None:
    # A branch whose first convolution gives the plain layout takes a quarter longer.
    model = build([BRANCH], None, [()], OWN, (channels,), 5)
    images = torch.randn(4, channels, 8, 8).contiguous(memory_format=torch.channels_last)

    seen = model.branches[0](images, 0, 1)

    assert seen.is_contiguous(memory_format=torch.channels_last)
    assert not seen.is_contiguous()
