"""Bytes of a batch -> inputs of a network, on the device."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.settings import Inputs

# B samples; M modalities; C channels; *s: (H, W) or (T, H, W).

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # by axes of a batch; fast on a CPU
CLIP_AXES = 4  # of one clip
RGB = 3
# Of ImageNet's training images, channels in [0, 1]; all weights of torchvision use them.
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CropPosition = tuple[float, float, float]  # of the first frame, row and column, each in [0, 1)


def channels(stored: Sequence[int], settings: Inputs) -> list[int]:
    """Channels of each modality as the network receives them.

    Raises:
        GreedymmError: if ImageNet's normalization meets a modality of neither 1 nor 3 channels.
    """
    if settings.scaling == "symmetric":
        return list(stored)
    if bad := set(stored) - {1, RGB}:
        raise GreedymmError(f"inputs.scaling: imagenet takes 1 or 3 channels, not {bad.pop()}; set it to symmetric")
    return [RGB] * len(stored)


class Normalize:
    """Convert bytes, uint8 (B, C, *s), to floats in [-1, 1], or with ImageNet's mean and standard deviation."""

    def __init__(self, settings: Inputs, device: torch.device) -> None:
        self.statistics: list[Tensor] = []
        if settings.scaling == "imagenet":  # on the device from the start, so that no batch waits for them
            self.statistics = [(255 * torch.tensor(x)).to(device) for x in (IMAGENET_MEAN, IMAGENET_SD)]

    def __call__(self, images: Tensor) -> Tensor:
        if self.statistics:
            mean, sd = (x.view(-1, *(1 for _ in images.shape[2:])) for x in self.statistics)
            normalized = (images - mean) / sd
        else:
            normalized = images.float().div_(127.5).sub_(1)
        return normalized.contiguous(memory_format=CHANNELS_LAST.get(images.dim(), torch.contiguous_format))


@dataclass(frozen=True)
class Augmentation:
    """Random windows, crops and flips in training; otherwise even frames, the central crop and no flip."""

    settings: Inputs
    modalities: int
    device: torch.device  # of the batches
    generator: torch.Generator | None = None  # on the CPU: it draws the same for every device; None: nothing is random

    def sample(self, count: int, size: int) -> Iterator[Callable[[Sequence[Tensor]], list[Tensor]]]:
        """Yield the function that augments each batch of a pass. All is drawn at once, so that no batch waits."""
        flips: Sequence[Tensor | None] = [None] * math.ceil(count / size)
        positions: Sequence[Sequence[CropPosition | None]] = [[None] * size] * len(flips)
        if self.generator is not None and self.settings.flip:
            flip = torch.randint(2, (count, self.modalities), generator=self.generator).bool()
            flips = torch.split(flip.to(self.device), size)
        if self.generator is not None and (self.settings.frames or self.settings.crop):
            positions = [x.tolist() for x in torch.split(torch.rand(count, 3, generator=self.generator), size)]
        for batch_flip, batch_positions in zip(flips, positions, strict=True):
            yield partial(self.apply, flip=batch_flip, positions=batch_positions)

    def apply(
        self, images: Sequence[Tensor], flip: Tensor | None, positions: Sequence[CropPosition | None]
    ) -> list[Tensor]:
        """Crop and flip the bytes (B, C, *s) of each modality.

        Args:
            images: M tensors.
            flip: bool (B, M): which samples to mirror horizontally; None: none.
            positions: of each sample's crop, the same for all modalities; None: even frames, central crop.
        """
        if self.settings.frames or self.settings.crop:
            pairs = [zip(batch, positions, strict=False) for batch in images]  # the last batch may be smaller
            images = [torch.stack([self.crop(x, position) for x, position in pair]) for pair in pairs]
        if flip is None:
            return list(images)
        masks = [mask.view(-1, *(1 for _ in x.shape[1:])) for x, mask in zip(images, flip.T, strict=True)]
        return [torch.where(mask, x.flip(-1), x) for x, mask in zip(images, masks, strict=True)]

    def crop(self, sample: Tensor, position: CropPosition | None) -> Tensor:
        """Crop one sample, (C, T, H, W) or (C, H, W), in time and space."""
        time, *corner = position or (None, 0.5, 0.5)
        if self.settings.frames and sample.dim() == CLIP_AXES:
            sample = crop_frames(sample, self.settings.frames, time)
        if self.settings.crop:
            for axis, start in zip((-2, -1), corner, strict=True):
                sample = _crop_axis(sample, axis, self.settings.crop, start, "crop")
        return sample


def crop_frames(clip: Tensor, count: int, start: float | None) -> Tensor:
    """Frames of a clip (C, T, H, W): consecutive from a start in [0, 1), or for None evenly spaced over the clip."""
    if start is not None or clip.shape[1] < count:
        return _crop_axis(clip, 1, count, start or 0, "frames")
    frames = torch.linspace(0, clip.shape[1] - 1, count).round().long().tolist()
    return torch.stack([clip[:, t] for t in frames], dim=1)


def _crop_axis(sample: Tensor, axis: int, length: int, start: float, setting: str) -> Tensor:
    spare = sample.shape[axis] - length
    if spare < 0:
        raise GreedymmError(f"inputs.{setting} is {length}; the samples have {sample.shape[axis]}")
    return sample.narrow(axis, min(int(start * (spare + 1)), spare), length)
