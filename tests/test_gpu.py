"""What must hold on a GPU; skipped where there is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from greedymm.data import hdf5
from greedymm.data.batches import loader
from greedymm.data.samples import Facts, Samples
from greedymm.device import prepare
from greedymm.models.build import build
from greedymm.models.multistream import MultiStream
from greedymm.params import Execution, I3d, Inputs, Mmtm, Resnet18
from greedymm.seeding import seed_everything
from greedymm.training.epoch import train_epoch
from greedymm.training.fit import make_method
from greedymm.training.speed import ConditionalLearningSpeed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU = torch.device("cpu")
CHANNELS = dict(zip(tiny.NAMES[:2], tiny.CHANNELS, strict=False))
SPACES = {"images": (8, 8), "clips": (6, 20, 20)}
INPUTS = {
    "as stored": ("images", Inputs()),
    "flipped, of ImageNet's scale": ("images", Inputs(scaling="imagenet", flip=True)),
    "windows and crops": ("clips", Inputs(frames=4, crop=16)),
}


def network(branch: Resnet18 | I3d, fuse_after: tuple[int, ...]) -> MultiStream:
    return build(branch, Mmtm(name="mmtm"), fuse_after, tuple(CHANNELS.values()), tiny.CLASSES)


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
    hdf5.write(path, splits, Facts(("a", "b", "c"), "made here", "CC0", generated=True))
    return path


@pytest.mark.parametrize(("kind", "inputs"), INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("resident_gb", [4, 0], ids=["resident", "streamed"])
def test_a_gpu_gets_the_same_batches_as_the_cpu(
    paths: dict[str, Path], kind: str, inputs: Inputs, resident_gb: float
) -> None:
    execution = Execution(resident_gb=resident_gb, workers=0)
    there, here = (
        loader(paths[kind], tiny.NAMES[:2], 8, device, execution, inputs)("train", seeded(1), seeded(2))
        for device in (torch.device("cuda"), CPU)
    )
    for (found, labels), (wanted, wanted_labels) in zip(there, here, strict=True):
        assert torch.equal(labels.cpu(), wanted_labels)
        for x, w in zip(found, wanted, strict=True):
            torch.testing.assert_close(x.cpu(), w, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("kind", "fresh"), NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("method", list(tiny.METHODS))
def test_no_step_waits_for_the_device(
    paths: dict[str, Path], method: str, kind: str, fresh: Callable[[], MultiStream]
) -> None:
    device = torch.device("cuda")
    streams = seed_everything(0)
    model = fresh().to(device)
    inputs = Inputs(flip=True)
    load = loader(paths[kind], tiny.NAMES[:2], 8, device, Execution(), inputs)
    batches = load("train", streams["order"], streams["augmentation"])
    chooser = make_method(method, tiny.METHODS[method], 2, device, streams["method"])
    speed = ConditionalLearningSpeed(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    chooser.start_epoch(1, len(batches))
    loop = iter(batches)
    first = [next(loop)]  # moves the order of the whole pass to the device
    train_epoch(model, first, chooser, speed, optimizer)  # warms up what is made once
    rest = list(loop)
    waits: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        # The one fetch at the end of an epoch is allowed: the steps before it are what must not wait.
        patch.setattr(torch.Tensor, "cpu", lambda self: self)
        torch.cuda.set_sync_debug_mode("error")
        try:
            train_epoch(model, rest, chooser, speed, optimizer)
        except RuntimeError as error:
            waits.append(str(error))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert waits == []


@pytest.mark.parametrize("method", list(tiny.METHODS))
def test_speeds_and_modes_on_a_gpu_are_those_of_the_cpu(paths: dict[str, Path], method: str) -> None:
    steps = {}
    for device in (CPU, torch.device("cuda")):
        streams = seed_everything(0)
        model = tiny.network().to(device)
        batches = loader(paths["images"], tiny.NAMES[:2], 8, device, Execution())("train", streams["order"])
        chooser = make_method(method, tiny.METHODS[method], 2, device, streams["method"])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        chooser.start_epoch(0, len(batches))
        steps[device.type] = train_epoch(model, batches, chooser, ConditionalLearningSpeed(model), optimizer)
    torch.testing.assert_close(steps["cuda"].speeds, steps["cpu"].speeds, rtol=1e-3, atol=1e-3)
    assert torch.equal(steps["cuda"].mode, steps["cpu"].mode)


@pytest.mark.parametrize(("kind", "fresh"), NETWORKS.values(), ids=NETWORKS)
def test_the_same_seed_gives_the_same_weights(
    paths: dict[str, Path], kind: str, fresh: Callable[[], MultiStream]
) -> None:
    device = prepare("cuda", 1)
    weights = []
    for _ in range(2):
        streams = seed_everything(0)
        model = fresh().to(device)
        batches = loader(paths[kind], tiny.NAMES[:2], 8, device, Execution())("train", streams["order"])
        chooser = make_method("greedy", tiny.METHODS["greedy"], 2, device, streams["method"])
        chooser.start_epoch(0, len(batches))
        train_epoch(model, batches, chooser, None, torch.optim.SGD(model.parameters(), lr=0.1))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
