"""Bytes of a batch -> what a network sees of them, on the device."""

from collections.abc import Sequence

import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.params import Inputs

IMAGES = 4  # axes of a batch of images
COLOURS = 3
# Of ImageNet's training images, channels in [0, 1]: those of all weights that torchvision offers.
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def channels(stored: Sequence[int], settings: Inputs) -> list[int]:
    """Channels that the network gets of each modality.

    Raises:
        GreedymmError: if ImageNet's scaling meets channels that are neither gray nor colours.
    """
    if settings.scaling == "symmetric":
        return list(stored)
    if bad := set(stored) - {1, COLOURS}:
        raise GreedymmError(f"inputs.scaling: imagenet takes 1 or 3 channels, not {bad.pop()}; set it to symmetric")
    return [COLOURS] * len(stored)


class Scaling:
    """Bytes, uint8 (B, C, *s), as floats; what it takes is on the device, so that no batch waits for it."""

    def __init__(self, settings: Inputs, device: torch.device) -> None:
        self.by_channel: tuple[Tensor, Tensor] | None = None
        if settings.scaling == "imagenet":
            mean, sd = (255 * torch.tensor(x) for x in (IMAGENET_MEAN, IMAGENET_SD))
            self.by_channel = mean.to(device), sd.to(device)

    def __call__(self, images: Tensor) -> Tensor:
        scaled = images.float()
        if self.by_channel is None:
            scaled = scaled.div_(127.5).sub_(1)
        else:
            mean, sd = (x.view(-1, *(1 for _ in images.shape[2:])) for x in self.by_channel)
            scaled = (scaled - mean) / sd
        # Channels last: fast on a CPU.
        return scaled.contiguous(memory_format=torch.channels_last) if scaled.dim() == IMAGES else scaled


class Flips:
    """Which modalities of which samples are flipped: each on its own, half of the time.

    Args:
        modalities: M.
        draws: the stream of augmentation, on the CPU: the same on every device.
        device: where the batches are.
    """

    def __init__(self, modalities: int, draws: torch.Generator, device: torch.device) -> None:
        self.modalities, self.draws, self.device = modalities, draws, device

    def drawn(self, count: int, size: int) -> Sequence[Tensor]:
        """Of each batch of a pass, bool (B, M): all at once, so that no batch waits for them."""
        heads = torch.randint(2, (count, self.modalities), generator=self.draws).bool()
        return torch.split(heads.to(self.device), size)


def flipped(images: Sequence[Tensor], which: Tensor) -> list[Tensor]:
    """Images (B, C, *s) of each modality, mirrored left to right where `which`, bool (B, M), says so."""
    return [
        torch.where(w.view(-1, *(1 for _ in x.shape[1:])), x.flip(-1), x) for x, w in zip(images, which.T, strict=True)
    ]
