"""What set-up installs: the lists of libraries agree, and `make` takes the newest Python that is supported."""

import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from greedymm import record

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_lock(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    lock = dict(line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(package): release for package, release in lock.items()}


def test_every_direct_dependency_is_locked_to_a_release_that_the_project_allows() -> None:
    running, added = read_lock("requirements.lock"), read_lock("requirements-dev.lock")

    for lock, lines in ((running, PROJECT["dependencies"]), (added, PROJECT["optional-dependencies"]["dev"])):
        for requirement in map(Requirement, lines):
            assert lock.get(canonicalize_name(requirement.name), "none") in requirement.specifier, requirement
    assert not running.keys() & added.keys()
    # torch pins these itself.
    assert not [name for name in running | added if name.startswith(("nvidia-", "triton", "cuda-toolkit"))]
    assert {Requirement(line).name for line in PROJECT["dependencies"]} >= set(record.LIBRARIES)


def test_the_locks_hold_all_that_the_installed_releases_require() -> None:
    for name, text in runpy.run_path(str(ROOT / ".ci/lock.py"))["texts"]().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "write it with: make lock"


def make(folder: Path, pythons: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Set up with only these programs on the PATH. Each prints its version, or else its arguments, and fails."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, version in pythons.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\necho {name} "$@"\nexit 1\n')
        program.chmod(0o755)
    command = [shutil.which("make") or "make", ".venv/.ready", *options]
    return subprocess.run(
        command, cwd=folder, env={"PATH": str(folder / "bin")}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("pythons", "options", "chosen"),
    [
        ({"python3.12": "Python 3.12.1"}, (), "python3.12"),
        ({"python3.11": "Python 3.11.9", "python3.13": "Python 3.13.0"}, (), "python3.13"),
        ({"python3.11": "Python 3.11.9", "python3.13": "Python 3.13.0"}, ("PYTHON=python3.11",), "python3.11"),
        ({"python": "Python 3.13.2"}, ("PYTHON=python",), "python"),
    ],
)
def test_make_takes_the_newest_python_or_the_one_that_is_named(
    tmp_path: Path, pythons: dict[str, str], options: tuple[str, ...], chosen: str
) -> None:
    assert f"{chosen} -m venv --clear .venv" in make(tmp_path, pythons, *options).stdout.splitlines()


@pytest.mark.parametrize(
    ("pythons", "options", "reason"),
    [
        ({}, (), "none is on the PATH"),
        ({"python3.10": "Python 3.10.4"}, (), "none is on the PATH"),
        (
            {"python3.9": "Python 3.9.18", "python3.12": "Python 3.12.1"},
            ("PYTHON=python3.9",),
            "python3.9 is not one of",
        ),
        ({"python3.12": "Python 3.12.1"}, ("PYTHON=python3.14",), "python3.14 is not one of"),
    ],
)
def test_make_refuses_another_python_before_it_downloads(
    tmp_path: Path, pythons: dict[str, str], options: tuple[str, ...], reason: str
) -> None:
    done = make(tmp_path, pythons, *options)

    assert reason in done.stderr
    assert "PYTHON=/path" in done.stderr
    assert "venv .venv" not in done.stdout
    assert done.returncode
