"""Params, validated, and the runs that they ask for. No rules."""

import csv
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from shutil import which
from pathlib import Path

# This clone's code, whichever clone is installed: the keys in the paths are those of the code beside the Snakefile.
SOURCE = str(Path(workflow.basedir, "src"))
sys.path.insert(0, SOURCE)
sys.path.append(os.getcwd())  # plug-ins of a user's, beside the params
PYTHONPATH = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))
shell.prefix(f"export PYTHONPATH={shlex.quote(PYTHONPATH)}; ")

from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.plan import (
    analysis_key,
    data_settings,
    figures_of,
    planned,
    points,
    report_key,
    sweep_place,
    sweeps_key,
    sweeps_stamp,
    variants,
)
from greedymm.run import key_of
from snakemake.exceptions import WorkflowError
from snakemake.utils import available_cpu_count

try:
    PARAMS = validate(config)
    RUNS = planned(PARAMS)
    SWEEPS = {name: sweep_place(PARAMS, name) for name in PARAMS.sweeps}
    SWEPT = {name: [p.run for p in points(PARAMS, name)] for name in PARAMS.sweeps}
    FIGURES = figures_of(PARAMS)
    ANALYSIS = analysis_key(PARAMS)
    SWEEPS_KEY = sweeps_key(PARAMS)
    SWEEPS_STAMP = sweeps_stamp(PARAMS)
    REPORT = report_key(PARAMS, swept=SWEEPS_STAMP.exists())
    STORE = key_of(PARAMS.tracking.model_dump(include={"uri", "models"}))
except GreedymmError as error:
    raise WorkflowError(str(error))

TRAINED = [
    "checkpoint.pt",
    "snapshots.pt",
    "history.csv",
    "timing.csv",
    "steps.parquet",
    "record.json",
]
MEASURED = ["rates.json", "during_training.csv", "predictions.parquet"]
RUN_OF = {str(run.folder): run for run in [*RUNS, *sum(SWEPT.values(), [])]}
DATA_OF = {
    str(settings.path): settings
    for wanted in variants(PARAMS)
    for settings in (data_settings(wanted, name) for name in wanted.datasets)
}


wildcard_constraints:
    dataset=r"\w+",
    method=r"\w+",
    run=r"seed\d+-[0-9a-f]{8}",
    key=r"[0-9a-f]{8}",
    code=r"[0-9a-f]{8}",
    sweep=r"\w+",


def run_of(wildcards):
    """The planned run that a job is for."""
    folder = f"results/runs/{wildcards.dataset}/{wildcards.method}/{wildcards.run}"
    if folder not in RUN_OF:
        raise WorkflowError(f"{folder} is not a run of these params")
    return RUN_OF[folder]


def files_of(runs):
    """All files that runs are made of, so that whichever is deleted comes back."""
    return [
        *[run.folder / name for run in runs for name in TRAINED],
        *[run.evaluation_folder / name for run in runs for name in MEASURED],
    ]


def data_of(wildcards):
    """Settings of a dataset's file; another key than those of these params would be a false one."""
    path = f"results/data/{wildcards.dataset}/{wildcards.key}.h5"
    if path not in DATA_OF:
        raise WorkflowError(f"{path} is not a file of these params")
    return DATA_OF[path]


def check_parts():
    """Stop before the first job where a plug-in fails or does not fit its network; jobs see it, too, one by one."""
    computes = any(
        job.rule.name in {"train", "evaluate"} for job in workflow.dag.needrun_jobs()
    )
    if (
        not computes or find_spec("torch") is None
    ):  # without torch here, jobs have an environment of their own
        return
    command = [
        "python",
        "-m",
        "greedymm",
        "check",
        "--params",
        PARAMS.model_dump_json(),
    ]
    environment = os.environ | {"PYTHONPATH": PYTHONPATH, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError(done.stderr.strip())


def forget_what_is_left_out():
    """Let tables and report be made again next time where a run was left out of them: it may have been mended."""
    runs = Path("results/tables/runs.csv")
    if runs.exists():
        with runs.open(newline="") as file:
            if any(row["left_out"] for row in csv.DictReader(file)):
                for step in (rules.tables, rules.figures, rules.costs, rules.report):
                    Path(step.output.stamp).unlink(missing_ok=True)


def sweeps_are_newer():
    """Whether there is a report without the sweeps that are made, or from before they were."""
    page = Path("results/report/index.html")
    if not (page.exists() and SWEEPS_STAMP.exists()):
        return False
    shown = Path("results/report", f"{report_key(PARAMS, swept=True)}.key").exists()
    return not shown or SWEEPS_STAMP.stat().st_mtime > page.stat().st_mtime


def files_of_sweep(wildcards):
    """Files of a sweep's runs; where some were left out, a newer file is one that was mended."""
    text = SWEEPS[wildcards.sweep].with_suffix(".txt")
    left_out = text.exists() and "Left out:" in text.read_text()
    files = files_of(SWEPT[wildcards.sweep])
    return files if left_out else ancient(files)


def places(_):
    """Places among `--cores` that a run takes, so that hardly more compute at once than there are cores.

    Eight on two cores take a quarter more time for the same work: they drive each other's data out of the caches.
    """
    threads = PARAMS.execution.threads
    if not workflow.local_exec:  # a cluster's scheduler knows its cores
        return threads
    return threads * max(1, workflow.cores // available_cpu_count())


def gpus(_):
    """GPUs that a job takes from the pool; none where it will compute on the CPU, which the pool must not limit."""
    has_gpu = (
        which("nvidia-smi") is not None
    )  # importing torch to ask it would cost seconds at every start
    return int(
        PARAMS.execution.device == "cuda"
        or PARAMS.execution.device == "auto"
        and has_gpu
    )
