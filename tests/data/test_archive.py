"""Archives made here, of both kinds, good and bad."""

import errno
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from greedymm.data.archive import unpack
from greedymm.errors import GreedymmError

FILES = {"objects/cup/train/1.off": b"a cup " * 20, "objects/cup/test/2.off": b"", "README": b"cups\n"}
NAMES = {"tar": "objects.tar.gz", "zip": "objects.zip"}


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for info, content in members:
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    return tar(*((tarfile.TarInfo(name), content) for name, content in files.items()))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


MAKE: dict[str, Callable[[dict[str, bytes]], bytes]] = {"tar": tarred, "zip": zipped}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder two levels within `tmp_path`, so that what leads out of it still stays there, and is seen."""
    folder = tmp_path / "data" / "raw"
    folder.mkdir(parents=True)
    return folder


def refuse(content: bytes, kind: str, place: Path, reason: str) -> str:
    """Make sure that an archive is refused, and that it is all that is there afterwards; the message."""
    archive = place / NAMES[kind]
    archive.write_bytes(content)
    outermost = place.parent.parent

    with pytest.raises(GreedymmError, match=reason) as raised:
        unpack(archive, place / "objects")

    assert [path for path in outermost.rglob("*") if not path.is_dir() or path.is_symlink()] == [archive]
    assert list(place.iterdir()) == [archive]
    assert str(archive) in str(raised.value)
    return str(raised.value)


# -- Unpacked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKE)
def test_all_files_of_an_archive_are_unpacked_into_the_folder_and_nothing_else(kind: str, place: Path) -> None:
    (place / NAMES[kind]).write_bytes(MAKE[kind](FILES))

    unpack(place / NAMES[kind], place / "objects")

    assert contents(place / "objects") == FILES
    assert sorted(path.name for path in place.iterdir()) == ["objects", NAMES[kind]]


@pytest.mark.parametrize("kind", MAKE)
def test_what_a_killed_run_left_is_not_taken_for_content(kind: str, place: Path) -> None:
    (place / NAMES[kind]).write_bytes(MAKE[kind](FILES))
    left = place / ".objects.part" / "objects"
    left.mkdir(parents=True)
    (left / "half.off").write_bytes(b"OFF")

    unpack(place / NAMES[kind], place / "objects")

    assert contents(place / "objects") == FILES
    assert sorted(path.name for path in place.iterdir()) == ["objects", NAMES[kind]]


def test_folders_and_hidden_files_of_an_archive_are_unpacked(place: Path) -> None:
    folder = tarfile.TarInfo("objects/none")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o000
    (place / "objects.tar.gz").write_bytes(tar((folder, b""), (tarfile.TarInfo("./objects/._1.off"), b"x")))

    unpack(place / "objects.tar.gz", place / "objects")

    assert contents(place / "objects") == {"objects/._1.off": b"x"}
    assert list((place / "objects" / "objects" / "none").iterdir()) == []


def test_no_file_of_an_archive_is_executable_for_another_user_than_its_own(place: Path) -> None:
    info = tarfile.TarInfo("tool")
    info.mode, info.uid = 0o6777, 0
    (place / "objects.tar.gz").write_bytes(tar((info, b"#!/bin/sh\n")))

    unpack(place / "objects.tar.gz", place / "objects")

    found = (place / "objects" / "tool").stat()
    assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)
    assert found.st_uid == os.getuid()


# -- Leading out of the folder ------------------------------------------------------------------------------

OUT = {
    "up": "../out.off",
    "up and up": "objects/../../../out.off",
    "up at the end": "objects/..",
    "absolute": "/tmp/out.off",  # noqa: S108
    "Windows, up": "objects\\..\\..\\out.off",
    "Windows, absolute": "\\out.off",
    "Windows, a drive": "C:\\out.off",
    "Windows, on a drive": "C:out.off",
    "Windows, a share": "\\\\host\\share\\out.off",
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", OUT.values(), ids=OUT)
def test_a_path_that_leads_out_of_the_folder_is_refused_by_name(name: str, kind: str, place: Path) -> None:
    message = refuse(MAKE[kind](FILES | {name: b"out"}), kind, place, "leads out of the folder")

    assert f"'{name}'" in message
    assert not Path("/tmp/out.off").exists()  # noqa: S108


LINKS = {
    "symbolic link out": (tarfile.SYMTYPE, "../../out.off"),
    "symbolic link within": (tarfile.SYMTYPE, "README"),
    "hard link out": (tarfile.LNKTYPE, "../../out.off"),
    "hard link within": (tarfile.LNKTYPE, "README"),
    "fifo": (tarfile.FIFOTYPE, ""),
    "character device": (tarfile.CHRTYPE, ""),
    "block device": (tarfile.BLKTYPE, ""),
}


@pytest.mark.parametrize(("kind", "target"), LINKS.values(), ids=LINKS)
def test_links_and_devices_in_a_tar_file_are_refused(kind: bytes, target: str, place: Path) -> None:
    info = tarfile.TarInfo("objects/link.off")
    info.type, info.linkname = kind, target

    refuse(tar((tarfile.TarInfo("README"), b"x"), (info, b"")), "tar", place, "'objects/link.off' in it is a link or")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK], ids=oct)
def test_links_and_devices_in_a_zip_file_are_refused(mode: int, place: Path) -> None:
    info, buffer = zipfile.ZipInfo("objects/link.off"), io.BytesIO()
    info.create_system, info.external_attr = 3, (mode | 0o777) << 16  # 3: Unix
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("README", b"x")
        file.writestr(info, "../../out.off")

    refuse(buffer.getvalue(), "zip", place, "'objects/link.off' in it is a link or a device")


def test_nothing_is_written_through_a_link_that_the_archive_brings(place: Path) -> None:
    link = tarfile.TarInfo("objects")
    link.type, link.linkname = tarfile.SYMTYPE, str(place.parent)

    refuse(tar((link, b""), (tarfile.TarInfo("objects/out.off"), b"out")), "tar", place, "'objects' in it is a link")


# -- Broken -------------------------------------------------------------------------------------------------

NONE = {
    "empty": b"",
    "an error page": b"<html><body>Moved</body></html>",
    "zeros": bytes(2000),
    "text": b"OFF\n4 2 0\n",
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("content", NONE.values(), ids=NONE)
def test_what_is_no_archive_is_refused_with_what_to_do(content: bytes, kind: str, place: Path) -> None:
    message = refuse(content, kind, place, "is no whole tar or zip archive")

    assert "Delete it, or put the right one there, and run again" in message


@pytest.mark.parametrize("kind", MAKE)
def test_no_beginning_of_an_archive_passes_for_the_whole(kind: str, place: Path) -> None:
    whole = MAKE[kind](FILES)

    for length in range(len(whole)):
        refuse(whole[:length], kind, place, "is no whole tar or zip archive")


@pytest.mark.parametrize("kind", MAKE)
def test_no_flipped_byte_changes_a_file_in_silence(kind: str, place: Path) -> None:
    whole, archive, folder = MAKE[kind](FILES), place / NAMES[kind], place / "objects"
    draws = random.Random(0)  # noqa: S311

    refused = 0
    for at in range(len(whole)):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ draws.randrange(1, 256)]) + whole[at + 1 :])
        try:
            unpack(archive, folder)
        except GreedymmError:
            refused += 1
            assert list(place.iterdir()) == [archive]
        else:
            assert set(contents(folder).values()) <= set(FILES.values())
            shutil.rmtree(folder)

    assert refused > len(whole) / 3  # the others are dates and the like


def test_a_tar_file_whose_checksum_is_wrong_is_refused(place: Path) -> None:
    whole = tarred(FILES)
    assert int.from_bytes(whole[-8:-4], "little") == zlib.crc32(zlib.decompress(whole, wbits=31))

    refuse(whole[:-8] + bytes(4) + whole[-4:], "tar", place, "is no whole tar or zip archive")


def test_an_encrypted_zip_file_is_refused(place: Path) -> None:
    whole = bytearray(zipped({"a.off": b"OFF"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(signature) + flags] |= 1

    refuse(bytes(whole), "zip", place, "is no whole tar or zip archive .*encrypted")


@pytest.mark.parametrize("kind", MAKE)
def test_a_file_that_is_to_be_a_folder_as_well_is_refused(kind: str, place: Path) -> None:
    refuse(MAKE[kind]({"objects": b"x", "objects/1.off": b"x"}), kind, place, "is no whole tar or zip archive")


def test_where_the_disk_is_full_the_archive_is_not_blamed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = place / "objects.zip"
    archive.write_bytes(zipped(FILES))
    monkeypatch.setattr("zipfile.shutil.copyfileobj", full)

    with pytest.raises(OSError, match="No space left"):
        unpack(archive, place / "objects")

    assert list(place.iterdir()) == [archive]
