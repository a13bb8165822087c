"""Archives made here, of all kinds, good and bad."""

import errno
import gzip
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import py7zr
import pytest

from greedymm.data import samples
from greedymm.data.sources import archives
from greedymm.data.sources.archives import unpack
from greedymm.errors import GreedymmError

FILES = {"objects/cup/train/1.off": b"a cup " * 20, "objects/cup/test/2.off": b"", "README": b"cups\n"}


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
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def seven(files: dict[str, bytes], password: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password=password) as file:
        for name, content in files.items():
            file.writestr(content, name)
    return buffer.getvalue()


Make = Callable[[dict[str, bytes]], bytes]
KINDS: dict[str, tuple[str, Make]] = {
    "tar": ("objects.tar.gz", tarred),
    "zip": ("objects.zip", zipped),
    "7z": ("objects.7z.001", seven),
}
kinds = pytest.mark.parametrize(("name", "make"), KINDS.values(), ids=KINDS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder two levels within `tmp_path`, so that a path out of it stays in `tmp_path` and is seen."""
    folder = tmp_path / "data" / "raw"
    folder.mkdir(parents=True)
    return folder


def refuse(content: bytes | list[bytes], name: str, raw: Path, reason: str) -> None:
    """Make sure that an archive, or its parts, are refused and that nothing else exists afterwards."""
    names = [name] if isinstance(content, bytes) else [f"{name[:-1]}{k}" for k in range(1, len(content) + 1)]
    for part, bytes_ in zip(names, [content] if isinstance(content, bytes) else content, strict=True):
        (raw / part).write_bytes(bytes_)
    present = sorted(raw.iterdir())

    with pytest.raises(GreedymmError, match=f"{raw / name} cannot be unpacked .*{reason}(?s:.*)run again"):
        unpack(raw / name, raw / "objects")

    assert sorted(raw.iterdir()) == present
    assert sorted(path for path in raw.parent.parent.rglob("*") if path.is_symlink() or path.is_file()) == present


# -- Unpacked -----------------------------------------------------------------------------------------------


@kinds
def test_all_files_and_nothing_that_a_killed_run_left_are_in_the_folder(name: str, make: Make, raw: Path) -> None:
    (raw / name).write_bytes(make(FILES))
    left = raw / ".objects.part" / "objects"
    left.mkdir(parents=True)
    (left / "half.off").write_bytes(b"OFF")

    unpack(raw / name, raw / "objects")

    assert contents(raw / "objects") == FILES
    assert sorted(path.name for path in raw.iterdir()) == ["objects", name]


def test_empty_folders_and_hidden_files_are_unpacked_and_no_mode_is_unsafe(raw: Path) -> None:
    folder, tool = tarfile.TarInfo("objects/none"), tarfile.TarInfo("tool")
    folder.type, folder.mode, tool.mode, tool.uid = tarfile.DIRTYPE, 0o000, 0o6777, 0
    hidden = tarfile.TarInfo("./objects/._1.off")
    (raw / "objects.tar.gz").write_bytes(tar((folder, b""), (hidden, b"x"), (tool, b"#!/bin/sh\n")))

    unpack(raw / "objects.tar.gz", raw / "objects")

    assert contents(raw / "objects") == {"objects/._1.off": b"x", "tool": b"#!/bin/sh\n"}
    assert list((raw / "objects" / "objects" / "none").iterdir()) == []
    status = (raw / "objects" / "tool").stat()
    assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)
    assert status.st_uid == os.getuid()


@pytest.mark.parametrize("volume", [40, 333, 10_000])
def test_a_7z_archive_in_parts_is_unpacked_from_its_first_part(volume: int, raw: Path) -> None:
    files = FILES | {"objects/cup/train/3.off": random.Random(0).randbytes(900)}  # noqa: S311
    content = seven(files)
    for k, start in enumerate(range(0, len(content), volume), start=1):
        (raw / f"objects.7z.{k:03d}").write_bytes(content[start : start + volume])

    unpack(raw / "objects.7z.001", raw / "objects")

    assert contents(raw / "objects") == files


# -- Refused ------------------------------------------------------------------------------------------------


@kinds
def test_a_path_out_of_the_folder_is_refused(name: str, make: Make, raw: Path) -> None:
    # py7zr writes no path with "..", unless it is written in Windows' way.
    up = ["..\\out.off", "a\\..\\..\\out.off"] if make is seven else ["../out.off", "a/../../out.off"]
    for path in up:
        refuse(make(FILES | {path: b"out"}), name, raw, "")


def test_an_absolute_path_is_refused_in_a_zip_file_and_made_relative_in_a_tar_file(raw: Path) -> None:
    files = FILES | {f"{raw}/out.off": b"out"}
    refuse(zipped(files), "objects.zip", raw, "'.*out.off' leads out of the folder")
    (raw / "objects.tar.gz").write_bytes(tarred(files))

    unpack(raw / "objects.tar.gz", raw / "objects")

    assert sorted(path.name for path in raw.iterdir()) == ["objects", "objects.tar.gz", "objects.zip"]


def test_links_and_devices_in_a_tar_file_are_refused(raw: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE):
        for target in ("README", "../../out.off"):
            info = tarfile.TarInfo("objects/link.off")
            info.type, info.linkname = kind, target
            refuse(tar((tarfile.TarInfo("README"), b"x"), (info, b"")), "objects.tar.gz", raw, "objects/link.off.*")


def test_a_link_in_a_zip_file_is_unpacked_as_a_file_and_one_in_a_7z_file_is_refused(raw: Path, tmp_path: Path) -> None:
    info, buffer = zipfile.ZipInfo("link.off"), io.BytesIO()
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16  # 3: Unix
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(info, "../../out.off")
    (raw / "objects.zip").write_bytes(buffer.getvalue())
    unpack(raw / "objects.zip", raw / "objects")
    assert not (raw / "objects" / "link.off").is_symlink()
    shutil.rmtree(raw)
    raw.mkdir()

    (tmp_path / "link.off").symlink_to("/dev/null")
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as seven_zip:
        seven_zip.write(tmp_path / "link.off", "link.off")
    (tmp_path / "link.off").unlink()
    refuse(buffer.getvalue(), "objects.7z.001", raw, "'link.off' is a link")


@kinds
def test_files_that_are_not_archives_and_every_truncated_archive_are_refused(name: str, make: Make, raw: Path) -> None:
    whole = make(FILES)

    for content in (b"", b"<html><body>Moved</body></html>", bytes(2000), b"OFF\n4 2 0\n"):
        refuse(content, name, raw, "")
    for length in range(0, len(whole), 7):
        refuse(whole[:length], name, raw, "")
    refuse(whole[:-1], name, raw, "")


@pytest.mark.slow
@kinds
def test_no_changed_byte_changes_a_file_in_silence(name: str, make: Make, raw: Path) -> None:
    whole, archive, folder = make(FILES), raw / name, raw / "objects"
    generator = random.Random(0)  # noqa: S311

    refused = 0
    for at in range(len(whole)):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ generator.randrange(1, 256)]) + whole[at + 1 :])
        try:
            unpack(archive, folder)
        except GreedymmError:
            refused += 1
            assert list(raw.iterdir()) == [archive]
        else:
            assert set(contents(folder).values()) <= set(FILES.values())
            shutil.rmtree(folder)

    assert refused > len(whole) / 3  # the others are dates and the like


def test_a_wrong_checksum_of_a_tar_file_is_refused(raw: Path) -> None:
    whole = tarred(FILES)

    refuse(whole[:-8] + bytes(4) + whole[-4:], "objects.tar.gz", raw, "CRC")


def test_encrypted_archives_are_refused(raw: Path) -> None:
    whole = bytearray(zipped({"a.off": b"OFF"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(signature) + flags] |= 1

    refuse(bytes(whole), "objects.zip", raw, "encrypted")
    (raw / "objects.zip").unlink()
    refuse(seven(FILES, password="secret"), "objects.7z.001", raw, "or a part is corrupt")  # noqa: S106


@pytest.mark.parametrize(("name", "make"), [KINDS["tar"], KINDS["zip"]], ids=["tar", "zip"])
def test_a_file_that_is_a_folder_as_well_is_refused(name: str, make: Make, raw: Path) -> None:
    refuse(make({"objects": b"x", "objects/1.off": b"x"}), name, raw, "")


def test_missing_and_swapped_parts_of_a_7z_archive_are_refused(raw: Path) -> None:
    content = seven(FILES | {"objects/cup/train/3.off": random.Random(0).randbytes(900)})  # noqa: S311
    parts = [content[start : start + 300] for start in range(0, len(content), 300)]
    assert len(parts) == 4

    refuse(parts[:3], "objects.7z.001", raw, r"a part after objects\.7z\.003 is missing, or a part is corrupt")
    refuse([parts[0], parts[2], parts[1], parts[3]], "objects.7z.001", raw, "or a part is corrupt")
    (raw / "objects.7z.002").unlink()
    with pytest.raises(GreedymmError, match=r"objects\.7z\.002 is missing"):
        unpack(raw / "objects.7z.001", raw / "objects")


def test_a_full_disk_is_not_blamed_on_the_archive(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (raw / "objects.zip").write_bytes(zipped(FILES))
    monkeypatch.setattr("zipfile.shutil.copyfileobj", full)

    with pytest.raises(OSError, match="No space left"):
        unpack(raw / "objects.zip", raw / "objects")

    assert [path.name for path in raw.iterdir()] == ["objects.zip"]


# -- Bombs --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "ALWAYS_ALLOWED", 10_000)
    monkeypatch.setattr(archives, "MAX_FILES", 3)


@pytest.mark.usefixtures("small_limits")
@kinds
def test_an_archive_that_unpacks_into_far_more_bytes_or_files_than_data_sets_is_refused(
    name: str, make: Make, raw: Path
) -> None:
    refuse(make({"one": bytes(10**6)}), name, raw, "unpacks into more than .* bytes")
    refuse(make({"one": bytes(10**6), "two": b""}), name, raw, "unpacks into more than .* bytes")
    refuse(make({str(k): bytes(5 * 10**5) for k in range(3)}), name, raw, "unpacks into more than .* bytes")
    refuse(make(FILES | {"another": b""}), name, raw, "has more than 3 files")


@pytest.mark.usefixtures("small_limits")
def test_a_tar_file_whose_header_or_end_is_a_bomb_is_refused(raw: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        header = tarfile.TarInfo("header")
        header.type, header.size = kind, 2**30  # of which no byte follows
        refuse(gzip.compress(header.tobuf()), "objects.tar.gz", raw, "a header has 1,073,741,824 bytes")
    refuse(gzip.compress(gzip.decompress(tarred({"one": b"x"})) + bytes(10**7)), "objects.tar.gz", raw, "unpacks into")
    sparse = tarfile.TarInfo("sparse")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 2**40
    refuse(gzip.compress(sparse.tobuf() + bytes(1024)), "objects.tar.gz", raw, "")


@pytest.mark.usefixtures("small_limits")
def test_a_gzipped_file_that_is_a_bomb_is_refused() -> None:
    assert archives.gunzip(gzip.compress(bytes(9000))) == bytes(9000)
    with pytest.raises(archives.UnsafeError, match="unpacks into more than 200,600 bytes"):
        archives.gunzip(gzip.compress(bytes(10**6)))
