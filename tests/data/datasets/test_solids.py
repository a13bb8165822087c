"""Generated objects: which there are, and that they depend on nothing but their settings."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from greedymm.data.datasets import modelnet40, solids
from greedymm.data.datasets.solids import Settings
from greedymm.data.samples import LazySamples
from greedymm.data.sources.renderer import FOUR_SIDES
from greedymm.data.synthetic.cad import CLASSES
from greedymm.data.synthetic.export import write_meshes

SMALL = {"size": 16, "train": 2, "val": 1, "test": 1}
Images = npt.NDArray[np.uint8]


def streams(workers: int = 1, **changes: int) -> dict[str, LazySamples]:
    splits, _ = solids.make(Settings.model_validate(SMALL | changes), Path("nowhere"), workers)
    return {name: split for name, split in splits.items() if isinstance(split, LazySamples)}


@cache
def pictures(workers: int = 1, **changes: int) -> dict[str, Images]:
    """The views of every object, by its id: (4, 1, H, W)."""
    return {
        name: np.asarray(row)
        for split in streams(workers, **changes).values()
        for name, row in zip(split.ids, split.rows, strict=True)
    }


def test_every_split_has_as_many_objects_of_each_class_as_asked_for() -> None:
    for name, split in streams().items():
        assert np.bincount(split.labels).tolist() == [SMALL[name]] * len(CLASSES)
        assert [list(CLASSES)[label] for label in split.labels] == [i.split("/")[0] for i in split.ids]
        assert split.shapes == dict.fromkeys(solids.STORED, (1, 16, 16))


def test_there_are_enough_classes_and_they_are_said_to_be_generated() -> None:
    _, facts = solids.make(Settings(), Path("nowhere"))

    assert len(facts.classes) >= 12
    assert facts.classes == tuple(CLASSES)
    assert facts.generated


def test_no_object_is_in_two_splits_or_there_twice() -> None:
    seen = {image.tobytes() for image in pictures().values()}

    assert len(seen) == len(pictures()) == 4 * len(CLASSES)


@pytest.mark.slow
def test_an_object_does_not_depend_on_the_number_of_objects_or_workers() -> None:
    more = pictures(train=3)
    shared = pictures(workers=2)

    for name, image in pictures().items():
        np.testing.assert_array_equal(more[name], image)
        np.testing.assert_array_equal(shared[name], image)


def test_another_seed_is_of_other_objects() -> None:
    assert all((image != pictures(seed=1)[name]).any() for name, image in pictures().items())


@pytest.mark.filterwarnings("error")
def test_objects_written_as_meshes_are_read_as_a_users_own(tmp_path: Path) -> None:
    written = write_meshes(tmp_path, Settings.model_validate(SMALL), classes=3)

    splits, facts = modelnet40.make(modelnet40.Settings(folder=str(tmp_path), size=16), tmp_path)

    assert written == 12
    assert facts.classes == tuple(sorted(list(CLASSES)[:3]))
    assert facts.generated  # and called so
    assert {name: len(split.labels) for name, split in splits.items()} == {"train": 6, "val": 3, "test": 3}
    read = {
        name.split("/")[-1]: row
        for s in splits.values()
        if isinstance(s, LazySamples)
        for name, row in zip(s.ids, s.rows, strict=True)
    }
    for name, image in read.items():
        label, split, number = name.rsplit("_", 2)
        drawn = pictures()[f"{label}/{split}/{number}"].astype(int)
        assert (np.abs(np.asarray(image)[list(FOUR_SIDES)] - drawn) > 30).mean() < 0.01  # a file has fewer digits
