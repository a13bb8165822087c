"""How fast clips are prepared, against bare decoding, and what all of NVGesture would cost.

python benchmarks/nvgesture.py FOLDER [workers [height]]: FOLDER holds the official lists and some of the clips.
"""

import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy is imported

import av

from greedymm.data import hdf5
from greedymm.data.datasets import nvgesture
from greedymm.data.samples import DatasetInfo
from greedymm.data.sources.lists import Clip, read_list
from greedymm.system import peak_memory

CLIPS = 1532
FRAMES = 80
ROUNDS = 20  # of the clips that are there: enough that the start of processes does not count


def decoded(clip: Clip) -> None:
    """Decode both videos to the end of the window, and do nothing with it."""
    for path in (clip.color, clip.depth):
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "NONE"
            for number, _ in enumerate(file.decode(stream)):
                if number == clip.window[1] - 1:
                    break


def main(folder: Path, workers: int, height: int) -> None:
    """Prepare the clips that are there, several times over, and print what it took."""
    color = "sk_color" if any(folder.rglob("sk_color.avi")) else "sk_wrapped"
    listed = read_list(folder / nvgesture.LISTS["train"], color)
    there = [clip for clip in listed if not nvgesture.missing_files([clip])]
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(decoded, there))  # processes start, files are cached
        started = time.perf_counter()
        list(pool.map(decoded, there * 3))
        bare = (time.perf_counter() - started) / (3 * len(there))
    settings = nvgesture.Settings(color=color, validation=0, size=height, frames=FRAMES)
    many = [clip._replace(id=f"{clip.id}, {k}") for k in range(ROUNDS) for clip in there]
    few = [clip._replace(id=f"{clip.id}, test") for clip in there]
    splits, _ = nvgesture.split_by_subject(many, few, settings, workers)  # validation: the training clips again
    classes = tuple(map(str, range(len({clip.label for clip in there}))))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "data.h5")
        started = time.perf_counter()
        hdf5.write(path, splits, DatasetInfo(classes, "", "", generated=False))
        rows = sum(len(split.labels) for split in splits.values())
        each, size = (time.perf_counter() - started) / rows, path.stat().st_size / rows
    memory = [peak_memory(resource.getrusage(who)) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(  # noqa: T201
        f"{workers} workers, {FRAMES} frames of {height} rows: {each:.3f} s a clip, {bare:.3f} s of bare decoding:"
        f" {bare / each:.2f} of its rate\n"
        f"all {CLIPS:,} clips: {each * CLIPS / 60:.1f} minutes, {size * CLIPS / 1e9:.1f} GB\n"
        f"memory: {memory[0]:.0f} MiB, and {memory[1]:.0f} MiB the largest worker"
    )


if __name__ == "__main__":
    arguments = [int(a) for a in sys.argv[2:]]
    main(Path(sys.argv[1]), *(arguments + [2, 256][len(arguments) :]))
