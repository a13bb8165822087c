"""MLflow's server in this process on a free port of 127.0.0.1, with faults where a test asks for them."""

import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mlflow.server
import pytest
from mlflow.server import handlers
from mlflow.server.constants import (
    ARTIFACT_ROOT_ENV_VAR,
    ARTIFACTS_DESTINATION_ENV_VAR,
    BACKEND_STORE_URI_ENV_VAR,
    SERVE_ARTIFACTS_ENV_VAR,
)
from werkzeug.serving import make_server

with warnings.catch_warnings(action="ignore"):
    import mlflow.server.fastapi_app  # imported by a request otherwise; warns of what it imports

Answer = Iterable[bytes]
REFUSED = "403 Forbidden"
BROKEN = "500 Internal Server Error"


class FaultyServer:
    """MLflow's server on `mlflow.db` in a folder.

    `fault(path)` is asked before each request, and each fault is counted. It returns None, the line of a status that is
    answered in place of MLflow, "hang" for no answer, or "lost" for a request that is done and not answered.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = 0
        self.authorizations = set[str]()  # what the requests have sent to log in
        self.fault: Callable[[str], str | None] = lambda _path: None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv(BACKEND_STORE_URI_ENV_VAR, f"sqlite:///{self.folder}/mlflow.db")
        self._patch.setenv(ARTIFACT_ROOT_ENV_VAR, "mlflow-artifacts:/")
        self._patch.setenv(ARTIFACTS_DESTINATION_ENV_VAR, str(self.folder / "artifacts"))
        self._patch.setenv(SERVE_ARTIFACTS_ENV_VAR, "true")
        for name in ("_tracking_store", "_artifact_repo"):
            self._patch.setattr(handlers, name, None)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
        self._patch.undo()

    @property
    def uri(self) -> str:
        """Tracking URI."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def files(self, run_id: str) -> set[str]:
        """Names of a run's files that have arrived."""
        return {path.name for path in (self.folder / "artifacts").glob(f"*/{run_id}/artifacts/*")}

    def stop(self) -> None:
        """End: nobody listens any more."""
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Answer:
        self.authorizations.add(environ.get("HTTP_AUTHORIZATION", ""))
        fault = self.fault(environ["PATH_INFO"])
        self.faults += fault is not None
        if fault in ("hang", "lost"):
            if fault == "lost":
                list(mlflow.server.app(environ, lambda *_: lambda _body: None))
            self._ended.wait(1.5)
            fault = BROKEN
        if fault:
            start_response(fault, [("Content-Length", "2"), ("Retry-After", "3600")])
            return [b"no"]
        return mlflow.server.app(environ, start_response)
