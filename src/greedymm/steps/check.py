"""Do the parts of all planned runs fit each other: seen before anything is made or trained."""

import traceback

import torch

from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import required_passes
from greedymm.models.build import build
from greedymm.params.plugins import module_of
from greedymm.plan import Plan
from greedymm.run import Run
from greedymm.training.networks import make_method

CHANNELS, CLASSES = 3, 10  # of a network that stands for those of the data, which may not be there yet


def check(plan: Plan) -> None:
    """Import all plug-ins of a plan, build each network, and check that methods and measures fit it.

    Raises:
        GreedymmError: if a plug-in fails on import, or if a method, measure or head does not fit its network.
    """
    seen = set()
    for run in plan.runs.values():
        settings = run.settings.model_copy(update={"seed": 0, "training": None, "inputs": None})
        text = settings.model_dump_json(warnings=False) + run.evaluation.model_dump_json()
        if text not in seen:
            seen.add(text)
            try:
                _check(run)
            except GreedymmError:
                raise
            except Exception as error:  # of a plug-in: whatever its author has not foreseen
                where = traceback.extract_tb(error.__traceback__)[-1]
                what = traceback.format_exception_only(error)[-1].strip()
                message = f"{run.dataset}, {run.method}: {where.filename}, line {where.lineno}: {what}"
                raise GreedymmError(f"a plug-in fails, of {message}") from error


def _check(run: Run) -> None:
    settings, count = run.settings, len(run.settings.modalities)
    functions = [(settings.data, "make"), *((measure, "compute") for measure in run.evaluation.measures)]
    for plugin, function in functions:
        getattr(module_of(plugin), function)
    branches = [branch.untrained() for branch in settings.branches]
    network = build(branches, settings.fusion, settings.fuse_after, settings.head, [CHANNELS] * count, CLASSES)
    make_method(settings.method_settings, network, torch.Generator())
    required_passes(network, run.evaluation.measures, settings.modalities)
