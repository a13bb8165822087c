"""Step `evaluate`: checkpoint and snapshots + batches -> predictions -> measures."""

import pandas as pd

from greedymm import checkpoint
from greedymm.data.batches import Loader
from greedymm.evaluation.evaluate import compute_measures, predict_split
from greedymm.files import atomic_write, read, read_json, sha256, write_json
from greedymm.run import Run
from greedymm.seeding import prepare_device
from greedymm.settings import Execution
from greedymm.training.networks import load_network


def evaluate(run: Run, execution: Execution) -> None:
    """Write the predictions of every split but train, and `result.json`: all that analysis needs of the run."""
    settings, measures, modalities = run.settings, run.evaluation.measures, run.settings.modalities
    device = prepare_device(execution)
    network, _, state = load_network(run.folder / "checkpoint.pt", device, settings)
    snapshots = checkpoint.load(run.folder / "snapshots.pt", device, settings.model_dump(mode="json"))
    loader = Loader(run.data_path, settings.stored, None, device, execution, settings.inputs)
    train, val = loader.batches("train"), loader.batches("val")
    network.record_means(train)
    samples = {split: loader.file.sample_table(split) for split in loader.file.splits if split != "train"}
    predictions = {
        split: predict_split(network, val if split == "val" else loader.batches(split), table, measures, train)
        for split, table in samples.items()
    }
    values = {split: compute_measures(table, measures, modalities) for split, table in predictions.items()}
    # Of validation alone: test is looked at once, with the weights that were chosen.
    during = []
    cheap = [measure for measure in measures if measure.during_training]
    for epoch, weights in sorted(snapshots["weights"].items()):
        table = predictions["val"]
        if epoch != state["best"]["epoch"]:
            network.load_state_dict(weights)
            network.record_means(train)
            table = predict_split(network, val, samples["val"], cheap, train)
        during.append({"epoch": epoch} | compute_measures(table, cheap, modalities))
    path = run.evaluation_folder / "predictions.parquet"
    with atomic_write(path) as tmp:
        pd.concat(predictions.values()).to_parquet(tmp, index=False)
    record = read(run.folder / "record.json", read_json)
    digests = record.pop("sha256")
    names = {name: f"{name}.csv" for name in ("history", "timing")}
    tables = {name: read(run.folder / file, pd.read_csv, digests[file]) for name, file in names.items()}
    tables["during_training"] = pd.DataFrame(during or {"epoch": []})
    digests[path.name] = sha256(path)
    result = {"settings": record.pop("settings"), "record": record, "sha256": digests}
    result["best_epoch"] = state["best"]["epoch"]
    result["splits"] = list(values)  # each is a key below
    # JSON has no NaN.
    columns = {n: t.astype(object).where(t.notna(), None).to_dict("list") for n, t in tables.items()}
    write_json(result | values | columns, run.evaluation_folder / "result.json")
