"""What training, evaluation and a job cost beside what they must cost, and how the cost grows: `make bench`.

    python benchmarks/bench.py [--quick] [--output FOLDER]

Timed actions take turns, and a ratio is the median over rounds. Networks and sizes are those of params.yaml. `--quick`
takes small data and few rounds: does the script work? Takes 5 minutes on 2 cores, `--quick` half a minute.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from bench_rows import ENVIRONMENT, ROOT, Row, table

QUICK: dict[str, Any] = {  # an overlay
    "datasets": {
        "colored_mnist_5k": {
            "data": {"per_class": 20},
            "training": {"epochs": 1, "batch_size": 8, "snapshots": [1]},
        },
        "solids": "drop",
        "handwave": "drop",
    }
}


def make_plan(*, quick: bool) -> Any:
    """The plan of params.yaml, with the data of its datasets, in the working folder."""
    from greedymm.params.load import load
    from greedymm.plan import Plan
    from greedymm.steps.prepare import prepare

    files = [ROOT / "params.yaml"]
    if quick:
        Path("quick.yaml").write_text(yaml.safe_dump(QUICK))
        files.append(Path("quick.yaml"))
    plan = Plan.make(load(*files))
    for dataset in plan.params.datasets:
        settings = plan.data_of(dataset)
        if not settings.path.exists():
            prepare(settings, Path("data/raw"), 2)
    plan.write()
    return plan


def measure(results: Path, *, quick: bool) -> dict[str, Any]:
    """All figures."""
    from bench_growth import measure_growth
    from bench_processes import measure_starts, memory_of, share_of_default
    from bench_steps import measure_evaluation, measure_steps, run_of

    from greedymm import record

    plan = make_plan(quick=quick)
    rounds = 2 if quick else 11
    rows: list[Row] = []
    for dataset in plan.params.datasets:
        rows += measure_steps(plan, dataset, rounds, 0.02 if quick else 0.5)
    rows += [measure_evaluation(plan, dataset, 2 if quick else 5) for dataset in plan.params.datasets]
    jobs = {dataset: run_of(plan, dataset, "balanced").id for dataset in plan.params.datasets}
    rows += measure_starts(plan, jobs, 1 if quick else 5)
    rows += [share_of_default(plan, results)]
    memory = {dataset: memory_of(plan, run) for dataset, run in jobs.items()}
    growth = measure_growth(plan.params, quick=quick)
    surroundings = record.surroundings("cpu")
    head = {name: surroundings[name] for name in ("commit", "hardware", "python")}
    head |= {"date": datetime.now(UTC).isoformat(timespec="minutes"), "torch": surroundings["versions"]["torch"]}
    return head | {"rows": [row._asdict() for row in rows], "MiB": memory, "growth": growth}


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    from bench_growth import exponent

    hardware = ", ".join(f"{value}" for value in result["hardware"].values())
    head = f"{result['date']}, commit {result['commit']}; {hardware} (CPU, cores, GiB); torch {result['torch']}"
    names = list(next(iter(result["MiB"].values())))
    memory = [{"MiB of a training run": name} | {d: m[name] for d, m in result["MiB"].items()} for name in names]
    growth = [
        {"grows": name} | {"points": ", ".join(f"{p['value']}" for p in points)}
        | {q: ", ".join(f"{p[q]:.3g}" for p in points) for q in ("seconds", "MiB")}
        | {"exponent of seconds": exponent(points, "seconds")}
        for name, points in result["growth"].items()
    ]  # fmt: skip
    return "\n".join(["# Benchmark\n", head + "\n", table(result["rows"]), table(memory), table(growth)])


def main() -> None:
    """Measure in a folder that is deleted afterwards, and write bench.json, bench.md and growth.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small data and few rounds: does the script work?")
    parser.add_argument("--output", type=Path, default=Path("results/bench"), help="folder to write into")
    options = parser.parse_args()
    output, results, started = options.output.resolve(), Path("results").resolve(), time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if not options.quick:  # data that are there are not made again
            (results / "data").mkdir(exist_ok=True)
            Path("results").mkdir()
            Path("results/data").symlink_to(results / "data")
        result = measure(results, quick=options.quick)
        os.chdir("/")
    from bench_growth import draw_growth

    draw_growth(result["growth"], output / "growth.png")
    result["seconds"] = round(time.perf_counter() - started)
    (output / "bench.json").write_text(json.dumps(result, indent=2) + "\n")
    (output / "bench.md").write_text(as_text(result))
    print(as_text(result))  # noqa: T201


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)  # noqa: S606  glibc reads it
    main()
