"""The plug-ins that the README shows are complete: they plan, build and train."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from greedymm import seeding
from greedymm.data import hdf5
from greedymm.data.batches import loader
from greedymm.models.build import build
from greedymm.params import Cnn, Execution, Mmtm, Training, settings_class, validate
from greedymm.runs import planned
from greedymm.training.fit import Fit, make_method

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's dataset `stripes` and method `sometimes`, put where it says."""
    dataset, method = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    for package, name, text in (("data", "stripes", dataset), ("training.methods", "sometimes", method)):
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        module = importlib.import_module(f"greedymm.{package}")
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])


@pytest.mark.usefixtures("shown")
def test_the_dataset_and_the_method_of_the_readme_train(tmp_path: Path) -> None:
    make = importlib.import_module("greedymm.data.stripes").make
    splits, facts = make(settings_class("dataset", "stripes")(), tmp_path, 1)
    path = tmp_path / "stripes.h5"
    hdf5.write(path, splits, facts)
    cpu, names = torch.device("cpu"), ("left", "right")
    streams = seeding.seed_everything(0)
    model = build(Cnn(name="cnn", widths=(4, 8)), Mmtm(name="mmtm"), (2,), (1, 1), len(facts.classes))
    settings: Any = settings_class("method", "sometimes")()
    method = make_method("sometimes", settings, 2, cpu, streams["method"])
    training = Training(epochs=2, batch_size=50, learning_rate=0.1)
    load = loader(path, names, 50, cpu, Execution())

    fit = Fit(model, method, training, names, streams, tmp_path / "resume.pt", {})
    history = fit.run(load("train", streams["order"]), load("val"), lambda _row, _timing: None).history

    assert [row["rebalancing_left"] > 0 for row in history] == [False, True]
    assert history[-1]["val_accuracy"] > 0.5


@pytest.mark.usefixtures("shown")
def test_params_may_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # Their code is not beside the package's, where the keys look for it.
    monkeypatch.setattr("greedymm.runs.fingerprint", lambda roots, _commit=None: str(sorted(roots)))
    section = {
        "data": {"noise": 10},
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
        "methods": {"sometimes": {"share": 0.2}},
    }

    runs = planned(validate({"seeds": [0], "datasets": {"stripes": section}}))

    assert [run.method for run in runs] == ["sometimes", "unimodal_left", "unimodal_right"]
