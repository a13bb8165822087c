"""MLflow's UI on this machine, and the runs that train now."""

import os
import signal
import subprocess
import sys
import threading

from greedymm.errors import GreedymmError
from greedymm.params.schema import Tracking
from greedymm.plan import Plan
from greedymm.tracking.store import Store
from greedymm.tracking.sync import reachable, watch

HOST = "127.0.0.1"


def serve(plan: Plan, settings: Tracking, port: int) -> None:
    """Show the store on 127.0.0.1 and send the epochs of runs while they train, until interrupted.

    Raises:
        GreedymmError: if the store cannot be used, or the server ends.
    """
    if settings.uri.startswith("http"):
        raise GreedymmError("tracking.uri is a server, which has a UI of its own: open its address in a browser")
    with reachable(settings.uri):
        Store(settings.uri)  # a missing database is created whole
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(command, env=environment(settings.uri, port), start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        threading.Thread(target=watch, args=(plan, settings), daemon=True).start()
        raise GreedymmError(f"MLflow ended with status {server.wait()}. Is port {port} in use? Choose another one.")
    except KeyboardInterrupt:
        pass
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def environment(uri: str, port: int) -> dict[str, str]:
    """Variables of MLflow's server. The address is one of them, because all users can read the words of a command.

    Other hosts are refused: a page of another site, whose name leads to 127.0.0.1, could read and change runs.
    """
    return os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST}:{port},localhost:{port}",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
