"""Settings -> network: the only place where a network is built."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from greedymm.errors import GreedymmError
from greedymm.models.network import Branch, Fusion, Head, MultimodalNetwork
from greedymm.params.plugins import module_of
from greedymm.settings import BranchSettings, FusionSettings, HeadSettings

# Axes of the weights of 2-d and 3-d convolutions -> their memory format.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def build(
    branches: Sequence[BranchSettings],
    fusion: FusionSettings | None,
    fuse_after: Sequence[Sequence[int]],
    head: HeadSettings,
    channels: Sequence[int],
    classes: int,
) -> MultimodalNetwork:
    """Build a network with fresh weights, drawn from torch's default generator. Seed it first.

    Args:
        branches, channels: settings of the branch, and channels of the input, for each modality.
        fusion, head: settings; fusion None: no fusion.
        fuse_after: for each branch, the stages, counted from 1, that the fusions follow, or that a central tower reads.
        classes: number of logits.

    Raises:
        GreedymmError: if a plug-in fails on import, or if a stage in `fuse_after` does not exist.
    """
    fusion_plugin: Any = None if fusion is None else module_of(fusion)
    head_module: Head = module_of(head).build(head, classes)
    modules: list[Branch] = []
    for settings, inputs in zip(branches, channels, strict=True):
        branch: Branch = module_of(settings).build(settings, inputs)
        head_module.add_branch(branch.width)
        branch.initialize()
        modules.append(branch)
    widths = [widths_after(modules, stages) for stages in zip(*fuse_after, strict=True)]
    fusions: list[Fusion] = []
    if fusion is None:
        head_module.finish(None)
    elif fusion.late:
        head_module.finish(fusion_plugin.build(fusion, [branch.width for branch in modules]))
    elif fusion.head == "central":
        tower: Branch = module_of(branches[0]).build(branches[0].untrained(), channels[0])
        tower.initialize()
        head_module.finish(fusion_plugin.build(fusion, widths, tower, fuse_after[0]))
    else:
        head_module.finish(None)
        fusions = [fusion_plugin.build(fusion, level) for level in widths]
    network = MultimodalNetwork(modules, head_module, fusions, fuse_after)
    use_channels_last(network)
    return network


def widths_after(branches: Sequence[Branch], stages: Sequence[int]) -> list[int]:
    """Channels of each branch after a stage of its own, counted from 1."""
    for branch, stage in zip(branches, stages, strict=True):
        if not 1 <= stage <= len(branch.stages):
            raise GreedymmError(f"fuse_after: a branch has stages 1 to {len(branch.stages)}, not {stage}")
    return [branch.widths[stage - 1] for branch, stage in zip(branches, stages, strict=True)]


def use_channels_last(network: nn.Module) -> None:
    """Store the weights of convolutions in the memory format that is fastest on a CPU.

    On CPUs without AVX-512, oneDNN's backward pass on channels-last images writes out of bounds. This was observed with
    torch 2.14.1 for strided 1 x 1 convolutions of 4 channels, never for multiples of 8. Such images stay contiguous.
    """
    for conv in network.modules():
        if not isinstance(conv, nn.Conv2d | nn.Conv3d):
            continue
        if conv.kernel_size == (1, 1) and (conv.in_channels % 8 or conv.out_channels % 8):
            conv.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
        else:
            # `contiguous` would not change the strides of a weight with one channel. They set the format of the output.
            conv.weight.data = conv.weight.data.to(memory_format=CHANNELS_LAST[conv.weight.dim()])
