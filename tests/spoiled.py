"""HDF5 files of someone else's: what may be wrong with one, and the key and the reason that the message has."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

COUNT, MODALITIES = 4, ("color", "gray")
SHAPES = {"color": (3, 28, 28), "gray": (1, 28, 28)}
CLASSES = tuple("0123456789")
FACTS: dict[str, Any] = {
    "classes": CLASSES,
    "source": "drawn here",
    "license": "CC0",
    "generated": True,
    "hashes": {},
    "settings": {},
    "notes": (),
}


def write_plainly(path: Path) -> None:
    """A file of the right form, made with h5py alone; it has the split test only."""
    with h5py.File(path, "w") as file:
        for name, value in (FACTS | {"modalities": MODALITIES}).items():
            file.attrs[name] = json.dumps(value)
        file.attrs["layout"] = 3
        for name, shape in SHAPES.items():
            file[f"test/{name}"] = np.zeros((COUNT, *shape), dtype=np.uint8)
        file["test/labels"] = np.arange(COUNT)
        file.create_dataset("test/ids", data=[f"test-{k}" for k in range(COUNT)], dtype=h5py.string_dtype())


def replace(key: str, content: Any, file: h5py.File) -> None:
    del file[key]
    file[key] = content


def create(key: str, file: h5py.File, **options: Any) -> None:
    del file[key]
    file.create_dataset(key, **options)


def attribute(name: str, value: Any, file: h5py.File) -> None:
    file.attrs[name] = value


def remove(key: str, file: h5py.File) -> None:
    del file[key]


def remove_attribute(name: str, file: h5py.File) -> None:
    del file.attrs[name]


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(COUNT, 3, 28, 28), dtype=np.uint8)
    layout[:] = h5py.VirtualSource("/etc/passwd", "color", shape=layout.shape)
    del file["test/color"]
    file.create_virtual_dataset("test/color", layout)


def damaged_chunk(file: h5py.File) -> None:
    create("test/color", file, data=np.ones((COUNT, 3, 28, 28), np.uint8), chunks=(1, 3, 28, 28), compression="gzip")
    file["test/color"].id.write_direct_chunk((0, 0, 0, 0), b"no gzip")


def no_samples(file: h5py.File) -> None:
    for name in (*MODALITIES, "labels", "ids"):
        old = file[f"test/{name}"]
        create(f"test/{name}", file, shape=(0, *old.shape[1:]), dtype=old.dtype)


def another_dataset(file: h5py.File) -> None:
    file["mean"] = [1.0]


def group_of_samples(file: h5py.File) -> None:
    del file["test/color"]
    file.create_group("test/color")


def linked_split(file: h5py.File) -> None:
    file.move("test", "one")
    file["test"] = h5py.SoftLink("/one")


PIXELS, COLOR = COUNT * 3 * 28 * 28, "test/color"
Spoil = Callable[[h5py.File], None]
SPOILED: dict[str, tuple[Spoil, str]] = {
    # The whole file
    "without splits": (partial(remove, "test"), "has no split 'test'; it has: "),
    "a dataset in place of a split": (partial(replace, "test", [1, 2]), "'/test' is a dataset; expected a group"),
    "another dataset beside the splits": (another_dataset, "'/mean' is a dataset; expected a group"),
    # Facts
    "no layout": (partial(remove_attribute, "layout"), "attribute 'layout' is missing; expected 3"),
    "another layout": (partial(attribute, "layout", 2), "attribute 'layout' is 2; expected 3"),
    "a list of layouts": (partial(attribute, "layout", [3, 3]), r"attribute 'layout' is int64 \(2,\); expected 3"),
    "no classes": (partial(remove_attribute, "classes"), "attribute 'classes' is missing; expected a string with JSON"),
    "classes not in JSON": (partial(attribute, "classes", ["0", "1"]), r"attribute 'classes' is .*; expected a string"),
    "classes that are numbers": (partial(attribute, "classes", "[0, 1]"), r"'classes' is \[0, 1\]; expected a list of"),
    "an empty list of classes": (partial(attribute, "classes", "[]"), r"'classes' is \[\]; expected a list of names"),
    "a class twice": (partial(attribute, "classes", '["a", "a"]'), "'classes' is a list with 'a' 2 times"),
    "endless nesting": (partial(attribute, "settings", "[" * 20_000), r"'settings' is '\[+'; expected a string with"),
    "a fact of another type": (partial(attribute, "generated", '"perhaps"'), "attribute 'generated' is 'perhaps'; exp"),
    "no modalities": (partial(remove_attribute, "modalities"), "attribute 'modalities' is missing"),
    "a modality that is a path": (
        partial(attribute, "modalities", '["color", "/test/gray"]'),
        "attribute 'modalities' is .*; expected names",
    ),
    # Samples
    "a missing modality": (partial(remove, COLOR), r"'/test/color' is missing; .*\(gray, ids, labels\)"),
    "other modalities": (partial(attribute, "modalities", '["sound"]'), "'/test/sound' is missing"),
    "no labels": (partial(remove, "test/labels"), "'/test/labels' is missing"),
    "no ids": (partial(remove, "test/ids"), "'/test/ids' is missing"),
    "a group in place of samples": (group_of_samples, "'/test/color' is a group; expected a dataset"),
    "floats": (
        partial(replace, COLOR, np.zeros((COUNT, 3, 28, 28))),
        r"'/test/color' is float64 \(4, 3, 28, 28\); expected uint8 \(N, channels",
    ),
    "floats that are NaN": (partial(replace, COLOR, np.full((COUNT, 3, 28, 28), np.nan)), "'/test/color' is float64"),
    "signed bytes": (partial(replace, COLOR, np.zeros((COUNT, 3, 28, 28), np.int8)), "'/test/color' is int8"),
    "truths": (partial(replace, COLOR, np.zeros((COUNT, 3, 28, 28), bool)), "'/test/color' is bool"),
    "text": (partial(replace, COLOR, ["a"] * COUNT), r"'/test/color' is string \(4,\); expected uint8"),
    "a scalar": (partial(replace, COLOR, np.uint8(1)), r"'/test/color' is uint8 \(\); expected uint8"),
    "no shape": (partial(replace, COLOR, h5py.Empty(np.uint8)), r"'/test/color' is uint8 \(\)"),
    "no channels": (partial(replace, COLOR, np.zeros(COUNT, np.uint8)), r"'/test/color' is uint8 \(4,\)"),
    "a side of no pixel": (partial(create, COLOR, shape=(COUNT, 3, 0, 28), dtype=np.uint8), r"is uint8 \(4, 3, 0, 28"),
    "fewer samples of a modality": (
        partial(replace, COLOR, np.zeros((COUNT - 1, 3, 28, 28), np.uint8)),
        r"number of samples in '/test' is {'color': 3, 'gray': 4, 'labels': 4, 'ids': 4}; expected the same",
    ),
    "channels last": (
        partial(replace, COLOR, np.zeros((COUNT, 28, 28, 3), np.uint8)),
        r"'/test/color' have shape \(28, 28, 3\); .* was trained with \(3, 28, 28\)",
    ),
    "other channels": (
        partial(replace, COLOR, np.zeros((COUNT, 1, 28, 28), np.uint8)),
        r"'/test/color' have shape \(1, 28, 28\); .* was trained with \(3, 28, 28\)",
    ),
    "another size": (
        partial(replace, COLOR, np.zeros((COUNT, 3, 32, 32), np.uint8)),
        r"'/test/color' have shape \(3, 32, 32\); .* was trained with \(3, 28, 28\)",
    ),
    "clips": (
        partial(replace, COLOR, np.zeros((COUNT, 3, 2, 28, 28), np.uint8)),
        r"'/test/color' have shape \(3, 2, 28, 28\); .* was trained with \(3, 28, 28\)",
    ),
    "a damaged chunk": (damaged_chunk, "'/test/color' is damaged .*(inflate|filter|read)"),
    # Labels and ids
    "labels that are floats": (
        partial(replace, "test/labels", np.zeros(COUNT)),
        r"'/test/labels' is float64 \(4,\); ex",
    ),
    "labels that are names": (partial(replace, "test/labels", list("0123")), r"'/test/labels' is string \(4,\); expe"),
    "labels in one-hot form": (
        partial(replace, "test/labels", np.eye(COUNT, dtype=int)),
        r"is int64 \(4, 4\); expected",
    ),
    "a label above the classes": (
        partial(replace, "test/labels", [0, 1, 2, 10]),
        "a label in '/test/labels' is 10; exp",
    ),
    "a label below 0": (
        partial(replace, "test/labels", [0, 1, 2, -1]),
        "a label in '/test/labels' is -1; expected 0 to",
    ),
    "a huge label": (
        partial(replace, "test/labels", np.array([0, 1, 2, 2**64 - 1], np.uint64)),
        "a label in '/test/la",
    ),
    "ids that are numbers": (
        partial(replace, "test/ids", [1, 2, 3, 4]),
        r"'/test/ids' is int64 \(4,\); expected strings",
    ),
    "ids that are not UTF-8": (
        partial(replace, "test/ids", np.array([b"\xff"] * COUNT)),
        "'/test/ids' is damaged .*'utf-8' codec",
    ),
    "no samples": (no_samples, "'/test' is empty; expected one sample or more"),
    # Data outside of the file, and data that are not there
    "an external link": (
        partial(replace, COLOR, h5py.ExternalLink("/etc/passwd", "/color")),
        r"'/test/color' is a link \(ExternalLink\); expected data in this file",
    ),
    "a soft link": (partial(replace, COLOR, h5py.SoftLink("/test/gray")), r"'/test/color' is a link \(SoftLink\)"),
    "a soft link to nothing": (
        partial(replace, COLOR, h5py.SoftLink("/nothing")),
        r"'/test/color' is a link \(SoftLink\)",
    ),
    "a split in another file": (
        partial(replace, "test", h5py.ExternalLink("other.h5", "/")),
        r"'/test' is a link \(ExternalLink\)",
    ),
    "a split that is a link": (linked_split, r"'/test' is a link \(SoftLink\)"),
    "a virtual dataset": (virtual, "'/test/color' is stored in other files"),
    "an external dataset": (
        partial(create, COLOR, shape=(COUNT, 3, 28, 28), dtype=np.uint8, external=[("/etc/passwd", 0, PIXELS)]),
        "'/test/color' is stored in other files",
    ),
    "absurdly many samples": (
        partial(create, COLOR, shape=(2**40, 3, 28, 28), dtype=np.uint8, chunks=(1, 3, 28, 28)),
        "'/test/color' is 2,586,[0-9,]+ bytes, of which 0 are stored",
    ),
    "absurdly many labels": (
        partial(create, "test/labels", shape=(2**60,), dtype=np.int64, chunks=(8,)),
        "'/test/labels' is [0-9,]+ bytes, of which 0 are stored",
    ),
    "an absurd type": (partial(create, COLOR, shape=(4, 2), dtype=np.dtype(("V", 2**30))), "'/test/color' is "),
}
