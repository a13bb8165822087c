"""Downloads against mirrors on the loopback interface."""

import gzip
import hashlib
import io
import shutil
import socket
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Self

import pytest

from greedymm.data.sources.archives import obtain_unpacked
from greedymm.data.sources.download import RemoteFile, obtain
from greedymm.errors import GreedymmError

CONTENT = b"digits, digits, digits " * 20
DOWNLOAD = gzip.compress(CONTENT, mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


FILE = RemoteFile("digits.gz", md5(DOWNLOAD), md5(CONTENT))


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


# -- Found in the folder ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stored"), [("digits", CONTENT), ("digits.gz", DOWNLOAD)], ids=["unpacked", "gzipped"]
)
def test_a_file_in_the_folder_is_used_and_no_mirror_is_asked(
    name: str, stored: bytes, tmp_path: Path, serve: Serve
) -> None:
    mirror = serve(RIGHT)
    (tmp_path / name).write_bytes(stored)

    assert obtain(FILE, tmp_path, [mirror.url]) == CONTENT
    assert mirror.asked == []


def test_a_file_gzipped_by_hand_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(gzip.compress(CONTENT, compresslevel=1, mtime=1))

    assert obtain(FILE, tmp_path, []) == CONTENT


DAMAGED = {
    "cut after the header": ("digits.gz", DOWNLOAD[:12], "truncated or corrupt"),
    "last byte lost": ("digits.gz", DOWNLOAD[:-1], "truncated or corrupt"),
    "a byte flipped": (
        "digits.gz",
        DOWNLOAD[:15] + bytes([DOWNLOAD[15] ^ 255]) + DOWNLOAD[16:],
        "truncated or corrupt",
    ),
    "no such block": ("digits.gz", DOWNLOAD[:10] + b"\x07" + DOWNLOAD[11:], "truncated or corrupt"),
    "an error page": ("digits.gz", b"<html>Not found</html>", "truncated or corrupt"),
    "empty": ("digits.gz", b"", "not the file it should be"),
    "other content, gzipped": ("digits.gz", WRONG.body, "not the file it should be"),
    "other content": ("digits", b"other digits", "not the file it should be"),
    "truncated": ("digits", CONTENT[:-1], "not the file it should be"),
}


@pytest.mark.parametrize(("name", "stored", "what"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_in_the_folder_is_named_with_the_remedy_and_left_alone(
    name: str, stored: bytes, what: str, tmp_path: Path, serve: Serve
) -> None:
    mirror = serve(RIGHT)
    path = tmp_path / name
    path.write_bytes(stored)

    with pytest.raises(GreedymmError, match=what) as raised:
        obtain(FILE, tmp_path, [mirror.url])

    assert str(path) in str(raised.value)
    assert "Delete it and run again" in str(raised.value)
    assert mirror.asked == []
    assert path.read_bytes() == stored


@pytest.mark.parametrize("length", range(len(DOWNLOAD)))
def test_no_beginning_of_a_download_passes_for_the_whole(length: int, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(DOWNLOAD[:length])

    with pytest.raises(GreedymmError, match="Delete it and run again"):
        obtain(FILE, tmp_path, [])


# -- Downloaded ---------------------------------------------------------------------------------------------


def test_a_missing_file_is_downloaded_once_into_a_folder_that_is_made(tmp_path: Path, serve: Serve) -> None:
    mirror, folder = serve(RIGHT), tmp_path / "raw" / "mnist"

    assert obtain(FILE, folder, [mirror.url]) == CONTENT
    assert obtain(FILE, folder, [mirror.url]) == CONTENT
    assert mirror.asked == ["/mnist/digits.gz"]
    assert names(folder) == ["digits.gz"]
    assert (folder / "digits.gz").read_bytes() == DOWNLOAD


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_the_next_mirror_delivers_what_the_first_one_does_not(answer: Answer, tmp_path: Path, serve: Serve) -> None:
    first, second = serve(answer), serve(RIGHT)

    assert obtain(FILE, tmp_path, [first.url, second.url]) == CONTENT
    assert first.asked
    assert names(tmp_path) == ["digits.gz"]


def test_the_next_mirror_delivers_where_nothing_listens_at_the_first(
    tmp_path: Path, serve: Serve, refusing: str
) -> None:
    assert obtain(FILE, tmp_path, [refusing, serve(RIGHT).url]) == CONTENT


def test_a_mirror_that_delivers_leaves_the_others_unasked(tmp_path: Path, serve: Serve) -> None:
    first, second = serve(RIGHT), serve(RIGHT)

    obtain(FILE, tmp_path, [first.url, second.url])

    assert second.asked == []


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_mirror_that_fails_once_is_asked_again(answer: Answer, tmp_path: Path, serve: Serve) -> None:
    mirror = serve(answer, RIGHT)

    assert obtain(FILE, tmp_path, [mirror.url]) == CONTENT
    assert len(mirror.asked) == 2
    assert names(tmp_path) == ["digits.gz"]


def test_where_all_mirrors_fail_each_is_listed_with_its_reason_and_what_to_do_by_hand(
    tmp_path: Path, serve: Serve, refusing: str
) -> None:
    urls = {name: serve(answer).url for name, answer in BROKEN.items()} | {"refused": refusing}

    with pytest.raises(GreedymmError) as raised:
        obtain(FILE, tmp_path, list(urls.values()))

    lines = str(raised.value).splitlines()
    assert lines[0] == f"digits.gz is not in {tmp_path}, and no mirror delivered it:"
    for name, url in urls.items():
        (line,) = (found for found in lines if url in found.split(": ")[0])
        assert REASONS[name] in line
    assert "by hand" in lines[-1]
    assert FILE.content_md5 in lines[-1]
    assert len(lines) == len(urls) + 2
    assert names(tmp_path) == []


# -- Archives without a published hash ----------------------------------------------------------------------


def tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        info = tarfile.TarInfo("objects/cup.off")
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("objects/cup.off"), content)
    return buffer.getvalue()


ARCHIVE = tarred(b"a cup " * 50)
OTHER = tarred(b"a mug " * 50)
HASH, OTHER_HASH = (hashlib.sha256(content).hexdigest() for content in (ARCHIVE, OTHER))
PAGE = b"<html><body>This site has moved.</body></html>"
ARCHIVES = {"cups.tar.gz": ARCHIVE, "cups.zip": zipped(b"a cup " * 50)}


def cup(folder: Path) -> bytes:
    return (folder / "objects" / "cup.off").read_bytes()


@pytest.mark.parametrize(("name", "content"), ARCHIVES.items(), ids=ARCHIVES)
def test_an_archive_is_downloaded_and_unpacked_once(name: str, content: bytes, tmp_path: Path, serve: Serve) -> None:
    mirror, archive = serve(Answer(content)), tmp_path / "raw" / name

    folder, found = obtain_unpacked(archive, [mirror.url])
    (folder / "objects" / "cup.off").write_bytes(b"unpacked again, this would go")
    again = obtain_unpacked(archive, [mirror.url])

    assert (folder, found) == again == (archive.with_name("cups"), hashlib.sha256(content).hexdigest())
    assert cup(folder) == b"unpacked again, this would go"
    assert mirror.asked == [f"/mnist/{name}"]
    assert names(archive.parent) == sorted(["cups", name, f"{name}.sha256"])


def test_an_archive_that_was_put_there_needs_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "cups.tar.gz").write_bytes(ARCHIVE)

    folder, found = obtain_unpacked(tmp_path / "cups.tar.gz", [])

    assert cup(folder) == b"a cup " * 50
    assert found == HASH


def test_the_hash_is_recorded_as_sha256sum_checks_it(tmp_path: Path) -> None:
    (tmp_path / "cups.tar.gz").write_bytes(ARCHIVE)
    obtain_unpacked(tmp_path / "cups.tar.gz", [])
    own = subprocess.run(["sha256sum", "cups.tar.gz"], cwd=tmp_path, check=True, capture_output=True, text=True)
    check = ["sha256sum", "--check", "--strict", "cups.tar.gz.sha256"]

    assert (tmp_path / "cups.tar.gz.sha256").read_text(encoding="utf-8") == own.stdout
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    (tmp_path / "cups.tar.gz").write_bytes(OTHER)
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 1


def test_an_archive_deleted_to_save_space_is_not_missed(tmp_path: Path, serve: Serve) -> None:
    mirror, archive = serve(Answer(ARCHIVE)), tmp_path / "cups.tar.gz"
    first = obtain_unpacked(archive, [mirror.url])
    archive.unlink()

    assert obtain_unpacked(archive, [mirror.url]) == first
    assert len(mirror.asked) == 1
    assert not archive.exists()


def test_a_deleted_folder_is_unpacked_anew(tmp_path: Path) -> None:
    archive = tmp_path / "cups.tar.gz"
    archive.write_bytes(ARCHIVE)
    folder, _ = obtain_unpacked(archive, [])
    shutil.rmtree(folder)

    assert cup(obtain_unpacked(archive, [])[0]) == b"a cup " * 50


@pytest.mark.parametrize("unpacked", [True, False], ids=["unpacked before", "folder deleted"])
def test_another_archive_than_the_one_first_seen_is_refused_with_both_hashes(tmp_path: Path, *, unpacked: bool) -> None:
    archive, record = tmp_path / "cups.tar.gz", tmp_path / "cups.tar.gz.sha256"
    archive.write_bytes(ARCHIVE)
    folder, _ = obtain_unpacked(archive, [])
    if not unpacked:
        shutil.rmtree(folder)
    before = record.read_bytes()
    archive.write_bytes(OTHER)

    with pytest.raises(GreedymmError, match="is another file than the one first seen") as raised:
        obtain_unpacked(archive, [])

    assert all(part in str(raised.value) for part in (HASH, OTHER_HASH, str(archive), str(record)))
    assert record.read_bytes() == before
    assert folder.exists() == unpacked
    assert archive.read_bytes() == OTHER


def test_another_archive_is_taken_once_the_record_and_the_folder_are_deleted(tmp_path: Path) -> None:
    archive = tmp_path / "cups.tar.gz"
    archive.write_bytes(ARCHIVE)
    folder, _ = obtain_unpacked(archive, [])
    archive.write_bytes(OTHER)
    (tmp_path / "cups.tar.gz.sha256").unlink()
    shutil.rmtree(folder)

    folder, found = obtain_unpacked(archive, [])

    assert cup(folder) == b"a mug " * 50
    assert found == OTHER_HASH


def test_a_mirror_that_later_delivers_another_archive_is_refused_with_both_hashes(tmp_path: Path, serve: Serve) -> None:
    mirror, archive = serve(Answer(ARCHIVE), Answer(OTHER)), tmp_path / "cups.tar.gz"
    folder, _ = obtain_unpacked(archive, [mirror.url])
    archive.unlink()
    shutil.rmtree(folder)

    with pytest.raises(GreedymmError, match="no mirror delivered it") as raised:
        obtain_unpacked(archive, [mirror.url])

    assert HASH in str(raised.value)
    assert OTHER_HASH in str(raised.value)
    assert names(tmp_path) == ["cups.tar.gz.sha256"]


def test_a_page_in_the_place_of_an_archive_is_named_and_neither_unpacked_nor_recorded(
    tmp_path: Path, serve: Serve
) -> None:
    mirror, archive = serve(Answer(PAGE)), tmp_path / "cups.tar.gz"

    with pytest.raises(GreedymmError, match="is no whole tar or zip archive") as raised:
        obtain_unpacked(archive, [mirror.url])

    assert str(archive) in str(raised.value)
    assert names(tmp_path) == ["cups.tar.gz"]  # to look at
    archive.write_bytes(ARCHIVE)  # as the message says
    assert cup(obtain_unpacked(archive, [])[0]) == b"a cup " * 50


def test_no_beginning_of_an_archive_is_recorded(tmp_path: Path) -> None:
    for length in range(0, len(ARCHIVE), 3):
        (tmp_path / "cups.tar.gz").write_bytes(ARCHIVE[:length])

        with pytest.raises(GreedymmError, match="is no whole tar or zip archive"):
            obtain_unpacked(tmp_path / "cups.tar.gz", [])

        assert names(tmp_path) == ["cups.tar.gz"]


LOST = {"404": ABSENT, "503": Answer(PAGE, status=503), "truncated": Answer(ARCHIVE[:-9], length=len(ARCHIVE))}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_the_next_mirror_delivers_the_archive_that_the_first_one_does_not(
    answer: Answer, tmp_path: Path, serve: Serve
) -> None:
    first, second = serve(answer), serve(Answer(ARCHIVE))

    folder, found = obtain_unpacked(tmp_path / "cups.tar.gz", [first.url, second.url])

    assert first.asked
    assert found == HASH
    assert cup(folder) == b"a cup " * 50


def test_where_no_mirror_has_the_archive_each_is_listed_and_nothing_is_left(
    tmp_path: Path, serve: Serve, refusing: str
) -> None:
    reasons = {serve(LOST["404"]).url: "404", serve(LOST["503"]).url: "503", refusing: "refused"}
    reasons[serve(LOST["truncated"]).url] = "IncompleteRead"

    with pytest.raises(GreedymmError) as raised:
        obtain_unpacked(tmp_path / "cups.tar.gz", list(reasons))

    lines = str(raised.value).splitlines()
    assert lines[0] == f"cups.tar.gz is not in {tmp_path}, and no mirror delivered it:"
    assert all(url in line and reason in line for line, (url, reason) in zip(lines[1:], reasons.items(), strict=False))
    assert lines[-1] == "  Put it there by hand, as it is, and run again."
    assert len(lines) == len(reasons) + 2
    assert names(tmp_path) == []


def test_without_any_mirror_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"cups\.tar\.gz is not in .*(?s:.*)Put it there by hand") as raised:
        obtain_unpacked(tmp_path / "cups.tar.gz", [])

    assert all(line.strip() for line in str(raised.value).splitlines())
