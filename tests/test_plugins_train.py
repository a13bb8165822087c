"""Every plug-in of the project on genuine digits, from the dataset's file to its measures."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import greedymm
from greedymm import checkpoint
from greedymm.data import hdf5
from greedymm.data.batches import Loader
from greedymm.data.datasets.colored_mnist_5k import Settings, make
from greedymm.errors import GreedymmError
from greedymm.files import read_json
from greedymm.models.network import Pass
from greedymm.params.load import validate
from greedymm.plan import planned
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.steps.evaluate import evaluate
from greedymm.steps.train import train

CPU = Execution(device="cpu")
BRANCH = {"name": "cnn", "widths": [4, 8]}
MMTM = {"branch": BRANCH, "fusion": "mmtm", "fuse_after": [1, 2]}
CONCAT = {"branch": BRANCH, "fusion": "concat", "head": "joint"}
OWN = {"branch": BRANCH, "branches": {"gray": {"name": "cnn", "widths": [4, 6, 8]}}}
OWN |= {"fusion": "mmtm", "fuse_after": {"color": [1, 2], "gray": [1, 3]}}
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "greedy": (MMTM, "greedy", {}),
    "balanced": (MMTM, "balanced", {}),
    "random": (MMTM, "random", {}),
    "ogm_ge": (MMTM, "ogm_ge", {"objective": "joint"}),
    "ogm_ge cut": (MMTM, "ogm_ge", {"evidence": "cut"}),
    "agm": (MMTM, "agm", {}),
    "g_blend": (MMTM, "g_blend", {"super_epoch": 2, "probe": 1}),
    "mla": (MMTM, "mla", {}),
    "modality_dropout": (MMTM, "modality_dropout", {}),
    "concat, greedy": (CONCAT, "greedy", {"objective": "joint"}),
    "concat, ogm_ge": (CONCAT, "ogm_ge", {"objective": "joint"}),
    "concat, agm": (CONCAT, "agm", {}),
    "concat, g_blend": (CONCAT, "g_blend", {"super_epoch": 2, "probe": 1}),
    "concat, mla": (CONCAT, "mla", {}),
    "concat, modality_dropout": (CONCAT, "modality_dropout", {"objective": "joint"}),
    "branches that differ": (OWN, "balanced", {}),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of few digits."""
    path = tmp_path_factory.mktemp("data") / "digits.h5"
    hdf5.write(path, *make(Settings(per_class=20), path.parent))
    return path


def run_of(
    model: dict[str, Any], method: str, settings: dict[str, Any], data: Path, measures: list[Any] | None = None
) -> Run:
    default = ["shapley"] if model is CONCAT else ["utilization", "shapley"]
    section = {
        "model": model,
        "training": {"epochs": 3, "batch_size": 32, "learning_rate": 0.1, "snapshots": [1, 3]},
        "inputs": {"flip": True},
        "methods": {method: settings},
        "unimodal": False,
        "measures": measures or default,
    }
    (run,) = planned(validate({"seeds": [3], "datasets": {"colored_mnist_5k": section}}))
    run.data_path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(data, run.data_path)
    shutil.copy(data.with_suffix(".json"), run.data_path.with_suffix(".json"))
    return run


class KilledError(Exception):
    """Stands for whatever ends a process."""


QUICK = {"balanced", "mla", "concat, agm", "branches that differ"}


@pytest.mark.parametrize(
    ("model", "method", "settings"),
    [pytest.param(*case, id=name, marks=[] if name in QUICK else pytest.mark.slow) for name, case in CASES.items()],
)
def test_it_trains_is_measured_and_resumes(
    model: dict[str, Any],
    method: str,
    settings: dict[str, Any],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_of(model, method, settings, data)
    train(run, CPU)
    evaluate(run, CPU)
    history, steps = pd.read_csv(run.folder / "history.csv"), pd.read_parquet(run.folder / "steps.parquet")
    whole = {name: (run.folder / name).read_bytes() for name in ("checkpoint.pt", "snapshots.pt", "steps.parquet")}
    result = read_json(run.evaluation_folder / "result.json")

    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert len(steps) == 3 * 5
    assert steps.notna().all(axis=None) or model is CONCAT or method == "mla"
    assert {"shapley_color", "shapley_gray", "shapley_gap", "interaction"} <= result["test"].keys()
    assert ("utilization_color" in result["val"]) == (model is not CONCAT)
    predictions = pd.read_parquet(run.evaluation_folder / "predictions.parquet")
    assert {"mean", "color", "gray", "mean_only_color", "mean_only_gray"} <= set(predictions)

    network = greedymm.load(run.folder / "checkpoint.pt")  # needs no data file
    inputs = [torch.zeros(2, channels, 28, 28) for channels in (3, 1)]
    assert network(inputs).logits.shape == (2, 10)
    assert (network.modalities, network.classes) == (("color", "gray"), tuple("0123456789"))

    shutil.rmtree(run.folder)
    with monkeypatch.context() as killing:
        killing.setattr("greedymm.steps.train.log_live", _die)
        for _ in range(2):
            with pytest.raises(KilledError):
                train(run, CPU)
    train(run, CPU)
    assert whole == {name: (run.folder / name).read_bytes() for name in whole}


@pytest.mark.parametrize("model", [MMTM, CONCAT], ids=["mmtm", "concat"])
def test_all_measures_together_have_values_and_expensive_ones_none_at_snapshots(
    model: dict[str, Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [{"name": "emap", "samples": 10} if name == "emap" else name for name in greedymm.list_measures()]
    run = run_of(model, "mla", {}, data, names)  # which brings a head and a decision rule of its own
    train(run, CPU)
    evaluate(run, CPU)
    result = read_json(run.evaluation_folder / "result.json")

    expected = {"permutation_gray", "emap_gap", "pid_label_synergy", "noise_area_color", "missing_area_gray"}
    expected |= {"probe_accuracy_gray", "missing_accuracy_color_at_1"}
    cheap = {"calibration_error", "utilization_color", "shapley_gray", "gradient_cosine_color"}
    for split in ("val", "test"):
        assert all(isinstance(result[split][name], float) for name in expected | cheap)
    assert not expected & result["during_training"].keys()
    assert cheap <= result["during_training"].keys()


def _die(*_: Any) -> None:
    raise KilledError


def test_a_loaded_network_predicts_as_the_evaluation_did(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_of(MMTM, "mla", {}, data)  # which brings a head and a decision rule of its own
    train(run, CPU)
    evaluate(run, CPU)
    predictions = pd.read_parquet(run.evaluation_folder / "predictions.parquet").query("split == 'test'")
    with pytest.raises(GreedymmError, match=r"snapshots.pt lacks best, .*: give the checkpoint.pt"):
        greedymm.load(run.folder / "snapshots.pt")
    state = checkpoint.load(run.folder / "checkpoint.pt", torch.device("cpu"))
    checkpoint.save(tmp_path / "newer.pt", state.pop("settings") | {"newer": 1}, state)
    with pytest.raises(GreedymmError, match=r"newer.pt has settings that this version does not support:"):
        greedymm.load(tmp_path / "newer.pt")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    network = greedymm.load(run.folder / "checkpoint.pt")

    assert torch.equal(torch.rand(3), expected)  # torch's generator is whoever's it was
    with hdf5.DataFile(data) as file:
        images = [torch.from_numpy(file.images("test", m)[:]).float() / 127.5 - 1 for m in ("color", "gray")]
    with torch.no_grad():
        output = network(images)
    assert output.logits.argmax(dim=1).tolist() == predictions["mean"].tolist()
    assert output.branches[1].argmax(dim=1).tolist() == predictions["gray"].tolist()

    during = read_json(run.evaluation_folder / "result.json")["during_training"]
    snapshots = checkpoint.load(run.folder / "snapshots.pt", torch.device("cpu"))["weights"]
    loader = Loader(run.data_path, run.settings.stored, 32, torch.device("cpu"), CPU, run.settings.inputs)
    assert during["epoch"] == [1, 3]
    for weights, accuracy in zip(snapshots.values(), during["accuracy_gray_cut"], strict=True):
        network.load_state_dict(weights)
        network.record_means(loader.batches("train"))
        cut = Pass(hears=torch.eye(2, dtype=torch.bool))
        correct = [network(x, cut).branches[1].argmax(dim=1) == labels for x, labels in loader.batches("val")]
        assert torch.cat(correct).double().mean().item() == pytest.approx(accuracy)
