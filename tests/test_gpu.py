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
from greedymm.models.build import build
from greedymm.models.multistream import MultiStream
from greedymm.params import Execution, Inputs, Mmtm, Resnet18
from greedymm.seeding import seed_everything
from greedymm.training.epoch import train_epoch
from greedymm.training.fit import make_method
from greedymm.training.speed import ConditionalLearningSpeed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU = torch.device("cpu")
CHANNELS = dict(zip(tiny.NAMES[:2], tiny.CHANNELS, strict=False))
INPUTS = {"as stored": Inputs(), "flipped, of ImageNet's scale": Inputs(scaling="imagenet", flip=True)}
RESNET = Resnet18(name="resnet18")
NETWORKS = {
    "tiny": tiny.network,
    "resnet18": lambda: build(RESNET, Mmtm(name="mmtm"), (2, 3, 4), tuple(CHANNELS.values()), tiny.CLASSES),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset's file with random images."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "data.h5"
    labels = np.arange(36) % tiny.CLASSES
    splits = {}
    for split in ("train", "val", "test"):
        images = {m: rng.integers(256, size=(36, c, 8, 8), dtype=np.uint8) for m, c in CHANNELS.items()}
        splits[split] = Samples(images, labels, [f"{split}-{i}" for i in range(36)])
    hdf5.write(path, splits, Facts(("a", "b", "c"), "made here", "CC0", generated=True))
    return path


@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("resident_gb", [4, 0], ids=["resident", "streamed"])
def test_a_gpu_gets_the_same_batches_as_the_cpu(path: Path, inputs: Inputs, resident_gb: float) -> None:
    execution = Execution(resident_gb=resident_gb, workers=0)
    there, here = (
        loader(path, tiny.NAMES[:2], 8, device, execution, inputs)("train", seeded(1), seeded(2))
        for device in (torch.device("cuda"), CPU)
    )
    for (found, labels), (wanted, wanted_labels) in zip(there, here, strict=True):
        assert torch.equal(labels.cpu(), wanted_labels)
        for x, w in zip(found, wanted, strict=True):
            torch.testing.assert_close(x.cpu(), w, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("method", list(tiny.METHODS))
def test_no_step_waits_for_the_device(path: Path, method: str, network: Callable[[], MultiStream]) -> None:
    device = torch.device("cuda")
    streams = seed_everything(0)
    model = network().to(device)
    inputs = Inputs(flip=True)
    load = loader(path, tiny.NAMES[:2], 8, device, Execution(), inputs)
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
def test_speeds_and_modes_on_a_gpu_are_those_of_the_cpu(path: Path, method: str) -> None:
    steps = {}
    for device in (CPU, torch.device("cuda")):
        streams = seed_everything(0)
        model = tiny.network().to(device)
        batches = loader(path, tiny.NAMES[:2], 8, device, Execution())("train", streams["order"])
        chooser = make_method(method, tiny.METHODS[method], 2, device, streams["method"])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        chooser.start_epoch(0, len(batches))
        steps[device.type] = train_epoch(model, batches, chooser, ConditionalLearningSpeed(model), optimizer)
    torch.testing.assert_close(steps["cuda"].speeds, steps["cpu"].speeds, rtol=1e-3, atol=1e-3)
    assert torch.equal(steps["cuda"].mode, steps["cpu"].mode)
