"""Settings -> network. Branches and fusions are found by their names."""

from collections.abc import Sequence
from importlib import import_module

import torch
from torch import Tensor, nn

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
    plain = [conv for conv in model.modules() if isinstance(conv, nn.Conv2d) and _destroys_memory(conv)]
    for conv in plain:
        conv.register_forward_pre_hook(_plain_input)
    kept = {id(conv.weight) for conv in plain}
    for weight in model.parameters():
        if weight.dim() in CHANNELS_LAST and id(weight) not in kept:
            # Not `contiguous`, which leaves a weight of one channel as it is: its strides decide the layout of what
            # comes out, and with it that of the whole branch.
            weight.data = weight.data.to(memory_format=CHANNELS_LAST[weight.dim()])
    return model


def _destroys_memory(conv: nn.Conv2d) -> bool:
    """Whether oneDNN's backward pass over channels-last images writes beyond its memory, on CPUs without AVX-512.

    Seen with torch 2.14.1 in strided 1 x 1 convolutions of 4 channels; with multiples of 8 never.
    """
    return conv.kernel_size == (1, 1) and bool(conv.in_channels % 8 or conv.out_channels % 8)


def _plain_input(_conv: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].contiguous(),)
