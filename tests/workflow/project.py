"""A clone of the project with tiny params, in which the workflow runs within seconds."""

import multiprocessing
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DATASET = "colored_mnist_5k"
# Without what has a default: DVC must not need it.
TINY: dict[str, Any] = {
    "seeds": [0],
    "datasets": {
        DATASET: {
            "data": {"variance": 0.02, "validation": 0.2, "per_class": 20, "seed": 0},
            "inputs": {"scaling": "symmetric", "flip": True},
            "model": {
                "branch": {"name": "cnn", "widths": [4, 4]},
                "fusion": {"name": "mmtm", "ratio": 4},
                "fuse_after": [2],
            },
            "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.1},
            "methods": {"greedy": {}, "balanced": {"tolerance": 0.01, "window": 5}},
            "unimodal": False,
        },
        "solids": "drop",
    },
    "execution": {"device": "cpu", "threads": 1, "resident_gb": 4.0, "workers": 0, "memory_mb": 1000},
    "tracking": {"enabled": False, "uri": "sqlite:///mlflow.db"},
}


class Project:
    """A folder with the project's files under git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands: this environment's programs, and no settings of whoever runs the tests."""
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_", "MLFLOW_", "PYTHON", "SNAKEMAKE_"))
        }
        # This clone's code, as in the workflow, and no BLAS team for each of many processes.
        return kept | {"PATH": programs, "PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command with this environment's programs."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command that is to end well, or to fail; returns what it prints."""
        process = self.start(*command)
        printed, _ = process.communicate(timeout=280)
        assert (process.returncode != 0) == fails, f"{' '.join(command)} returned {process.returncode}:\n{printed}"
        return printed

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", message)

    def set_params(self, **changes: Any) -> None:
        """Change places of params.yaml, named with double underscores; `...` removes."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for place, value in changes.items():
            *above, last = place.replace("DATASET", DATASET).split("__")
            section = params
            for name in ("datasets", DATASET, *above) if above else ():
                section = section[name]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def replace_datasets(self, datasets: dict[str, Any], **params: Any) -> None:
        """Give the project other datasets, whose other settings are the tiny ones."""
        sections = {name: TINY["datasets"][DATASET] | section for name, section in datasets.items()}
        content = TINY | {"datasets": sections} | params
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def track_at(self, uri: str, *, models: bool = False) -> None:
        """Send runs to a tracking store."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        tracking = {"enabled": True, "uri": uri, "models": models}
        path.write_text(yaml.safe_dump(params | {"tracking": tracking}, sort_keys=False))

    def sweep(self, **wanted: Any) -> None:
        """Let one setting vary, in a sweep named `rate`."""
        path = self.folder / "params.yaml"
        sweeps = {"rate": {"dataset": DATASET} | wanted}
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"sweeps": sweeps}, sort_keys=False))

    def tracked(self, status: str = "FINISHED") -> dict[str, int]:
        """Epochs in the default tracking store, for each finished run by its name, or for those still at work."""
        query = (
            "select r.name, count(distinct m.step) from runs r join metrics m using (run_uuid)"
            " where m.key = 'epochs/train_loss' and r.status = ? group by r.run_uuid"
        )
        with sqlite3.connect(self.folder / "mlflow.db") as connection:
            return dict(connection.execute(query, [status]).fetchall())

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file, where it stands exactly once."""
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        file.write_text(text.replace(old, new))

    def planned(self, target: str = "all") -> dict[str, int]:
        """Jobs that Snakemake would run, by rule; `train` and `evaluate` stand for the rules of all runs."""
        printed = self.run("snakemake", "--dry-run", target)
        counts: Counter[str] = Counter()
        for rule, count in set(re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE)):  # printed twice
            counts[re.sub(r"^(train|evaluate)_.*", r"\1", rule)] += int(count)
        return dict(counts)

    def runs(self) -> list[str]:
        """Runs in the table, as method/run."""
        lines = (self.folder / "results/report/tables/runs.csv").read_text().splitlines()[1:]
        return ["/".join(line.split(",")[1:4:2]) for line in lines]


FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["snakemake.cli", "greedymm.plan"])


def dry_run(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of `snakemake --dry-run`, of this checkout's Snakefile in a folder.

    Forked from a process that has imported Snakemake, it takes a quarter of the time.
    """
    output = folder / "dry_run.log"
    command = ["--dry-run", "--printshellcmds", "--snakefile", str(ROOT / "Snakefile"), *words]
    process = FORKSERVER.Process(target=_snakemake, args=(folder, output, command))
    process.start()
    process.join()
    return process.exitcode or 0, output.read_text()


def _snakemake(folder: Path, output: Path, command: list[str]) -> None:
    from snakemake.cli import main

    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["snakemake", *command]  # the Snakefile looks for the target zoo
    main(command)


def trained(printed: str) -> int:
    """Training jobs that Snakemake started, from what it printed."""
    return len(re.findall(r"^(?:local)?rule train_\w+:$", printed, re.MULTILINE))


def fresh(folder: Path) -> Project:
    """The project's files as they are now, with tiny params, committed, with a DVC remote beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    project = Project(folder)
    project.run("git", "init", "--quiet")
    project.run("dvc", "remote", "add", "--quiet", "--default", "shelf", str(folder.with_name("shelf")))
    project.commit("tiny params")
    return project


def clone(project: Project, folder: Path) -> Project:
    """A fresh clone with `dvc pull` done."""
    project.run("git", "clone", "--quiet", str(project.folder), str(folder))
    copy = Project(folder)
    copy.run("dvc", "pull", "--quiet")
    return copy
