"""Bytes of a batch -> inputs of a network, on the device."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import TypeAlias

import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.settings import Inputs

# B samples; M modalities; C channels; *s: (H, W) or (T, H, W).

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # by axes of a batch; fast on a CPU
CLIP_AXES = 4  # of one clip
RGB = 3
# Of ImageNet's training images, channels in [0, 1]; all weights of torchvision use them.
IMAGENET_MEAN_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network_channels(stored: Sequence[int], settings: Inputs) -> list[int]:
    """Channels of each modality as the network receives them. ImageNet's normalization needs 1 or 3 stored channels."""
    if settings.scaling == "symmetric":
        return list(stored)
    if bad := set(stored) - {1, RGB}:
        raise GreedymmError(f"inputs.scaling: imagenet takes 1 or 3 channels, not {bad.pop()}; set it to symmetric")
    return [RGB] * len(stored)


def network_shape(stored: Sequence[int], settings: Inputs) -> tuple[int, ...]:
    """Shape of a stored sample (C, *s) after cropping. A sample smaller than the crop keeps its size."""
    channels, *axes = stored
    if settings.crop:
        axes[-2:] = (min(length, settings.crop) for length in axes[-2:])
    if settings.frames and len(stored) == CLIP_AXES:
        axes[0] = min(axes[0], settings.frames)
    return channels, *axes


# Of a batch: which samples to mirror, bool (B, M), None: none; and where to crop, (B, 3) in [0, 1): first frame, row
# and column, None: even frames and central crop.
Draws: TypeAlias = tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Transform:
    """Random windows, crops and flips in training, else even frames, the central crop and no flip; then scaling."""

    settings: Inputs
    modalities: int
    device: torch.device  # of the batches
    generator: torch.Generator | None = None  # on the CPU: it draws the same for every device; None: nothing is random

    def draw(self, count: int, size: int) -> Iterator[Draws]:
        """Draw for each batch of a pass of `count` samples. All is drawn at once, so that no batch waits."""
        batches = -(-count // size)
        flips: Iterable[Tensor | None] = repeat(None, batches)
        positions: Iterable[Tensor | None] = repeat(None, batches)
        if self.generator is not None and self.settings.flip:
            flip = torch.randint(2, (count, self.modalities), generator=self.generator).bool()
            flips = torch.split(flip.to(self.device), size)
        if self.generator is not None and (self.settings.frames or self.settings.crop):
            positions = torch.split(torch.rand(count, 3, generator=self.generator), size)
        return zip(flips, positions, strict=True)

    def __call__(self, images: Sequence[Tensor], drawn: Draws = (None, None)) -> list[Tensor]:
        """Crop, flip and scale the bytes (B, C, *s) of each modality."""
        flip, positions = drawn
        if self.settings.frames or self.settings.crop:
            starts = [(None, 0.5, 0.5)] * len(images[0]) if positions is None else positions.tolist()
            pairs = [zip(batch, starts, strict=True) for batch in images]
            images = [torch.stack([self.crop(x, *start) for x, start in pair]) for pair in pairs]
        if flip is not None:
            masks = [mask.view(-1, *(1 for _ in x.shape[1:])) for x, mask in zip(images, flip.T, strict=True)]
            images = [torch.where(mask, x.flip(-1), x) for x, mask in zip(images, masks, strict=True)]
        return [self.scale(x) for x in images]

    def scale(self, images: Tensor) -> Tensor:
        """Convert bytes (B, C, *s) to floats in [-1, 1], or with ImageNet's mean and standard deviation."""
        if self.settings.scaling == "imagenet":
            mean, sd = (x.view(-1, *(1 for _ in images.shape[2:])) for x in _statistics(self.device))
            scaled = (images - mean) / sd
        else:
            scaled = images.float().div_(127.5).sub_(1)
        return scaled.contiguous(memory_format=CHANNELS_LAST.get(images.dim(), torch.contiguous_format))

    def crop(self, sample: Tensor, time: float | None, row: float, column: float) -> Tensor:
        """Crop one sample, (C, T, H, W) or (C, H, W), in time and space."""
        if self.settings.frames and sample.dim() == CLIP_AXES:
            sample = crop_frames(sample, self.settings.frames, time)
        if self.settings.crop:
            for axis, start in ((-2, row), (-1, column)):
                sample = _crop_axis(sample, axis, self.settings.crop, start, "crop")
        return sample


@cache  # kept on the device, so that only the first batch waits for them
def _statistics(device: torch.device) -> list[Tensor]:
    return [(255 * torch.tensor(x)).to(device) for x in IMAGENET_MEAN_SD]


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
