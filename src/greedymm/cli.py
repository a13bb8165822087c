"""Command line: one command per step of the workflow, and a few for people.

The module of a step is imported when its command runs: most import torch, which takes seconds.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from greedymm import __version__, gpus
from greedymm.errors import NO_MEMORY, GreedymmError, cure_of, lacks_memory, printable
from greedymm.jobs import join_workflow
from greedymm.params.load import load
from greedymm.plan import Plan, read_data_settings, read_plan, read_runs, read_search
from greedymm.progress import describe_left
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.system import name_user

app = typer.Typer(
    name="greedymm",
    help="Reproducible study of greedy learning in multi-modal networks. Start with: snakemake --cores 8 all",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
PlanPath = Annotated[Path, typer.Option("--plan", help="plan of the workflow: results/plans/KEY.json")]
RunIds = Annotated[
    list[str], typer.Option("--run", help="a run of the plan, DATASET/METHOD/seed0-KEY; repeat it for several")
]
ParamsPaths = Annotated[
    list[Path], typer.Option("--params", help="YAML file; repeat it for an overlay", show_default=True)
]
Folder = Annotated[Path, typer.Argument(help="where to write")]
LINES = "\n\t"  # control characters that messages have
DEFAULT_PARAMS = [Path("params.yaml")]


class _Printable(logging.Formatter):
    """Formats records without control characters of names, which a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep=LINES)


def main() -> None:
    """Run one command. An error that a user can mend is shown without a traceback."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.path.append(str(Path.cwd()))  # plug-ins beside the params
    name_user()
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets one that is not installed here
    join_workflow()
    try:
        app()
    except GreedymmError as error:
        sys.exit(f"greedymm: {printable(str(error), keep=LINES)}")
    except OSError as error:
        if not (cure := cure_of(error)):
            raise
        sys.exit(f"greedymm: {printable(str(error), keep=LINES)}\n  {cure}")
    except (MemoryError, RuntimeError, ImportError) as error:
        if not lacks_memory(error):
            raise
        sys.exit(f"greedymm: {(str(error) or type(error).__name__).splitlines()[0]}\n  {NO_MEMORY}")


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version")] = False) -> None:  # noqa: FBT002  the form that typer calls
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _plan_of(params: list[Path]) -> Plan:
    return Plan.make(load(*params))


def _for_each(runs: list[Run], step: Callable[[Run], None]) -> None:
    """Do a step for all runs. A run that fails, as by a loss that is not finite, does not stop the others."""
    failed = []
    for run in runs:
        try:
            step(run)
        except GreedymmError as error:
            failed.append(f"{run.id}: {error}")
    if failed:
        raise GreedymmError("\n".join(failed))


def _reserve_gpu(execution: Execution) -> None:
    if execution.device != "cpu":
        gpus.reserve()


# -- Steps of the workflow ----------------------------------------------------------------------------------


@app.command()
def prepare(
    plan: PlanPath,
    data: Annotated[str, typer.Option(help="a dataset's file in the plan: DATASET/KEY")],
    raw: Annotated[Path, typer.Option(help="folder of what is downloaded or put there by hand")] = Path("data/raw"),
    workers: Annotated[int, typer.Option(help="processes")] = 1,
) -> None:
    """Prepare the HDF5 file of a dataset."""
    from greedymm.steps.prepare import prepare as run_step

    run_step(read_data_settings(plan, data), raw, workers)


@app.command()
def train(plan: PlanPath, run: RunIds) -> None:
    """Train and evaluate runs, one after another."""
    from greedymm.steps.check import check_prepared
    from greedymm.steps.evaluate import evaluate as evaluate_run
    from greedymm.steps.train import train as train_run

    runs, execution = read_runs(plan, run)
    check_prepared(plan, runs[0])
    _reserve_gpu(execution)

    def train_and_evaluate(each: Run) -> None:
        if not (each.folder / "checkpoint.pt").exists():  # where the evaluation failed on a cluster
            train_run(each, execution)
        evaluate_run(each, execution)

    _for_each(runs, train_and_evaluate)
    typer.echo(describe_left(plan))


@app.command()
def evaluate(plan: PlanPath, run: RunIds) -> None:
    """Evaluate trained runs."""
    from greedymm.steps.evaluate import evaluate as run_step

    runs, execution = read_runs(plan, run)
    _reserve_gpu(execution)
    _for_each(runs, lambda each: run_step(each, execution))


@app.command()
def search(plan: PlanPath, name: Annotated[str, typer.Option("--search", help="a search of the plan")]) -> None:
    """Search the settings of a method, and train with the chosen ones."""
    from greedymm.steps.check import check_prepared
    from greedymm.steps.search import search as run_step

    settings, execution = read_search(plan, name)
    check_prepared(plan, settings.base)
    _reserve_gpu(execution)
    run_step(settings, execution)
    typer.echo(describe_left(plan))


@app.command()
def zoo(plan: PlanPath) -> None:
    """Make tables, figures and the page of the zoo."""
    from greedymm.steps.zoo import make_zoo

    content = read_plan(plan)
    make_zoo(content, content.zoo_folder)


@app.command()
def report(plan: PlanPath) -> None:
    """Make tables, figures and the report."""
    from greedymm.steps.report import make_report

    make_report(read_plan(plan))


@app.command()
def sweeps(plan: PlanPath) -> None:
    """Make tables, figures and the page of the sweeps."""
    from greedymm.steps.sweeps import make_sweeps

    make_sweeps(read_plan(plan))


# -- Commands for people ------------------------------------------------------------------------------------


@app.command()
def check(
    params: ParamsPaths = DEFAULT_PARAMS,
    plan: Annotated[Path | None, typer.Option(help="plan of the workflow, in place of params")] = None,
) -> None:
    """Check that plug-ins, methods and measures fit."""
    from greedymm.steps.check import check as run_step

    run_step(read_plan(plan) if plan else _plan_of(params))


@app.command()
def preview(
    params: ParamsPaths = DEFAULT_PARAMS,
    folder: Annotated[Path, typer.Option(help="where to write")] = Path("results/preview"),
) -> None:
    """Make a report of the usable runs."""
    from greedymm.steps.preview import preview as run_step

    run_step(_plan_of(params), folder)


@app.command()
def track(
    params: ParamsPaths = DEFAULT_PARAMS,
    watch: Annotated[bool, typer.Option("--watch", help="keep running; also send epochs of runs in training")] = False,  # noqa: FBT002
) -> None:
    """Send finished runs and reports to MLflow."""
    from greedymm import tracking

    loaded = load(*params)
    plan = Plan.make(loaded)
    if watch:
        tracking.watch(plan, loaded.tracking)
    typer.echo(f"{tracking.sync_results(plan, loaded.tracking)} runs sent")


@app.command()
def prune(
    params: ParamsPaths = DEFAULT_PARAMS,
    delete: Annotated[bool, typer.Option("--delete", help="delete them; otherwise they are only listed")] = False,  # noqa: FBT002
) -> None:
    """List results that the params no longer need, or delete them."""
    from greedymm.steps.prune import prune as run_step

    for path in run_step(_plan_of(params), delete=delete):
        typer.echo(path)


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Option(help="checkpoint.pt in the folder of a run")],
    data: Annotated[Path, typer.Option(help="HDF5 file, as in results/data", dir_okay=False)],
    output: Annotated[Path, typer.Option(help="CSV file to write")],
    split: Annotated[str, typer.Option(help="train, val, test, or another split of the file")] = "test",
) -> None:
    """Write the predictions of a checkpoint as CSV."""
    from greedymm.steps.predict import predict as run_step

    run_step(checkpoint, data, split, output)


@app.command()
def inspect(folder: Annotated[Path, typer.Argument(help="folder of a run, in results/runs")]) -> None:
    """Show the settings, results and measures of a run."""
    from greedymm.analysis.results import describe_run

    typer.echo(describe_run(folder), nl=False)


@app.command()
def summary() -> None:
    """Show the main table, and where the report is."""
    import pandas as pd

    from greedymm.files import read

    table = read(Path("results/report/tables/headline.csv"), lambda path: pd.read_csv(path, keep_default_na=False))
    table["method"] = table["method"].str.replace(r"^unimodal_(.*)", r"\1 alone", regex=True)
    typer.echo(f"{table.to_string(index=False)}\n\nReport: {Path('results/report/index.html').resolve()}")


@app.command()
def jobs() -> None:
    """Show the jobs of each step, and the most seconds and MiB of one."""
    import pandas as pd

    files = [(path.parent.name, path) for path in Path("results/benchmarks").glob("*/*.tsv")]
    if not files:
        raise GreedymmError("results/benchmarks is empty; run the workflow first: snakemake --cores 8 all")
    steps = pd.concat([pd.read_csv(path, sep="\t", na_values="-").assign(step=step) for step, path in files])
    table = steps.groupby("step").agg(jobs=("s", "size"), s=("s", "max"), max_rss=("max_rss", "max"))
    typer.echo(table.to_string())


@app.command()
def ui(
    params: ParamsPaths = DEFAULT_PARAMS, port: Annotated[int, typer.Option(help="port of 127.0.0.1")] = 5000
) -> None:
    """Show MLflow in the browser, also the runs that train now."""
    from greedymm import tracking

    loaded = load(*params)
    tracking.serve(Plan.make(loaded), loaded.tracking, port)


@app.command()
def schema() -> None:
    """Write the JSON schema of params.yaml."""
    from greedymm.params.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def methods() -> None:
    """Write docs/methods.md: formulas and settings of methods, fusions, heads and measures."""
    from greedymm.params.pages import methods_page

    typer.echo(methods_page())


@app.command()
def objects(
    folder: Folder,
    classes: Annotated[int, typer.Option(min=2, max=16, help="the first of the 16 classes")] = 10,
    count: Annotated[int, typer.Option(min=2, max=1000, help="training objects per class; test objects: half")] = 10,
) -> None:
    """Write generated objects as OFF meshes in the form of ModelNet40, to try its reader."""
    from greedymm.data.datasets.solids import Settings
    from greedymm.data.synthetic.export import write_meshes

    written = write_meshes(folder, Settings(train=count - 1, val=1, test=count // 2), classes)
    typer.echo(f"{written} objects of {classes} classes in {folder}")


@app.command()
def clips(folder: Folder, workers: Annotated[int, typer.Option(help="processes")] = 2) -> None:
    """Write generated gestures as videos and lists in the form of NVGesture, to try its reader."""
    from greedymm.data.datasets.handwave import Settings
    from greedymm.data.synthetic.export import write_clips

    write_clips(folder, Settings(classes=2, train=2, test=1, takes=1), workers)
    typer.echo(f"clips of 2 gestures and 3 subjects in {folder}")
