"""YAML files -> validated params, or an error with a line for each thing that is wrong."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from greedymm.errors import GreedymmError
from greedymm.params.messages import lines
from greedymm.params.schema import Params
from greedymm.params.sweeps import expand


def load(*paths: Path) -> Params:
    """Params from YAML files, each laid over those before it, as Snakemake does with --configfile.

    Raises:
        GreedymmError: if a file is no YAML mapping, or if the params are not valid.
    """
    raw: dict[str, Any] = {}
    for path in paths:
        raw = _overlaid(raw, _read(path))
    return validate(raw)


def validate(raw: dict[str, Any]) -> Params:
    """Params from a parsed params.yaml.

    Raises:
        GreedymmError: with one line for each thing that is wrong, and where it stands.
    """
    try:
        params = Params.model_validate(raw)
        expand(params)
    except ValidationError as error:
        raise GreedymmError("params are not valid:\n" + "\n".join(lines(error))) from None
    except ValueError as error:
        raise GreedymmError(f"params are not valid:\n  {error}") from None
    return params


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        k: _overlaid(below[k], v) for k, v in above.items() if isinstance(v, dict) and isinstance(below.get(k), dict)
    }
    return below | above | both


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GreedymmError(f"{path.absolute()} is missing; run this where it is, or name it") from None
    except yaml.YAMLError as error:
        raise GreedymmError(f"{path} is no YAML: {error}") from None
    if not isinstance(raw, dict):
        raise GreedymmError(f"{path} holds no mapping of settings")
    return raw
