"""Command line: one subcommand per step of the workflow, and a few for people."""

import argparse
import errno
import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from greedymm import __version__
from greedymm.errors import GreedymmError
from greedymm.params.load import load, validate
from greedymm.params.schema import Params, Tracking
from greedymm.run import DataSettings, Run
from greedymm.settings import Execution

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 it has no other name
REMEDIES = {
    errno.ENOSPC: "The disk is full. Free some space and run again: whole epochs are kept.",
    errno.EDQUOT: "The quota is used up. Free some space and run again: whole epochs are kept.",
    errno.EROFS: "The file system is read-only. Make it writable, or work in another folder.",
    errno.EACCES: "That is not permitted. Change the permissions, or work in another folder.",
}


def main() -> None:
    """Run one subcommand; an error that a user can mend is shown without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    sys.path.append(str(Path.cwd()))  # plug-ins of a user's, beside the params
    try:
        arguments = vars(_parser().parse_args())
        module, function = arguments.pop("command")
        getattr(import_module(module), function)(**arguments)
    except GreedymmError as error:
        sys.exit(f"greedymm: {error}")
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        sys.exit(f"greedymm: {error}\n  {REMEDIES[error.errno]}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("greedymm", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_computing(commands)
    _add_analysis(commands)
    _add_for_people(commands)
    return parser


def _add_computing(commands: Commands) -> None:
    prepare = _add(commands, "prepare", "sources -> HDF5")
    prepare.add_argument("--settings", type=DataSettings.model_validate_json, required=True, help="JSON")
    prepare.add_argument("--raw", type=Path, required=True, help="folder of what is downloaded or put there by hand")
    prepare.add_argument("--workers", type=int, default=1, help="processes that share the work, where it takes many")
    prepare.add_argument("--output", type=Path, required=True, help="HDF5 file")

    train = _add(commands, "train", "HDF5 -> batches -> network -> training -> checkpoint")
    train.add_argument("--tracking", type=Tracking.model_validate_json, required=True, help="JSON")
    evaluate = _add(commands, "evaluate", "checkpoint + batches -> predictions -> measures")
    follow = _add(commands, "follow", "send a run's epochs to MLflow while it trains", "greedymm.tracking")
    for of_a_run in (train, evaluate, follow):
        of_a_run.add_argument("--run", type=Run.model_validate_json, required=True, help="JSON")
    for computing in (train, evaluate):
        computing.add_argument("--execution", type=Execution.model_validate_json, required=True, help="JSON")
    follow.add_argument("--uri", required=True, help="of the tracking store")
    follow.add_argument("--epochs", type=Path, required=True, help="file to which the run adds a line per epoch")


def _add_analysis(commands: Commands) -> None:
    sweep = _add(commands, "sweep", "results of a sweep's runs -> table, figure and text", "greedymm.steps.sweeps")
    sweeps = _add(commands, "sweeps", "tables, figures and texts of all sweeps -> one HTML page")
    sweep.add_argument("--name", required=True, help="of the sweep")
    sweeps.add_argument("--page", type=Path, required=True, help="HTML file")
    tables, figures, costs, report = (
        _add(commands, name, what, "greedymm.steps.report")
        for name, what in (
            ("tables", "results of all runs -> tables"),
            ("figures", "tables and samples -> figures"),
            ("costs", "timing of all runs -> table and figure of what they took"),
            ("report", "tables and figures, and sweeps where they are made -> one HTML page"),
        )
    )
    for step in (tables, figures, costs):
        step.add_argument("--folder", type=Path, required=True, help="where to write")
    for step in (figures, report):
        step.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    report.add_argument("--figures", type=Path, required=True, help="folder of the figures")
    report.add_argument("--costs", type=Path, required=True, help="folder of what the runs took")
    report.add_argument("--page", type=Path, required=True, help="HTML file")
    for step in (tables, figures, costs, report, sweeps):
        step.add_argument("--stamp", type=Path, required=True, help="its name says what the files are made from")
    for step in (tables, figures, costs, report, sweep, sweeps):
        step.add_argument("--params", type=_params, required=True, help="JSON")


def _add_for_people(commands: Commands) -> None:
    preview = _add(commands, "preview", "tables, figures and report of the finished runs", "greedymm.steps.report")
    track = _add(commands, "track", "finished runs -> MLflow, whatever of them is not there yet")
    check = _add(commands, "check", "whether all parts of the planned runs fit each other, before anything is trained")
    prune = _add(commands, "prune", "list data and runs that params no longer name, or delete them", _HERE, "_prune")
    uri = _add(commands, "uri", "show where runs are tracked", _HERE, "_uri")
    preview.add_argument("--folder", type=Path, default="results/preview", help="where to write (%(default)s)")
    track.add_argument("--note", type=Path, help="write what was done here, and take a store that is down for no error")
    prune.add_argument("--delete", action="store_true", help="delete them; otherwise they are only listed")
    for step in (preview, track, check, prune, uri):
        files = "JSON, or YAML files: FILE[,OVERLAY ...] (%(default)s)"
        step.add_argument("--params", type=_params, default="params.yaml", help=files)
    predict = _add(commands, "predict", "a checkpoint + a dataset's file -> predictions with probabilities, as CSV")
    predict.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt in the folder of a run")
    predict.add_argument("--data", type=Path, required=True, help="HDF5 file, as in results/data")
    predict.add_argument("--split", choices=("train", "val", "test"), default="test", help="(%(default)s)")
    predict.add_argument("--output", type=Path, required=True, help="CSV file")
    inspect = _add(commands, "inspect", "show the settings, results and utilization of a run", _HERE, "_inspect")
    inspect.add_argument("folder", type=Path, help="of a run, in results/runs")
    what = "write generated objects as OFF meshes, in the form of ModelNet40: to try its reader without it"
    objects = _add(commands, "objects", what, _HERE, "_objects")
    objects.add_argument("folder", type=Path, help="where to write; made when it is missing")
    what = "write generated gestures as videos and lists, in the form of NVGesture: to try its reader without it"
    filmed = _add(commands, "clips", what, _HERE, "_clips")
    filmed.add_argument("folder", type=Path, help="where to write; made when it is missing")
    filmed.add_argument("--workers", type=int, default=2, help="processes that share the work (%(default)s)")
    for name, least, most, what in (
        ("--classes", 1, 16, "the first ones"),
        ("--count", 2, 1000, "training objects of each; half as many for testing"),
    ):
        said = f"{least} to {most} (%(default)s): {what}"
        objects.add_argument(name, type=int, default=10, choices=range(least, most + 1), metavar="N", help=said)
    _add(commands, "summary", "show where the report is, and the main table", _HERE, "_summary")
    _add(commands, "jobs", "show what the steps have cost: jobs, and the most expensive of each", _HERE, "_jobs")
    _add(commands, "schema", "write the JSON schema of params.yaml", _HERE, "_schema")


_HERE = "greedymm.cli"


def _add(commands: Commands, name: str, what: str, module: str = "", function: str = "") -> argparse.ArgumentParser:
    """A subcommand. Its module is imported when it runs: that of a step imports torch, which takes seconds."""
    parser = commands.add_parser(name, help=what, description=what)
    parser.set_defaults(command=(module or f"greedymm.steps.{name}", function or name))
    return parser


def _params(text: str) -> Params:
    return validate(json.loads(text)) if text.startswith("{") else load(*map(Path, text.split(",")))


def _prune(params: Params, *, delete: bool) -> None:
    """List data and runs that params no longer name; with --delete, remove them."""
    from greedymm.steps.prune import prune

    for path in prune(params, delete=delete):
        sys.stdout.write(f"{path}\n")


def _objects(folder: Path, classes: int, count: int) -> None:
    """Write generated objects as OFF meshes, in the form of ModelNet40: to try its reader without it."""
    from greedymm.data.datasets.solids import Settings
    from greedymm.data.synthetic.export import write_meshes

    written = write_meshes(folder, Settings(train=count - 1, val=1, test=count // 2), classes)
    sys.stdout.write(f"{written} objects of {classes} classes in {folder}\n")


def _clips(folder: Path, workers: int) -> None:
    """Write generated gestures as videos and lists, in the form of NVGesture: to try its reader without it."""
    from greedymm.data.datasets.handwave import Settings
    from greedymm.data.synthetic.export import write_clips

    write_clips(folder, Settings(classes=2, train=2, test=1, takes=1), workers)
    sys.stdout.write(f"clips of 2 gestures and 3 subjects in {folder}\n")


def _summary() -> None:
    """Show where the report is, and the main table."""
    import pandas as pd

    path = Path("results/tables/headline.csv")
    if not path.exists():
        raise GreedymmError(f"{path} is missing; make it with: snakemake --cores 2 all")
    table = pd.read_csv(path, keep_default_na=False)
    sys.stdout.write(f"{table.to_string(index=False)}\n\nReport: {Path('results/report/index.html').resolve()}\n")


def _inspect(folder: Path) -> None:
    """Show the settings, results and utilization of a run."""
    from greedymm.analysis.inspection import described

    sys.stdout.write(described(folder))


def _jobs() -> None:
    """Show what the steps have cost: jobs, and seconds and MiB of the most expensive one."""
    import pandas as pd

    jobs = [
        pd.read_csv(path, sep="\t", na_values="-").assign(step=path.parent.name)
        for path in Path("results/benchmarks").glob("*/*.tsv")
    ]
    if not jobs:
        raise GreedymmError("results/benchmarks is empty; run the workflow first")
    steps = pd.concat(jobs).groupby("step")
    table = steps[["s", "max_rss", "max_uss"]].max().assign(jobs=steps.size())
    sys.stdout.write(f"{table.to_string()}\n")


def _uri(params: Params) -> None:
    """Show where runs are tracked."""
    sys.stdout.write(f"{params.tracking.uri}\n")


def _schema() -> None:
    """Write the JSON schema of params.yaml."""
    from greedymm.params.json_schema import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
