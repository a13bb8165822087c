"""What must hold on a GPU; skipped where there is none."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from greedymm.data import hdf5
from greedymm.data.batches import Loader
from greedymm.data.samples import DatasetInfo, Samples
from greedymm.models.branches.i3d import Settings as I3d
from greedymm.models.branches.resnet18 import Settings as Resnet18
from greedymm.models.build import build
from greedymm.models.fusions.mmtm import Settings as Mmtm
from greedymm.models.heads.own import Settings as Own
from greedymm.models.network import MultimodalNetwork
from greedymm.seeding import prepare_device, seed_everything
from greedymm.settings import Execution, Inputs
from greedymm.training.fit import Fit
from greedymm.training.networks import make_method
from greedymm.training.step import Steps

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU = torch.device("cpu")
CHANNELS = dict(zip(tiny.NAMES[:2], tiny.CHANNELS, strict=False))
SPACES = {"images": (8, 8), "clips": (6, 20, 20)}
INPUTS = {
    "as stored": ("images", Inputs()),
    "flipped, of ImageNet's scale": ("images", Inputs(scaling="imagenet", flip=True)),
    "windows and crops": ("clips", Inputs(frames=4, crop=16)),
}


def network(branch: Resnet18 | I3d, fuse_after: tuple[int, ...]) -> MultimodalNetwork:
    head, channels = Own(name="own"), tuple(CHANNELS.values())
    model = build([branch] * 2, Mmtm(name="mmtm"), [fuse_after] * 2, head, channels, tiny.CLASSES)
    model.modalities = tiny.NAMES[:2]
    return model


NETWORKS = {
    "tiny": ("images", tiny.network),
    "resnet18": ("images", lambda: network(Resnet18(name="resnet18"), (2, 3, 4))),
    "i3d": ("clips", lambda: network(I3d(name="i3d", width=8), (4, 5, 6, 7, 8, 9))),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of datasets with random images, and with random clips."""
    return {kind: made(tmp_path_factory.mktemp(kind) / "data.h5", space) for kind, space in SPACES.items()}


def made(path: Path, space: tuple[int, ...]) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(36) % tiny.CLASSES
    splits = {}
    for split in ("train", "val", "test"):
        images = {m: rng.integers(256, size=(36, c, *space), dtype=np.uint8) for m, c in CHANNELS.items()}
        splits[split] = Samples(images, labels, [f"{split}-{i}" for i in range(36)])
    hdf5.write(path, splits, DatasetInfo(("a", "b", "c"), "made here", "CC0", generated=True))
    return path


@pytest.mark.parametrize(("kind", "inputs"), INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("resident_gb", [4, 0], ids=["resident", "streamed"])
def test_a_gpu_gets_the_same_batches_as_the_cpu(
    paths: dict[str, Path], kind: str, inputs: Inputs, resident_gb: float
) -> None:
    execution = Execution(resident_gb=resident_gb, workers=0)
    there, here = (
        Loader(paths[kind], tiny.NAMES[:2], 8, device, execution, inputs).batches("train", seeded(1), seeded(2))
        for device in (torch.device("cuda"), CPU)
    )
    for (found, labels), (expected, wanted_labels) in zip(there, here, strict=True):
        assert torch.equal(labels.cpu(), wanted_labels)
        for x, w in zip(found, expected, strict=True):
            torch.testing.assert_close(x.cpu(), w, rtol=1e-6, atol=1e-6)


class Training:
    """A run of a method on a device, with the batches of a file."""

    def __init__(
        self,
        method: str,
        fresh: Callable[[], MultimodalNetwork],
        path: Path,
        device: torch.device,
        inputs: Inputs = Inputs(),  # noqa: B008  immutable
        learning_rate: float = 0.1,
    ) -> None:
        streams, network = seed_everything(0), fresh().to(device)
        load = Loader(path, tiny.NAMES[:2], 8, device, Execution(), inputs).batches
        self.train, self.val = load("train", streams["order"], streams["augmentation"]), load("val")
        training = tiny.TRAINING.model_copy(update={"learning_rate": learning_rate, "momentum": 0.0})
        made = make_method(tiny.METHODS[method], network, streams["method"])
        self.fit = Fit(network, made, training, streams, path.parent / "resume.pt", {})

    def start(self, epoch: int) -> None:
        """Prepare an epoch."""
        self.fit.method.start_epoch(epoch, self.train, self.val, self.fit.optimizer)

    def steps(self, batches: Iterable[Any] | None = None, epoch: int = 0) -> Steps:
        """Train on batches; None: on all."""
        return self.fit.train_batches(epoch, self.train if batches is None else batches, len(self.train))


@pytest.mark.parametrize(("kind", "fresh"), NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("method", tiny.METHODS)
def test_no_step_waits_for_the_device(
    paths: dict[str, Path], method: str, kind: str, fresh: Callable[[], MultimodalNetwork]
) -> None:
    training = Training(method, fresh, paths[kind], torch.device("cuda"), Inputs(flip=True))
    training.start(epoch=0)
    training.steps()
    training.start(epoch=1)

    def batches() -> Iterator[Any]:
        """The batches of an epoch. In its first step, order and draws for all steps may be moved to the device."""
        loop = iter(training.train)
        yield next(loop)
        torch.cuda.set_sync_debug_mode("error")
        yield from loop
        torch.cuda.set_sync_debug_mode("default")  # the one fetch at the end of an epoch is allowed

    try:
        training.steps(batches(), epoch=1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("method", ["greedy", "balanced", "random"])
def test_speeds_and_modes_on_a_gpu_are_those_of_the_cpu(paths: dict[str, Path], method: str) -> None:
    steps = {}
    for device in (CPU, torch.device("cuda")):
        training = Training(method, tiny.network, paths["images"], device, learning_rate=0.01)
        training.start(epoch=0)
        steps[device.type] = training.steps()
    torch.testing.assert_close(steps["cuda"].speeds, steps["cpu"].speeds, rtol=1e-3, atol=1e-3)
    assert torch.equal(steps["cuda"].mode, steps["cpu"].mode)


@pytest.mark.parametrize(("kind", "fresh"), NETWORKS.values(), ids=NETWORKS)
def test_the_same_seed_gives_the_same_weights(
    paths: dict[str, Path], kind: str, fresh: Callable[[], MultimodalNetwork]
) -> None:
    device = prepare_device(Execution(device="cuda"))
    weights = []
    for _ in range(2):
        training = Training("greedy", fresh, paths[kind], device)
        training.start(epoch=0)
        training.steps()
        weights.append(torch.cat([p.detach().flatten() for p in training.fit.model.parameters()]))
    assert torch.equal(*weights)
