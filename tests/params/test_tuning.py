"""Values of the trials of a search."""

from typing import Any

import numpy as np
import pytest
from pydantic import Field
from scipy import stats

from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.params.plugins import names_of, settings_class
from greedymm.params.schema import Tuning
from greedymm.params.tuning import RATE, draw_trials, ranges_of
from greedymm.settings import MethodSettings, choice, log_uniform, uniform

MANY = Tuning(trials=2000, learning_rate=(0.01, 1.0))


class Settings(MethodSettings):
    alpha: float = Field(1.0, json_schema_extra=log_uniform(0.1, 10))
    p: float = Field(0.5, json_schema_extra=uniform(0.2, 0.6))
    size: int = Field(1, json_schema_extra=choice(1, 2, 4))
    fixed: float = 3.0


def test_values_are_drawn_from_the_ranges_that_the_settings_state() -> None:
    trials = draw_trials("own", Settings(), MANY, {"fixed": [5.0]})

    columns = {name: np.array([trial[name] for trial in trials]) for name in trials[0]}

    assert set(columns) == {
        "training.learning_rate",
        *(f"method_settings.{n}" for n in ("alpha", "p", "size", "fixed")),
    }
    expected = {
        "training.learning_rate": (np.log(0.01), np.log(100)),
        "method_settings.alpha": (np.log(0.1), np.log(100)),
    }
    for name, span in expected.items():
        assert stats.kstest(np.log(columns[name]), "uniform", span).pvalue > 0.001
    assert stats.kstest(columns["method_settings.p"], "uniform", (0.2, 0.4)).pvalue > 0.001
    assert set(columns["method_settings.size"].tolist()) == {1, 2, 4}
    assert set(columns["method_settings.fixed"]) == {5.0}
    assert trials == draw_trials("own", Settings(), MANY, {"fixed": [5.0]})


def test_all_methods_try_the_same_learning_rates_and_values_of_their_own() -> None:
    one, other = (draw_trials(name, Settings(), Tuning(), {}) for name in ("one", "other"))

    assert len(one) == len(other) == 8
    assert [t["training.learning_rate"] for t in one] == [t["training.learning_rate"] for t in other]
    assert [t["method_settings.alpha"] for t in one] != [t["method_settings.alpha"] for t in other]


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"seed": 1}, "tuning.seed 1 is one of the seeds"),
        ({"learning_rate": [0.3, 0.1]}, "lower limit below its upper limit"),
        ({"trials": 0}, "tuning.trials"),
        ({"choices": {"colored_mnist_5k": {"greedy": {"objective": []}}}}, "greedy.objective: .* at least 1 item"),
        ({"choices": {"colored_mnist_5k": {"greedy": {"typo": [1]}}}}, "greedy, value 1:\n  typo: there is no such"),
        ({"choices": {"colored_mnist_5k": {"greedy": {"objective": ["none"]}}}}, "greedy, value none:\n  objective: "),
    ],
)
def test_a_wrong_tuning_is_refused(tuning: dict[str, object], message: str) -> None:
    section: dict[str, Any] = {
        "data": None,
        "model": {"branch": "cnn", "fusion": "mmtm", "fuse_after": [2]},
        "training": {"epochs": 1, "batch_size": 2, "learning_rate": 0.1},
        "methods": {"greedy": {}},
    }
    with pytest.raises(GreedymmError, match=message):
        validate({"seeds": [1], "datasets": {"colored_mnist_5k": section}, "tuning": tuning})


@pytest.mark.parametrize("name", sorted(set(names_of("method")) - {"composition"}))
def test_the_limits_of_each_methods_ranges_are_valid_settings(name: str) -> None:
    settings = settings_class("method", name)()
    ranges = {k: v for k, v in ranges_of(settings, Tuning(), {}).items() if k != RATE}

    for path, span in ranges.items():
        setting, ((_, limits),) = path.removeprefix("method_settings."), span.items()
        for limit in limits:
            assert getattr(type(settings).model_validate({setting: limit}), setting) == limit
