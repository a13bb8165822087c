"""Command `preview`: results of the finished runs -> tables, figures and pages."""

import logging
from pathlib import Path

from greedymm.analysis.sweeps import read_sweep, write_sweeps
from greedymm.errors import GreedymmError
from greedymm.plan import Plan
from greedymm.steps.report import write_analysis
from greedymm.steps.zoo import make_zoo

log = logging.getLogger(__name__)


def preview(plan: Plan, folder: Path) -> None:
    """Write tables, figures and the page of the runs that can be used, of complete sweeps, and of the zoo.

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
    if plan.searches:
        make_zoo(plan, folder / "zoo", exclude=True)
    write_analysis(plan, folder, exclude=True)
    log.info("Report: %s", (folder / "index.html").resolve())
