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
from greedymm.jobs import exit_with
from greedymm.system import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

AHEAD = 4  # items per worker that are submitted before their results are needed: this bounds the memory


def parallel_map(fn: Callable[[Item], Result], items: Sequence[Item], workers: int, desc: str) -> Iterator[Result]:
    """Apply a function of a module, or a partial of one, to all items; yield the results in their order.

    There is at most one process per core; with one worker, this process. Errors of `fn` are raised as they are.
    A terminal shows a progress bar, a log has a line for each tenth of the items.

    Raises:
        GreedymmError: if a worker process was killed.
    """
    workers = min(workers, usable_cores(), len(items))
    results = _map_in_pool(fn, items, workers) if workers > 1 else map(fn, items)
    with tqdm(results, desc, len(items), disable=None) as bar:
        for count, result in enumerate(bar, start=1):
            yield result
            if bar.disable and 10 * count // len(items) > 10 * (count - 1) // len(items):
                log.info("%s: %d of %d", desc, count, len(items))


def _map_in_pool(fn: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    # Spawned, not forked: a fork would share the files that this process has open.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (os.getpid(),))
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


def _prepare_worker(parent: int) -> None:
    """End with the parent; limit numerical libraries to one thread, before numpy is imported."""
    exit_with(parent)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
