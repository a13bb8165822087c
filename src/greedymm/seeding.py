"""The device of a run, and all its randomness: a generator for each of weights, order, augmentation and method.

On a CPU, the same settings give the same bytes on the same machine with the same version of torch. On a GPU,
deterministic kernels are requested; other hardware or another version may round differently.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils import deterministic

from greedymm.errors import GreedymmError
from greedymm.settings import Execution

STREAMS = ("weights", "order", "augmentation", "method")


def prepare_device(execution: Execution) -> torch.device:
    """Select the device, and set the number of CPU threads.

    Raises:
        GreedymmError: if `execution.device` is cuda and torch finds no GPU.
    """
    torch.set_num_threads(execution.threads)
    available = torch.cuda.is_available()
    if execution.device == "cuda" and not available:
        raise GreedymmError("execution.device is cuda, but torch finds no GPU; set it to auto or cpu")
    return torch.device("cuda" if available and execution.device != "cpu" else "cpu")


def describe_device(device: torch.device) -> str:
    """Human-readable name of a device."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


class Generators(dict[str, torch.Generator]):
    """Independent random generators of one run, on the CPU so that a GPU gets the same numbers."""

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(seed).spawn(len(STREAMS))
        seeds = [int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children]
        super().__init__({name: torch.Generator().manual_seed(s) for name, s in zip(STREAMS, seeds, strict=True)})

    def state_dict(self) -> dict[str, Tensor]:
        """States of the generators, and of torch's default generators, which layers such as dropout use."""
        states = {name: generator.get_state() for name, generator in self.items()}
        gpu = {"torch_cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
        return states | {"torch": torch.get_rng_state()} | gpu

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the states."""
        for name, generator in self.items():
            generator.set_state(state[name])
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and "torch_cuda" in state:
            torch.cuda.set_rng_state(state["torch_cuda"])


def seed_everything(seed: int) -> Generators:
    """Request deterministic kernels and seed torch's default generator, which draws weights. Call it first."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # use_deterministic_algorithms does the same, but imports the compiler: one second and 150 MB per process.
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs a seventh of a step's time
    torch.backends.cudnn.benchmark = False
    streams = Generators(seed)
    torch.manual_seed(streams["weights"].initial_seed())
    return streams


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Draw initial weights from a generator: torch's default one gets a seed of it, and then its state again."""
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        yield
