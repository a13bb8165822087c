"""Steps hand to each part what it is to have."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import h5py
import numpy as np
import pandas as pd
import pytest
import spoiled
import torch

from greedymm.analysis.results import describe_run
from greedymm.data import hdf5
from greedymm.data.datasets import solids
from greedymm.data.samples import DatasetInfo, Samples
from greedymm.data.synthetic.export import write_meshes
from greedymm.errors import GreedymmError
from greedymm.files import read_json, write_text
from greedymm.models.branches import resnet18
from greedymm.params.load import validate
from greedymm.plan import Plan, planned, read_data_settings, read_plan, read_runs
from greedymm.run import Run
from greedymm.seeding import Generators
from greedymm.settings import Execution
from greedymm.steps.check import check, check_prepared
from greedymm.steps.evaluate import evaluate
from greedymm.steps.predict import predict
from greedymm.steps.prepare import prepare
from greedymm.steps.train import train

SECTION = {
    "data": {"per_class": 10},
    "model": {"branch": {"name": "cnn", "widths": [4]}, "fusion": {"name": "mmtm"}, "fuse_after": [1]},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    "inputs": {"flip": True},
    "methods": {"greedy": {}},
    "unimodal": False,
}
CPU = Execution(device="cpu")
HEADS = ["mean", "color", "gray"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, trained and evaluated by the commands of its plan."""
    folder = tmp_path_factory.mktemp("steps")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = Plan.make(validate({"seeds": [3], "datasets": {"colored_mnist_5k": SECTION}}))
        plan.write()
        prepare(read_data_settings(plan.path, *plan.data), folder, 1)
        (run,), _ = read_runs(plan.path, plan.runs)
        train(run, CPU)
        evaluate(run, CPU)
    return folder


@pytest.fixture
def trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run, in its folder."""
    monkeypatch.chdir(folder)
    (run,) = planned(validate({"seeds": [3], "datasets": {"colored_mnist_5k": SECTION}}))
    return run


def test_a_plan_names_its_runs_and_what_it_lacks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (path,) = Path("results/plans").iterdir()
    with pytest.raises(GreedymmError, match="has no other in its runs"):
        read_runs(path, ["other"])
    with pytest.raises(GreedymmError, match="has no other in its data"):
        read_data_settings(path, "other")
    with pytest.raises(GreedymmError, match="is missing"):
        read_runs(Path("results/plans/00000000.json"), ["other"])
    assert read_plan(path).path == path


def test_training_samples_alone_are_shuffled_and_augmented_each_by_its_own_stream(
    trained: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, tuple[Any, ...]] = {}

    def batches(_: Any, split: str, *draws: Any) -> Any:
        asked[split] = tuple(d.initial_seed() for d in draws)
        if set(asked) == {"train", "val"}:
            raise InterruptedError
        return []

    monkeypatch.setattr("greedymm.data.batches.Loader.batches", batches)

    with pytest.raises(InterruptedError):
        train(trained, CPU)

    streams = Generators(3)
    assert asked == {"train": (streams["order"].initial_seed(), streams["augmentation"].initial_seed()), "val": ()}


# -- What a trained network predicts ------------------------------------------------------------------------


def test_every_split_but_train_is_measured(trained: Run) -> None:
    result = read_json(trained.evaluation_folder / "result.json")
    predictions = pd.read_parquet(trained.evaluation_folder / "predictions.parquet")

    assert result["splits"] == predictions["split"].unique().tolist() == ["val", "test", "val_shift"]
    for split, rows in predictions.groupby("split"):
        assert result[split]["accuracy"] == (rows["mean"] == rows["label"]).mean()
        assert result[split].keys() == result["test"].keys()


def test_predictions_are_those_of_the_evaluation_with_probabilities(trained: Run, tmp_path: Path) -> None:
    output = tmp_path / "predictions.csv"
    for split in ("val", "test", "val_shift"):
        predict(trained.folder / "checkpoint.pt", trained.data_path, split, output)

        found = pd.read_csv(output, dtype={"label": str, "predicted": str})
        measured = pd.read_parquet(trained.evaluation_folder / "predictions.parquet")
        measured = measured[measured["split"] == split]
        assert found["head"].unique().tolist() == HEADS
        for head in HEADS:
            rows = found[found["head"] == head]
            assert rows["id"].tolist() == measured["id"].tolist()
            assert rows["label"].tolist() == measured["label"].astype(str).tolist()
            assert rows["predicted"].tolist() == measured[head].astype(str).tolist()
        chances = found[[f"p_{k}" for k in range(10)]]
        assert (chances.sum(axis=1) - 1).abs().max() < 1e-4
        assert (chances.idxmax(axis=1) == "p_" + found["predicted"]).all()


def test_the_probabilities_of_the_mean_are_those_of_the_mean_of_the_branches_logits(
    trained: Run, tmp_path: Path
) -> None:
    output = tmp_path / "predictions.csv"
    predict(trained.folder / "checkpoint.pt", trained.data_path, "test", output)

    found = pd.read_csv(output)
    logs = {head: np.log(found.loc[found["head"] == head, [f"p_{k}" for k in range(10)]].to_numpy()) for head in HEADS}
    mean = np.exp((logs["color"] + logs["gray"]) / 2)  # logits, but for a number that the softmax takes out
    np.testing.assert_allclose(np.exp(logs["mean"]), mean / mean.sum(axis=1, keepdims=True), rtol=1e-3)


def test_data_of_another_form_and_a_file_that_is_no_checkpoint_are_named(trained: Run, tmp_path: Path) -> None:
    checkpoint, output = trained.folder / "checkpoint.pt", tmp_path / "predictions.csv"
    for name, classes in (("other", "0123456789"), ("fewer", "0b")):
        count = len(classes)
        images = {m: np.zeros((count, 2, 8, 8), dtype=np.uint8) for m in ("color", "gray")}
        splits = {
            s: Samples(images, np.arange(count), [f"{s}-{k}" for k in range(count)]) for s in ("train", "val", "test")
        }
        hdf5.write(tmp_path / f"{name}.h5", splits, DatasetInfo(tuple(classes), "made here", "CC0", generated=True))

    with pytest.raises(GreedymmError, match=r"other.h5: .* shape \(2, 8, 8\); .* trained with \(3, 28"):
        predict(checkpoint, tmp_path / "other.h5", "test", output)
    with pytest.raises(GreedymmError, match=r"other classes than .*fewer.h5:\s+1 there, b here; 2 there, none here"):
        predict(checkpoint, tmp_path / "fewer.h5", "test", output)
    with pytest.raises(GreedymmError, match=r"history.csv is no checkpoint"):
        predict(trained.folder / "history.csv", trained.data_path, "test", output)
    with pytest.raises(GreedymmError, match=r"nowhere.h5 is missing"):
        predict(checkpoint, tmp_path / "nowhere.h5", "test", output)
    with pytest.raises(GreedymmError, match=r"snapshots.pt lacks best, .*: give the checkpoint.pt"):
        predict(trained.folder / "snapshots.pt", trained.data_path, "test", output)
    with pytest.raises(GreedymmError, match=r"no split 'dev'; it has: train, val, test, val_shift"):
        predict(checkpoint, trained.data_path, "dev", output)
    with pytest.raises(GreedymmError, match=r"is a folder; name a file in it"):
        predict(checkpoint, trained.data_path, "test", tmp_path)
    assert not output.exists()


OTHER_CONTENT: dict[str, dict[str, Any]] = {
    "is no checkpoint of this project: its settings are of another form": {"settings": {"seed": 1}},
    "has settings that this version does not support:\n  dataset: is missing": {"settings": "{}"},
    "does not fit the network of its settings .*Missing key": {"best": {"model": {"a": torch.zeros(1)}}},
    "does not fit the network of its settings .*'model'": {"best": {"epoch": 1}},
    "does not fit the network of its settings .*not iterable": {"shapes": 3},
    "does not fit the network of its settings": {"classes": ["a"]},
}


@pytest.mark.parametrize("message", OTHER_CONTENT)
def test_a_checkpoint_of_other_content_is_refused_by_name(message: str, trained: Run, tmp_path: Path) -> None:
    content = torch.load(trained.folder / "checkpoint.pt", weights_only=True)
    torch.save(content | OTHER_CONTENT[message], tmp_path / "changed.pt")

    with pytest.raises(GreedymmError, match=rf"changed\.pt {message}"):
        predict(tmp_path / "changed.pt", trained.data_path, "test", tmp_path / "predictions.csv")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "foreign.h5"
    spoiled.write_plainly(path)
    return path


def test_a_file_that_was_made_without_this_project_is_predicted(trained: Run, foreign: Path, tmp_path: Path) -> None:
    predict(trained.folder / "checkpoint.pt", foreign, "test", tmp_path / "predictions.csv")

    assert len(pd.read_csv(tmp_path / "predictions.csv")) == len(HEADS) * spoiled.COUNT


@pytest.mark.parametrize("kind", spoiled.SPOILED)
def test_a_file_of_someone_else_is_refused_with_its_name_the_key_and_what_is_expected(
    kind: str, trained: Run, foreign: Path, tmp_path: Path
) -> None:
    spoil, said = spoiled.SPOILED[kind]
    with h5py.File(foreign, "r+") as file:
        spoil(file)

    with pytest.raises(GreedymmError, match=f"foreign.h5.*{said}"):
        predict(trained.folder / "checkpoint.pt", foreign, "test", tmp_path / "predictions.csv")

    assert not (tmp_path / "predictions.csv").exists()


def test_what_is_no_file_or_is_open_elsewhere_is_not_called_broken(
    trained: Run, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(data: Path, said: str) -> None:
        with pytest.raises(GreedymmError, match=said) as raised:
            predict(trained.folder / "checkpoint.pt", data, "test", tmp_path / "predictions.csv")
        assert "delete" not in str(raised.value)

    fail(tmp_path, "is a folder; name an HDF5 file")
    fail(Path("/dev/zero"), "is no file; name an HDF5 file")
    with h5py.File(foreign, "r+"):
        code = f"from pathlib import Path; from greedymm.data.hdf5 import DataFile; DataFile(Path({str(foreign)!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "foreign.h5 is open in another program" in done.stderr
    assert "delete" not in done.stderr
    for error in (PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "Input/output error")):
        monkeypatch.setattr("h5py.File", Mock(side_effect=error))
        with pytest.raises(type(error)):
            predict(trained.folder / "checkpoint.pt", foreign, "test", tmp_path / "predictions.csv")


def test_predictions_do_not_replace_the_data_or_the_checkpoint(trained: Run, foreign: Path) -> None:
    for path in (foreign, trained.folder / "checkpoint.pt"):
        with pytest.raises(GreedymmError, match="is an input; name another file"):
            predict(trained.folder / "checkpoint.pt", foreign, "test", path)


def test_other_classes_of_the_same_number_are_named_and_not_predicted(trained: Run, tmp_path: Path) -> None:
    with hdf5.DataFile(trained.data_path) as file:
        images = {m: file.images("test", m)[:] for m in ("color", "gray")}
        labels, classes = file.labels("test"), file.facts.classes
    ids = [f"{k}" for k in range(len(labels))]
    splits = {s: Samples(images, labels, [f"{s}-{k}" for k in ids]) for s in ("train", "val", "test")}
    hdf5.write(tmp_path / "other.h5", splits, DatasetInfo((*classes[:-1], "ten"), "made here", "CC0", generated=True))

    with pytest.raises(GreedymmError, match=r"other classes than those of .*other.h5:\s+9 there, ten here"):
        predict(trained.folder / "checkpoint.pt", tmp_path / "other.h5", "test", tmp_path / "predictions.csv")


def test_predict_and_inspect_are_commands(trained: Run, tmp_path: Path, call: Callable[..., str]) -> None:
    checkpoint, data = str(trained.folder / "checkpoint.pt"), str(trained.data_path)
    there, called = str(tmp_path / "there.csv"), tmp_path / "called.csv"
    assert call("predict", "--checkpoint", checkpoint, "--data", data, "--split", "val", "--output", there) == ""
    assert call("inspect", str(trained.folder)) == describe_run(trained.folder)
    predict(trained.folder / "checkpoint.pt", trained.data_path, "val", called)
    assert Path(there).read_bytes() == called.read_bytes()
    with pytest.raises(SystemExit, match=r"has no evaluation-"):
        call("inspect", checkpoint)


def test_a_run_is_described_by_its_settings_its_results_and_its_measures(trained: Run) -> None:
    result = read_json(trained.evaluation_folder / "result.json")

    lines = [line.split(maxsplit=1) for line in describe_run(trained.folder).splitlines()]

    assert ["method", "greedy"] in lines
    assert ["training.learning_rate", "0.1"] in lines
    assert ["data", "colored_mnist_5k"] in lines
    assert {"hardware.cpu", "hardware.cores", "hardware.memory_gib"} <= {line[0] for line in lines if line}
    assert ["accuracy_gray_cut", f"{result['test']['accuracy_gray_cut']:.6g}"] in lines
    assert result["during_training"] == {"epoch": []}  # there are no snapshots


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"history": {"loss": [1]}}'])
def test_a_result_that_cannot_be_described_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation-01234567/result.json"
    write_text(path, content)

    with pytest.raises(GreedymmError, match=r"result.json is broken"):
        describe_run(tmp_path)


def test_a_validation_split_too_small_for_a_method_is_refused_before_training_once_the_data_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = SECTION | {"data": {"per_class": 10, "validation": 0.1}, "methods": {"greedy": {}, "miles": {}}}
    plan = Plan.make(validate({"seeds": [3], "datasets": {"colored_mnist_5k": section}}))
    check(plan)
    plan.write()
    prepare(read_data_settings(plan.path, *plan.data), tmp_path, 1)
    greedy, _ = plan.default_runs

    refused = r"miles: method 'miles' scores branches on the validation split, which has 10 samples"
    with pytest.raises(GreedymmError, match=refused):  # when the next workflow starts
        check(plan)
    with pytest.raises(GreedymmError, match=refused):  # before the first run of this one
        check_prepared(plan.path, greedy)
    train(greedy, CPU)
    check_prepared(plan.path, greedy)


@pytest.mark.parametrize("name", ["nowhere.pt", "~nobody-of-this-name/w.pt", "gray.pt"])
def test_weights_are_read_before_any_data_are_made(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = resnet18.Settings(name="resnet18", width=4)
    state = resnet18.build(settings, 1).state_dict()
    torch.save({resnet18.torchvision_name(key): weight for key, weight in state.items()}, "gray.pt")
    branch = {"name": "resnet18", "width": 4, "weights": name}
    section = SECTION | {"model": SECTION["model"] | {"branch": branch}}  # type: ignore[operator]
    plan = Plan.make(validate({"seeds": [3], "datasets": {"colored_mnist_5k": section}}))

    if name == "gray.pt":  # one channel, which the data may have
        check(plan)
        return
    with pytest.raises(GreedymmError, match=f"{name} (is missing; put it there|cannot be read)"):
        check(plan)


def test_samples_too_small_for_a_branch_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_meshes(Path("own"), solids.Settings(train=8, val=1, test=1), 2)
    model = SECTION["model"] | {"branch": {"name": "cnn", "widths": [4, 4, 4, 4, 4]}}  # type: ignore[operator]
    section = SECTION | {"data": {"folder": "own", "size": 8}, "model": model}
    plan = Plan.make(validate({"seeds": [3], "datasets": {"modelnet40": section}}))
    plan.write()
    prepare(read_data_settings(plan.path, *plan.data), tmp_path, 1)

    with pytest.raises(
        GreedymmError, match=r"samples of view0 have 8 x 8 pixels, and the branch fails .*\.\n  If they are too small"
    ):
        train(plan.default_runs[0], CPU)


def test_one_class_alone_is_refused_before_its_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_meshes(Path("own"), solids.Settings(train=1, val=1, test=1), 1)
    section = SECTION | {"data": {"folder": "own"}}
    plan = Plan.make(validate({"seeds": [3], "datasets": {"modelnet40": section}}))
    plan.write()

    with pytest.raises(GreedymmError, match=r"own: one class only, \['\w+'\].\n  Add samples of another class"):
        prepare(read_data_settings(plan.path, *plan.data), tmp_path, 1)

    assert not Path("results/data").exists()


def test_a_last_batch_of_one_sample_does_not_stop_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # 60 samples; behind the last stages, batch norm sees one value of each.
    model = SECTION["model"] | {"branch": {"name": "cnn", "widths": [4, 4, 4, 4, 4]}}  # type: ignore[operator]
    training = SECTION["training"] | {"batch_size": 59, "epochs": 2}  # type: ignore[operator]
    methods = {"greedy": {}, "remix": {"active": {"start": 2}}}
    section = SECTION | {"model": model, "training": training, "methods": methods}
    plan = Plan.make(validate({"seeds": [3], "datasets": {"colored_mnist_5k": section}}))
    plan.write()
    prepare(read_data_settings(plan.path, *plan.data), tmp_path, 1)

    for run in plan.default_runs:
        train(run, CPU)
        assert len(pd.read_parquet(run.folder / "steps.parquet")) == 2
