"""Random search: ranges of settings -> values of the trials of a method."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from greedymm.params.schema import Tuning
from greedymm.settings import MethodSettings

RATE = "training.learning_rate"
Values = dict[str, Any]  # path of a setting of a run -> value
Choices = Mapping[str, Sequence[Any]]  # setting of a method -> values to draw from


def ranges_of(settings: MethodSettings, tuning: Tuning, choices: Choices) -> dict[str, dict[str, list[Any]]]:
    """Ranges of the learning rate and of the method's settings, by path in the settings of a run.

    `choices` replace the ranges that the settings state.
    """
    ranges: dict[str, Any] = {RATE: {"log_uniform": list(tuning.learning_rate)}}
    for name, field in type(settings).model_fields.items():
        if name in choices:
            ranges[f"method_settings.{name}"] = {"choice": list(choices[name])}
        elif isinstance(field.json_schema_extra, dict) and "search" in field.json_schema_extra:
            ranges[f"method_settings.{name}"] = field.json_schema_extra["search"]
    return ranges


def draw_trials(method: str, settings: MethodSettings, tuning: Tuning, choices: Choices) -> list[Values]:
    """Values of each trial. All methods try the same learning rates, so that none has more luck."""
    columns = {
        path: _draw(span, tuning.trials, np.random.default_rng([tuning.seed, _number(path, method)]))
        for path, span in ranges_of(settings, tuning, choices).items()
    }
    return [{path: values[k] for path, values in columns.items()} for k in range(tuning.trials)]


def _number(path: str, method: str) -> int:
    return zlib.crc32((path if path == RATE else f"{method} {path}").encode())


def _draw(span: dict[str, list[Any]], count: int, rng: np.random.Generator) -> list[Any]:
    ((kind, limits),) = span.items()
    if kind == "choice":
        return [limits[i] for i in rng.integers(len(limits), size=count)]
    low, high = np.log(limits) if kind == "log_uniform" else limits
    values = rng.uniform(low, high, size=count)
    return [float(f"{value:.3g}") for value in (np.exp(values) if kind == "log_uniform" else values)]
