"""The lists of libraries agree: pyproject.toml, requirements.lock and the environment of the rules."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from greedymm import record

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRA = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
CONDA: list[Any] = yaml.safe_load((ROOT / "workflow/envs/greedymm.yaml").read_text(encoding="utf-8"))["dependencies"]


def pins(lines: list[str]) -> dict[str, str]:
    """Name -> version of lines `name==version`; any other line is an error."""
    found = [re.fullmatch(r"([\w.-]+)==([\w.!+-]+)", line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if match is None]
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return pins([line for line in lines if line and not line.startswith("#")])


def of_the_rules() -> dict[str, str]:
    (by_pip,) = (entry["pip"] for entry in CONDA if isinstance(entry, dict))
    return pins(by_pip)


@pytest.mark.parametrize("requirement", DIRECT + EXTRA, ids=str)
def test_every_direct_dependency_is_locked_to_a_release_that_the_project_allows(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)

    assert name in locked()
    assert locked()[name] in requirement.specifier


def test_the_lock_leaves_to_torch_what_torch_pins_itself() -> None:
    assert [name for name in locked() if name.startswith(("nvidia-", "triton", "cuda-toolkit"))] == []


def test_the_environment_of_the_rules_has_the_direct_dependencies_and_no_others() -> None:
    assert set(of_the_rules()) == {canonicalize_name(requirement.name) for requirement in DIRECT}


def test_the_environment_of_the_rules_has_the_releases_of_the_lock() -> None:
    lock = locked()

    assert of_the_rules() == {name: lock.get(name) for name in of_the_rules()}


def test_the_environment_of_the_rules_has_a_python_that_the_project_allows() -> None:
    (python,) = (entry for entry in CONDA if isinstance(entry, str) and entry.startswith("python"))

    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])


def test_every_library_whose_version_is_recorded_is_a_direct_dependency() -> None:
    assert set(record.LIBRARIES) <= set(of_the_rules())
