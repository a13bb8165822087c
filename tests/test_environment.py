"""The lists of libraries agree: pyproject.toml, requirements.lock and the environment of the rules."""

import runpy
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from greedymm import record

ROOT = Path(__file__).resolve().parents[1]


def test_every_direct_dependency_is_locked_to_a_release_that_the_project_allows() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    lock = dict(line.split("==") for line in lines if not line.startswith("#"))
    locked = {canonicalize_name(name): release for name, release in lock.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    for line in project["dependencies"] + project["optional-dependencies"]["dev"]:
        requirement = Requirement(line)
        assert locked.get(canonicalize_name(requirement.name), "none") in requirement.specifier, line
    # torch pins these itself.
    assert not [name for name in locked if name.startswith(("nvidia-", "triton", "cuda-toolkit"))]
    assert {Requirement(line).name for line in project["dependencies"]} >= set(record.LIBRARIES)


def test_the_environment_of_the_rules_has_the_direct_dependencies_in_the_releases_of_the_lock() -> None:
    expected = runpy.run_path(str(ROOT / ".ci/environment.py"))["environment"]()

    assert (ROOT / "workflow/envs/greedymm.yaml").read_text(encoding="utf-8") == expected, (
        "write it with: python .ci/environment.py > workflow/envs/greedymm.yaml"
    )
