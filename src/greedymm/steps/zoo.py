"""Step `zoo`: results of all methods, with the params' settings and with those that searches chose -> one page."""

from greedymm.analysis.results import read_results
from greedymm.plan import Plan


def make_zoo(plan: Plan) -> None:
    """Write tables, figures and the page of the zoo.

    Raises:
        GreedymmError: if a run or a search cannot be used.
    """
    read_results(plan.default_runs)
