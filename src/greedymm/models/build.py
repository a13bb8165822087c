"""Settings -> network: the only place where one is built."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.params.plugins import module_of
from greedymm.settings import BranchSettings, FusionSettings, HeadSettings

# Axes of the weights of convolutions over images and over clips.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def build(
    branches: Sequence[BranchSettings],
    fusion: FusionSettings | None,
    fuse_after: Sequence[Sequence[int]],
    head: HeadSettings,
    channels: Sequence[int],
    classes: int,
) -> MultimodalNetwork:
    """A network with fresh weights, drawn from torch's own generator: seed it first.

    Args:
        branches: settings of the branch of each modality.
        fusion: settings; None where there is one branch.
        fuse_after: of each branch the stages, counted from 1, after which they are fused.
        head: settings.
        channels: of the input, for each modality.
        classes: number of logits.

    Raises:
        GreedymmError: if a plug-in fails on import, or if a stage to fuse after does not exist.
    """
    made_head = module_of(head).build(head, classes)
    made = []
    for settings, own in zip(branches, channels, strict=True):
        made.append(module_of(settings).build(settings, own))
        made_head.add_branch(made[-1].width)
        made[-1].initialize()
    if fusion is not None and fusion.late:
        made_head.finish(module_of(fusion).build(fusion, [b.width for b in made]))
        return channels_last(MultimodalNetwork(made, made_head))
    made_head.finish(None)
    if fusion is None:
        return channels_last(MultimodalNetwork(made, made_head))
    for branch, stages in zip(made, fuse_after, strict=True):
        if any(not 1 <= stage <= len(branch.stages) for stage in stages):
            raise GreedymmError(f"fuse_after: a branch has stages 1 to {len(branch.stages)}, not {list(stages)}")
    places = zip(*fuse_after, strict=True)  # of each the stages of all branches
    by_place = [[b.widths[s - 1] for b, s in zip(made, stages, strict=True)] for stages in places]
    fusions = [module_of(fusion).build(fusion, widths) for widths in by_place]
    return channels_last(MultimodalNetwork(made, made_head, fusions, fuse_after))


def channels_last(model: MultimodalNetwork) -> MultimodalNetwork:
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
