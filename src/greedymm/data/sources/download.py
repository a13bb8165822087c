"""Mirrors -> verified files in a folder."""

import gzip
import hashlib
import logging
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from greedymm.errors import GreedymmError

log = logging.getLogger(__name__)

CONNECT_SECONDS, READ_SECONDS = 10, 60
ATTEMPTS = 2  # of each mirror


class RemoteFile(NamedTuple):
    """A gzipped file on mirrors, with the MD5 of the download and of its content."""

    name: str
    md5: str
    content_md5: str

    @property
    def unpacked(self) -> str:
        return self.name.removesuffix(".gz")


def fetch(file: RemoteFile, folder: Path, mirrors: Sequence[str]) -> bytes:
    """Content of a file in the folder, gzipped or not; it is downloaded if it is missing.

    Args:
        file: its name and hashes.
        folder: made if it does not exist.
        mirrors: addresses to which the file's name is added, tried in this order.

    Raises:
        GreedymmError: if the existing file has another content, or if no mirror delivers it.
    """
    path = folder / (file.unpacked if (folder / file.unpacked).exists() else file.name)
    if not path.exists():
        form = f"gzipped or not (MD5 of its content {file.content_md5})"
        download(file.name, f"md5:{file.md5}", folder, mirrors, form)
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise GreedymmError(f"{path} is truncated or corrupt ({error}).\n  Delete it and run again.") from None
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != file.content_md5:
        raise GreedymmError(
            f"{path} is not the expected file: its content has MD5 {md5}, expected {file.content_md5}.\n"
            "  Delete it and run again."
        )
    return content


def download(name: str, expected: str | None, folder: Path, mirrors: Sequence[str], form: str) -> None:
    """Download a file into a folder.

    Args:
        name: of the file.
        expected: its hash, as `md5:...`; None: unknown.
        folder: made if it does not exist.
        mirrors: addresses to which the name is added, tried in this order.
        form: in which the user may put it there, for the error message.

    Raises:
        GreedymmError: if no mirror delivers it.
    """
    import pooch
    import requests

    refusals = []
    # A broken transfer leaves nothing behind: pooch writes to a temporary file, verifies and renames it.
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(CONNECT_SECONDS, READ_SECONDS))
    for mirror in mirrors:
        log.info("downloading %s from %s", name, mirror)
        shelf = pooch.create(folder, base_url=mirror, registry={name: expected}, retry_if_failed=ATTEMPTS - 1)
        try:
            shelf.fetch(name, downloader=downloader)
        except (requests.RequestException, ValueError) as error:  # ValueError: another hash
            reason = str(error).splitlines()[0]
            log.warning("%s did not deliver %s: %s", mirror, name, reason)
            refusals.append(f"  {mirror}: {reason}")
        else:
            return
    lines = [f"{name} is not in {folder}, and no mirror delivered it:", *refusals]
    raise GreedymmError("\n".join([*lines, f"  Put it there yourself, {form}, and run again."]))
