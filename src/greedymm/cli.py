"""Command line: one subcommand per step of the workflow, and a few for people."""

import argparse
import errno
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from greedymm import __version__, params, steps, tracking
from greedymm.errors import GreedymmError
from greedymm.params import Execution, Params, Tracking
from greedymm.runs import DataSettings, Run

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
    try:
        arguments = vars(_parser().parse_args())
        command = arguments.pop("command")
        command(**arguments)
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
    data = _add(commands, steps.data)
    data.add_argument("--settings", type=DataSettings.model_validate_json, required=True, help="JSON")
    data.add_argument("--raw", type=Path, required=True, help="folder of what is downloaded or put there by hand")
    data.add_argument("--workers", type=int, default=1, help="processes that share the work, where it takes many")
    data.add_argument("--output", type=Path, required=True, help="HDF5 file")

    train = _add(commands, steps.train)
    train.add_argument("--tracking", type=Tracking.model_validate_json, required=True, help="JSON")
    utilization, follow = _add(commands, steps.utilization), _add(commands, tracking.follow)
    for of_a_run in (train, utilization, follow):
        of_a_run.add_argument("--run", type=Run.model_validate_json, required=True, help="JSON")
    for computing in (train, utilization):
        computing.add_argument("--execution", type=Execution.model_validate_json, required=True, help="JSON")
    follow.add_argument("--uri", required=True, help="of the tracking store")
    follow.add_argument("--epochs", type=Path, required=True, help="file to which the run adds a line per epoch")


def _add_analysis(commands: Commands) -> None:
    sweep, sweeps = _add(commands, steps.sweep), _add(commands, steps.sweeps)
    sweep.add_argument("--name", required=True, help="of the sweep")
    sweeps.add_argument("--page", type=Path, required=True, help="HTML file")
    analysis = (steps.tables, steps.figures, steps.costs, steps.report)
    tables, figures, costs, report = (_add(commands, step) for step in analysis)
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
    preview, track = _add(commands, steps.preview), _add(commands, steps.track)
    prune, uri = _add(commands, _prune, "prune"), _add(commands, _uri, "uri")
    preview.add_argument("--folder", type=Path, default="results/preview", help="where to write (%(default)s)")
    track.add_argument("--note", type=Path, help="write what was done here, and take a store that is down for no error")
    prune.add_argument("--delete", action="store_true", help="delete them; otherwise they are only listed")
    for step in (preview, track, prune, uri):
        files = "JSON, or YAML files: FILE[,OVERLAY ...] (%(default)s)"
        step.add_argument("--params", type=_params, default="params.yaml", help=files)
    predict = _add(commands, steps.predict)
    predict.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt in the folder of a run")
    predict.add_argument("--data", type=Path, required=True, help="HDF5 file, as in results/data")
    predict.add_argument("--split", choices=("train", "val", "test"), default="test", help="(%(default)s)")
    predict.add_argument("--output", type=Path, required=True, help="CSV file")
    inspect = _add(commands, _inspect, "inspect")
    inspect.add_argument("folder", type=Path, help="of a run, in results/runs")
    objects = _add(commands, _objects, "objects")
    objects.add_argument("folder", type=Path, help="where to write; made when it is missing")
    filmed = _add(commands, _clips, "clips")
    filmed.add_argument("folder", type=Path, help="where to write; made when it is missing")
    filmed.add_argument("--workers", type=int, default=2, help="processes that share the work (%(default)s)")
    for name, least, most, what in (
        ("--classes", 1, 16, "the first ones"),
        ("--count", 2, 1000, "training objects of each; half as many for testing"),
    ):
        said = f"{least} to {most} (%(default)s): {what}"
        objects.add_argument(name, type=int, default=10, choices=range(least, most + 1), metavar="N", help=said)
    _add(commands, _summary, "summary")
    _add(commands, _jobs, "jobs")
    _add(commands, _schema, "schema")


def _add(commands: Commands, step: Callable[..., object], name: str = "") -> argparse.ArgumentParser:
    described = (step.__doc__ or "").splitlines()[0]
    parser = commands.add_parser(name or step.__name__, help=described, description=described)
    parser.set_defaults(command=step)
    return parser


def _params(text: str) -> Params:
    return params.validate(json.loads(text)) if text.startswith("{") else params.load(*map(Path, text.split(",")))


def _prune(params: Params, *, delete: bool) -> None:
    """List data and runs that params no longer name; with --delete, remove them."""
    for path in steps.prune(params, delete=delete):
        sys.stdout.write(f"{path}\n")


def _objects(folder: Path, classes: int, count: int) -> None:
    """Write generated objects as OFF meshes, in the form of ModelNet40: to try its reader without it."""
    from greedymm.data.export import write_meshes
    from greedymm.data.solids import Settings

    written = write_meshes(folder, Settings(train=count - 1, val=1, test=count // 2), classes)
    sys.stdout.write(f"{written} objects of {classes} classes in {folder}\n")


def _clips(folder: Path, workers: int) -> None:
    """Write generated gestures as videos and lists, in the form of NVGesture: to try its reader without it."""
    from greedymm.data.export import write_clips
    from greedymm.data.handwave import Settings

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
    sys.stdout.write(json.dumps(params.json_schema(), indent=2) + "\n")
