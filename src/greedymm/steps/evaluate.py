"""Step `evaluate`: checkpoint and snapshots + batches -> predictions -> measures."""

import pandas as pd

from greedymm import checkpoint
from greedymm.data import batches
from greedymm.data.hdf5 import DataFile
from greedymm.device import prepare
from greedymm.evaluation.evaluate import compute_measures, evaluate_snapshots, predict_split, required_passes
from greedymm.files import atomic_write, read, read_json, write_json
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.training.networks import load_network


def evaluate(run: Run, execution: Execution) -> None:
    """Write the predictions of all passes, and all that analysis needs to know of the run in `result.json`."""
    settings, measures, modalities = run.settings, run.evaluation.measures, run.settings.modalities
    device = prepare(execution.device, execution.threads)
    network, trained = load_network(run.folder / "checkpoint.pt", device, settings)
    snapshots = checkpoint.load(run.folder / "snapshots.pt", device, settings.model_dump(mode="json"))
    size = batches.evaluation_size(run.data_path, settings.stored)
    load = batches.loader(run.data_path, settings.stored, size, device, execution, settings.inputs)
    with DataFile(run.data_path) as file:
        samples = {split: file.sample_table(split) for split in ("val", "test")}
    passes, train = required_passes(network, measures, modalities), load("train")
    network.record_means(train)
    predictions = {s: predict_split(network, load(s), samples[s], modalities, passes) for s in samples}
    values = {split: compute_measures(table, measures, modalities) for split, table in predictions.items()}
    # Of validation alone: test is looked at once, with the weights that were chosen.
    during = evaluate_snapshots(network, snapshots["weights"], train, load("val"), samples["val"], measures, modalities)
    with atomic_write(run.evaluation_folder / "predictions.parquet") as tmp:
        pd.concat(predictions.values()).to_parquet(tmp, index=False)
    tables = {name: read(run.folder / f"{name}.csv", pd.read_csv) for name in ("history", "timing")}
    tables["during_training"] = during
    record = read(run.folder / "record.json", read_json)
    result = {"settings": record.pop("settings"), "record": record, "best_epoch": trained.epoch}
    # JSON has no NaN.
    columns = {n: t.astype(object).where(t.notna(), None).to_dict("list") for n, t in tables.items()}
    write_json(result | values | columns, run.evaluation_folder / "result.json")
