"""Errors of validation -> a line for each thing that is wrong."""

from collections.abc import Iterator

from pydantic import ValidationError

from greedymm.params.schema import ALL, EACH


def lines(error: ValidationError) -> Iterator[str]:
    """A line for each thing that is wrong, and where it stands."""
    for found in error.errors():
        if found["type"] == "too_short" and any(_within(e["loc"], found["loc"]) for e in error.errors()):
            continue  # because of an element that is wrong, and named on its own line
        location = tuple(part for part in found["loc"] if part not in (ALL, EACH))
        if found["type"] == "extra_forbidden":
            yield f"  {_dotted(location)}: there is no such setting"
        else:
            got = f" (got {found['input']!r})" if isinstance(found["input"], str | int | float) else ""
            yield f"  {_dotted(location)}: {found['msg'].removeprefix('Value error, ')}{got}"


def _within(location: tuple[int | str, ...], section: tuple[int | str, ...]) -> bool:
    return len(location) > len(section) and location[: len(section)] == section


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "params"
