"""What the whole of ModelNet40 would cost, from a sample of objects: python benchmarks/modelnet40.py FOLDER [workers].

FOLDER holds <class>/{train,test}/ with meshes or pictures.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is imported

from greedymm.data import hdf5
from greedymm.data.datasets import modelnet40
from greedymm.system import peak_memory

OBJECTS = 12311


def main(folder: Path, workers: int) -> None:
    """Prepare the sample as if it were ModelNet40, and print what it took and what all objects would take."""
    settings = modelnet40.Settings(folder=str(folder), validation=0)  # there may be one object of a class
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "data.h5")
        started = time.perf_counter()
        splits, facts = modelnet40.make(settings, folder, workers)
        checked = time.perf_counter()
        hdf5.write(path, splits, facts)
        written = time.perf_counter()
        size = path.stat().st_size
    rows = {name: len(split.labels) for name, split in splits.items()}
    objects = rows["train"] + rows["test"]
    seconds = (checked - started) / objects + (written - checked) / sum(rows.values())
    kilobytes = size / sum(rows.values()) / 1000
    memory = [peak_memory(resource.getrusage(who)) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(  # noqa: T201
        f"{objects} objects, {workers} workers: {seconds:.2f} s and {kilobytes:.0f} kB an object\n"
        f"all {OBJECTS:,}: {seconds * OBJECTS / 3600:.2f} hours, {kilobytes * OBJECTS / 1e6:.2f} GB\n"
        f"memory: {memory[0]:.0f} MiB, and {memory[1]:.0f} MiB the largest worker"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
