"""Random search: ranges of settings -> values of the trials of a method."""

import zlib
from typing import Any

import numpy as np

from greedymm.params.schema import Tuning
from greedymm.settings import MethodSettings

RATE = "training.learning_rate"
Values = dict[str, Any]  # path of a setting of a run -> value


def ranges_of(settings: MethodSettings, tuning: Tuning) -> dict[str, dict[str, list[Any]]]:
    """Range of the learning rate, and those that the method's settings state: path in the settings of a run -> range."""
    fields = type(settings).model_fields.items()
    extras = {name: field.json_schema_extra for name, field in fields}
    own = {f"method_settings.{name}": extra["search"] for name, extra in extras.items() if _is_searched(extra)}
    return {RATE: {"log_uniform": list(tuning.learning_rate)}, **own}


def _is_searched(extra: Any) -> bool:
    return isinstance(extra, dict) and "search" in extra


def draw_trials(method: str, settings: MethodSettings, tuning: Tuning) -> list[Values]:
    """Values of each trial. All methods try the same learning rates, so that none has more luck."""
    columns = {
        path: _draw(span, tuning.trials, np.random.default_rng([tuning.seed, _number(path, method)]))
        for path, span in ranges_of(settings, tuning).items()
    }
    return [{path: values[k] for path, values in columns.items()} for k in range(tuning.trials)]


def _number(path: str, method: str) -> int:
    return zlib.crc32((path if path == RATE else f"{method} {path}").encode())


def _draw(span: dict[str, list[Any]], count: int, rng: np.random.Generator) -> list[Any]:
    ((kind, limits),) = span.items()
    if kind == "choice":
        return [limits[i] for i in rng.integers(len(limits), size=count)]
    if kind == "log_uniform":
        values = np.exp(rng.uniform(*np.log(limits), size=count))
    else:
        values = rng.uniform(*limits, size=count)
    return [float(f"{value:.3g}") for value in values]
