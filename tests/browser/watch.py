"""A page -> what went wrong in it unseen, and what it asked for."""

import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer

from playwright.sync_api import ConsoleMessage, Page


class Watch:
    """Takes down a page's console, its errors and its requests, from now on.

    Args:
        page: not opened yet.
        console: kinds of messages that count as wrong.
        harmless: parts of messages, or of the addresses that they are about, that do not count.
    """

    def __init__(
        self, page: Page, console: tuple[str, ...] = ("error", "warning"), harmless: tuple[str, ...] = ()
    ) -> None:
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.console, self.harmless = console, harmless
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.context.on("request", lambda request: self.asked.append(request.url))  # those of its workers, too

    def _hear(self, message: ConsoleMessage) -> None:
        said = f"{message.text} ({message.location['url']})"
        if message.type in self.console and not any(part in said for part in self.harmless):
            self.wrong.append(f"{message.type}: {said}")

    def beyond(self, *allowed: str) -> list[str]:
        """Addresses asked for that do not begin with one of these."""
        return [url for url in self.asked if not url.startswith(allowed)]


def broken_pictures(page: Page) -> list[str]:
    """Addresses of the pictures that are not shown."""
    found: list[str] = page.locator("img").evaluate_all(
        "pictures => pictures.filter(p => !p.complete || !p.naturalWidth).map(p => p.src)"
    )
    return found


class Outside(ThreadingTCPServer):
    """Stands for the network, as a proxy that takes down what it is asked for and answers nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Ask)
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that send a program here with all that it asks of other machines."""
        here = f"http://127.0.0.1:{self.server_address[1]}"
        return {"http_proxy": here, "https_proxy": here, "no_proxy": "127.0.0.1,localhost"}


class _Ask(StreamRequestHandler):
    server: Outside

    def handle(self) -> None:
        self.server.asked.append(self.rfile.readline().decode("latin-1").rpartition(" ")[0])  # GET http://...
