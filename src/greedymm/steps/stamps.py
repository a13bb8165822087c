"""Stamps: files whose names say from which runs and code the files beside them are made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greedymm.files import write_text


@contextmanager
def stamped(stamp: Path) -> Iterator[None]:
    """Say by a file's name from which runs and code the files beside it were made, once they are there.

    So the workflow sees without any memory of its own, as in a fresh clone, whether they are those that it wants.
    """
    for old in stamp.parent.glob(f"*{stamp.suffix}"):  # before the first file is replaced
        old.unlink()
    yield
    write_text(stamp, "")
