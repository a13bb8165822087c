"""Work on many items at once, in processes of one thread each."""

import ctypes
import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

from tqdm import tqdm

from greedymm.data.shared import Packed, Places, pack

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

AHEAD = 4  # results for each worker that may wait for their turn: what bounds the memory
SECONDS = 10  # between two lines of progress in a log
_memory = memoryview(b"")  # in a worker: what it shares with the others


def in_order(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, doing: str, room: int = 0
) -> Iterator[Result]:
    """Results of all items, in the order of the items, whoever is ready first.

    Args:
        work: done in other processes: a function of a module, or a partial of one.
        items: what it is called with, one after the other.
        workers: processes; no more are started than there are cores. One: all is done in this process.
        doing: what is being done, for the progress bar on a terminal and the lines in a log.
        room: bytes of memory that processes share for the arrays of a result; what does not fit goes through a pipe.
    """
    workers = min(workers, len(os.sched_getaffinity(0)), len(items))
    results = _pooled(work, items, workers, room) if workers > 1 else map(work, items)
    due = time.monotonic() + SECONDS
    with tqdm(total=len(items), desc=doing, disable=None) as bar:  # None: on a terminal alone
        for done, result in enumerate(results, start=1):
            yield result
            bar.update()
            if bar.disable and (done == len(items) or time.monotonic() > due):
                log.info("%s: %d of %d", doing, done, len(items))
                due = time.monotonic() + SECONDS


def _pooled(work: Callable[[Item], Result], items: Sequence[Item], workers: int, room: int) -> Iterator[Result]:
    # Spawned, not forked: a fork would share the files that this process has open.
    context = multiprocessing.get_context("spawn")
    ahead = min(AHEAD * workers, len(items))
    places = Places(context, ahead + 2, room)  # two more: of the result in hand, and of the one before, held outside
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(places.memory,)) as pool:

        def submitted(item: Item) -> tuple[Future[Packed], slice]:
            place = places.take()
            return pool.submit(_packed, work, item, place), place

        coming = iter(items)
        waiting = deque(submitted(item) for item in islice(coming, ahead))
        while waiting:
            future, place = waiting.popleft()
            packed = future.result()
            waiting.extend(submitted(item) for item in islice(coming, 1))
            yield places.unpack(packed, place)


def _start(memory: ctypes.Array[ctypes.c_ubyte]) -> None:
    """Take the shared memory, and one thread: teams of several processes slow each other down many times over."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is imported
    global _memory  # noqa: PLW0603 a process gets it when it starts, and not with each item
    _memory = memoryview(memory).cast("B")


def _packed(work: Callable[[Item], Result], item: Item, place: slice) -> Packed:
    return pack(work(item), _memory[place])
