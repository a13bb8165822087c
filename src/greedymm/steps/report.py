"""Step `report`: results of all runs -> tables, figures and one HTML page; `preview`: of the finished runs."""

import logging
from pathlib import Path

from greedymm.analysis.figures import draw_figures
from greedymm.analysis.report import write_report
from greedymm.analysis.results import read_results
from greedymm.analysis.study import Images, Study, make_study, write_tables
from greedymm.analysis.sweeps import read_sweep, write_sweeps
from greedymm.data.hdf5 import DataFile
from greedymm.errors import GreedymmError
from greedymm.plan import Plan

log = logging.getLogger(__name__)


def make_report(plan: Plan) -> None:
    """Write tables, figures and the page of all runs into the plan's folder, the page last.

    Raises:
        GreedymmError: if a run cannot be used.
    """
    _write(plan, plan.folder)


def preview(plan: Plan, folder: Path) -> None:
    """Write tables, figures and the page of the runs that can be used, and of the sweeps that are complete.

    Raises:
        GreedymmError: if no run can be used.
    """
    for old in [*folder.glob("figures/*.[ps][nv]g"), *folder.glob("sweeps/*/*.*"), *folder.glob("sweeps/*.html")]:
        old.unlink()
    sweeps = []
    for name in plan.sweeps:
        try:
            sweeps.append(read_sweep(plan, name))
        except GreedymmError as error:
            log.warning("Sweep %s is skipped: %s", name, error)
    if sweeps:
        write_sweeps(sweeps, folder / "sweeps")
    _write(plan, folder, exclude=True)
    log.info("Report: %s", (folder / "index.html").resolve())


def _write(plan: Plan, folder: Path, *, exclude: bool = False) -> None:
    results = read_results(plan.default_runs, exclude=exclude)
    study = make_study(plan, results)
    images = {name: _read_images(study, name) for name in study.info}
    pictures = draw_figures(study._replace(images=images), folder / "figures")
    write_tables(study, folder / "tables")
    write_report(study, pictures, folder / "index.html")


def _read_images(study: Study, dataset: str) -> Images:
    """Samples that the figures of one dataset show."""
    modalities = list(dict.fromkeys(study.modalities[dataset].values()))
    rows = study.uniquely_correct.query("dataset == @dataset")["row"]
    with DataFile(study.paths[dataset]) as file:
        lines = [(split, m) for split in file.splits if split != "val" for m in modalities]
        examples = {f"{split}\n{m}": file.examples(split, m, count=3) for split, m in lines}
        uniquely_correct = {m: [file.images("test", m)[row] for row in rows] for m in modalities}
    return Images(examples, uniquely_correct)
