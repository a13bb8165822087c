import errno
import json
import os
from pathlib import Path

import pytest

from greedymm import files

SIZE = 1000


class Interrupted(BaseException):
    """Stands for whatever ends a block, KeyboardInterrupt among it."""


@pytest.fixture(params=[b"", b"old"], ids=["nothing there", "a file there"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path, with or without a file at it."""
    path = tmp_path / "result.bin"
    if request.param:
        path.write_bytes(request.param)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in folder.iterdir()}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_half(path: Path, error: BaseException) -> None:
    with files.atomic_write(path) as beside:
        beside.write_bytes(b"half")
        raise error


def can_write(folder: Path) -> bool:
    try:
        (folder / "probe").touch()
    except OSError:
        return False
    (folder / "probe").unlink()
    return True


def test_the_file_appears_when_the_block_ends_and_not_before(path: Path) -> None:
    before = content_of(path.parent)

    with files.atomic_write(path) as beside:
        beside.write_bytes(b"new")
        assert {n: c for n, c in content_of(path.parent).items() if n != beside.name} == before

    assert content_of(path.parent) == {"result.bin": b"new"}


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a" / "b" / "c.txt", "é")

    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é".encode()


@pytest.mark.parametrize("error", [ValueError, OSError, Interrupted])
def test_a_block_that_fails_leaves_what_was_there_and_nothing_else(error: type[BaseException], path: Path) -> None:
    before = content_of(path.parent)

    with pytest.raises(error):
        write_half(path, error())

    assert content_of(path.parent) == before


def test_a_disk_that_fills_up_while_writing_leaves_no_partial_file(path: Path) -> None:
    before = content_of(path.parent)

    with pytest.raises(OSError, match="No space left") as raised:
        write_half(path, OSError(errno.ENOSPC, "No space left on device"))

    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(path)
    assert content_of(path.parent) == before


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"], ids=["flush", "rename"])
def test_a_disk_that_fills_up_at_the_end_leaves_no_partial_file(
    call: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(path.parent)
    monkeypatch.setattr(call, full_disk)

    with pytest.raises(OSError, match="No space left") as raised:
        files.write_bytes(path, b"new" * SIZE)

    assert raised.value.filename == str(path)
    assert content_of(path.parent) == before


def test_the_bytes_are_on_the_disk_before_the_name_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, flushed = content_of(path.parent), []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append((os.fstat(number).st_size, path.exists())))

    files.write_bytes(path, b"n" * SIZE)

    assert flushed == [(SIZE, bool(before))]


def test_a_block_that_writes_nothing_fails_and_leaves_nothing(path: Path) -> None:
    before = content_of(path.parent)

    with pytest.raises(FileNotFoundError), files.atomic_write(path):
        pass

    assert content_of(path.parent) == before


def test_a_folder_that_cannot_be_written_raises_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "shut" / "result.bin"
    files.write_bytes(path, b"old")
    path.parent.chmod(0o500)
    try:
        if can_write(path.parent):
            pytest.skip("this user can write to every folder")
        with pytest.raises(PermissionError):
            files.write_bytes(path, b"new")
        assert content_of(path.parent) == {"result.bin": b"old"}
    finally:
        path.parent.chmod(0o700)


def test_json_is_read_back_as_it_was_and_ends_with_a_line_end(tmp_path: Path) -> None:
    content = {"b": [1, 0.1, None], "a": {"é": True}}

    files.write_json(content, tmp_path / "x.json")

    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.endswith("}\n")
