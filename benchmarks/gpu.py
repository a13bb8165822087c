"""Is a GPU used as it should be? The tests that need a GPU, then the speed of training: gpu.json and gpu.md.

    python benchmarks/gpu.py [--small] [--output FOLDER]

It needs torch 2.11 or later, numpy, pandas, h5py, pyarrow, pyyaml, pydantic, tqdm and, for the tests, pytest, and takes
less than 8 minutes. `--small` takes small inputs and a minute, also on a CPU, where it shows that the script works.
A step is one of `balanced`, on batches that are already on the device. The share of the peak is that of the rate of a
large matrix product of the same precision, measured here.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.branches.i3d import Settings as I3d
from greedymm.models.branches.resnet18 import Settings as Resnet18
from greedymm.models.build import build
from greedymm.models.fusions.mmtm import Settings as Mmtm
from greedymm.models.heads.own import Settings as Own
from greedymm.models.network import Batch
from greedymm.seeding import seed_everything
from greedymm.settings import BranchSettings, Training
from greedymm.training.fit import Fit
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.networks import make_method
from greedymm.training.step import Step

CLASSES, WARM_UP = 10, 5
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISIONS = ("fp32", "tf32", "bf16")


class Network(NamedTuple):
    """A network of two branches, and the batches that it is measured with."""

    branch: BranchSettings
    fuse_after: tuple[int, ...]
    shape: tuple[int, ...]  # of one sample of a modality
    batch_size: int


LARGE = {
    "cnn 28": Network(Cnn(name="cnn"), (2, 3, 4), (3, 28, 28), 128),
    "resnet18 224": Network(Resnet18(name="resnet18"), (2, 3, 4), (3, 224, 224), 64),
    "i3d 64 x 224": Network(I3d(name="i3d"), (4, 5, 6, 7, 8, 9), (3, 64, 224, 224), 4),
}
SMALL = {
    "cnn 8": Network(Cnn(name="cnn", widths=(8, 8, 8, 8)), (2, 3, 4), (3, 8, 8), 8),
    "resnet18 32": Network(Resnet18(name="resnet18", width=8), (2, 3, 4), (3, 32, 32), 4),
    "i3d 4 x 32": Network(I3d(name="i3d", width=8), (4, 5, 6, 7, 8, 9), (3, 4, 32, 32), 2),
}


class Trainer:
    """A network with fresh weights in training, and one batch of random inputs on the device."""

    def __init__(self, network: Network) -> None:
        streams = seed_everything(0)
        branches, stages = [network.branch] * 2, [network.fuse_after] * 2
        channels = [network.shape[0]] * 2
        self.model = build(branches, Mmtm(name="mmtm"), stages, Own(name="own"), channels, CLASSES).to(DEVICE)
        self.model.modalities = ("m0", "m1")
        self.method = make_method(Balanced(), self.model, streams["method"])
        settings = Training(epochs=1, batch_size=network.batch_size, learning_rate=0.01)
        self.fit = Fit(self.model, self.method, settings, streams, Path("unused"), {})
        generator = torch.Generator().manual_seed(0)
        inputs = [torch.randn(network.batch_size, *network.shape, generator=generator) for _ in range(2)]
        form = torch.channels_last if len(network.shape) == 3 else torch.channels_last_3d
        labels = torch.randint(CLASSES, (network.batch_size,), generator=generator)
        self.batch: Batch = ([x.to(DEVICE).contiguous(memory_format=form) for x in inputs], labels.to(DEVICE))

    def steps(self, count: int) -> None:
        """Train for some steps of the second epoch, in which `balanced` acts, with the loop of a run."""
        self.fit.train_batches(1, repeat(self.batch, count), count)

    def step(self) -> None:
        """Train for one step, without what the loop keeps of it."""
        self.model.train()
        inputs, labels = self.batch
        step = Step(self.model, self.fit.optimizer, self.fit.speed, 1, 1, 2, inputs, labels)
        self.method.training_step(step)

    def weights(self) -> Tensor:
        """All weights, as one vector."""
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])


def synchronize() -> None:
    """Wait for the device."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def rate(action: Callable[[int], None], seconds: float) -> float:
    """How often `action(count)` does its work in a second, after a warm-up."""
    action(WARM_UP)
    count, elapsed = WARM_UP, 0.0
    while elapsed < seconds:
        count = max(count, int(count * min(10, 1.2 * seconds / elapsed))) if elapsed else count
        synchronize()
        started = time.perf_counter()
        action(count)
        synchronize()
        elapsed = time.perf_counter() - started
    return count / elapsed


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Compute with full fp32, with TF32, or with autocast to bf16."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    with torch.autocast(DEVICE.type, torch.bfloat16) if name == "bf16" else nullcontext():
        yield


def measure_peak(size: int, seconds: float) -> dict[str, float]:
    """TFLOP/s of a product of square matrices, in each precision."""
    peaks = {}
    for name in PRECISIONS:
        x = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16 if name == "bf16" else torch.float32)
        product = torch.empty_like(x)

        def multiply(count: int, x: Tensor = x, product: Tensor = product) -> None:
            for _ in range(count):
                torch.mm(x, x, out=product)

        with precision(name):
            peaks[name] = 2 * size**3 * rate(multiply, seconds) / 1e12
    return peaks


def measure_network(name: str, network: Network, peaks: dict[str, float], seconds: float) -> list[dict[str, Any]]:
    """Samples per second, share of the peak and memory of training, in each precision."""
    rows = []
    for kind in PRECISIONS:
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        trainer = Trainer(network)
        with FlopCounterMode(display=False) as counter:
            trainer.step()
        with precision(kind):
            samples = network.batch_size * rate(trainer.steps, seconds)
        flops = counter.get_total_flops() / network.batch_size * samples / 1e12
        memory = torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else None
        row = {"network": name, "batch": network.batch_size, "precision": kind, "samples/s": samples}
        rows.append(row | {"TFLOP/s": flops, "share of peak": flops / peaks[kind], "GiB": memory})
    return rows


def count_waits(network: Network) -> float:
    """How often one step makes the host wait for the device."""
    trainer, counts = Trainer(network), []
    trainer.steps(WARM_UP)
    for steps in (10, 20):  # the fetch at the end of the loop is in both
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            trainer.steps(steps)
            torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(warning.message) for warning in caught))
    return (counts[1] - counts[0]) / 10


def measure_graph(network: Network, seconds: float) -> dict[str, Any]:
    """Speed of a whole step as a CUDA graph, and the largest difference of a weight from plain steps."""
    steps = 10
    plain, captured = Trainer(network), Trainer(network)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # torch asks for a warm-up on another stream
        for _ in range(WARM_UP):
            captured.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured.step()
    for _ in range(steps):
        graph.replay()
    for _ in range(WARM_UP + steps):
        plain.step()
    difference = float((plain.weights() - captured.weights()).abs().max())
    speeds = [rate(lambda n, f=f: [f() for _ in range(n)], seconds) for f in (plain.step, graph.replay)]  # type: ignore[misc]
    return {"largest difference": difference, "steps/s": speeds[0], "steps/s, graph": speeds[1]}


def measure_side_by_side(name: str, seconds: float, small: list[str]) -> list[dict[str, Any]]:
    """Samples per second of several training processes on one device."""
    rows = []
    for processes in (1, 2, 4):
        command = [sys.executable, __file__, "--worker", name, "--seconds", str(seconds), *small]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        rates = [float(worker.communicate()[0]) for worker in workers]
        rows.append({"processes": processes, "samples/s of all": sum(rates)})
    return rows


def run_tests() -> str:
    """The last line of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", "tests/test_gpu.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)  # noqa: T201
    return (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]


def attempt(action: Callable[[], Any]) -> Any:
    """The result, or the error as text: one failure does not cost the other figures."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def measure(small: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001
    """All figures so far, after each of them: a machine may be lent for a limited time."""
    networks, seconds = (SMALL, 0.1) if small else (LARGE, 3.0)
    gpu = DEVICE.type == "cuda"
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if gpu else platform.processor() or "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "tests": attempt(run_tests),
    }
    yield result
    result["peak TFLOP/s"] = measure_peak(256 if small else 8192, seconds)
    result["training"] = []
    for name, network in networks.items():
        rows = attempt(
            lambda name=name, network=network: measure_network(name, network, result["peak TFLOP/s"], seconds)
        )
        result["training"] += rows if isinstance(rows, list) else [{"network": name, "error": rows}]
        yield result
    if gpu:
        result["waits in a step"] = {n: attempt(lambda x=x: count_waits(x)) for n, x in networks.items()}
        yield result
        result["CUDA graph"] = {n: attempt(lambda x=x: measure_graph(x, seconds)) for n, x in networks.items()}
        yield result
    first, words = next(iter(networks)), ["--small"] if small else []
    result["side by side"] = attempt(lambda: measure_side_by_side(first, seconds, words))
    yield result


def as_text(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    parts = [f"{key}: {result[key]}" for key in ("device", "torch", "python", "tests", "peak TFLOP/s") if key in result]
    for key in ("training", "waits in a step", "CUDA graph", "side by side"):
        if key in result:
            rows = result[key]
            if isinstance(rows, dict):
                rows = [{"network": n, **(v if isinstance(v, dict) else {key: v})} for n, v in rows.items()]
            table = pd.DataFrame(rows if isinstance(rows, list) else [{"error": rows}])
            parts.append(f"{key}\n\n```\n{table.to_string(index=False, float_format='{:.3g}'.format)}\n```")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure, and write gpu.json and gpu.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small inputs: does the script work?")
    parser.add_argument("--output", type=Path, default=Path("results/gpu"), help="folder to write into")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        network = (SMALL if options.small else LARGE)[options.worker]
        print(network.batch_size * rate(Trainer(network).steps, options.seconds))  # noqa: T201
        return
    options.output.mkdir(parents=True, exist_ok=True)
    for result in measure(options.small):
        (options.output / "gpu.json").write_text(json.dumps(result, indent=2) + "\n")
        (options.output / "gpu.md").write_text(as_text(result))
    print(as_text(result))  # noqa: T201


if __name__ == "__main__":
    main()
