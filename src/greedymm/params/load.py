"""YAML files, and settings of the command line -> validated params, or an error with a line for each wrong setting."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from yaml import YAMLError

from greedymm.address import mask
from greedymm.errors import GreedymmError
from greedymm.params import yaml_reader
from greedymm.params.fields import DROP
from greedymm.params.schema import Params, error_lines


def load(*paths: Path, changes: Iterable[str] = ()) -> Params:
    """Params from YAML files, and from changes such as `seeds=[0, 1]`. A later one overrides earlier ones.

    Raises:
        GreedymmError: if a file is no YAML mapping, if the files contradict, or if the params are not valid.
    """
    merged: dict[str, Any] = {}
    absolute = [path.resolve() for path in paths]
    for path in paths:
        if absolute.count(path.resolve()) > 1:
            raise GreedymmError(f"{path} is given twice; a later file overrides earlier ones, so give each one once")
        merged = _merge(merged, _read(path), str(path))
    for change in changes:
        merged = _merge(merged, _parse(change), mask(change))
    return validate(merged)


def validate(raw: dict[str, Any]) -> Params:
    """Params from a parsed params.yaml.

    Raises:
        GreedymmError: with a line for each wrong setting, and its key path.
    """
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise GreedymmError("params are not valid:\n" + "\n".join(map(mask, error_lines(error)))) from None


def _merge(base: dict[str, Any], overlay: dict[str, Any], source: str, above: str = "") -> dict[str, Any]:
    merged = base | overlay
    for key, raw in overlay.items():
        if isinstance(raw, dict) and base.get(key) == DROP:
            cure = "give the overlay that drops it last"
            raise GreedymmError(f"{source} has settings of {above}{key}, which an earlier overlay drops; {cure}")
        if isinstance(raw, dict) and isinstance(base.get(key), dict):
            merged[key] = _merge(base[key], raw, source, f"{above}{key}.")
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml_reader.read(path.read_bytes())
    except FileNotFoundError:
        raise GreedymmError(f"{path.absolute()} is missing; run in its folder, or set --params FILE") from None
    except IsADirectoryError:
        raise GreedymmError(f"{path} is a folder; give a YAML file in it") from None
    except OSError as error:
        raise GreedymmError(f"{path} cannot be read: {error.strerror}") from None
    except YAMLError as error:
        raise GreedymmError(f"{path} {mask(yaml_reader.describe(error))}") from None
    if not isinstance(raw, dict):
        raise GreedymmError(f"{path} holds no mapping of settings, such as `seeds: [0, 1]`")
    return raw


def _parse(change: str) -> dict[str, Any]:
    """`NAME=VALUE` of Snakemake's --config, whose own reader makes text of each number in a list."""
    name, _, text = change.partition("=")
    try:
        return {name: yaml_reader.read(text.encode())}
    except YAMLError as error:
        raise GreedymmError(mask(f"--config {change} {yaml_reader.describe(error)}")) from None
