"""The device of a run, and its number of threads."""

import torch

from greedymm.errors import GreedymmError


def prepare(device: str, threads: int) -> torch.device:
    """Select `auto`, `cpu` or `cuda`, and set the number of CPU threads.

    Raises:
        GreedymmError: if device is cuda and torch finds no GPU.
    """
    torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise GreedymmError("execution.device is cuda, but torch finds no GPU; set it to auto or cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def describe(device: torch.device) -> str:
    """Human-readable name of a device."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type
