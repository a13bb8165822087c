"""The error whose message is all that a user needs: what is wrong, why, and what to do. Names of files in messages."""


class GreedymmError(Exception):
    """Shown on the command line as its message alone, without a traceback."""


def printable(text: str, keep: str = "") -> str:
    r"""Text with escapes for control characters, but for those to `keep`: a file's name may have any of them.

    Example:
        >>> print(printable("cup\x1b[2J.off"))
        cup\x1b[2J.off
    """
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
