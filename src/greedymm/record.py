"""Where and with what a result was computed: versions, hardware, commit. Recorded and shown, never in a key."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "numpy", "pandas", "h5py", "snakemake", "dvc", "mlflow")


def commit() -> str:
    """Commit of the code, with `-dirty` if it was changed since; empty outside of a repository and without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git is not installed
        return ""
    return described.stdout.strip()


def surroundings(device: str) -> dict[str, Any]:
    """Versions of the libraries, the machine with its memory in GiB, the device that computed, and the commit."""
    info = Path("/proc/cpuinfo")  # on Linux, and there not on every ARM
    model = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = model[1] if model else platform.machine()
    return {
        "commit": commit(),
        "device": device,
        "hardware": {"cpu": cpu, "cores": cores, "memory_gib": round(memory, 1)},
        "machine": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
