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

import py7zr
import pytest

from greedymm.data.sources.archives import unpack
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


# -- 7z files in parts --------------------------------------------------------------------------------------


def seven(files: dict[str, bytes], password: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password=password) as file:
        for name, content in files.items():
            file.writestr(content, name)
    return buffer.getvalue()


def parts(content: bytes, place: Path, volume: int) -> list[Path]:
    """Put an archive there in parts of so many bytes; the first one is that to unpack."""
    paths = []
    for k, start in enumerate(range(0, len(content), volume), start=1):
        paths.append(place / f"objects.7z.{k:03d}")
        paths[-1].write_bytes(content[start : start + volume])
    return paths


NOISE = FILES | {"objects/cup/train/3.off": random.Random(0).randbytes(900)}  # noqa: S311
NO_WHOLE = "and the parts beside it are no whole 7z archive"


def refuse_parts(archives: list[Path], place: Path, reason: str) -> str:
    """Make sure that an archive is refused, and that its parts are all that is there afterwards; the message."""
    with pytest.raises(GreedymmError, match=reason) as raised:
        unpack(place / "objects.7z.001", place / "objects")

    found = [path for path in place.parent.parent.rglob("*") if not path.is_dir() or path.is_symlink()]
    assert sorted(found) == sorted(place.iterdir()) == sorted(archives)
    return str(raised.value)


@pytest.mark.parametrize("volume", [40, 100, 333, 500, 10_000])
def test_an_archive_in_parts_is_unpacked_from_the_first_of_them(volume: int, place: Path) -> None:
    archives = parts(seven(NOISE), place, volume)

    unpack(archives[0], place / "objects")

    assert contents(place / "objects") == NOISE
    assert sorted(path.name for path in place.iterdir()) == ["objects", *(path.name for path in archives)]


def test_it_does_not_matter_where_one_part_ends_and_the_next_begins(place: Path) -> None:
    content = seven(FILES)

    for volume in range(len(content) // 2, len(content)):
        unpack(parts(content, place, volume)[0], place / "objects")
        assert contents(place / "objects") == FILES
        shutil.rmtree(place / "objects")


@pytest.mark.parametrize("gone", range(4))
def test_a_missing_part_is_named_with_what_to_do(gone: int, place: Path) -> None:
    archives = parts(seven(NOISE), place, 300)
    assert len(archives) == 4
    archives.pop(gone).unlink()

    message = refuse_parts(archives, place, NO_WHOLE)

    assert ("the last part missing" if gone == 3 else f"part {gone + 1:03d} is missing") in message
    assert "Put the missing parts there" in message


def test_two_parts_in_each_others_place_are_refused(place: Path) -> None:
    archives = parts(seven(NOISE), place, 300)
    first, second = archives[1].read_bytes(), archives[2].read_bytes()
    archives[1].write_bytes(second)
    archives[2].write_bytes(first)

    refuse_parts(archives, place, NO_WHOLE)


@pytest.mark.parametrize("content", NONE.values(), ids=NONE)
def test_a_part_that_is_no_archive_is_refused(content: bytes, place: Path) -> None:
    refuse_parts(parts(content or b"7z", place, 1000), place, NO_WHOLE)


def test_no_beginning_of_the_last_part_passes_for_the_whole(place: Path) -> None:
    archives = parts(seven(FILES), place, 100)
    last = archives[-1].read_bytes()

    for length in range(len(last)):
        archives[-1].write_bytes(last[:length])
        refuse_parts(archives, place, NO_WHOLE)


def test_no_flipped_byte_of_any_part_changes_a_file_in_silence(place: Path) -> None:
    whole, draws = seven(FILES), random.Random(0)  # noqa: S311

    refused = 0
    for at in range(0, len(whole), 2):
        archives = parts(whole[:at] + bytes([whole[at] ^ draws.randrange(1, 256)]) + whole[at + 1 :], place, 100)
        try:
            unpack(archives[0], place / "objects")
        except GreedymmError:
            refused += 1
            assert sorted(place.iterdir()) == archives
        else:
            assert set(contents(place / "objects").values()) <= set(FILES.values())
            shutil.rmtree(place / "objects")

    assert refused > len(whole) / 2 * 0.9


@pytest.mark.parametrize("name", ["..\\out.off", "objects\\..\\..\\out.off", "C:\\out.off"])
def test_a_path_out_of_the_folder_is_refused_in_parts_as_well(name: str, place: Path) -> None:
    archives = parts(seven(FILES | {name: b"out"}), place, 100)

    message = refuse_parts(archives, place, "leads out of the folder")

    assert name.replace("\\", "/") in message


@pytest.mark.parametrize("target", ["README", "/dev/null"])
def test_links_in_a_7z_file_are_refused(target: str, place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("links")
    (elsewhere / "README").write_bytes(b"x")
    (elsewhere / "link.off").symlink_to(elsewhere / target)
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as file:
        file.write(elsewhere / "README", "README")
        file.write(elsewhere / "link.off", "objects/link.off")

    refuse_parts(parts(buffer.getvalue(), place, 100), place, "'objects/link.off' in it is a link or a device")


def test_an_encrypted_7z_file_is_refused(place: Path) -> None:
    refuse_parts(parts(seven(FILES, password="secret"), place, 100), place, NO_WHOLE)  # noqa: S106
