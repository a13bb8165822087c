"""Where a run computes, with how many threads."""

import ctypes

import torch

from greedymm.errors import GreedymmError

# Of glibc's malloc: memory that is freed is kept for the next batch. Taken from the system anew, page by page, it costs
# 7 % of training's time and a fifth of utilization's. Elsewhere there is no such call, or it does nothing.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT = {
    M_TRIM_THRESHOLD: 2**30,
    M_TOP_PAD: 2**26,
    M_MMAP_THRESHOLD: 2**25,
}  # bytes; the last: the most it may be


def prepare(device: str, threads: int) -> torch.device:
    """The device to compute on, ready for use.

    Args:
        device: auto, cpu or cuda; auto is a GPU where there is one.
        threads: of a CPU. Teams of several processes on the same cores slow each other down many times over.

    Raises:
        GreedymmError: if cuda is asked for and there is none.
    """
    torch.set_num_threads(threads)
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for option, size in KEPT.items():
            mallopt(option, size)
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise GreedymmError("execution.device is cuda, but torch sees no GPU here; set it to auto or cpu")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def describe(device: torch.device) -> str:
    """Name of a device for people."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type
