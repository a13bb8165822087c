import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from greedymm.data import hdf5
from greedymm.data.batches import Batches, Loader, ResidentBatches, StreamedBatches
from greedymm.data.inputs import Transform
from greedymm.data.samples import SPLITS, DatasetInfo, LazySamples, Samples
from greedymm.errors import GreedymmError
from greedymm.settings import Execution, Inputs

CPU = torch.device("cpu")
COUNTS = {"train": 23, "val": 6, "test": 9}
SIZE = 5
KEPT = {
    "resident": Execution(),
    "streamed": Execution(resident_gb=0, workers=0),
    "streamed by workers": Execution(resident_gb=0, workers=2),
}
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on a single core

Load = Callable[..., Batches]


def samples(split: str, count: int) -> Samples:
    """Samples that carry their number: in every pixel, times 4, plus 1 in m1."""
    number = 4 * np.arange(count, dtype=np.uint8)
    images = {
        "m0": np.tile(number, (4, 3, 3, 1)).T,
        "m1": np.tile(number + 1, (4, 2, 2, 1)).T,
        "other": number[:, None],
    }
    return Samples(images, np.arange(count) % 3, [f"{split}-{i}" for i in range(count)])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.h5"
    facts = DatasetInfo(("a", "b", "c"), "made here", "CC0", generated=True)
    hdf5.write(path, {split: samples(split, count) for split, count in COUNTS.items()}, facts)
    return path


@pytest.fixture(params=KEPT)
def load(request: pytest.FixtureRequest, path: Path) -> Load:
    return Loader(path, ["m0", "m1"], SIZE, CPU, KEPT[request.param]).batches


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(batches: Batches) -> list[list[int]]:
    """Numbers of the samples of every batch, once it is sure that their inputs and labels belong together."""
    found = []
    for (m0, m1), labels in batches:
        shown0, shown1 = (((x + 1) * 127.5).round() for x in (m0, m1))
        number = shown0[:, 0, 0, 0] / 4
        assert (shown0 == 4 * number[:, None, None, None]).all()
        assert (shown1 == 4 * number[:, None, None, None] + 1).all()
        assert (labels == number % 3).all()
        found.append(number.int().tolist())
    return found


def flat(batches: list[list[int]]) -> list[int]:
    return [number for batch in batches for number in batch]


# -- Order --------------------------------------------------------------------------------------------------


def test_every_sample_comes_once_in_each_epoch_in_an_order_of_the_epoch_and_the_seed(load: Load) -> None:
    torch.manual_seed(0)
    global_state = torch.get_rng_state()
    batches, other = load("train", seeded(0)), load("train", seeded(1))

    epochs = [numbers(b) for b in (batches, batches, other)]

    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [5, 5, 5, 5, 3]
        assert sorted(flat(epoch)) == list(range(COUNTS["train"]))
    assert len(batches) == 5
    assert len({tuple(flat(epoch)) for epoch in epochs} | {tuple(range(COUNTS["train"]))}) == 4
    assert torch.equal(torch.get_rng_state(), global_state)


def test_a_last_batch_of_one_sample_is_left_out_in_training_and_kept_in_evaluation(path: Path) -> None:
    loader = Loader(path, ["m0", "m1"], 11, CPU, Execution())  # 23 = 2 x 11 + 1

    training, evaluation = loader.batches("train", order=seeded(0)), loader.batches("train")

    assert [len(batch) for batch in numbers(training)] == [11, 11]
    assert len(training) == 2
    assert [len(batch) for batch in numbers(evaluation)] == [11, 11, 1]
    assert len(evaluation) == 3


def test_without_a_generator_samples_come_as_they_are_stored(load: Load) -> None:
    batches = load("val")

    for _ in range(2):
        assert numbers(batches) == [[0, 1, 2, 3, 4], [5]]
    assert numbers(load("train", seeded(0)).view())[0] == [0, 1, 2, 3, 4]


def test_rows_may_be_given_in_any_order_and_twice(load: Load) -> None:
    rows = torch.tensor([7, 3, 7, 0, 22, 1])

    assert [(images[0][:, 0, 0, 0] + 1).mul(127.5).div(4).round().tolist() for images, _ in load("train").of(rows)] == [
        [7, 3, 7, 0, 22],
        [1],
    ]


def all_of(batches: Batches) -> Iterator[Tensor]:
    for inputs, labels in batches:
        yield from (*inputs, labels)


@pytest.mark.parametrize("way", ["streamed", "streamed by workers"])
def test_streamed_batches_are_those_of_a_resident_split(way: str, path: Path) -> None:
    resident, streamed = (
        Loader(path, ["m0", "m1"], SIZE, CPU, KEPT[name]).batches("train", seeded(3)) for name in ("resident", way)
    )

    for _ in range(2):
        for expected, found in zip(all_of(resident), all_of(streamed), strict=True):
            assert expected.dtype == found.dtype
            assert expected.stride() == found.stride()
            assert torch.equal(expected, found)


@pytest.mark.parametrize("way", ["streamed", "streamed by workers"])
def test_two_passes_over_a_streamed_split_can_take_turns(way: str, path: Path) -> None:
    split = Loader(path, ["m0", "m1"], SIZE, CPU, KEPT[way]).batches("train")
    backwards = torch.arange(split.count).flip(0)
    expected = [list(split), list(split.of(backwards))]

    turns = list(zip(split, split.of(backwards), strict=True))

    for batches, passed in zip(expected, zip(*turns, strict=True), strict=True):
        for (inputs, labels), (images, classes) in zip(batches, passed, strict=True):
            assert all(map(torch.equal, (*inputs, labels), (*images, classes)))


def test_workers_need_no_shared_memory_and_a_machine_that_starts_none_needs_no_workers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    loader = Loader(path, ["m0", "m1"], SIZE, CPU, KEPT["streamed by workers"])
    expected = numbers(loader.batches("train"))

    monkeypatch.setattr("torch.Tensor.share_memory_", fail)
    assert numbers(loader.batches("train")) == expected

    started: list[int] = []

    def start(*arguments: Any, num_workers: int = 0, **options: Any) -> DataLoader[Any]:
        started.append(num_workers)
        if num_workers:
            raise OSError(errno.ENOSPC, "No space left on device")
        return DataLoader(*arguments, **options)

    monkeypatch.setattr("greedymm.data.batches.DataLoader", start)
    assert numbers(loader.batches("train")) == expected
    assert started == [2, 0]


# -- What is loaded -----------------------------------------------------------------------------------------


def test_a_split_is_streamed_when_it_is_larger_than_the_budget(path: Path) -> None:
    size = 23 * 36
    for budget, store in ((size, ResidentBatches), (size - 1, StreamedBatches)):
        batches = Loader(path, ["m0"], SIZE, CPU, Execution(resident_gb=1e-9 * budget)).batches("train")
        assert isinstance(batches.store, store)


def test_a_batch_larger_than_the_training_split_is_refused_with_the_size_to_set(path: Path) -> None:
    load = Loader(path, ["m1", "m0"], 24, CPU, Execution()).batches

    with pytest.raises(GreedymmError, match=r"batch of 24 .*'train'.* 23 samples(?s:.*)batch_size to at most 23"):
        load("train", seeded(0))
    assert len(Loader(path, ["m0"], 23, CPU, Execution()).batches("train", seeded(0))) == 1
    ((inputs, labels),) = load("val")  # evaluation may have larger batches
    assert [x.shape for x in (*inputs, labels)] == [(6, 2, 2, 4), (6, 3, 3, 4), (6,)]


def test_the_file_is_opened_once_for_all_splits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    real = h5py.File

    def count(path: Path, *arguments: str) -> h5py.File:
        opened.append(path)
        return real(path, *arguments)

    monkeypatch.setattr("h5py.File", count)

    loader = Loader(path, ["m0", "m1"], SIZE, CPU, Execution())
    for split, size in COUNTS.items():
        numbers(loader.batches(split))
        assert len(loader.file.sample_table(split)) == size

    assert opened == [path]


def test_a_modality_that_the_file_lacks_is_refused(path: Path) -> None:
    with pytest.raises(GreedymmError, match="no modality 'sound'; it has: m0, m1, other"):
        Loader(path, ["m0", "sound"], SIZE, CPU, Execution()).batches("train")


# -- Values -------------------------------------------------------------------------------------------------

EVERY = torch.arange(256, dtype=torch.uint8)
SCALED = Transform(Inputs(), 2, CPU).scale


def test_bytes_become_floats_from_minus_1_to_1_in_even_steps() -> None:
    images = EVERY.reshape(-1, 1, 1, 1).clone()

    floats = SCALED(images).flatten()

    assert torch.equal(images.flatten(), EVERY)
    assert floats.dtype == torch.float32
    assert floats[[0, 255]].tolist() == [-1, 1]
    torch.testing.assert_close(floats.double(), torch.linspace(-1, 1, 256, dtype=torch.float64), rtol=0, atol=1e-7)


def test_images_and_clips_have_their_channels_last() -> None:
    image, clip = (SCALED(torch.zeros(2, 3, *space, dtype=torch.uint8)) for space in ((4, 4), (2, 4, 4)))

    assert image.is_contiguous(memory_format=torch.channels_last)
    assert clip.is_contiguous(memory_format=torch.channels_last_3d)


def test_batches_of_large_samples_are_smaller_in_evaluation(tmp_path: Path) -> None:
    for side, size in ((28, 200), (224, 41), (3000, 1)):
        row = [np.zeros((1, side, side), np.uint8)]
        splits = {s: LazySamples({"m0": (1, side, side)}, [row], np.zeros(1, np.int64), [s]) for s in SPLITS}
        hdf5.write(tmp_path / "data.h5", splits, DatasetInfo(("a",), "made here", "CC0", generated=True))
        assert Loader(tmp_path / "data.h5", ["m0"], None, CPU, Execution()).batches("val").size == size
