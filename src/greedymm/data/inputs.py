"""Bytes of a batch -> what a network sees of them, on the device."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.settings import Inputs

# Axes of a batch of images and of clips.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
CLIP = 4  # axes of one clip
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


Places = tuple[float, float, float]  # of a window in time and of a square in the picture, in [0, 1)


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
        return scaled.contiguous(memory_format=CHANNELS_LAST.get(scaled.dim(), torch.contiguous_format))


class Shown:
    """What is shown of the samples of a split: drawn anew in each pass of training, otherwise always the same.

    Args:
        settings: what a network sees of the bytes.
        modalities: M.
        device: where the batches are.
        draws: the stream of augmentation, on the CPU: the same on every device. None: nothing is drawn.
    """

    def __init__(
        self, settings: Inputs, modalities: int, device: torch.device, draws: torch.Generator | None = None
    ) -> None:
        self.settings, self.modalities, self.device, self.draws = settings, modalities, device, draws

    def drawn(self, count: int, size: int) -> Iterator[Callable[[Sequence[Tensor]], list[Tensor]]]:
        """For each batch of a pass, what makes inputs of its bytes; all is drawn at once, so that no batch waits."""
        flips: Sequence[Tensor | None] = [None] * math.ceil(count / size)
        places: Sequence[Sequence[Places | None]] = [[None] * size] * len(flips)
        if self.draws is not None and self.settings.flip:
            heads = torch.randint(2, (count, self.modalities), generator=self.draws).bool()
            flips = torch.split(heads.to(self.device), size)
        if self.draws is not None and (self.settings.frames or self.settings.crop):
            places = [batch.tolist() for batch in torch.split(torch.rand(count, 3, generator=self.draws), size)]
        for flip, batch in zip(flips, places, strict=True):
            yield partial(self.show, flip=flip, places=batch)

    def show(self, images: Sequence[Tensor], flip: Tensor | None, places: Sequence[Places | None]) -> list[Tensor]:
        """Bytes (B, C, *s) of each modality, cut out and flipped."""
        if self.settings.frames or self.settings.crop:
            images = [torch.stack([self.cut(x, p) for x, p in zip(of, places, strict=False)]) for of in images]
        return list(images) if flip is None else flipped(images, flip)

    def cut(self, sample: Tensor, place: Places | None) -> Tensor:
        """Of one sample, (C, T, H, W) or (C, H, W), the frames and square at a place; None: evenly, in the middle."""
        time, *corner = place or (None, 0.5, 0.5)
        if self.settings.frames and sample.dim() == CLIP:
            sample = window(sample, self.settings.frames, time)
        if self.settings.crop:
            for axis, at in zip((-2, -1), corner, strict=True):
                sample = part(sample, axis, self.settings.crop, at, "crop")
        return sample


def part(sample: Tensor, axis: int, length: int, at: float, setting: str) -> Tensor:
    """So much of an axis, from a place in [0, 1) of where it may begin.

    Raises:
        GreedymmError: if there is not so much.
    """
    spare = sample.shape[axis] - length
    if spare < 0:
        raise GreedymmError(f"inputs.{setting} is {length}; the samples have {sample.shape[axis]}")
    return sample.narrow(axis, min(int(at * (spare + 1)), spare), length)


def window(clip: Tensor, count: int, time: float | None) -> Tensor:
    """Frames of a clip (C, T, H, W): consecutive ones from a place in [0, 1), or for None evenly over all of it."""
    if time is not None or clip.shape[1] < count:
        return part(clip, 1, count, time or 0, "frames")
    chosen = torch.linspace(0, clip.shape[1] - 1, count).round().long().tolist()
    return torch.stack([clip[:, t] for t in chosen], dim=1)


def flipped(images: Sequence[Tensor], which: Tensor) -> list[Tensor]:
    """Images (B, C, *s) of each modality, mirrored left to right where `which`, bool (B, M), says so."""
    return [
        torch.where(w.view(-1, *(1 for _ in x.shape[1:])), x.flip(-1), x) for x, w in zip(images, which.T, strict=True)
    ]
