"""Where a run computes, with how many threads."""

import torch

from greedymm.errors import GreedymmError


def prepare(device: str, threads: int) -> torch.device:
    """The device to compute on, ready for use.

    Args:
        device: auto, cpu or cuda; auto is a GPU where there is one.
        threads: of a CPU. Teams of several processes on the same cores slow each other down many times over.

    Raises:
        GreedymmError: if cuda is asked for and there is none.
    """
    torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise GreedymmError("execution.device is cuda, but torch sees no GPU here; set it to auto or cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def describe(device: torch.device) -> str:
    """Name of a device for people."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type
