"""Installed releases -> requirements.lock, requirements-dev.lock and workflow/envs/greedymm.yaml."""

import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
TORCH_PINS = ("nvidia-", "triton", "cuda-toolkit", "setuptools")  # by torch itself, or part of each environment
HEADS = {
    "requirements.lock": "Releases that running needs; torch pins the nvidia-*, cuda-toolkit and triton wheels itself.",
    "requirements-dev.lock": "Releases that lint and tests need beside those of requirements.lock.",
}


def applies(requirement: Requirement, extra: str) -> bool:
    """Whether some supported Python needs it."""
    versions = [{"python_version": v, "python_full_version": f"{v}.0", "extra": extra} for v in PYTHONS]
    return requirement.marker is None or any(requirement.marker.evaluate(version) for version in versions)


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Name and pin of each requirement and of all that it requires, in the installed releases."""
    found: dict[str, str] = {}
    todo, done = [Requirement(line) for line in lines], set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name.startswith(TORCH_PINS) or (name, *requirement.extras) in done:
            continue
        done.add((name, *requirement.extras))
        installed = distribution(name)
        found[name] = f"{installed.name}=={installed.version.partition('+')[0]}"
        needs = [Requirement(line) for line in installed.requires or ()]
        todo += [need for need in needs if any(applies(need, extra) for extra in ("", *requirement.extras))]
    return found


def environment(running: dict[str, str], project: dict[str, list[str]]) -> str:
    """Text of the conda environment of the rules: the direct dependencies."""
    direct = [running[canonicalize_name(Requirement(line).name)] for line in project["dependencies"]]
    head = [
        "# What the steps import, for `snakemake --sdm conda`. Written by `make lock`.",
        "channels: [conda-forge, nodefaults]",
    ]
    head += ["dependencies:", f"  - python={PYTHONS[0]}", "  - pip", "  - pip:"]
    return "\n".join([*head, *(f"      - {pin}" for pin in direct)]) + "\n"


def by_name(pin: str) -> str:
    """Key to sort pins, as pip does."""
    return pin.partition("==")[0].lower()


def texts() -> dict[str, str]:
    """Name and text of each file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    running, added = pins(project["dependencies"]), pins(project["optional-dependencies"]["dev"])
    listed = (running.values(), [pin for name, pin in added.items() if name not in running])
    written = {}
    for (name, head), lines in zip(HEADS.items(), listed, strict=True):
        written[name] = "\n".join([f"# {head}", "# Made with: make lock", *sorted(lines, key=by_name)]) + "\n"
    return written | {"workflow/envs/greedymm.yaml": environment(running, project)}


if __name__ == "__main__":
    for name, text in texts().items():
        (ROOT / name).write_text(text, encoding="utf-8")
