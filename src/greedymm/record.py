"""Where and with what a result was computed: versions, hardware, commit. Recorded and shown, never in a key."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from greedymm.system import run_git, usable_cores

SOURCE = Path(__file__).resolve().parents[1]
LIBRARIES = ("torch", "numpy", "pandas", "h5py", "snakemake", "dvc", "mlflow")


def commit() -> str:
    """Commit of the code, with `-dirty` if it was changed since; empty outside of a repository and without git."""
    return (run_git(SOURCE, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*") or "").strip()


def surroundings(device: str) -> dict[str, Any]:
    """Versions of the libraries, the machine with its memory in GiB, the device that computed, and the commit."""
    info = Path("/proc/cpuinfo")  # on Linux, and there not on every ARM
    model = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = model[1] if model else platform.machine()
    return {
        "commit": commit(),
        "device": device,
        "hardware": {"cpu": cpu, "cores": usable_cores(), "memory_gib": round(memory, 1)},
        "machine": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
