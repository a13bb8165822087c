"""Seconds and MiB of training against the number of samples, seeds and modalities, and the size of images.

Each point is a process of its own that trains one epoch with random images: python benchmarks/bench_growth.py POINT
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from bench_rows import memory_mib, run_child

from greedymm.params.schema import Params

BASE = {"samples": 2000, "seeds": 1, "size": 28, "modalities": 2}
CURVES = {
    "samples": [2000, 4000, 8000, 16000],
    "seeds": [1, 2, 4, 8],
    "size": [28, 56, 112, 168],
    "modalities": [2, 3, 4, 6],
}
SMALL = {"samples": [64, 128], "modalities": [2, 3]}
SIZES_AT = 128  # samples of the points of `size`


def measure_growth(params: Params, *, quick: bool) -> dict[str, list[dict[str, float]]]:
    """Value, seconds and MiB at each point of each curve. The network is that of the first dataset."""
    section = next(iter(params.datasets.values()))
    model, training = section.model, section.training.model_dump(mode="json")
    given = {"branch": model.branch.model_dump(mode="json"), "fusion": model.fusion.model_dump(mode="json")}
    given |= {"fuse_after": model.fuse_after, "training": training | {"epochs": 1, "snapshots": ()}}
    curves = {}
    for name, values in (SMALL if quick else CURVES).items():
        base = BASE | ({"samples": 64} if quick else {"samples": SIZES_AT} if name == "size" else {})
        points = [base | {name: value} for value in values]
        curves[name] = [{"value": p[name]} | json.loads(run_child(__file__, json.dumps(given | p))) for p in points]
    return curves


def train_point(point: dict[str, Any]) -> None:
    """Train one epoch for each seed, one after the other, and print the seconds and the peak memory."""
    import torch

    from greedymm.data.batches import Batches, ResidentBatches
    from greedymm.data.inputs import Transform
    from greedymm.models.build import build
    from greedymm.models.heads.own import Settings as Own
    from greedymm.params.plugins import settings_class
    from greedymm.seeding import seed_everything
    from greedymm.settings import Inputs, Training
    from greedymm.training.fit import Fit
    from greedymm.training.networks import make_method

    torch.set_num_threads(1)
    count, size, modalities = point["samples"], point["size"], point["modalities"]
    training = Training.model_validate(point["training"] | {"batch_size": min(point["training"]["batch_size"], 32)})
    branch, fusion = (
        settings_class(kind, point[kind]["name"]).model_validate(point[kind]) for kind in ("branch", "fusion")
    )
    seconds = 0.0
    for seed in range(point["seeds"]):
        streams = seed_everything(seed)
        images = [torch.randint(256, (count, 3, size, size), dtype=torch.uint8) for _ in range(modalities)]
        store = ResidentBatches(images, torch.arange(count) % 10)
        train = Batches(
            store, count, training.batch_size, Transform(Inputs(), modalities, torch.device("cpu")), streams["order"]
        )
        network = build(
            [branch] * modalities,
            fusion,
            [tuple(point["fuse_after"])] * modalities,
            Own(name="own"),
            [3] * modalities,
            10,
        )
        network.modalities = tuple(f"m{k}" for k in range(modalities))
        method = make_method(settings_class("method", "greedy")(), network, streams["method"])
        fit = Fit(network, method, training, streams, Path("unused"), {})
        few = torch.arange(min(count, 64))
        fit.train_batches(0, train.of(few), len(few))
        started = time.perf_counter()
        fit.train_batches(0, train, len(train))
        seconds += time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "MiB": memory_mib("VmHWM")}))  # noqa: T201


def exponent(points: list[dict[str, float]], quantity: str) -> float:
    """Exponent of a power law through the first and the last point. 1: linear."""
    first, last = points[0], points[-1]
    return math.log(last[quantity] / first[quantity]) / math.log(last["value"] / first["value"])


def draw_growth(curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw seconds and MiB of each curve into a PNG file."""
    from greedymm.analysis.figures.style import plt

    figure, axes = plt.subplots(2, len(curves), figsize=(9, 4), sharex="col", sharey="row", layout="constrained")
    for column, (name, points) in zip(axes.T, curves.items(), strict=True):
        for axis, quantity in zip(column, ("seconds", "MiB"), strict=True):
            axis.plot([p["value"] for p in points], [p[quantity] for p in points], marker="o", color="#0072B2")
        column[1].set_xlabel({"size": "height = width, pixels"}.get(name, name))
    for axis, label in zip(axes[:, 0], ("seconds", "MiB, peak"), strict=True):
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)  # of the row
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    train_point(json.loads(sys.argv[1]))
