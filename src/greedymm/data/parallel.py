"""A map over worker processes of one thread each."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from greedymm.errors import GreedymmError

Item = TypeVar("Item")
Result = TypeVar("Result")

LOG_SECONDS = 30  # between two states of the progress bar, where it is no terminal
AHEAD = 4  # items per worker that are submitted before their results are needed: this bounds the memory


def parallel_map(fn: Callable[[Item], Result], items: Sequence[Item], workers: int, desc: str) -> Iterator[Result]:
    """Apply a function of a module, or a partial of one, to all items; yield the results in their order.

    There is at most one process per core; with one worker, this process. Errors of `fn` are raised as they are.
    """
    workers = min(workers, len(os.sched_getaffinity(0)), len(items))
    results = _map_in_pool(fn, items, workers) if workers > 1 else map(fn, items)
    yield from tqdm(results, desc, len(items), mininterval=0.1 if sys.stderr.isatty() else LOG_SECONDS)


def _map_in_pool(fn: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    # Spawned, not forked: a fork would share the files that this process has open.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(workers, context, initializer=_use_one_thread)
    try:
        for item in items:
            pending.append(pool.submit(fn, item))
            if len(pending) == AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise GreedymmError(
            "a worker process was killed, perhaps because the memory is full.\n"
            "  Set execution.preparers to a smaller number and run again."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _use_one_thread() -> None:
    """Limit numerical libraries to one thread; runs before a worker imports numpy."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
