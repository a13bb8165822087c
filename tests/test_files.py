import errno
import os
from pathlib import Path

import pytest

from greedymm import files
from greedymm.errors import GreedymmError
from greedymm.files import in_project

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


def write(path: Path, content: bytes) -> None:
    with files.atomic_write(path) as beside:
        beside.write_bytes(content)


def write_half(path: Path, error: BaseException) -> None:
    with files.atomic_write(path) as beside:
        beside.write_bytes(b"half")
        raise error


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


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"], ids=["flush", "rename"])
def test_a_disk_that_fills_up_at_the_end_leaves_no_partial_file(
    call: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = content_of(path.parent)
    monkeypatch.setattr(call, full_disk)

    with pytest.raises(OSError, match="No space left") as raised:
        write(path, b"new" * SIZE)

    assert raised.value.filename == str(path)
    assert content_of(path.parent) == before


def test_the_bytes_are_on_the_disk_before_the_name_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, flushed = content_of(path.parent), []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append((os.fstat(number).st_size, path.exists())))

    write(path, b"n" * SIZE)

    assert flushed == [(SIZE, bool(before))]


def test_a_block_that_writes_nothing_fails_and_leaves_nothing(path: Path) -> None:
    before = content_of(path.parent)

    with pytest.raises(FileNotFoundError), files.atomic_write(path):
        pass

    assert content_of(path.parent) == before


def test_json_is_read_back_as_it_was_and_ends_with_a_line_end(tmp_path: Path) -> None:
    content = {"b": [1, 0.1, None], "a": {"é": True}}

    files.write_json(content, tmp_path / "x.json")

    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert files.read_json(tmp_path / "x.json") == content
    assert text.endswith("}\n")


def test_a_missing_or_broken_result_is_named_with_the_cure_and_disk_errors_are_raised(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(GreedymmError, match=rf"{path} is missing; make it with: snakemake"):
        files.read(path, files.read_json)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(GreedymmError, match=rf"{path} is broken (?s:.*)Delete it and run again"):
        files.read(path, files.read_json)
    with pytest.raises(IsADirectoryError):
        files.read(tmp_path, files.read_json)
    path.write_text("[1]", encoding="utf-8")
    assert files.read(path, files.read_json) == [1]


def test_in_a_copy_of_dvc_a_path_that_git_ignores_is_that_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    (copy / "tracked").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    for folder, expected in ((copy, tmp_path / "data"), (tmp_path, Path("data"))):
        monkeypatch.chdir(folder)
        assert in_project(Path("data")) == expected
    monkeypatch.chdir(copy)
    assert in_project(Path("tracked")) == Path("tracked")
    assert in_project(tmp_path / "elsewhere") == tmp_path / "elsewhere"
