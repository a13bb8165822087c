"""Where and with what a result was made: versions, hardware, commit. Recorded and shown, never part of a key."""

import os
import platform
import re
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


def hardware() -> dict[str, Any]:
    """Processor, how many cores this process may use, and memory of the machine in GiB."""
    listed = Path("/proc/cpuinfo")  # elsewhere than on Linux, and on some ARM, its family has to do
    named = re.search(r"^model name\s*:\s*(.+)$", listed.read_text(), re.MULTILINE) if listed.exists() else None
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": named[1] if named else platform.machine(), "cores": usable, "memory_gib": round(memory, 1)}


def surroundings(device: str) -> dict[str, Any]:
    """Versions of the libraries, the machine, the device that computed, and the commit."""
    return {
        "commit": commit(),
        "device": device,
        "hardware": hardware(),
        "machine": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }
