"""Several GPUs on one machine: each process sees the one that the fewest others have taken. No torch.

The pool `gpu` of the workflow limits how many processes there are. A scheduler that gives each job its own GPU leaves
nothing to choose.
"""

import logging
import os
import re
import subprocess
import tempfile
from itertools import count, takewhile
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

QUERY = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
PATIENCE = 20.0  # seconds
_held: list[FileLock] = []  # until the process ends, however it ends


def list_gpus() -> list[str]:
    """GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes, up to a wrong one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return list(takewhile(re.compile(r"\d|GPU-|MIG-").match, map(str.strip, visible.split(","))))
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):  # not installed, or its driver does not answer
        return []
    return done.stdout.split() if done.returncode == 0 else []


def reserve() -> None:
    """Take the GPU with the fewest other processes of this user. Call it before torch looks for GPUs."""
    gpus = list_gpus()
    if len(gpus) < 2:  # noqa: PLR2004  nothing to choose
        return
    for others in count():
        for gpu in gpus:
            lock = FileLock(Path(tempfile.gettempdir(), f"greedymm-{os.getuid()}-{gpu}-{others}.lock"))
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            _held.append(lock)
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            log.info("GPU %s, which %d others use", gpu, others)
            return
