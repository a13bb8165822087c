"""YAML files -> validated params, or an error with a line for each wrong setting."""

from functools import reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from greedymm.address import mask
from greedymm.errors import GreedymmError
from greedymm.params.schema import Params, error_lines


def load(*paths: Path) -> Params:
    """Params from YAML files. A later file overrides earlier ones, as with Snakemake's --configfile.

    Raises:
        GreedymmError: if a file is no YAML mapping, or if the params are not valid.
    """
    return validate(reduce(_merge, map(_read, paths)))


def validate(raw: dict[str, Any]) -> Params:
    """Params from a parsed params.yaml.

    Raises:
        GreedymmError: with a line for each wrong setting, and its key path.
    """
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise GreedymmError("params are not valid:\n" + "\n".join(map(mask, error_lines(error)))) from None


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    sections = [k for k, raw in overlay.items() if isinstance(raw, dict) and isinstance(base.get(k), dict)]
    return base | overlay | {k: _merge(base[k], overlay[k]) for k in sections}


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GreedymmError(f"{path.absolute()} is missing; run in its folder, or set --params FILE") from None
    except yaml.YAMLError as error:
        raise GreedymmError(f"{path} is no YAML: {mask(str(error))}") from None
    if not isinstance(raw, dict):
        raise GreedymmError(f"{path} holds no mapping of settings")
    return raw
