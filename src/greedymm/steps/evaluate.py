"""Step `evaluate`: checkpoint and snapshots + batches -> predictions -> measures."""

import pandas as pd

from greedymm import checkpoint
from greedymm.data import batches
from greedymm.data.hdf5 import DataFile
from greedymm.device import prepare
from greedymm.evaluation.evaluate import check, evaluate_snapshots, measured, passes_of
from greedymm.evaluation.predictions import predict_split
from greedymm.files import atomic_write, write_json
from greedymm.run import Run
from greedymm.settings import Execution
from greedymm.training.load import rebuilt


def evaluate(run: Run, execution: Execution) -> None:
    """Step `evaluate`: checkpoint and snapshots + batches -> predictions of all passes -> measures."""
    settings, measures, modalities = run.settings, run.evaluation.measures, run.settings.modalities
    device = prepare(execution.device, execution.threads)
    state, snapshots = (
        checkpoint.load(run.folder / f"{file}.pt", settings.model_dump(mode="json"), device)
        for file in ("checkpoint", "snapshots")
    )
    size = batches.evaluation_size(run.data_path, settings.stored)
    load = batches.loader(run.data_path, settings.stored, size, device, execution, settings.inputs)
    with DataFile(run.data_path) as file:
        samples = {split: file.known(split) for split in ("val", "test")}
    network, train = rebuilt(settings, state, device), load("train")
    check(network, measures, modalities)
    network.record_means(train)
    passes = passes_of(measures, modalities)
    tables = {s: predict_split(network, load(s), samples[s], modalities, passes) for s in samples}
    with atomic_write(run.evaluation_folder / "predictions.parquet") as beside:
        pd.concat(tables.values()).to_parquet(beside, index=False)
    rates = {split: measured(table, measures, modalities) for split, table in tables.items()}
    # Of validation alone: test is looked at once, with the weights that were chosen.
    during = evaluate_snapshots(network, snapshots["weights"], train, load("val"), samples["val"], measures, modalities)
    with atomic_write(run.evaluation_folder / "during_training.csv") as beside:
        during.to_csv(beside, index=False)
    write_json({"best_epoch": state["best"]["epoch"]} | rates, run.evaluation_folder / "rates.json")
