"""What a network sees: scaling against torchvision's own, flips, windows and crops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet18_Weights
from torchvision.transforms import functional

from greedymm.data import hdf5
from greedymm.data.batches import Batches, Loader
from greedymm.data.inputs import Transform, crop_frames, network_channels
from greedymm.data.samples import SPLITS, DatasetInfo, Samples
from greedymm.errors import GreedymmError
from greedymm.settings import Execution, Inputs

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
    hdf5.write(path, samples, DatasetInfo(("a", "b"), "made here", "CC0", generated=True))
    return path


def batches(
    path: Path, *, seed: int | None = 0, execution: Execution | None = None, flip: bool = True, size: int = 7
) -> Batches:
    loader = Loader(path, ["m0", "m1"], size, CPU, execution or Execution(), Inputs(flip=flip))
    return loader.batches("train", None, None if seed is None else torch.Generator().manual_seed(seed))


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


def test_flips_depend_on_the_epoch_and_the_seed_and_not_on_the_batches(path: Path) -> None:
    one, streamed = batches(path), Execution(resident_gb=0, workers=0)
    first, second = flips(one), flips(one)

    assert not torch.equal(first, second)
    assert not torch.equal(first, flips(batches(path, seed=1)))
    assert torch.equal(first, flips(batches(path, size=50)))
    assert torch.equal(first, flips(batches(path, execution=streamed)))
    assert not flips(batches(path, seed=None)).any()
    assert not flips(batches(path, flip=False)).any()


# -- Scaling --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colors", [1, 3], ids=["gray", "color"])
def test_imagenet_scaling_is_that_of_torchvisions_weights(colors: int) -> None:
    images = torch.randint(256, (5, colors, 224, 224), dtype=torch.uint8)
    preset = ResNet18_Weights.DEFAULT.transforms()

    scaled = Transform(IMAGENET, 1, CPU).scale(images)

    assert scaled.shape == (5, 3, 224, 224)
    assert scaled.is_contiguous(memory_format=torch.channels_last)
    expected = functional.normalize(images.expand(-1, 3, -1, -1) / 255, preset.mean, preset.std)
    torch.testing.assert_close(scaled.contiguous(), expected)


def test_clips_are_scaled_as_their_frames_are() -> None:
    clip = torch.randint(256, (2, 1, 3, 4, 4), dtype=torch.uint8)

    scaled = Transform(IMAGENET, 1, CPU).scale(clip)

    for t in range(3):
        torch.testing.assert_close(scaled[:, :, t], Transform(IMAGENET, 1, CPU).scale(clip[:, :, t]).contiguous())


def test_a_network_is_told_the_channels_that_it_gets() -> None:
    assert network_channels([1, 3], IMAGENET) == [3, 3]
    assert network_channels([1, 2], Inputs()) == [1, 2]
    with pytest.raises(GreedymmError, match="imagenet takes 1 or 3 channels, not 2"):
        network_channels([1, 2], IMAGENET)


# -- Windows and crops --------------------------------------------------------------------------------------

FRAMES, HEIGHT, WIDTH = 10, 4, 6  # of the stored clips: each of their values says where it was
PLACES = np.arange(FRAMES * HEIGHT * WIDTH, dtype=np.uint8).reshape(FRAMES, HEIGHT, WIDTH)
CUT = Inputs(frames=4, crop=3)
STARTS, TOPS, LEFTS = FRAMES - 4 + 1, HEIGHT - 3 + 1, WIDTH - 3 + 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips in gray and in color, and a picture, all of whose values say where they are."""
    path = tmp_path_factory.mktemp("clips") / "data.h5"
    gray = np.broadcast_to(PLACES, (COUNT, 1, *PLACES.shape))
    shown = {"gray": gray, "color": gray.repeat(3, axis=1), "picture": gray[:, :, 0]}
    hdf5.write(
        path,
        {s: Samples(shown, np.arange(COUNT) % 2, [f"{s}{i}" for i in range(COUNT)]) for s in SPLITS},
        DatasetInfo(("a", "b"), "made here", "CC0", generated=True),
    )
    return path


def cut(
    path: Path, inputs: Inputs = CUT, *, seed: int | None = 0, size: int = 7, resident_gb: float = 4
) -> tuple[Batches, list[str]]:
    modalities = ["gray", "color", "picture"]
    loader = Loader(path, modalities, size, CPU, Execution(resident_gb=resident_gb, workers=0), inputs)
    return loader.batches("train", None, None if seed is None else torch.Generator().manual_seed(seed)), modalities


def seen(path: Path, inputs: Inputs = CUT, **how: float | None) -> dict[str, Tensor]:
    """All samples of one pass, as the bytes that they were: (N, C, *s) of each modality."""
    batches, modalities = cut(path, inputs, **how)  # type: ignore[arg-type]
    columns = zip(*(inputs for inputs, _ in batches), strict=True)
    return {m: ((torch.cat(x) + 1) * 127.5).round().long() for m, x in zip(modalities, columns, strict=True)}


def corners(samples: Tensor) -> Tensor:
    """Frame, row and column at which each sample begins, (N, 3), once it is sure that it is a block from there."""
    first = samples[:, 0].flatten(1)[:, 0]
    block = torch.from_numpy(PLACES.astype(np.int64))[tuple(slice(s) for s in samples.shape[2:])]
    assert torch.equal(samples, (first.view(-1, 1, 1, 1) + block)[:, None].expand_as(samples))
    return torch.stack([first // (HEIGHT * WIDTH), first // WIDTH % HEIGHT, first % WIDTH], dim=1)


def test_in_training_all_modalities_are_cropped_to_the_same_frames_and_square(clips: Path) -> None:
    found = seen(clips)

    assert [tuple(x.shape) for x in found.values()] == [(COUNT, 1, 4, 3, 3), (COUNT, 3, 4, 3, 3), (COUNT, 1, 3, 3)]
    assert torch.equal(corners(found["gray"]), corners(found["color"]))
    assert torch.equal(corners(found["gray"])[:, 1:], corners(found["picture"][:, :, None])[:, 1:])


def test_every_place_is_drawn_and_none_more_often_than_another(clips: Path) -> None:
    batches, _ = cut(clips)
    passes = [torch.cat([((x[0] + 1) * 127.5).round().long() for x, _ in batches]) for _ in range(3)]

    found = torch.cat([corners(x) for x in passes])

    for axis, places in enumerate((STARTS, TOPS, LEFTS)):
        share = found[:, axis].bincount() / len(found)
        assert len(share) == places
        torch.testing.assert_close(share, torch.full((places,), 1 / places), rtol=0, atol=0.05)
    assert len(set(map(tuple, found.tolist()))) == STARTS * TOPS * LEFTS


def test_crops_depend_on_the_epoch_and_the_seed_and_not_on_the_batches(clips: Path) -> None:
    expected, (batches, _) = seen(clips), cut(clips)
    first, second = (torch.cat([x[0] for x, _ in batches]) for _ in range(2))

    assert not torch.equal(first, second)
    assert not torch.equal(expected["gray"], seen(clips, seed=1)["gray"])
    for found in (seen(clips, resident_gb=0), seen(clips, size=50), seen(clips, size=COUNT)):
        assert all(torch.equal(found[m], expected[m]) for m in expected)


def test_where_nothing_is_drawn_frames_are_evenly_over_the_clip_and_the_square_in_the_middle(clips: Path) -> None:
    evenly = Inputs(frames=4, crop=2)

    found = seen(clips, evenly, seed=None)

    expected = torch.from_numpy(PLACES.astype(np.int64))[[0, 3, 6, 9], 1:3, 2:4]
    for samples in (found["gray"], found["color"]):
        assert torch.equal(samples, expected.expand_as(samples))
    assert torch.equal(found["picture"], expected[0].expand_as(found["picture"]))


def test_even_frames_begin_with_the_first_and_end_with_the_last() -> None:
    clip = torch.arange(10).view(1, 10, 1, 1)
    for count, frames in ((1, [0]), (2, [0, 9]), (3, [0, 4, 9]), (9, [0, 1, 2, 3, 4, 6, 7, 8, 9]), (10, [*range(10)])):
        assert crop_frames(clip, count, None).flatten().tolist() == frames


@pytest.mark.parametrize("seed", [0, None], ids=["training", "test"])
def test_where_all_of_it_is_asked_for_all_of_it_is_shown(seed: int | None, clips: Path) -> None:
    square = seen(clips, Inputs(frames=FRAMES, crop=HEIGHT), seed=seed)["gray"]
    assert square.shape == (COUNT, 1, FRAMES, HEIGHT, HEIGHT)

    for inputs in (Inputs(), Inputs(frames=FRAMES)):
        found = seen(clips, inputs, seed=seed)["color"]
        assert torch.equal(found, torch.from_numpy(PLACES.astype(np.int64)).expand_as(found))


def test_frames_and_crop_work_alone(clips: Path) -> None:
    for inputs, shape in ((Inputs(frames=4), (4, HEIGHT, WIDTH)), (Inputs(crop=3), (FRAMES, 3, 3))):
        found = seen(clips, inputs)
        assert found["gray"].shape[2:] == shape
        assert found["picture"].shape[2:] == shape[1:]
        assert len(set(map(tuple, corners(found["gray"]).tolist()))) > 1


def test_each_modality_is_still_flipped_on_its_own_once_both_are_cut_at_the_same_place(clips: Path) -> None:
    found = seen(clips, Inputs(frames=4, crop=3, flip=True))

    mirrored = {m: found[m][:, 0, 0, 0, 0] > found[m][:, 0, 0, 0, 2] for m in ("gray", "color")}
    there = {m: torch.where(w.view(-1, 1, 1, 1, 1), found[m].flip(-1), found[m]) for m, w in mirrored.items()}
    assert torch.equal(corners(there["gray"]), corners(there["color"]))
    assert abs((mirrored["gray"] == mirrored["color"]).float().mean() - 0.5) < 0.08


def test_more_frames_or_pixels_than_stored_are_refused_with_the_setting(clips: Path) -> None:
    for seed in (0, None):
        with pytest.raises(GreedymmError, match="frames is 11; the samples have 10"):
            seen(clips, Inputs(frames=11), seed=seed)
        with pytest.raises(GreedymmError, match="crop is 5; the samples have 4"):
            seen(clips, Inputs(crop=5), seed=seed)
