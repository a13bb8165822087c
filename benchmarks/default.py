"""Time of the default study, now and at an earlier commit, one after the other on the same machine.

Usage: python benchmarks/default.py [COMMIT]

Clones both versions into a temporary folder and runs `snakemake --cores 8 all` in each, with the programs of this
environment, which needs the developers' tools. Prints the ratio, and the seconds of each step, as Markdown. Commit your
changes first. It takes 10 to 25 minutes on 2 cores; nothing else should compute.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "9d13285"  # before the default was made faster
STEPS = {"data": "prepare", "utilization": "evaluate", "tables": "report", "figures": "report", "costs": "report"}


def clone(folder: Path, commit: str) -> None:
    """Clone the project at a commit."""
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=folder, check=True)


def run_default(folder: Path) -> float:
    """Run the default study in a clone; return its seconds."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SNAKEMAKE", "MLFLOW"))}
    started = time.perf_counter()
    with (folder / "run.log").open("w") as log:
        command = ["snakemake", "--cores", "8", "all"]
        subprocess.run(command, cwd=folder, env=kept | {"PATH": programs}, stdout=log, stderr=log, check=True)
    return time.perf_counter() - started


def step_seconds(folder: Path) -> "pd.Series[float]":
    """Seconds of all jobs of each step, from Snakemake's benchmark files."""
    files = list((folder / "results/benchmarks").rglob("*.tsv"))
    steps = [re.split(r"[/.]", str(file.relative_to(folder / "results/benchmarks")))[0] for file in files]
    seconds = [pd.read_csv(file, sep="\t")["s"].sum() for file in files]
    return pd.Series(seconds).groupby([STEPS.get(step, step) for step in steps]).sum()


def accuracies(folder: Path) -> "pd.Series[str]":
    """Test accuracy of each dataset and method, as text."""
    (path,) = [p for p in (folder / "results").rglob("headline.csv") if "analysis" not in p.parts]
    table = pd.read_csv(path, keep_default_na=False)
    return table.set_index(["dataset", "method"])["test accuracy"]


def main(commit: str) -> None:
    """Measure both versions."""
    with tempfile.TemporaryDirectory() as home:
        folders = {commit: Path(home, "before"), "HEAD": Path(home, "now")}
        seconds = {}
        for version, folder in folders.items():
            clone(folder, version)
            seconds[version] = run_default(folder)
        steps = pd.DataFrame({version: step_seconds(folder) for version, folder in folders.items()}).fillna(0)
        tests = pd.DataFrame({version: accuracies(folder) for version, folder in folders.items()})
    lines = [
        f"`snakemake --cores 8 all`: {seconds[commit]:.0f} s before, {seconds['HEAD']:.0f} s now.",
        f"Ratio: {seconds['HEAD'] / seconds[commit]:.2f}",
        "\nSeconds of all jobs of each step:\n",
        steps.round().astype(int).to_markdown(),
        "\nTest accuracy:\n",
        tests.reset_index().to_markdown(index=False),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else BEFORE)
