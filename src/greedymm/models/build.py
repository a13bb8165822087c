"""Settings -> network. Branches and fusions are found by their names."""

from collections.abc import Sequence
from importlib import import_module

import torch

from greedymm.models.multistream import MultiStream
from greedymm.params import PACKAGES, Named

# Axes of the weights of convolutions over images and over clips.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def build(
    branch: Named, fusion: Named | None, fuse_after: Sequence[int], channels: Sequence[int], classes: int
) -> MultiStream:
    """A network with fresh weights, drawn from torch's own generator: seed it first.

    Args:
        branch, fusion: names and settings.
        fuse_after: stages, counted from 1, after which the branches are fused.
        channels: of the input, for each modality.
        classes: number of logits.
    """
    make_branch = import_module(f"{PACKAGES['branch']}.{branch.name}").build
    branches = [make_branch(branch, c, classes) for c in channels]
    if fusion is None:
        return channels_last(MultiStream(branches))
    make_fusion = import_module(f"{PACKAGES['fusion']}.{fusion.name}").build
    return channels_last(MultiStream(branches, lambda widths: make_fusion(fusion, widths), fuse_after))


def channels_last(model: MultiStream) -> MultiStream:
    """Lay out the weights of convolutions as a CPU is fastest with."""
    for weight in model.parameters():
        if weight.dim() in CHANNELS_LAST:
            weight.data = weight.data.contiguous(memory_format=CHANNELS_LAST[weight.dim()])
    return model
