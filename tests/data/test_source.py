"""Downloads against mirrors on the loopback interface."""

import gzip
import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Self

import pytest

from greedymm.data.source import RemoteFile, obtain
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
