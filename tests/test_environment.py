"""What set-up installs: the lists of libraries agree, and `make` takes the newest Python, whatever the user has set."""

import os
import runpy
import shutil
import subprocess
import sys
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


def make(folder: Path, pythons: dict[str, str], *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Set up with only these programs on the PATH. Each prints its version, or arguments and PIP_USER, and fails."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, version in pythons.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\necho {name} "$@"\necho $PIP_USER\nexit 1\n'
        )
        program.chmod(0o755)
    command = [shutil.which("make") or "make", ".venv/.ready", *options]
    environment = {"PATH": str(folder / "bin")} | variables
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


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
    assert f"{chosen} -I -m venv --clear .venv" in make(tmp_path, pythons, *options).stdout.splitlines()


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


def test_make_installs_into_the_environment_whatever_pip_is_told_elsewhere(tmp_path: Path) -> None:
    done = make(tmp_path, {"python3.12": "Python 3.12.1"}, PIP_USER="1")

    assert done.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize(("named", "is_new"), [("python3.12", True), ("python3.11", False), (None, False)])
def test_another_python_that_is_named_gets_a_new_environment(tmp_path: Path, named: str | None, is_new: bool) -> None:  # noqa: FBT001
    pythons = {"python3.11": "Python 3.11.9", "python3.12": "Python 3.12.1", "../.venv/bin/python": "Python 3.11.9"}
    for folder in ("bin", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    ready = tmp_path / ".venv/.ready"
    ready.touch()
    os.utime(ready, (2**31, 2**31))  # newer than the lock

    done = make(tmp_path, pythons, *[f"PYTHON={named}"] if named else [])

    assert ("-m venv --clear .venv" in done.stdout) == is_new


NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # which is not installed here
DRAW = """
from greedymm.cli import main
try:
    main()
except SystemExit:
    from greedymm.analysis.figures.style import plt
    print(plt.get_backend(), plt.rcParams["text.usetex"])
"""


def test_figures_ignore_the_settings_of_a_notebook_and_a_matplotlibrc(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: true\n")
    command = [sys.executable, "-c", DRAW, "--version"]

    done = subprocess.run(command, cwd=tmp_path, env=os.environ | NOTEBOOK, capture_output=True, text=True, check=False)

    assert done.stdout.splitlines()[1:] == ["Agg False"], done.stderr
