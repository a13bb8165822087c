"""A map over worker processes of one thread each."""

import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

from greedymm.errors import GreedymmError

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

AHEAD = 4  # items per worker that are submitted before their results are needed: this bounds the memory


def parallel_map(fn: Callable[[Item], Result], items: Sequence[Item], workers: int, desc: str) -> Iterator[Result]:
    """Apply a function to all items; yield the results in the order of the items.

    Args:
        fn: a function of a module, or a partial of one.
        items: its arguments.
        workers: number of processes, at most one per core. One: everything runs in this process.
        desc: what is being done, for the progress bar on a terminal and for the log elsewhere.

    Raises:
        GreedymmError: if a worker process was killed. Errors of `fn` are raised as they are.
    """
    workers = min(workers, len(os.sched_getaffinity(0)), len(items))
    results = _pooled(fn, items, workers) if workers > 1 else map(fn, items)
    bar = tqdm(results, desc, len(items), disable=None)  # None: a bar on a terminal only
    for done, result in enumerate(bar, start=1):
        yield result
        if bar.disable and 10 * done // len(items) > 10 * (done - 1) // len(items):  # each tenth of the items
            log.info("%s: %d of %d", desc, done, len(items))


def _pooled(fn: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    # Spawned, not forked: a fork would share the files that this process has open.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(workers, context, initializer=_use_one_thread) as pool:
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
