"""Do the parts of all planned runs fit each other: seen before anything is made or trained."""

import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import required_passes
from greedymm.info import read_info
from greedymm.params.plugins import module_of
from greedymm.plan import Plan, read_plan
from greedymm.run import Run
from greedymm.settings import BranchSettings
from greedymm.training.networks import new_network

CHANNELS, CLASSES = 3, 10  # of a network that stands for those of the data, which may not be there yet
GRAY = 1  # channel


def check_prepared(path: Path, run: Run) -> None:
    """Check the runs of a dataset that was prepared after the plan was written, until one of them is trained.

    Sizes of its splits were not known when the workflow began. Raises as `check`.
    """
    started, folder = path.stat().st_mtime, Path("results/runs", run.dataset)
    trained = any(file.stat().st_mtime > started for file in folder.glob("*/*/checkpoint.pt"))
    if not trained and run.data_path.exists() and run.data_path.stat().st_mtime > started:
        check(read_plan(path), run.dataset)


def check(plan: Plan, dataset: str | None = None) -> None:
    """Import all plug-ins of a plan, or of one dataset, and check that head, method and measures fit each network.

    Raises:
        GreedymmError: if a plug-in fails, if one does not fit its network, or if a file of weights cannot be used.
    """
    runs = [run for run in plan.runs.values() if dataset in (None, run.dataset)]
    branches = [branch for run in runs for branch in run.settings.branches]
    for pretrained in {repr(branch): branch for branch in branches if branch != branch.untrained()}.values():
        _check_weights(pretrained)
    distinct = {}
    for run in runs:
        epochs = run.settings.training.epochs
        settings = run.settings.model_copy(update={"seed": 0, "training": epochs, "inputs": None})
        distinct[settings.model_dump_json(warnings=False) + run.evaluation.model_dump_json()] = run
    for run in distinct.values():
        try:
            _check(run)
        except GreedymmError as error:
            raise GreedymmError(f"{run.dataset}, {run.method}: {error}") from None
        except Exception as error:  # of a plug-in: whatever its author has not foreseen
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = traceback.format_exception_only(error)[-1].strip()
            message = f"{run.dataset}, {run.method}: {where.filename}, line {where.lineno}: {what}"
            raise GreedymmError(f"a plug-in fails, of {message}") from error


def _check_weights(branch: BranchSettings) -> None:
    """Read a branch's file of weights into a network for colored samples, or else into one for gray samples.

    Other errors than our own may be due to these numbers of channels. Then training says so.
    """
    errors = []
    for channels in (CHANNELS, GRAY):
        try:
            module_of(branch).build(branch, channels).initialize()
        except Exception as error:  # noqa: BLE001  of a plug-in
            errors.append(error)
        else:
            return
    if all(isinstance(error, GreedymmError) for error in errors):
        raise errors[0]


def _check(run: Run) -> None:
    modalities, measures = run.settings.modalities, run.evaluation.measures
    for plugin, function in [(run.settings.data, "make"), *((measure, "compute") for measure in measures)]:
        getattr(module_of(plugin), function)
    info = read_info(run.data_path) if run.data_path.with_suffix(".json").exists() else None
    classes = len(info.classes) if info else CLASSES
    network, method = new_network(run.settings, [CHANNELS] * len(modalities), classes, torch.device("cpu"))
    method.epochs = run.settings.training.epochs
    method.check_schedule()
    required_passes(network, measures)
    if info:
        splits: list[Any] = [SimpleNamespace(count=info.counts[split]) for split in ("train", "val")]
        method.check(*splits)
