"""Params, validated, and the plan of all that they ask for. No rules."""

import os
import shlex
import signal
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from shutil import which

# The code beside this Snakefile, whatever is installed: the keys in the paths belong to it.
SOURCE = os.path.join(workflow.basedir, "src")
sys.path.insert(0, SOURCE)
sys.path.append(os.getcwd())  # plug-ins beside the params
PYTHONPATH = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))
# On a full disk, Python before 3.12.8 leaves cut bytecode, which it cannot import later. Our modules compile in 0.3 s.
sys.dont_write_bytecode = True
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"

import psutil
from greedymm.address import mask
from greedymm.errors import NO_MEMORY, GreedymmError, cure_of
from greedymm.gpus import list_gpus
from greedymm.jobs import PARENT, lock_workflow
from greedymm.params.load import load
from greedymm.plan import Plan
from greedymm.system import name_user
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import available_cpu_count

# glibc keeps freed memory for the next batch. Taken from the system anew, page by page, it costs 7 % of training's time.
MALLOC = f"MALLOC_TRIM_THRESHOLD_={2**30} MALLOC_TOP_PAD_={2**26} MALLOC_MMAP_THRESHOLD_={2**25}"
# Jobs have Snakemake's Python, also where its environment is not activated; those of conda have their own, without the
# packages in a user's home.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
OWN_PYTHON = f'python() {{{{ {shlex.quote(sys.executable)} "$@"; }}}}'
PYTHON = "export PYTHONNOUSERSITE=1" if CONDA else OWN_PYTHON
# A process that the system kills cannot say why, nor one that ends for memory in a thread of C++.
SAYS = {
    134: f"This job was aborted, see its log. Where the memory was full: {NO_MEMORY}",
    137: f"The system killed this job. {NO_MEMORY}",
}
CASES = " ".join(f"{k}) echo {shlex.quote(text)} >&2 ;;" for k, text in SAYS.items())
KILLED = f"case $? in {CASES} esac"
# A job ends with the process that has started its shell.
EXPORT = f"export PYTHONPATH={shlex.quote(PYTHONPATH)} {NO_BYTECODE}=1 {MALLOC} {PARENT}=$PPID"
PREFIX = f"{EXPORT}; {PYTHON}; trap {shlex.quote(KILLED)} EXIT; "
if {"{", "}"} & set(workflow.basedir):  # Snakemake formats it
    raise WorkflowError(
        f"Snakemake does not work in a folder with braces in its path: {workflow.basedir}. Rename the folder."
    )
shell.prefix(PREFIX)
name_user()  # Snakemake shows the name


def check_writable(paths):
    """Refuse a path that cannot be written, or made in the nearest folder that is there."""
    for path in map(Path, paths):
        there = next(p for p in (path, *path.parents) if os.path.exists(p))
        if not os.access(there, os.W_OK) or not (there == path or there.is_dir()):
            raise WorkflowError(
                f"{there.absolute()} cannot be written, or is no folder."
                " Change its permissions, move it, or work in another folder."
            )


check_writable(
    (".", ".snakemake", ".snakemake/metadata", ".snakemake/incomplete", "results")
)


# The target `zoo` has params of its own, unless others are given. Targets are not known here except by the command.
OVERLAYS = list(workflow.config_settings.configfiles)
ZOO = "zoo" in sys.argv and not OVERLAYS


def params_files():
    """Params.yaml, or what replaces it, and its overlays."""
    overlays = [Path("params/zoo.yaml")] if ZOO else OVERLAYS
    own = Path("params.yaml")
    is_own = overlays and overlays[0] == own.absolute()
    if is_own or workflow.config_settings.replace_workflow_config:
        return overlays
    return [own, *overlays]


# Not by `configfile:`, which accepts a key that is there twice, and makes text of the numbers in --config seeds=[0,1].
try:
    PARAMS = load(*params_files(), changes=workflow.config_settings.config_args)
    PLAN = Plan.make(PARAMS)
except GreedymmError as error:
    raise WorkflowError(str(error))


UNSENT = Path(
    "results/.unsent"
)  # there until the runs of a workflow are sent to the tracking store


wildcard_constraints:
    dataset=r"\w+",
    key=r"[0-9a-f]{8}",


TRAINED = (
    "checkpoint.pt",
    "snapshots.pt",
    "history.csv",
    "timing.csv",
    "steps.parquet",
    "record.json",
)
EVALUATED = ("result.json", "predictions.parquet")


def trained_files(runs):
    return [run.folder / name for run in runs for name in TRAINED]


def evaluated_files(runs):
    return [run.evaluation_folder / name for run in runs for name in EVALUATED]


def files_of(runs):
    """All files of runs, so that whichever is deleted is made again."""
    return trained_files(runs) + evaluated_files(runs)


def data_id(wildcards):
    """The id of a dataset's file, if it is planned. Another key belongs to other params or code."""
    id = "{0.dataset}/{0.key}".format(wildcards)
    if id not in PLAN.data:
        raise WorkflowError(f"{id} is not planned by these params")
    return id


def slots(_):
    """Of the `--cores`, those that a run takes. With more cores than the machine has, no more runs compute at once.

    Eight runs at once on two cores take a quarter longer for the same work: they evict each other's data from caches.
    """
    threads = PARAMS.execution.threads
    if not workflow.local_exec:  # a cluster's scheduler knows its cores
        return threads
    return threads * max(1, workflow.cores // available_cpu_count())


@cache
def has_gpu():
    """Whether jobs find a GPU here. Asking torch would cost seconds. A cluster's jobs compute on other machines."""
    return workflow.local_exec and which("nvidia-smi") is not None and bool(list_gpus())


def gpu_slots(_):
    """GPUs of the pool that a job takes: none where it computes on the CPU."""
    device = PARAMS.execution.device
    return int(device == "cuda" or (device == "auto" and has_gpu()))


def memory(_, attempt):
    """Memory that a job requests, in MB: twice as much after each failure, where `retries` are set."""
    return PARAMS.execution.memory_mb * 2 ** (attempt - 1)


def repeats(rule):
    """Whether this is a cluster's job, which runs a rule again because an earlier attempt failed."""
    if "--attempt" not in sys.argv:
        return False
    return int(sys.argv[sys.argv.index("--attempt") + 1]) > 1 and rule in sys.argv


# Runs that may use a GPU at the same time, unless `--resources gpu=N` says how many. A cluster's scheduler counts them.
if workflow.local_exec and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", 1)


def written():
    """Folders and files that the jobs will write. A file that is there is replaced, so its folder matters."""
    jobs = list(workflow.dag.needrun_jobs())
    outputs = {Path(path) for job in jobs for path in job.output}
    folders = {path if path.is_dir() else path.parent for path in outputs}
    # Logs and times are not replaced.
    files = {path for job in jobs for path in job.products() if path not in job.output}
    return sorted(folders | set(map(Path, files)))


def start():
    """Lock the folder, write the plan, and stop before the first job where a plug-in does not fit its network."""
    check_writable(written())
    try:
        lock_workflow()
        PLAN.write()
        if PARAMS.tracking.enabled:
            UNSENT.touch()
        for folder in ("results/searches", "results/zoo"):  # dvc.yaml has them as outs
            os.makedirs(folder, exist_ok=True)
    except GreedymmError as error:
        raise WorkflowError(str(error))
    except OSError as error:
        raise WorkflowError(f"{error}\n  {cure_of(error)}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # Jobs on a cluster read the Snakefile with another command.
    if ZOO and not workflow.local_exec:
        raise WorkflowError(
            "On a cluster, run: snakemake zoo --configfile params/zoo.yaml"
        )
    if not workflow.local_exec and PARAMS.execution.device == "auto":
        logger.warning("Runs request no GPU: for one each, set execution.device: cuda")
    computes = any(
        job.rule.name.startswith(("prepare", "train_", "evaluate_", "search_"))
        for job in workflow.dag.needrun_jobs()
    )
    # Without torch here, jobs have an environment of their own.
    has_torch = find_spec("torch") is not None
    if workflow.local_exec and not (CONDA or has_torch):
        raise WorkflowError(
            f"{sys.executable}, which runs Snakemake, has no torch. Run the snakemake of the environment in which"
            " greedymm is installed (.venv/bin/snakemake after `make all`), or add: --sdm conda"
        )
    if computes and has_torch:
        command = [sys.executable, "-m", "greedymm", "check", "--plan", str(PLAN.path)]
        own = {"PYTHONPATH": PYTHONPATH, NO_BYTECODE: "1", "OMP_NUM_THREADS": "1"}
        environment = os.environ | own
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            raise WorkflowError(done.stderr.strip() or NO_MEMORY)


def stop(*_):
    """End all jobs, then Snakemake. Alone it would wait for the jobs, after SIGTERM at times for a lock, forever."""
    for process in psutil.Process().children(recursive=True):
        process.terminate()
    raise KeyboardInterrupt


def synchronize():
    """Send finished runs to the tracking store. A store that is down costs no result."""
    if PARAMS.tracking.enabled:
        try:
            from greedymm import tracking

            tracking.sync_results(PLAN, PARAMS.tracking)
            UNSENT.unlink(missing_ok=True)
        except GreedymmError as error:
            logger.warning(str(error))
        # Such as of another MLflow than the locked one, first on the user's PYTHONPATH.
        except Exception as error:
            reason = mask(f"{type(error).__name__}: {error}", PARAMS.tracking.uri)
            logger.warning(
                f"tracking failed: {reason}\n  Send it later with: greedymm track"
            )
