"""Results that no run of the params needs -> listed, or deleted."""

import shutil
from pathlib import Path

from greedymm.errors import GreedymmError
from greedymm.plan import Plan


def prune(plan: Plan, *, delete: bool) -> list[Path]:
    """List the files and folders of data, runs, analyses and plans that a plan does not name; delete them if asked.

    Raises:
        GreedymmError: if results are to be deleted, and the last workflow had another plan.
    """
    last = max(Path("results/plans").glob("*.json"), key=lambda path: path.stat().st_mtime, default=plan.path)
    if delete and last != plan.path:
        raise GreedymmError(
            f"the last workflow made {last}, of other params or code; its results would be deleted.\n"
            "  If it had an overlay, give it: --params params.yaml --params OVERLAY. Else run the workflow first."
        )
    data = [settings.path for settings in plan.data.values()]
    keep = {*data, *(path.with_suffix(".json") for path in data), plan.folder, plan.sweeps_folder, plan.path}
    keep |= {plan.zoo_folder, *(search.path for search in plan.searches.values())}
    runs = list(plan.runs.values())
    for search in plan.searches.values():
        for k in range(len(search.trials)):  # any trial may be chosen
            runs += [search.trial(k), *search.chosen(k)]
    keep |= {path for run in runs for path in (run.folder, run.evaluation_folder)}
    results = Path("results")
    patterns = (
        "runs/*/*/*",
        "runs/*/*/*/evaluation-*",
        "data/*/*.h5",
        "data/*/*.json",
        "data/*/.*.part",
        "analysis/*",
        "plans/*.json",
        "searches/*/*.json",
    )
    stale = {path for pattern in patterns for path in results.glob(pattern)} - keep
    stale = {path for path in stale if not stale & set(path.parents)}
    for path in stale if delete else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return sorted(stale)
