"""Whole processes: start of a job, memory of a run and its parts, share of the default inside of steps and evaluation.

python benchmarks/bench_processes.py PLAN RUN: train for one epoch, and print the parts of the memory as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from bench_rows import ROOT, Row, memory_mib, ratio, run_child, take_turns

from greedymm.plan import Plan, read_runs

# Ends the process after its first step.
TO_FIRST_STEP = """
import os
from greedymm.cli import main
from greedymm.training.methods.base import Method
step = Method.training_step
Method.training_step = lambda *arguments: (step(*arguments), os._exit(0))
main()
"""
START = "import time; started = time.perf_counter(); import greedymm.steps.train, greedymm.steps.evaluate; "
START += "print(time.perf_counter() - started)"
RESIDENT = "import torch, bench_rows; print(bench_rows.memory_mib('VmRSS'))"


def measure_starts(plan: Plan, runs: dict[str, str], rounds: int) -> list[Row]:
    """From the start of a job to its first step, against `import torch`, for the run of each dataset."""
    plan.write()
    actions: dict[str, Any] = {"torch": lambda: run_child("-c", "import os, torch; os._exit(0)")}
    for dataset, run in runs.items():
        job = ["-c", TO_FIRST_STEP, "train", "--plan", str(plan.path), "--run", run]
        actions[dataset] = lambda job=job: run_child(*job)
    taken = take_turns(actions, rounds)
    return [
        ratio(
            f"start of a job to its first step / import torch, {dataset}", taken[dataset], taken["torch"], "<= 1.5", "s"
        )
        for dataset in runs
    ]


def share_of_default(plan: Plan, results: Path) -> Row:
    """Share of the seconds of all jobs of the default that its epochs and evaluations took.

    A job of training, which has one thread, is all that without its imports. Not counted: Snakemake, and tracking.
    """
    what, goal = "share of the default's job seconds inside epochs and evaluation", ">= 0.8"
    jobs = {step: read_jobs(results / "benchmarks" / step) for step in ("prepare", "train", "evaluate", "report")}
    if jobs["train"].empty or not all(
        (results.parent / run.folder / "timing.csv").exists() for run in plan.default_runs
    ):
        return Row(what, float("nan"), goal, note="skipped: no finished default in results; run `make all`")
    inside = sum(float((jobs[step]["s"] - float(run_child("-c", START))).sum()) for step in ("train", "evaluate"))
    # Several processes prepare a file.
    total = sum(float(table["cpu_time" if step == "prepare" else "s"].sum()) for step, table in jobs.items())
    return Row(what, inside / total, goal, note=f"{inside:.0f} s of {total:.0f} s of all jobs")


def read_jobs(folder: Path) -> pd.DataFrame:
    """Snakemake's benchmarks of the jobs of a step."""
    tables = [pd.read_csv(file, sep="\t", na_values="-") for file in folder.glob("*.tsv")]
    return pd.concat(tables) if tables else pd.DataFrame({"s": [], "cpu_time": []})


def memory_of(plan: Plan, run: str) -> dict[str, float]:
    """MiB of a training run of one epoch in a process of its own: its peak, and the parts of it."""
    return dict(json.loads(run_child(__file__, str(plan.path), run).splitlines()[-1]))


def print_memory(plan_path: Path, run_name: str) -> None:
    """Train one epoch, and print the parts of the memory: all in MiB."""
    import torch
    from bench_steps import make_fit, short

    from greedymm.steps.train import train

    parts = {"Python and torch": float(run_child("-c", RESIDENT, folder=ROOT / "benchmarks"))}
    parts["other imports"] = memory_mib("VmRSS") - parts["Python and torch"]
    (run,), execution = read_runs(plan_path, [run_name])
    run = short(run)
    train(run, execution)
    peak = memory_mib("VmHWM")
    fit, batches = make_fit(run, execution)
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    (inputs, labels), weights = batches[0], list(fit.model.parameters())
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = sum(torch.nn.functional.cross_entropy(x, labels) for x in fit.model(inputs).branches)
    for tensor in [*weights, *inputs]:  # these are counted by themselves
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    loss.backward()
    fit.optimizer.step()
    state = [x for values in fit.optimizer.state.values() for x in values.values() if isinstance(x, torch.Tensor)]
    parts["weights and gradients"] = 2 * sum(w.nbytes for w in weights) / 2**20
    parts["state of the optimizer"] = sum(x.nbytes for x in state) / 2**20
    parts["activations"] = sum(saved.values()) / 2**20
    parts["one batch"] = sum(x.nbytes for x in inputs) / 2**20
    parts["training and validation data, as bytes"] = data_bytes(run.data_path, run.settings.stored) / 2**20
    parts["rest: gradients of activations, buffers of kernels, allocator"] = peak - sum(parts.values())
    print(json.dumps({"peak": peak} | parts))  # noqa: T201


def data_bytes(path: Path, modalities: tuple[str, ...]) -> int:
    """Bytes of the two splits that training holds."""
    from greedymm.data.hdf5 import DataFile

    with DataFile(path) as file:
        return sum(file.images(split, m).nbytes for split in ("train", "val") for m in modalities)


if __name__ == "__main__":
    print_memory(Path(sys.argv[1]), sys.argv[2])
