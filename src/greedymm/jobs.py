"""One workflow at a time in a folder. Its jobs end when it is killed, and the next workflow waits for their end.

The system releases a lock (flock) when its process ends, however it ends. So nothing has to be unlocked.
"""

import errno
import fcntl
import os
import signal
import threading
import time
from pathlib import Path

from greedymm.errors import GreedymmError

PARENT = "GREEDYMM_WORKFLOW"  # environment variable: the process of the workflow that started this job
WORKFLOW = Path("results/.workflow.lock")  # held by the workflow; has its process id
JOBS = Path("results/.jobs.lock")  # shared by all jobs
POLL = 0.5  # seconds between two looks whether the workflow lives
PATIENCE = 30.0  # seconds; workers that load data look for their process every 5 s
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of file systems such as Lustre without `-o flock`


def lock_workflow() -> None:
    """Become the workflow of this folder until the process ends. Waits until jobs of a killed workflow have ended.

    Raises:
        GreedymmError: if another workflow works here, or if its jobs still do.
    """
    file = _lock(WORKFLOW, fcntl.LOCK_EX)
    if file is None:
        process = WORKFLOW.read_text().strip()
        raise GreedymmError(
            f"Another workflow works in this folder: process {process}. This one would use the same files.\n"
            f"  Wait for its end, or stop it with: kill -INT {process}\n  Then run the same command again."
        )
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    deadline = time.monotonic() + PATIENCE
    while (jobs := _lock(JOBS, fcntl.LOCK_EX)) is None:
        if time.monotonic() > deadline:
            raise GreedymmError(
                "Jobs of an earlier workflow still work in this folder. List them: ps -ef | grep 'greedymm .*--plan'\n"
                "  On a cluster: squeue. Wait for their end, or stop them. Then run the same command again."
            )
        time.sleep(POLL)
    os.close(jobs)


def join_workflow() -> None:
    """Become a job of the workflow that the environment names, if any: end when it ends."""
    if PARENT in os.environ:
        _lock(JOBS, fcntl.LOCK_SH)
        exit_with(int(os.environ[PARENT]))


def exit_with(process: int) -> None:
    """Kill this process as soon as another one does not live, which may be now."""

    def watch() -> None:
        while _lives(process):
            time.sleep(POLL)
        os.kill(os.getpid(), signal.SIGKILL)

    if not _lives(process):
        watch()
    threading.Thread(target=watch, daemon=True).start()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _lock(path: Path, kind: int) -> int | None:
    """The open file, or None if another process has a lock that excludes this one. Closing it releases the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            os.close(file)
            if isinstance(error, BlockingIOError):
                return None
            raise
    return file
