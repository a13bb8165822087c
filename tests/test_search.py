"""Step `search`: trials are compared on validation, and the chosen settings train all seeds."""

from pathlib import Path
from typing import Any

import pytest
from smallest import CPU, SECTION

from greedymm.errors import GreedymmError
from greedymm.files import read_json, write_json
from greedymm.params.load import validate
from greedymm.plan import Plan, read_data_settings, read_search
from greedymm.progress import describe_left
from greedymm.settings import Execution
from greedymm.steps import search as step
from greedymm.steps.prepare import prepare
from greedymm.steps.prune import prune
from greedymm.steps.search import choose, search
from greedymm.steps.train import train


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan with one search, in its folder, with its data."""
    monkeypatch.chdir(tmp_path)
    raw = {
        "seeds": [3, 4],
        "datasets": {"colored_mnist_5k": SECTION | {"methods": {"ogm_ge": {}}}},
        "tuning": {"trials": 3},
    }
    plan = Plan.make(validate(raw))
    plan.write()
    prepare(read_data_settings(plan.path, *plan.data), tmp_path, 1)
    return plan


def test_a_search_trains_its_trials_and_then_all_seeds_with_the_best_settings(plan: Plan) -> None:
    settings, _ = read_search(plan.path, *plan.searches)
    assert describe_left(plan.path) == "Left: 9 runs"  # two choices of settings, on two splits

    search(settings, CPU)

    found = read_json(settings.path)
    best = max(found["trials"], key=lambda trial: (trial["val"]["accuracy"], -trial["val"]["loss"]))
    runs = settings.best("val")
    assert [run.seed for run in runs] == [3, 4]
    for run in runs:
        own = run.settings.model_dump(mode="json")
        assert own["training"]["learning_rate"] == best["values"]["training.learning_rate"]
        assert (run.evaluation_folder / "result.json").exists()
    trials = [settings.trial(k) for k in range(3)]
    assert not any(trial.evaluation_folder.exists() for trial in trials)  # never on the test split
    assert describe_left(plan.path) == "Left: 2 runs, about 0 min"
    assert set(plan.tuned_runs) >= {run.id for run in runs}
    assert prune(plan, delete=False) == []


def test_an_evaluation_with_other_measures_leaves_its_run_to_do(plan: Plan) -> None:
    run = plan.default_runs[0]
    for folder, left in ((run.folder / "evaluation-00000000", 9), (run.evaluation_folder, 8)):
        write_json({}, folder / "result.json")
        assert describe_left(plan.path).startswith(f"Left: {left} runs")


def test_what_is_trained_is_not_trained_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = read_search(plan.path, *plan.searches)
    search(settings, CPU)
    content = settings.path.read_bytes()
    settings.path.unlink()
    monkeypatch.setattr(step, "train", None)
    monkeypatch.setattr(step, "evaluate_run", None)

    search(settings, CPU)

    assert settings.path.read_bytes() == content


def test_a_trial_that_fails_is_recorded_and_not_chosen(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = read_search(plan.path, *plan.searches)
    failing = settings.trial(0).id

    def fail(run: Any, execution: Execution) -> None:
        if run.id == failing:
            raise GreedymmError("the loss is nan")
        train(run, execution)

    monkeypatch.setattr(step, "train", fail)
    search(settings, CPU)

    found = read_json(settings.path)
    assert found["trials"][0]["error"] == "the loss is nan"
    assert found["chosen"]["val"] in {1, 2}


def trial(accuracy: float, loss: float) -> dict[str, Any]:
    return {"val": {"accuracy": accuracy, "loss": loss}}


def test_the_best_accuracy_is_chosen_among_equals_the_lowest_loss_and_then_the_first_trial() -> None:
    assert choose([trial(0.5, 1), trial(0.9, 2), trial(0.8, 0)], "val") == 1
    assert choose([trial(0.9, 2), trial(0.9, 1), trial(0.9, 1)], "val") == 1
    assert choose([{"error": "a"}, trial(0.1, 1)], "val") == 1
    assert choose([trial(0.9, 2)], "val_shift") is None
