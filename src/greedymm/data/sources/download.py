"""Files of others -> files in a folder, each of them verified."""

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
    """A gzipped file that others keep: the MD5 of its download, and of its content."""

    name: str
    md5: str
    content_md5: str

    @property
    def unpacked(self) -> str:
        return self.name.removesuffix(".gz")


def obtain(file: RemoteFile, folder: Path, mirrors: Sequence[str]) -> bytes:
    """Content of a file: found in the folder, gzipped or not, or else downloaded into it.

    Args:
        file: what to look for.
        folder: where; made when it is missing.
        mirrors: addresses to which the file's name is added, tried in this order.

    Raises:
        GreedymmError: if the file that is there has another content, or if no mirror delivers it.
    """
    for name in (file.unpacked, file.name):
        if (folder / name).exists():
            return _verified(folder / name, file)
    by_hand = f"gzipped or not (MD5 of its content {file.content_md5})"
    download(file.name, f"md5:{file.md5}", folder, mirrors, by_hand)
    return _verified(folder / file.name, file)


def _verified(path: Path, file: RemoteFile) -> bytes:
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise GreedymmError(f"{path} is truncated or corrupt ({error}).\n  Delete it and run again.") from None
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != file.content_md5:
        raise GreedymmError(
            f"{path} is not the file it should be: its content has MD5 {found}, expected {file.content_md5}.\n"
            "  Delete it and run again."
        )
    return content


def download(name: str, known: str | None, folder: Path, mirrors: Sequence[str], by_hand: str) -> None:
    """Download a file into a folder; `known`: its hash, as `md5:...`, where that is known; `by_hand`: in which form."""
    import pooch
    import requests

    refusals = []
    # A broken transfer leaves nothing behind: pooch writes beside, verifies, renames, and starts again.
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(CONNECT_SECONDS, READ_SECONDS))
    for mirror in mirrors:
        log.info("downloading %s from %s", name, mirror)
        shelf = pooch.create(folder, base_url=mirror, registry={name: known}, retry_if_failed=ATTEMPTS - 1)
        try:
            shelf.fetch(name, downloader=downloader)
        except (requests.RequestException, ValueError) as error:  # ValueError: another hash than the known one
            reason = str(error).splitlines()[0]
            log.warning("%s did not deliver %s: %s", mirror, name, reason)
            refusals.append(f"  {mirror}: {reason}")
        else:
            return
    lines = [f"{name} is not in {folder}, and no mirror delivered it:", *refusals]
    raise GreedymmError("\n".join([*lines, f"  Put it there by hand, {by_hand}, and run again."]))
