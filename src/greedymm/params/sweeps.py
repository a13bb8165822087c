"""Sweeps -> params of each of their values."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from greedymm.params.messages import lines
from greedymm.params.schema import Params, Sweep


class Value(NamedTuple):
    """One value of a sweep."""

    text: str  # as it is shown
    params: Params  # of the sweep's one dataset, with that value


def expand(params: Params) -> dict[str, list[Value]]:
    """The values of each sweep.

    Raises:
        ValueError: if a sweep names a dataset, method or setting that does not exist, or if a value is not valid.
    """
    text = params.model_dump_json() if params.sweeps else ""
    return {name: _expanded(text, name) for name in params.sweeps}


@cache
def _expanded(params: str, name: str) -> list[Value]:
    of = Params.model_validate_json(params)
    return list(_values(of, name, of.sweeps[name]))


def _values(params: Params, name: str, sweep: Sweep) -> Iterator[Value]:
    if sweep.dataset not in params.datasets:
        raise ValueError(f"sweeps.{name}: there is no dataset '{sweep.dataset}' in these params")
    section = params.datasets[sweep.dataset]
    if unknown := set(sweep.methods or ()) - set(section.methods):
        raise ValueError(f"sweeps.{name}: {sweep.dataset} has no method {sorted(unknown)}")
    for value in sweep.values:
        raw = section.model_dump(mode="json")
        raw["methods"] = {m: s for m, s in raw["methods"].items() if m in (sweep.methods or section.methods)}
        if not _set(raw, sweep.setting.split("."), value):
            raise ValueError(f"sweeps.{name}: {sweep.dataset} has no setting '{sweep.setting}'")
        content = {"plugins": params.plugins, "seeds": sweep.seeds or params.seeds, "code": params.code}
        try:
            yield Value(value_text(value), Params.model_validate(content | {"datasets": {sweep.dataset: raw}}))
        except ValidationError as error:
            raise ValueError(f"sweeps.{name}, value {value!r}:\n" + "\n".join(lines(error))) from None


def _set(raw: dict[str, Any], setting: list[str], value: Any) -> bool:
    """Set a nested value; whether there is such a setting."""
    *above, last = setting
    section: Any = raw
    for key in above:
        section = section.get(key) if isinstance(section, dict) else None
    if not isinstance(section, dict) or last not in section:
        return False
    section[last] = value
    return True


def value_text(value: Any) -> str:
    """A value of a sweep, as it is shown: lists by their elements."""
    return " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
