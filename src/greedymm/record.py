"""Where and with what a result was made: versions, hardware, commit. Recorded and shown, never part of a key."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "h5py", "snakemake", "dvc", "mlflow")


def commit() -> str:
    """Commit of the code, with `-dirty` where it was changed since; empty outside of a repository and without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return ""
    return described.stdout.strip()


def surroundings(device: str) -> dict[str, Any]:
    """Versions of the libraries, the machine, the device that computed, and the commit."""
    return {
        "commit": commit(),
        "device": device,
        "machine": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
