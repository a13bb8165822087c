"""Archives of others -> folders, safely: nothing outside of the folder, no link, no device."""

import errno
import io
import logging
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from greedymm.data.sources.download import download
from greedymm.errors import GreedymmError
from greedymm.files import sha256, write_text

CHUNK = 2**20
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError)
# Of errors of the system, those that a corrupt archive causes; the others are the disk's, which may be full.
CORRUPT = {None, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}

log = logging.getLogger(__name__)


def obtain_unpacked(archive: Path, mirrors: Sequence[str]) -> tuple[Path, str]:
    """Folder of what is in an archive, beside it, and the archive's SHA-256.

    The archive is downloaded when it is missing, and unpacked once. Its authors publish no hash: the first one that
    could be unpacked is recorded beside it, in the form of `sha256sum`, and every later one must be the same.

    Args:
        archive: where it is, or is to be.
        mirrors: addresses to which its name is added, tried in this order.

    Raises:
        GreedymmError: if no mirror delivers it, if it is another one than that first seen, or if it is broken.
    """
    record, folder = archive.with_name(f"{archive.name}.sha256"), archive.with_name(archive.name.split(".")[0])
    first = record.read_text(encoding="utf-8").split()[0] if record.exists() else None
    if first and folder.exists() and not archive.exists():  # unpacked, then deleted to save space
        return folder, first
    if not archive.exists():
        download(archive.name, first and f"sha256:{first}", archive.parent, mirrors, "as it is")
    found = sha256(archive)
    if first and found != first:
        raise GreedymmError(
            f"{archive} is another file than the one first seen: its SHA-256 is {found}, that in {record.name} {first}."
            f"\n  If it is meant to be another one, delete {record} and {folder}, and raise data.edition;"
            " else delete the archive.\n  Then run again."
        )
    if not folder.exists():
        log.info("unpacking %s", archive)
        unpack(archive, folder)
    if not first:
        write_text(record, f"{found}  {archive.name}\n")
    return folder, found


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip file, or the parts of a 7z archive, into a folder that is whole once it is there.

    Raises:
        GreedymmError: if the archive is truncated or corrupt, or holds anything but files and folders within it;
            nothing is left of it then.
    """
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)  # of a run that was killed
    beside.mkdir(parents=True)
    try:
        _reader(archive)(archive, beside)
        if not any(beside.iterdir()):  # as of zeros, which tar takes for its end
            raise EOFError("nothing is in it")
        beside.replace(folder)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno not in CORRUPT:
            raise
        raise GreedymmError(
            f"{archive} is no whole tar or zip archive ({error})."
            "\n  Delete it, or put the right one there, and run again."
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _reader(archive: Path) -> Callable[[Path, Path], None]:
    if archive.name.endswith(".7z.001"):
        return _unpack_7z
    return _unzip if archive.suffix == ".zip" else _untar


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        for member in file:
            if not (member.isfile() or member.isdir()):
                raise _refused(archive, member.name, "is a link or a device")
            _check(archive, member.name)
            file.extract(member, folder, filter="data")
        while file.fileobj and file.fileobj.read(CHUNK):  # to its end: only there gzip compares the checksum
            pass


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)  # of the Unix mode; 0 where another system wrote it
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _refused(archive, member.filename, "is a link or a device")
            _check(archive, member.filename)
            file.extract(member, folder)


def _unpack_7z(archive: Path, folder: Path) -> None:
    """Of an archive in parts the first one is named; the others stand beside it."""
    import multivolumefile
    from py7zr import SevenZipFile
    from py7zr.exceptions import ArchiveError, PasswordRequired

    parts = {int(path.suffix[1:]) for path in archive.parent.glob(f"{archive.stem}.*") if path.suffix[1:].isdecimal()}
    if gaps := set(range(1, max(parts, default=1))) - parts:
        raise _no_whole(archive, f"part {min(gaps):03d} is missing")
    # Buffered: read by itself, a volume's end would pass for the end of what is wanted.
    opened: Any = io.BufferedReader(multivolumefile.open(archive.with_suffix(""), "rb"))
    try:
        with opened, SevenZipFile(opened) as file:
            for member in file.list():
                if not (member.is_file or member.is_directory):
                    raise _refused(archive, member.filename, "is a link or a device")
                _check(archive, member.filename)
            file.extractall(folder)  # noqa: S202  no tar file, and its names were looked at
    except (ArchiveError, PasswordRequired, *BROKEN) as error:
        if isinstance(error, OSError):
            raise
        raise _no_whole(archive, f"is the last part missing? {error}") from None


def _no_whole(archive: Path, why: str) -> GreedymmError:
    return GreedymmError(
        f"{archive} and the parts beside it are no whole 7z archive ({why})."
        "\n  Put the missing parts there, get broken ones anew, and run again."
    )


def _check(archive: Path, name: str) -> None:
    place = PureWindowsPath(name)  # its separators are those of all systems
    if place.anchor or ".." in place.parts:
        raise _refused(archive, name, "leads out of the folder")


def _refused(archive: Path, name: str, why: str) -> GreedymmError:
    return GreedymmError(
        f"{archive} is not unpacked: '{name}' in it {why}.\n  Get the archive anew from its authors, and run again."
    )
