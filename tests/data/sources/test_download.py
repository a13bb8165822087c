"""Downloads against mirrors on the loopback interface."""

import gzip
import hashlib
import io
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Self

import pytest

from greedymm.data.sources.archives import fetch, fetch_unpacked
from greedymm.errors import GreedymmError

CONTENT = b"digits, digits, digits " * 20
DOWNLOAD = gzip.compress(CONTENT, mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


FILE, HASHES = "digits.gz", (md5(DOWNLOAD), md5(CONTENT))


class Answer(NamedTuple):
    """What a mirror sends; `length` is what it says that the body has."""

    body: bytes
    status: int = 200
    length: int | None = None


RIGHT = Answer(DOWNLOAD)
ABSENT = Answer(b"", status=404)
WRONG = Answer(gzip.compress(b"other digits", mtime=0))
TRUNCATED = Answer(DOWNLOAD[:-5], length=len(DOWNLOAD))
BROKEN = {"404": ABSENT, "wrong content": WRONG, "truncated": TRUNCATED}
REASONS = {"404": "404", "wrong content": "hash", "truncated": "IncompleteRead", "refused": "refused"}


class Mirror:
    """A server that gives its answers one after the other, the last one from then on."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[str] = []
        waiting = list(answers)
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mnist/"
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


Serve = Callable[..., Mirror]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start mirrors that give these answers; all are stopped afterwards."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between two attempts
    with ExitStack() as running:
        yield lambda *answers: running.enter_context(Mirror(*answers))


@pytest.fixture
def refusing() -> str:
    """Address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}/mnist/"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- Files with a published hash ----------------------------------------------------------------------------


def test_a_file_in_the_folder_is_used_gzipped_or_not_and_no_mirror_is_asked(tmp_path: Path, serve: Serve) -> None:
    mirror = serve(RIGHT)
    stored = {"digits": CONTENT, "digits.gz": gzip.compress(CONTENT, compresslevel=1, mtime=1)}  # gzipped by a user
    for name, content in stored.items():
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / name).write_bytes(content)

        assert fetch(folder / name, *HASHES, [mirror.url]) == CONTENT

    assert mirror.asked == []


DAMAGED = {
    "last byte lost": ("digits.gz", DOWNLOAD[:-1], "truncated or"),
    "a byte flipped": (
        "digits.gz",
        DOWNLOAD[:15] + b"\0\0" + DOWNLOAD[17:],
        "truncated or",
    ),
    "no such block": ("digits.gz", DOWNLOAD[:10] + b"\x07" + DOWNLOAD[11:], "truncated or"),
    "an error page": ("digits.gz", b"<html>Not found</html>", "truncated or"),
    "other content, gzipped": ("digits.gz", WRONG.body, "truncated or"),
    "other content": ("digits", b"other digits", "truncated or"),
}


@pytest.mark.parametrize(("name", "stored", "what"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_in_the_folder_is_named_with_the_cure_and_kept(
    name: str, stored: bytes, what: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(stored)

    with pytest.raises(GreedymmError, match=rf"{path} is {what}(?s:.*)Delete it and run again"):
        fetch(path, *HASHES, [])

    assert path.read_bytes() == stored


def test_no_truncated_download_is_accepted(tmp_path: Path) -> None:
    for length in range(len(DOWNLOAD)):
        (tmp_path / "digits").write_bytes(DOWNLOAD[:length])
        with pytest.raises(GreedymmError, match="Delete it and run again"):
            fetch(tmp_path / "digits", *HASHES, [])


def test_a_missing_file_is_downloaded_once_from_the_first_mirror_that_delivers(
    tmp_path: Path, serve: Serve, refusing: str
) -> None:
    broken, good, unused = [serve(answer) for answer in BROKEN.values()], serve(RIGHT), serve(RIGHT)
    urls = [refusing, *(mirror.url for mirror in broken), good.url, unused.url]
    folder = tmp_path / "raw" / "mnist"

    for _ in range(2):
        assert fetch(folder / FILE, *HASHES, urls) == CONTENT

    assert all(mirror.asked for mirror in broken)
    assert (good.asked, unused.asked) == (["/mnist/digits.gz"], [])
    assert names(folder) == ["digits.gz"]
    assert (folder / "digits.gz").read_bytes() == DOWNLOAD


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_mirror_that_fails_once_is_asked_again(answer: Answer, tmp_path: Path, serve: Serve) -> None:
    mirror = serve(answer, RIGHT)

    assert fetch(tmp_path / FILE, *HASHES, [mirror.url]) == CONTENT
    assert len(mirror.asked) == 2
    assert names(tmp_path) == ["digits.gz"]


def test_if_all_mirrors_fail_each_is_listed_with_its_reason_and_the_cure(
    tmp_path: Path, serve: Serve, refusing: str
) -> None:
    urls = {name: serve(answer).url for name, answer in BROKEN.items()} | {"refused": refusing}

    with pytest.raises(GreedymmError) as raised:
        fetch(tmp_path / FILE, *HASHES, list(urls.values()))

    first, *lines, cure = str(raised.value).splitlines()
    assert first == f"{tmp_path / 'digits.gz'} is missing, and no mirror delivered it:"
    for line, (name, url) in zip(lines, urls.items(), strict=True):
        assert url in line
        assert REASONS[name] in line
    assert cure == "  Put it there yourself and run again."
    assert names(tmp_path) == []


# -- Archives without a published hash ----------------------------------------------------------------------


def tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        info = tarfile.TarInfo("objects/cup.off")
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE, OTHER = tarred(b"a cup " * 50), tarred(b"a mug " * 50)
HASH, OTHER_HASH = (hashlib.sha256(content).hexdigest() for content in (ARCHIVE, OTHER))
PAGE = b"<html><body>This site has moved.</body></html>"


def cup(folder: Path) -> bytes:
    return (folder / "objects" / "cup.off").read_bytes()


def test_an_archive_is_downloaded_and_unpacked_once_even_if_it_is_deleted_later(tmp_path: Path, serve: Serve) -> None:
    mirror, archive = serve(Answer(ARCHIVE)), tmp_path / "raw" / "cups.tar.gz"

    first = fetch_unpacked(archive, [mirror.url])
    assert cup(first[0]) == b"a cup " * 50
    (first[0] / "objects" / "cup.off").write_bytes(b"unpacked again, this would go")
    again = fetch_unpacked(archive, [mirror.url])
    archive.unlink()

    assert first == again == fetch_unpacked(archive, [mirror.url]) == (archive.with_name("cups"), HASH)
    assert cup(first[0]) == b"unpacked again, this would go"
    assert mirror.asked == ["/mnist/cups.tar.gz"]
    assert names(archive.parent) == ["cups", "cups.tar.gz.sha256"]


def test_the_hash_is_recorded_as_sha256sum_checks_it_and_a_deleted_folder_is_unpacked_again(tmp_path: Path) -> None:
    (tmp_path / "cups.tar.gz").write_bytes(ARCHIVE)
    folder, _ = fetch_unpacked(tmp_path / "cups.tar.gz", [])

    assert (tmp_path / "cups.tar.gz.sha256").read_text(encoding="utf-8") == f"{HASH}  cups.tar.gz\n"
    check = ["sha256sum", "--check", "--strict", "cups.tar.gz.sha256"]
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    shutil.rmtree(folder)
    assert cup(fetch_unpacked(tmp_path / "cups.tar.gz", [])[0]) == b"a cup " * 50


@pytest.mark.parametrize("unpacked", [True, False], ids=["unpacked before", "folder deleted"])
def test_another_archive_is_refused_with_both_hashes_until_the_record_and_the_folder_are_deleted(
    tmp_path: Path, *, unpacked: bool
) -> None:
    archive, record = tmp_path / "cups.tar.gz", tmp_path / "cups.tar.gz.sha256"
    archive.write_bytes(ARCHIVE)
    folder, _ = fetch_unpacked(archive, [])
    if not unpacked:
        shutil.rmtree(folder)
    before = record.read_bytes()
    archive.write_bytes(OTHER)

    with pytest.raises(GreedymmError, match=f"{archive} has changed") as raised:
        fetch_unpacked(archive, [])

    assert all(part in str(raised.value) for part in (HASH, OTHER_HASH, f"delete {record} and {folder}"))
    assert record.read_bytes() == before
    assert folder.exists() == unpacked
    record.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder, found = fetch_unpacked(archive, [])
    assert (cup(folder), found) == (b"a mug " * 50, OTHER_HASH)


def test_a_mirror_that_later_delivers_another_archive_is_refused_with_both_hashes(tmp_path: Path, serve: Serve) -> None:
    mirror, archive = serve(Answer(ARCHIVE), Answer(OTHER)), tmp_path / "cups.tar.gz"
    folder, _ = fetch_unpacked(archive, [mirror.url])
    archive.unlink()
    shutil.rmtree(folder)

    with pytest.raises(GreedymmError, match=f"no mirror delivered it(?s:.*){HASH}") as raised:
        fetch_unpacked(archive, [mirror.url])

    assert OTHER_HASH in str(raised.value)
    assert str(raised.value).endswith("  Put it there yourself and run again.")
    assert names(tmp_path) == ["cups.tar.gz.sha256"]


def test_a_page_instead_of_an_archive_is_named_and_neither_unpacked_nor_recorded(tmp_path: Path, serve: Serve) -> None:
    mirror, archive = serve(Answer(PAGE)), tmp_path / "cups.tar.gz"

    with pytest.raises(GreedymmError, match=f"{archive} cannot be unpacked"):
        fetch_unpacked(archive, [mirror.url])

    assert names(tmp_path) == ["cups.tar.gz"]  # to look at
    archive.write_bytes(ARCHIVE)  # as the message says
    assert cup(fetch_unpacked(archive, [])[0]) == b"a cup " * 50
