"""Step `report`: results of all runs -> tables, figures and one HTML page."""

from pathlib import Path

from greedymm.analysis.figures import draw_figures
from greedymm.analysis.report import write_report
from greedymm.analysis.results import read_results
from greedymm.analysis.study import Images, Study, make_study, write_tables
from greedymm.data.hdf5 import DataFile
from greedymm.info import check_content
from greedymm.plan import Plan


def make_report(plan: Plan) -> None:
    """Write tables, figures and the page of all runs into the plan's folder, the page last.

    Raises:
        GreedymmError: if a run cannot be used.
    """
    write_analysis(plan, plan.folder)


def write_analysis(plan: Plan, folder: Path, *, exclude: bool = False) -> None:
    """Write tables, figures and the page; with `exclude`, of the runs that can be used."""
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
    check_content(study.paths[dataset])
    with DataFile(study.paths[dataset]) as file:
        lines = [(split, m) for split in file.splits if split != "val" for m in modalities]
        examples = {f"{split}\n{m}": file.examples(split, m, count=3) for split, m in lines}
        uniquely_correct = {m: [file.read("test", m, row) for row in rows] for m in modalities}
    return Images(examples, uniquely_correct)
