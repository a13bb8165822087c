"""Step `search`: trials of a method -> the settings with the best validation accuracy -> runs of all seeds with them.

The test split is read only by the evaluation of the last runs.
"""

import logging
from typing import Any

from greedymm.data.batches import Loader
from greedymm.errors import GreedymmError
from greedymm.files import write_json
from greedymm.run import Run
from greedymm.search import Search
from greedymm.seeding import prepare_device
from greedymm.settings import Execution
from greedymm.steps.evaluate import evaluate as evaluate_run
from greedymm.steps.train import train
from greedymm.training.networks import load_network
from greedymm.training.step import evaluate

log = logging.getLogger(__name__)

SPLITS = ("val", "val_shift")  # to choose by; the second one where a dataset has it


def search(settings: Search, execution: Execution) -> None:
    """Train and score all trials, choose, train and evaluate the runs with the chosen settings. What is there is kept.

    The file of the search has the values and scores of each trial, and for each split the number of the best trial.

    Raises:
        GreedymmError: if all trials fail, or if a chosen run does.
    """
    trials = [try_values(settings, index, execution) for index in range(len(settings.trials))]
    chosen = {split: best for split in SPLITS if (best := choose(trials, split)) is not None}
    if not chosen:
        raise GreedymmError(f"{settings.id}: all trials fail: {trials[0]['error']}")
    for index in dict.fromkeys(chosen.values()):
        for run in settings.chosen(index):
            train_once(run, execution)
            if not (run.evaluation_folder / "result.json").exists():
                evaluate_run(run, execution)
    write_json({"trials": trials, "chosen": chosen}, settings.path)


def try_values(settings: Search, index: int, execution: Execution) -> dict[str, Any]:
    """Train a trial: its values, its run, and accuracy and loss on each split; or the error."""
    run = settings.trial(index)
    entry: dict[str, Any] = {"values": settings.trials[index], "run": run.id}
    try:
        train_once(run, execution)
        return entry | score(run, execution)
    except GreedymmError as error:
        log.warning("trial %d fails: %s", index + 1, error)
        return entry | {"error": str(error)}


def train_once(run: Run, execution: Execution) -> None:
    """Train a run, if it is not trained."""
    if not (run.folder / "checkpoint.pt").exists():
        train(run, execution)


def score(run: Run, execution: Execution) -> dict[str, dict[str, float]]:
    """Accuracy and loss of a trained network on the splits to choose by."""
    device = prepare_device(execution)
    network, *_ = load_network(run.folder / "checkpoint.pt", device, run.settings)
    loader = Loader(run.data_path, run.settings.stored, None, device, execution, run.settings.inputs)
    scores = {}
    for split in SPLITS:
        if split in loader.file.splits:
            result = evaluate(network, loader.batches(split))
            scores[split] = {"accuracy": result.accuracies[0], "loss": result.losses[0]}
    return scores


def choose(trials: list[dict[str, Any]], split: str) -> int | None:
    """Number of the trial with the best accuracy on a split, among equals the lowest loss; None: no trial has one."""
    scored = [(trial[split]["accuracy"], -trial[split]["loss"], -k) for k, trial in enumerate(trials) if split in trial]
    return -max(scored)[2] if scored else None
