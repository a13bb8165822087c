"""requirements.lock + pyproject.toml -> workflow/envs/greedymm.yaml: the releases of the direct dependencies."""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def environment() -> str:
    """Text of the conda environment of the rules."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(line.partition("==")[0]): line for line in lines if not line.startswith("#")}
    direct = [pins[canonicalize_name(Requirement(line).name)] for line in project["dependencies"]]
    python = project["requires-python"].partition(",")[0].removeprefix(">=")
    head = [
        "# What the steps import, for `snakemake --sdm conda`. Written by `make lock`.",
        "channels: [conda-forge, nodefaults]",
    ]
    head += ["dependencies:", f"  - python={python}", "  - pip", "  - pip:"]
    return "\n".join([*head, *(f"      - {pin}" for pin in direct)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(environment())
