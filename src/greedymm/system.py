"""What depends on the machine and on the user's environment: cores, memory, and git."""

import getpass
import os
import resource
import subprocess
import sys
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may use; where the system does not say, as on macOS, all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory(usage: resource.struct_rusage) -> float:
    """MiB of memory that a process had at most. macOS counts bytes, Linux KiB."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def run_git(source: Path, *words: str) -> str | None:
    """Output of git about this code, in `src` of its repository; None: no git, no repository, or no such object.

    Git refuses a repository of another owner, since its settings can start programs. Whoever imports this code trusts
    its repository. Git's variables, as in a hook of another repository, would point to that one.
    """
    command = ["git", "-c", f"safe.directory={source.parent}", *words]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, cwd=source, env=variables, capture_output=True, encoding="utf-8", check=False)
    except OSError:  # git is not installed, or cannot be started
        return None
    return None if done.returncode else done.stdout


def name_user() -> None:
    """Name the user by number where the system has no name, as in many containers: libraries fail without one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # until Python 3.12, and since 3.13
        os.environ["USER"] = str(os.getuid())
