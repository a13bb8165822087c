"""What a network sees: scaling against torchvision's own, and flips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights
from torchvision.transforms import functional

from greedymm.data import hdf5
from greedymm.data.batches import Batches, loader
from greedymm.data.inputs import Scaling, channels
from greedymm.data.samples import SPLITS, Facts, Samples
from greedymm.errors import GreedymmError
from greedymm.params import Execution, Inputs

CPU = torch.device("cpu")
IMAGENET = Inputs(scaling="imagenet")
COUNT = 400


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and clips that tell left from right, and carry the number of their sample."""
    path = tmp_path_factory.mktemp("data") / "data.h5"
    number = np.arange(COUNT)
    images = np.zeros((COUNT, 1, 2, 4), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = number // 2, number % 2
    images[:, 0, :, 3] = 255
    clips = images[:, :, None].repeat(2, axis=2)
    samples = {s: Samples({"m0": images, "m1": clips}, number % 2, [f"{s}{i}" for i in number]) for s in SPLITS}
    hdf5.write(path, samples, Facts(("a", "b"), "made here", "CC0", generated=True))
    return path


def batches(
    path: Path, *, seed: int | None = 0, execution: Execution | None = None, flip: bool = True, size: int = 7
) -> Batches:
    load = loader(path, ["m0", "m1"], size, CPU, execution or Execution(), Inputs(flip=flip))
    return load("train", None, None if seed is None else torch.Generator().manual_seed(seed))


def flips(found: Batches) -> Tensor:
    """Which modalities of which samples were flipped, (N, M), once it is sure that they were mirrored or left alone."""
    seen = []
    for inputs, _ in found:
        dark, bright = (x.flatten(1, -2)[:, -1] for x in inputs), []
        for row in dark:
            assert ((row == 1).sum(dim=1) == 1).all()
            bright.append(row[:, 0] == 1)
        seen.append(torch.stack(bright, dim=1))
    return torch.cat(seen)


# -- Flips --------------------------------------------------------------------------------------------------


def test_each_modality_of_each_sample_is_flipped_on_its_own_half_of_the_time(path: Path) -> None:
    found = flips(batches(path))

    both, either = found.all(dim=1).float().mean(), found.any(dim=1).float().mean()
    assert abs(found.float().mean() - 0.5) < 0.05
    assert abs(both - 0.25) < 0.06
    assert abs(either - 0.75) < 0.06


def test_other_samples_are_flipped_in_each_epoch_and_with_another_seed(path: Path) -> None:
    one, other = batches(path), batches(path, seed=1)
    drawn = [flips(one), flips(one), flips(other)]

    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0], flips(batches(path)))


def test_a_streamed_split_is_flipped_as_a_resident_one(path: Path) -> None:
    streamed = Execution(resident_gb=0, workers=0)
    pairs = zip(batches(path), batches(path, execution=streamed), strict=True)

    for (resident, _), (inputs, _) in pairs:
        assert all(torch.equal(x, y) for x, y in zip(resident, inputs, strict=True))


def test_the_size_of_a_batch_changes_no_flip(path: Path) -> None:
    assert torch.equal(flips(batches(path, size=7)), flips(batches(path, size=50)))


def test_nothing_is_flipped_without_a_stream_as_in_validation_or_where_it_is_not_asked_for(path: Path) -> None:
    assert not flips(batches(path, seed=None)).any()
    assert not flips(batches(path, flip=False)).any()


# -- Scaling ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [1, 3], ids=["gray", "colour"])
def test_imagenet_scaling_is_that_of_torchvisions_weights(colours: int) -> None:
    images = torch.randint(256, (5, colours, 224, 224), dtype=torch.uint8)
    preset = ResNet18_Weights.DEFAULT.transforms()

    scaled = Scaling(IMAGENET, CPU)(images)

    assert scaled.shape == (5, 3, 224, 224)
    assert scaled.is_contiguous(memory_format=torch.channels_last)
    expected = functional.normalize(images.expand(-1, 3, -1, -1) / 255, preset.mean, preset.std)
    torch.testing.assert_close(scaled.contiguous(), expected)


def test_clips_are_scaled_as_their_frames_are() -> None:
    clip = torch.randint(256, (2, 1, 3, 4, 4), dtype=torch.uint8)

    scaled = Scaling(IMAGENET, CPU)(clip)

    for t in range(3):
        torch.testing.assert_close(scaled[:, :, t], Scaling(IMAGENET, CPU)(clip[:, :, t]).contiguous())


def test_a_network_is_told_the_channels_that_it_gets() -> None:
    assert channels([1, 3], IMAGENET) == [3, 3]
    assert channels([1, 2], Inputs()) == [1, 2]
    with pytest.raises(GreedymmError, match="imagenet takes 1 or 3 channels, not 2"):
        channels([1, 2], IMAGENET)
