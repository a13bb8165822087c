"""Work in other processes: its items are Python expressions, since those processes know nothing of this file."""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import pytest

from greedymm.data import parallel
from greedymm.data.parallel import AHEAD, in_order


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


@pytest.mark.usefixtures("two_cores")
def test_results_come_in_the_order_of_the_items_though_the_first_is_ready_last() -> None:
    slow = ["__import__('time').sleep(0.3) or 0"]

    assert list(in_order(eval, [*slow, *map(str, range(1, 30))], 2, "counting")) == list(range(30))


@pytest.mark.usefixtures("two_cores")
def test_workers_are_other_processes_of_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    process = "__import__('os').getpid()"
    threads = "[__import__('os').environ[n] for n in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')]"

    seen = list(in_order(eval, [f"__import__('time').sleep(0.05) or ({process}, {threads})"] * 12, 2, "asking"))

    assert all(settings == ["1", "1"] for _, settings in seen)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert 1 <= len({pid for pid, _ in seen} - {os.getpid()}) <= 2
    assert os.getpid() not in {pid for pid, _ in seen}


@pytest.mark.usefixtures("two_cores")
def test_workers_set_their_threads_before_numpy_is_there() -> None:
    loaded = "'numpy' in __import__('sys').modules"

    assert list(in_order(eval, [loaded, loaded], 2, "asking")) == [False, False]


def test_one_worker_is_this_process() -> None:
    assert list(in_order(lambda _: os.getpid(), range(3), 1, "asking")) == [os.getpid()] * 3


@pytest.mark.parametrize("workers", [1, 8])
def test_a_single_item_takes_no_other_process(workers: int) -> None:
    assert list(in_order(lambda _: os.getpid(), [0], workers, "asking")) == [os.getpid()]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_items_give_no_results(workers: int) -> None:
    assert list(in_order(eval, [], workers, "nothing")) == []


def test_no_more_processes_are_started_than_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pooled(_work: object, items: list[int], workers: int, _room: int) -> Iterator[int]:
        asked.append(workers)
        return iter(items)

    monkeypatch.setattr(parallel, "_pooled", pooled)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})

    for workers in (2, 3, 64):
        list(in_order(abs, range(100), workers, "counting"))

    assert asked == [2, 3, 3]


# -- One at a time ------------------------------------------------------------------------------------------


def test_one_worker_starts_an_item_when_its_result_is_asked_for() -> None:
    started: list[int] = []

    results = in_order(started.append, range(5), 1, "counting")

    assert started == []
    for count in range(1, 6):
        next(results)
        assert started == list(range(count))


class Counted(list[str]):
    """Items that say how many were taken."""

    taken = 0

    def __iter__(self) -> Iterator[str]:
        for item in super().__iter__():
            self.taken += 1
            yield item


@pytest.mark.usefixtures("two_cores")
def test_workers_run_ahead_of_who_takes_the_results_by_a_few_items_alone() -> None:
    items = Counted(map(str, range(60)))

    for done, _ in enumerate(in_order(eval, items, 2, "counting"), start=1):
        assert items.taken <= done + 2 * AHEAD

    assert items.taken == 60


# -- Arrays in shared memory --------------------------------------------------------------------------------


def filled(k: int) -> str:
    return f"__import__('numpy').full(1000, {k}, dtype='uint8')"


@pytest.mark.parametrize("room", [0, 1, 1500, 2000], ids=["none", "too little", "for one of two", "enough"])
@pytest.mark.usefixtures("two_cores")
def test_results_are_the_same_whatever_room_there_is_and_stay_so_when_all_are_kept(room: int) -> None:
    items = [f"({filled(k)}, {k}, {filled(k + 100)})" for k in range(40)]  # more than there are places

    kept = list(in_order(eval, items, 2, "filling", room))

    for k, (first, number, second) in enumerate(kept):
        assert number == k
        assert (first == k).all()
        assert (second == k + 100).all()


@pytest.mark.usefixtures("two_cores")
def test_a_worker_that_dies_is_an_error_and_not_a_wait() -> None:
    results = in_order(eval, [filled(0), "__import__('os')._exit(1)", filled(2)], 2, "dying", 1000)

    with pytest.raises(BrokenProcessPool):
        list(results)


# -- Errors and progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("two_cores")
def test_an_error_comes_in_its_turn_after_the_results_before_it(workers: int) -> None:
    results = in_order(eval, ["0", "1", "1 // 0", "3"], workers, "dividing")

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.usefixtures("two_cores")
def test_who_stops_early_is_not_kept_waiting_for_all_that_is_left() -> None:
    slow = ["__import__('time').sleep(0.05)"] * 1000
    results = in_order(eval, ["0", *slow], 2, "counting")
    assert next(results) == 0

    before = time.monotonic()
    results.close()  # type: ignore[attr-defined]  # a generator

    assert time.monotonic() - before < 10  # all of them would take 25 s


def test_a_log_says_how_far_it_is_at_the_end_and_in_between(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 4))  # seconds: four of them for each item
    monkeypatch.setattr("greedymm.data.parallel.time.monotonic", lambda: next(clock))

    with caplog.at_level(logging.INFO, "greedymm"):
        list(in_order(abs, range(7), 1, "rendering"))

    assert caplog.messages[-1] == "rendering: 7 of 7"
    assert 2 <= len(caplog.messages) <= 4
    assert all(message.startswith("rendering: ") for message in caplog.messages)
