"""Folders of objects in ModelNet40's form, `<class>/{train,test}/` -> items and their views."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import Broken, UnreadableError
from greedymm.data.sources import pictures
from greedymm.data.sources.meshes import read_off
from greedymm.data.sources.renderer import render
from greedymm.errors import GreedymmError

# Names of the files of each form; hidden files are ignored.
FILES = {"pictures": "[!.]*.[pP][nN][gG]", "meshes": "[!.]*.[oO][fF][fF]"}
SPLITS = ("train", "test")


class Item(NamedTuple):
    """One object: a mesh, or twelve pictures in the order of the views."""

    split: str  # train or test
    label: str
    name: str
    files: tuple[Path, ...]

    @property
    def id(self) -> str:
        return f"{self.label}/{self.split}/{self.name}"


def root_of(folder: Path, form: str) -> Path | None:
    """The folder of the classes: this one or one of two levels within it, as archives have; None if there is none."""
    levels = [folder, *sorted(folder.glob("[!.]*")), *sorted(folder.glob("[!.]*/[!.]*"))]
    return next((p for p in levels for split in SPLITS if any(p.glob(f"[!.]*/{split}/{FILES[form]}"))), None)


def find(root: Path, form: str) -> tuple[list[Item], list[Broken]]:
    """All objects, in the order of their names, and files that belong to none."""
    items: list[Item] = []
    broken: list[Broken] = []
    for folder in sorted(path for split in SPLITS for path in root.glob(f"[!.]*/{split}")):
        split, label = folder.name, folder.parent.name
        files = sorted(folder.glob(FILES[form]))
        if form == "meshes":
            items += [Item(split, label, file.stem, (file,)) for file in files]
            continue
        objects, unknown = pictures.group_by_object(files)
        broken += [Broken(str(file.relative_to(root)), "its name fits no pattern") for file in unknown]
        for name, views in objects.items():
            try:
                items.append(Item(split, label, name, pictures.order_views(views)))
            except UnreadableError as error:
                broken.append(Broken(f"{folder.relative_to(root)}/{name}", str(error)))
    return items, broken


def examine(item: Item) -> str | Broken:
    """SHA-256 of an object's files; reads all of them, so that a broken object is known before others are rendered."""
    digest = hashlib.sha256()
    try:
        for file in item.files:
            digest.update(file.read_bytes())
        if len(item.files) > 1:
            pictures.read(item.files)
        else:
            read_off(item.files[0])
    except (UnreadableError, OSError) as error:
        return Broken(item.id, str(error))
    return digest.hexdigest()


def views(item: Item, size: int, *, color: bool) -> npt.NDArray[np.uint8]:
    """Pictures of an object, rendered or read: (VIEWS, 1 or 3, size, size)."""
    try:
        if len(item.files) > 1:
            return pictures.read(item.files, size, color=color)
        return render(*read_off(item.files[0]), size).repeat(3 if color else 1, axis=1)
    except UnreadableError as error:
        raise GreedymmError(f"{item.id} changed while it was read: {error}") from None
