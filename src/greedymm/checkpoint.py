"""State <-> file, whole and the same bytes for the same state."""

import io
import json
from pathlib import Path
from typing import Any

import torch

from greedymm.errors import GreedymmError
from greedymm.files import write_bytes
from greedymm.settings import differences


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, strings, lists and dicts."""
    buffer = io.BytesIO()  # given a path, torch.save would put the file's name into the archive
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def stamped(settings: dict[str, Any]) -> dict[str, Any]:
    """The part of a state that says which settings it belongs to."""
    return {"settings": json.dumps(settings, sort_keys=True)}


def load(path: Path, settings: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Read a state, and make sure that it belongs to these settings.

    Raises:
        GreedymmError: if the file is missing or broken, or if its settings are others; the message names them.
    """
    state, saved = read(path, device)
    lines = differences(saved, json.loads(json.dumps(settings)))  # as JSON has it: lists, no tuples
    if lines:
        raise GreedymmError(
            f"{path} is a checkpoint of other settings:\n  " + "\n  ".join(lines) + "\n  Delete it and run again."
        )
    return state


def read(path: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a state, and the settings that it belongs to.

    Raises:
        GreedymmError: if the file is missing or broken.
    """
    if not path.exists():
        raise GreedymmError(f"{path} is missing; train the run first")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        return state, json.loads(state["settings"])
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise GreedymmError(
            f"{path} is no checkpoint of this project, or broken ({reason}).\n"
            "  If it is a broken one, delete it and run again."
        ) from error
