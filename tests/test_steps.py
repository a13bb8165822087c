"""Steps hand to each part what it is to have."""

from typing import Any

import pytest

from greedymm import steps
from greedymm.data import hdf5
from greedymm.data.colored_mnist_5k import make
from greedymm.params import Execution, Tracking, settings_class, validate
from greedymm.runs import Run, planned
from greedymm.seeding import Streams


@pytest.fixture
def run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A planned run whose data are there."""
    monkeypatch.chdir(tmp_path)
    section = {
        "data": {"per_class": 10},
        "model": {"branch": {"name": "cnn", "widths": [4]}, "fusion": {"name": "mmtm"}, "fuse_after": [1]},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
        "inputs": {"flip": True},
        "methods": {"greedy": {}},
        "unimodal": False,
    }
    (run,) = planned(validate({"seeds": [3], "datasets": {"colored_mnist_5k": section}}))
    settings: Any = settings_class("dataset", "colored_mnist_5k").model_validate(section["data"])
    hdf5.write(run.data_path, *make(settings, tmp_path))
    return run


def test_training_samples_alone_are_shuffled_and_augmented_each_by_its_own_stream(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, tuple[Any, ...]] = {}

    def loader(*_: Any) -> Any:
        def load(split: str, *draws: Any) -> Any:
            asked[split] = tuple(d.initial_seed() for d in draws)
            if set(asked) == {"train", "val"}:
                raise InterruptedError
            return []

        return load

    monkeypatch.setattr("greedymm.data.batches.loader", loader)

    with pytest.raises(InterruptedError):
        steps.train(run, Execution(device="cpu"), Tracking(enabled=False))

    streams = Streams(3)
    assert asked == {"train": (streams["order"].initial_seed(), streams["augmentation"].initial_seed()), "val": ()}
