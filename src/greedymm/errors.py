"""The error whose message is all that a user needs: what is wrong, why, and what to do."""

import errno

CURES = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EFBIG: "Use a file system that takes larger files",
    errno.EROFS: "Work in another folder",
    errno.EACCES: "Change the permissions",
}


class GreedymmError(Exception):
    """Shown on the command line as its message alone, without a traceback."""


def cure_of(error: OSError) -> str:
    """What to do about a disk that is full or cannot be written; empty for other errors."""
    cure = CURES.get(error.errno or 0)
    return f"{cure} and run again. What is finished is kept." if cure else ""
