"""The error whose message is all that a user needs: what is wrong, why, and what to do. Names of files in messages."""

import errno
import re

NO_MEMORY = (
    "The memory is full. Run fewer jobs at once (snakemake --cores 1), or lower in params.yaml training.batch_size,"
    " execution.resident_gb and execution.workers; while data are prepared, execution.preparers."
    " On a cluster, raise execution.memory_mb. Then run again. What is finished is kept."
)
# Of torch, which raises RuntimeErrors: no memory of the CPU or the GPU, or a process that reads batches was killed.
# Of the system's linker: no memory for a library that is imported.
_FULL = re.compile(r"out of memory|allocate memory|shared memory|DataLoader worker \(pid|failed to map|bad_alloc")

CURES = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EFBIG: "Use a file system that takes larger files",
    errno.EROFS: "Work in another folder",
    errno.EACCES: "Change the permissions",
    errno.EISDIR: "Name a file, not a folder,",
    errno.ENOTDIR: "Name a folder, not a file,",
    errno.EEXIST: "Move the file that is in the way",
    errno.EMFILE: "Allow more open files (ulimit -n 4096)",
    errno.ENFILE: "Close other programs",
    errno.EAGAIN: "Close other programs",  # no further process is allowed
}


class GreedymmError(Exception):
    """Shown on the command line as its message alone, without a traceback."""


def printable(text: str, keep: str = "") -> str:
    r"""Text with escapes for control characters, but for those to `keep`: a file's name may have any of them.

    Example:
        >>> print(printable("cup\x1b[2J.off"))
        cup\x1b[2J.off
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def lacks_memory(error: Exception) -> bool:
    """Whether an error says that the memory of the CPU or the GPU is full."""
    return isinstance(error, MemoryError) or bool(_FULL.search(str(error)))


def cure_of(error: OSError) -> str:
    """What to do about a disk that is full, or a path that cannot be written; empty for other errors."""
    if error.errno == errno.ENOMEM:
        return NO_MEMORY
    cure = CURES.get(error.errno or 0)
    return f"{cure} and run again. What is finished is kept." if cure else ""
