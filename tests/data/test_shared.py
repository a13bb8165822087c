"""Places in shared memory: both sides of them, in this process."""

import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from greedymm.data.samples import Broken
from greedymm.data.shared import Places, pack

ROOM = 64
CONTEXT = multiprocessing.get_context("spawn")


def through(places: Places, result: object) -> Any:
    """Hand a result over, as from a worker."""
    place = places.take()
    return places.unpack(pack(result, memoryview(places.memory).cast("B")[place]), place)


def test_arrays_that_fit_are_in_the_place_and_those_that_do_not_are_whole_all_the_same() -> None:
    places = Places(CONTEXT, 1, ROOM)
    fits, large = np.arange(40, dtype=np.uint8), np.arange(100, dtype=np.uint8)

    found = through(places, (fits, large, fits[::-1].copy()))

    for array, expected in zip(found, (fits, large, fits[::-1]), strict=True):
        np.testing.assert_array_equal(array, expected, strict=True)
    memory = np.frombuffer(memoryview(places.memory), dtype=np.uint8)
    assert [np.shares_memory(array, memory) for array in found] == [True, False, False]


def test_a_place_is_free_again_when_the_last_array_in_it_is_gone_and_not_before() -> None:
    places = Places(CONTEXT, 1, ROOM)
    first, second = through(places, (np.zeros(8), np.ones(0)))
    del second
    assert places.take() == slice(0, 0)

    part = first[2:4]
    del first
    assert places.take() == slice(0, 0)
    del part

    assert places.take() == slice(0, ROOM)


def test_what_has_no_arrays_holds_no_place() -> None:
    places = Places(CONTEXT, 1, ROOM)
    broken = Broken("class_01", "cut off")

    assert [through(places, broken) for _ in range(3)] == [broken] * 3
    assert places.take() == slice(0, ROOM)


def test_arrays_live_on_when_the_places_do_not() -> None:
    found = through(Places(CONTEXT, 1, ROOM), np.arange(8))

    np.testing.assert_array_equal(found, np.arange(8))


@pytest.mark.parametrize("full", [True, False])
def test_where_shared_memory_is_full_a_file_without_a_name_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    size = 8 << 20  # more than multiprocessing would take out of what it has
    asked: list[Path] = []

    def temporary() -> str:
        asked.append(tmp_path)
        return str(tmp_path)

    free = SimpleNamespace(f_bavail=0 if full else size, f_frsize=4096)
    monkeypatch.setattr("os.statvfs", lambda _: free)
    monkeypatch.setattr("multiprocessing.util.get_temp_dir", temporary)

    found = through(Places(CONTEXT, 2, size), np.ones(size, dtype=np.uint8))

    assert found.all()
    assert list(tmp_path.iterdir()) == []
    assert bool(asked) == (full or not Path("/dev/shm").exists())  # noqa: S108
