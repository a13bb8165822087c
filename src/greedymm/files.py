"""Files are complete or absent: each is written under a temporary name, then renamed."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from greedymm.errors import GreedymmError

CHANGED = "its checksum is wrong"
CHECKSUM = "checksum"  # key in a JSON file
Content = TypeVar("Content")


def in_project(path: Path) -> Path:
    """A path that the user named, relative to the project's folder or to that of a user, `~`.

    `dvc exp run --temp` works in a copy of the project, below its .dvc, that lacks what git ignores.

    Raises:
        GreedymmError: if the path cannot be read, as one with the name of an unknown user.
    """
    project, copied, _ = str(Path.cwd()).partition("/.dvc/tmp/exps/")
    try:
        path = path.expanduser()
        return Path(project, path) if not path.exists() and copied else path
    except (OSError, RuntimeError) as error:
        raise GreedymmError(f"{path} cannot be read ({error}).\n  Correct it in the params.") from None


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` at the end, or remove it on an error.

    Raises:
        OSError: if the folder cannot be written or the disk is full; the old file at `path` is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f".{escape(path.name)}.*.part"):  # of a process that was killed
        old.unlink(missing_ok=True)
    tmp = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        yield tmp
        with tmp.open("rb+") as file:
            os.fsync(file.fileno())  # a rename may reach the disk before the bytes do
        tmp.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write does not name the file
        raise
    finally:
        tmp.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_write(path) as tmp:
        tmp.write_text(text, encoding="utf-8")


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON that people can read and `diff` can compare, with a checksum that `read_json` verifies."""
    write_text(path, json.dumps(content | {CHECKSUM: _checksum(content)}, indent=2) + "\n")


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, reader: Callable[[Path], Content], digest: str | None = None) -> Content:
    """Read a result with a reader. With a `digest`, the file must have this SHA-256.

    Raises:
        GreedymmError: if the file is missing or broken; the message names it.
    """
    try:
        if digest is not None and sha256(path) != digest:
            raise ValueError(CHANGED)  # noqa: TRY301
        return reader(path)
    except (FileNotFoundError, NotADirectoryError):
        command = "snakemake --cores 8 all (a sweep's: sweeps; with an overlay: --configfile FILE)"
        raise GreedymmError(f"{path} is missing; make it with: {command}") from None
    except (ValueError, OSError) as error:  # pandas and JSON raise ValueErrors
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk; Parquet's errors about the content have no number
        raise GreedymmError(f"{path} is broken ({error}).\n  Delete it and run again.") from None


def read_json(path: Path) -> Any:
    """Content of a JSON file. Raises a ValueError if it has a checksum, and a wrong one."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict) and CHECKSUM in content and content.pop(CHECKSUM) != _checksum(content):
        raise ValueError(CHANGED)
    return content
