"""All randomness of a run: one seed, a stream of its own for weights, order, augmentation and the method's draws.

On a CPU the same settings give the same bytes on the same machine and version of torch. On a GPU deterministic
kernels are asked for; other hardware or another version may still round differently.
"""

import os
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils import deterministic

STREAMS = ("weights", "order", "augmentation", "method")


class Generators:
    """Independent random generators of one run, drawn on the CPU so that a GPU gets the same numbers."""

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(seed).spawn(len(STREAMS))
        self.generators = {
            name: torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            for name, child in zip(STREAMS, children, strict=True)
        }

    def __getitem__(self, name: str) -> torch.Generator:
        return self.generators[name]

    def state_dict(self) -> dict[str, Tensor]:
        """States of the streams, and of torch's own generators, from which layers such as dropout draw."""
        own = {name: generator.get_state() for name, generator in self.generators.items()}
        gpu = {"torch_cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
        return own | {"torch": torch.get_rng_state()} | gpu

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was taken."""
        for name, generator in self.generators.items():
            generator.set_state(state[name])
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and "torch_cuda" in state:
            torch.cuda.set_rng_state(state["torch_cuda"])


def seed_everything(seed: int) -> Generators:
    """Ask for deterministic kernels and seed torch's own generator, which initialises weights; call it first."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not use_deterministic_algorithms, which does the same and imports the compiler: a second and 150 MB a process.
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a seventh of a step's time, for values never read
    torch.backends.cudnn.benchmark = False
    streams = Generators(seed)
    torch.manual_seed(streams["weights"].initial_seed())
    return streams
