"""Work in other processes: its items are Python expressions, since those processes know nothing of this file."""

import logging
import os
import time
from collections.abc import Iterator

import pytest

from greedymm.data.parallel import AHEAD, parallel_map
from greedymm.errors import GreedymmError


@pytest.fixture
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


class Counted(list[str]):
    """Items that say how many were taken."""

    taken = 0

    def __iter__(self) -> Iterator[str]:
        for item in super().__iter__():
            self.taken += 1
            yield item


@pytest.mark.usefixtures("_two_cores")
def test_results_keep_the_order_of_the_items_and_only_a_few_are_made_in_advance() -> None:
    items = Counted(["__import__('time').sleep(0.3) or 0", *map(str, range(1, 30))])
    results = []

    for result in parallel_map(eval, items, 2, "counting"):
        results.append(result)
        assert items.taken < len(results) + 2 * AHEAD

    assert results == list(range(30))


@pytest.mark.usefixtures("_two_cores")
def test_workers_are_processes_of_one_thread_each_set_before_numpy_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "7")
    process, loaded = "__import__('os').getpid()", "'numpy' in __import__('sys').modules"
    threads = f"[__import__('os').environ[n] for n in {names}]"

    seen = list(parallel_map(eval, [f"__import__('time').sleep(0.05) or ({process}, {threads}, {loaded})"] * 12, 8, ""))

    assert all((threads, loaded) == (["1", "1"], False) for _, threads, loaded in seen)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    pids = {pid for pid, *_ in seen}
    assert os.getpid() not in pids
    assert len(pids) <= 2  # no more processes than cores


def test_one_worker_and_one_item_use_this_process_and_start_an_item_when_its_result_is_needed() -> None:
    started: list[int] = []
    results = parallel_map(started.append, range(5), 1, "counting")

    for count in range(5):
        assert started == list(range(count))
        next(results)
    assert list(parallel_map(lambda _: os.getpid(), [0], 8, "asking")) == [os.getpid()]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("_two_cores")
def test_an_error_is_raised_as_it_is_after_the_results_before_it(workers: int) -> None:
    error = "(_ for _ in ()).throw(__import__('greedymm.errors', fromlist=['x']).GreedymmError('cup 3 changed'))"
    results = parallel_map(eval, ["0", "1", error, "3"], workers, "dividing")

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(GreedymmError, match=r"^cup 3 changed$"):
        next(results)
    assert list(parallel_map(eval, [], workers, "nothing")) == []


@pytest.mark.usefixtures("_two_cores")
def test_a_killed_worker_is_an_error_with_a_cure_and_not_a_wait() -> None:
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"

    with pytest.raises(GreedymmError, match=r"killed(?s:.*)Set execution.preparers to a smaller number"):
        list(parallel_map(eval, ["0", kill, "2"], 2, "dying"))


@pytest.mark.usefixtures("_two_cores")
def test_a_consumer_that_stops_early_does_not_wait_for_the_other_items() -> None:
    results = parallel_map(eval, ["0", *["__import__('time').sleep(1)"] * 1000], 2, "counting")
    assert next(results) == 0

    before = time.monotonic()
    results.close()  # type: ignore[attr-defined]  # a generator

    assert time.monotonic() - before < 3  # those that are submitted would take 4 s


def test_a_log_has_a_line_for_each_tenth(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(parallel_map(abs, range(30), 1, "rendering")) == list(range(30))

    assert caplog.messages == [f"rendering: {count} of 30" for count in range(3, 31, 3)]
