"""Mirrors -> verified files and unpacked archives. No file is written outside of the archive's folder."""

import errno
import gzip
import hashlib
import io
import logging
import lzma
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar

from greedymm.data.samples import most_bytes
from greedymm.errors import GreedymmError
from greedymm.files import sha256, write_text


class UnsafeError(Exception):
    """Why an archive is not unpacked, although it may be complete."""


BROKEN = (UnsafeError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
          ValueError, OSError)  # fmt: skip
# Numbers of OSErrors that a corrupt archive causes; any other one is an error of the disk.
CORRUPT = {None, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
GZIP = b"\x1f\x8b"  # first bytes
MAX_FILES = 5_000_000  # in an archive
# Headers of a tar file whose content is read at once: names and other facts of the next file.
EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
MAX_HEADER = 2**20  # bytes

Member = TypeVar("Member")

log = logging.getLogger(__name__)


def fetch(path: Path, gzipped_md5: str, content_md5: str, mirrors: Sequence[str]) -> bytes:
    """Content of a file, gzipped or not; if it is missing, it is downloaded.

    Raises:
        GreedymmError: if the content has another MD5, or if no mirror delivers the file.
    """
    if not path.exists():
        download(path, f"md5:{gzipped_md5}", mirrors)
    content = read_gzipped(path)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != content_md5:
        raise GreedymmError(
            f"{path} is truncated or another file: its content has MD5 {md5}, expected {content_md5}.\n"
            "  Delete it and run again. For data of your own, set data.folder to their folder."
        )
    return content


def read_gzipped(path: Path) -> bytes:
    """Content of a file, which may be gzipped, whatever its name.

    Raises:
        GreedymmError: if it is gzipped and broken.
    """
    content = path.read_bytes()
    if not content.startswith(GZIP):
        return content
    try:
        return gunzip(content)
    except (EOFError, gzip.BadGzipFile, zlib.error, UnsafeError) as error:
        raise GreedymmError(f"{path} is truncated or broken ({error}).\n  Delete it and run again.") from None


def gunzip(content: bytes) -> bytes:
    """Decompressed content, unless it is larger than any real data set."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        unpacked = file.read(most_bytes(len(content)) + 1)
    _check_size(len(unpacked), len(content))
    return unpacked


def download(path: Path, expected: str | None, mirrors: Sequence[str]) -> None:
    """Download a file from the first mirror that has it with the expected hash, `md5:...`; None: any hash.

    Raises:
        GreedymmError: if no mirror delivers it. The message has the reason of each.
    """
    import pooch
    import requests

    lines = [f"{path} is missing, and no mirror delivered it:"]
    # A broken transfer leaves nothing behind: pooch writes to a temporary file, verifies and renames it.
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(10, 60))  # seconds
    for mirror in mirrors:
        log.info("downloading %s from %s", path.name, mirror)
        shelf = pooch.create(path.parent, mirror, registry={path.name: expected}, retry_if_failed=1)
        try:
            shelf.fetch(path.name, downloader=downloader)
        except (requests.RequestException, ValueError) as error:  # ValueError: another hash
            lines.append(f"  {mirror}: {str(error).splitlines()[0]}")
            log.warning("not delivered:%s", lines[-1])
        else:
            return
    raise GreedymmError("\n".join([*lines, "  Put it there yourself and run again."]))


def fetch_unpacked(archive: Path, mirrors: Sequence[str]) -> tuple[Path, str]:
    """Folder of an archive's content, beside the archive, and the archive's SHA-256.

    A missing archive is downloaded, and each is unpacked once. The authors publish no hash. So the hash of the first
    archive that could be unpacked is recorded beside it, in the form of `sha256sum`; later ones must be the same.

    Raises:
        GreedymmError: if the archive cannot be downloaded or unpacked, or if it has another hash than recorded.
    """
    record, folder = archive.with_name(f"{archive.name}.sha256"), archive.with_name(archive.name.split(".")[0])
    recorded = record.read_text(encoding="utf-8").split()[0] if record.exists() else None
    if recorded and folder.exists() and not archive.exists():  # unpacked, then deleted to save space
        return folder, recorded
    if not archive.exists():
        download(archive, recorded and f"sha256:{recorded}", mirrors)
    digest = sha256(archive)
    if recorded and digest != recorded:
        raise GreedymmError(
            f"{archive} has changed: its SHA-256 is {digest}, but {record.name} has {recorded}."
            f"\n  To use the new archive, delete {record} and {folder} and raise data.edition."
            "\n  Otherwise delete the archive. Then run again."
        )
    if not folder.exists():
        unpack(archive, folder)
    if not recorded:
        write_text(record, f"{digest}  {archive.name}\n")
    return folder, digest


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip file, or a 7z archive in parts (its first part is given); the folder is complete or absent.

    An archive is refused if it is truncated or corrupt, or has a link, a device or a path out of the folder. It is also
    refused if it unpacks into far more bytes or files than real data sets do.
    """
    log.info("unpacking %s", archive)
    tmp = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(tmp, ignore_errors=True)  # of a run that was killed
    tmp.mkdir(parents=True)
    unpackers = {".zip": _unpack_zip, ".001": _unpack_7z}
    try:
        unpackers.get(archive.suffix, _unpack_tar)(archive, tmp)
        if not any(tmp.iterdir()):  # tar takes zeros for its end
            raise EOFError("it is empty")
        tmp.replace(folder)
    except BROKEN as error:
        if getattr(error, "errno", None) not in CORRUPT:
            raise
        reason, cure = str(error) or type(error).__name__, "Replace it by a complete and safe archive and run again."
        raise GreedymmError(f"{archive} cannot be unpacked ({reason.splitlines()[0]}).\n  {cure}") from None
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def _check_size(size: int, packed: int) -> None:
    if size > most_bytes(packed):
        raise UnsafeError(f"it unpacks into more than {most_bytes(packed):,} bytes, from {packed:,}: no data set does")


def _limited(members: Iterable[Member], size_of: Callable[[Member], int], packed: int) -> Iterator[Member]:
    """Yield the members of an archive of `packed` bytes, up to one with which it has too many bytes or files."""
    total = 0
    for count, member in enumerate(members, start=1):
        total += size_of(member)
        _check_size(total, packed)
        if count > MAX_FILES:
            raise UnsafeError(f"it has more than {MAX_FILES:,} files: no data set does")
        yield member


class _Header(tarfile.TarInfo):
    """A header of a tar file, refused if what is read at once with it would fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in EXTENDED and header.size > MAX_HEADER:
            raise UnsafeError(f"a header has {header.size:,} bytes: no data set has one")
        return header


def _unpack_tar(archive: Path, folder: Path) -> None:
    packed = archive.stat().st_size
    with tarfile.open(archive, tarinfo=_Header) as file:
        file.extractall(folder, _limited(file, lambda member: member.size, packed), filter=_plain_file)  # noqa: S202  filtered
        while file.fileobj and file.fileobj.read(2**20):  # gzip compares the checksum at the end only
            _check_size(file.fileobj.tell(), packed)


def _plain_file(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    if not (member.isfile() or member.isdir()):
        raise tarfile.SpecialFileError(member)
    return tarfile.data_filter(member, folder)


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        # No member becomes larger than its header says.
        for member in _limited(file.infolist(), lambda member: member.file_size, archive.stat().st_size):
            name = member.filename  # `extractall` would move such a file into the folder
            if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise UnsafeError(f"'{name}' leads out of the folder, or is no name")
        file.extractall(folder)  # noqa: S202  names are checked, and it writes no links


def _unpack_7z(archive: Path, folder: Path) -> None:
    import multivolumefile
    from py7zr import SevenZipFile
    from py7zr.exceptions import ArchiveError, PasswordRequired

    parts = {int(path.suffix[1:]): path for path in archive.parent.glob(f"{archive.stem}.[0-9][0-9][0-9]")}
    packed = sum(part.stat().st_size for part in parts.values())
    # Buffered: a plain read ends at the end of a part.
    volumes: Any = io.BufferedReader(multivolumefile.open(archive.with_suffix(""), "rb"))
    try:
        with volumes, SevenZipFile(volumes) as file:
            for member in _limited(file.list(), lambda member: member.uncompressed, packed):
                if not (member.is_file or member.is_directory):
                    raise UnsafeError(f"'{member.filename}' is a link or a device")
            file.extractall(folder)  # noqa: S202  py7zr refuses paths out of the folder
    except (ArchiveError, PasswordRequired, EOFError, ValueError, lzma.LZMAError, RuntimeError) as error:
        missing = [f"{archive.stem}.{number:03d}" for number in range(1, max(parts)) if number not in parts]
        absent = ", ".join(missing) or f"a part after {archive.stem}.{max(parts):03d}"
        raise EOFError(f"{absent} is missing{'' if missing else ', or a part is corrupt'}: {error}") from None
