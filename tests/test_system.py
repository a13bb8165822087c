"""What this machine and the user's environment lack."""

import getpass
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from greedymm.system import name_user, peak_memory, run_git, usable_cores


def test_cores_are_counted_where_the_system_does_not_tell_those_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)

    assert usable_cores() == os.cpu_count()


@pytest.mark.parametrize(("system", "unit"), [("darwin", 2**20), ("linux", 2**10)])
def test_memory_is_counted_in_the_unit_of_the_system(system: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)

    assert peak_memory(SimpleNamespace(ru_maxrss=3 * unit)) == 3  # type: ignore[arg-type]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Folder `src` of a repository with one commit."""
    folder = tmp_path / "mine" / "src"
    folder.mkdir(parents=True)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "--quiet"], [*identity, "commit", "--quiet", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=folder.parent, check=True)
    return folder


def test_git_reads_this_repository_also_in_a_hook_of_another(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))

    assert run_git(source, "rev-parse", "--show-toplevel") == f"{source.parent}\n"
    assert run_git(source, "rev-parse", "--verify", "--quiet", "no-such-commit") is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_git_reads_a_repository_of_another_owner(source: Path) -> None:
    for path in (source.parent, source, source.parent / ".git"):
        os.chown(path, 65534, 65534)

    assert run_git(source, "rev-parse", "HEAD")


def test_a_user_without_a_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])

    name_user()

    assert getpass.getuser() == str(os.getuid())
