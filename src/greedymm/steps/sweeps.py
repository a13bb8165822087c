"""Step `sweeps`: results of the sweeps' runs -> tables and figures -> one HTML page."""

from greedymm.analysis.sweeps import read_sweep, write_sweeps
from greedymm.plan import Plan


def make_sweeps(plan: Plan) -> None:
    """Write tables, figures and the page of all sweeps.

    Raises:
        GreedymmError: if a run cannot be used.
    """
    write_sweeps([read_sweep(plan, name) for name in plan.sweeps], plan.sweeps_folder)
