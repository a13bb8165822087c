"""State <-> file, written atomically. The same state gives the same bytes."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch

from greedymm.errors import GreedymmError
from greedymm.files import atomic_write
from greedymm.settings import differences

KIND = "checkpoint of this project"
NOT_RUN = "it is of another program, or has other things than tensors, numbers and text, which are not loaded"


def save(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a state of tensors, numbers, strings, lists and dicts, with the settings that it belongs to."""
    buffer = io.BytesIO()  # with a path, torch.save would write the file's name into the archive
    torch.save({"settings": json.dumps(settings, sort_keys=True)} | state, buffer)
    with atomic_write(path) as tmp:
        tmp.write_bytes(buffer.getvalue())


def load(path: Path, device: torch.device, expected: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read a state; `settings` in it are those that it belongs to.

    Raises:
        GreedymmError: if the file is missing or broken, or if it does not belong to the `expected` settings.
    """
    cure = "If this project made it, delete it and run again."
    state = read_file(path, device, KIND, "train the run first", cure)
    try:
        state["settings"] = dict(json.loads(state.get("settings", "{}")))
    except (RecursionError, TypeError, ValueError) as error:
        raise GreedymmError(f"{path} is no {KIND}: its settings are of another form ({error})") from None
    if expected and (lines := differences(state["settings"], expected)):
        text = "\n  ".join(lines)
        raise GreedymmError(f"{path} is a checkpoint of other settings:\n  {text}\n  Delete it and run again.")
    return state


def read_file(path: Path, device: torch.device, kind: str, hint: str, cure: str) -> dict[str, Any]:
    """Read a dict that `torch.save` wrote, without running any code in the file.

    Raises:
        GreedymmError: if the file is missing, with the `hint`; if it is broken or of another `kind`, with the `cure`.
    """
    if not path.is_file():
        raise GreedymmError(f"{path.absolute()} is {'a folder' if path.is_dir() else 'missing'}; {hint}")
    try:
        # torch writes a checksum of each part, and reads without them. Files of older versions are no ZIP.
        if zipfile.is_zipfile(path) and (part := zipfile.ZipFile(path).testzip()):
            raise ValueError(f"wrong checksum of {part}")  # noqa: TRY301
        return dict(torch.load(path, map_location=device, weights_only=True))
    except PermissionError:
        raise
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        # A text gives a KeyError. For a pickle, torch advises to run the code in the file.
        reason = NOT_RUN if isinstance(error, KeyError) or "weights_only" in str(error) else reason
        raise GreedymmError(f"{path} is no {kind}, or broken ({reason}).\n  {cure}") from error
