"""ModelNet40, or a user's own objects in its form: pictures or meshes -> twelve views; m0 is the front, m1 the rear."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from greedymm.data.parallel import parallel_map
from greedymm.data.samples import GENERATED_MARKER, Broken, DatasetInfo, LazySamples, Splits, exclude_broken, hold_out
from greedymm.data.sources import objects
from greedymm.data.sources.archives import fetch_unpacked
from greedymm.data.sources.folders import FolderSettings
from greedymm.data.sources.objects import Item
from greedymm.data.sources.renderer import FRONT_AND_REAR, NAMES, VIEWS
from greedymm.errors import GreedymmError

STORED, MODALITIES = NAMES, FRONT_AND_REAR
# fmt: off
CLASSES = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup", "curtain",
    "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp", "laptop", "mantel", "monitor",
    "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink", "sofa", "stairs", "stool", "table",
    "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox",
)
# fmt: on
SOURCE = "ModelNet40 (Wu et al., CVPR 2015: 3D ShapeNets)"
LICENSE = "for academic use only, not to be redistributed (Princeton ModelNet)"

# By form: pictures of the authors of MVCNN (Su et al., ICCV 2015), meshes of Princeton.
ARCHIVES = {
    "pictures": ("shaded_images.tar.gz", ("http://supermoe.cs.umass.edu/shape_recog/",)),
    "meshes": (
        "ModelNet40.zip",
        ("http://modelnet.cs.princeton.edu/", "http://3dvision.princeton.edu/projects/2014/3DShapeNets/"),
    ),
}


class Settings(FolderSettings):
    """Settings of ModelNet40, and of a user's own objects in its form."""

    folder: str | None = Field(
        default=None,
        description="of <class>/{train,test}/ with the user's own objects;"
        " null: data/raw/modelnet40, into which ModelNet40 is downloaded if it is empty",
    )
    form: Literal["auto", "pictures", "meshes"] = Field(
        default="auto",
        description="PNG pictures, twelve of an object, or OFF meshes, which are rendered; auto: the one that exists",
    )
    size: int = Field(default=224, ge=8, le=2048, strict=True, description="height and width of a view, in pixels")
    color: bool = Field(default=False, description="keep the colors of pictures, three channels; else one, of gray")


def make(settings: Settings, raw: Path, workers: int = 1) -> tuple[Splits, DatasetInfo]:
    """Splits of all readable objects; some of the training objects are held out for validation.

    Raises:
        GreedymmError: if there are no objects and none can be downloaded, or if some cannot be read.
    """
    form, root, hashes = _locate(settings, settings.path(raw))
    all_items, broken = objects.find(root, form)
    results = list(parallel_map(objects.examine, all_items, workers, f"checking {len(all_items)} objects"))
    broken += [result for result in results if isinstance(result, Broken)]
    notes = exclude_broken(broken, root, skip=settings.skip_broken)
    digests = {item: r for item, r in zip(all_items, results, strict=True) if not isinstance(r, Broken)}
    items, classes = list(digests), tuple(sorted({item.label for item in digests}))
    if not settings.validation:
        notes += ("no object is held out: validation uses the training objects",)
    _check_classes(items, classes, settings, root)
    source, terms = _origin(classes, root, archived=bool(hashes))
    content = "".join(f"{item.id} {digest}\n" for item, digest in digests.items())
    hashes |= {f"content of {len(items)} objects": hashlib.sha256(content.encode()).hexdigest()}
    generated = (root / GENERATED_MARKER).exists()
    facts = DatasetInfo(classes, source, terms, generated=generated, hashes=hashes, notes=notes)
    return _splits(items, classes, settings, workers), facts


def _locate(settings: Settings, folder: Path) -> tuple[str, Path, dict[str, str]]:
    """Form of the objects, the folder of their classes, and the hashes of the archives that were unpacked."""
    if settings.folder is not None and not folder.is_dir():
        raise GreedymmError(f"{folder.absolute()} is not a folder.\n  Correct data.folder of modelnet40.")
    forms: list[str] = list(ARCHIVES) if settings.form == "auto" else [settings.form]
    archives = [
        form
        for form in forms
        if (folder / ARCHIVES[form][0]).exists() or (folder / f"{ARCHIVES[form][0]}.sha256").exists()
    ]
    if not archives and settings.folder is None and not _roots(folder, forms):
        archives = forms[:1]
    hashes = {}
    for name, mirrors in (ARCHIVES[form] for form in archives):
        # Nothing is downloaded into a user's own folder.
        _, hashes[name] = fetch_unpacked(folder / name, mirrors if settings.folder is None else ())
    roots = _roots(folder, forms)
    if not roots:
        raise GreedymmError(
            f"{folder.absolute()} has no objects of the form {' or '.join(forms)}.\n"
            "  Put <class>/train/ and <class>/test/ there, with twelve .png views of each object or .off meshes."
        )
    if len(roots) > 1:
        raise GreedymmError(
            f"{folder.absolute()} has pictures and meshes.\n  Set data.form of modelnet40 to one of them."
        )
    (form, root), *_ = roots.items()
    return form, root, hashes


def _roots(folder: Path, forms: Sequence[str]) -> dict[str, Path]:
    """The folder of the classes, for each form that has objects."""
    return {form: root for form in forms if (root := objects.root_of(folder, form))}


def _origin(classes: Sequence[str], root: Path, *, archived: bool) -> tuple[str, str]:
    """Source and license, as far as they can be known."""
    if (root / GENERATED_MARKER).exists():
        return f"generated by this project, as meshes, in {root}", "BSD-3-Clause, as the project"
    if archived or set(classes) == set(CLASSES):
        return f"{SOURCE}, in {root}", LICENSE
    return f"objects in the form of ModelNet40, in {root}", f"set by their authors; of ModelNet40, {LICENSE}"


def _check_classes(items: Sequence[Item], classes: Sequence[str], settings: Settings, root: Path) -> None:
    counts = Counter((item.label, item.split) for item in items)
    minima = {"train": 2 if settings.validation else 1, "test": 1}
    for label in classes:
        for split, minimum in minima.items():
            if counts[label, split] < minimum:
                cure = " or set data.validation of modelnet40 to 0 to hold none out," if minimum > 1 else ""
                raise GreedymmError(
                    f"class {label} has {counts[label, split]} {split} objects; it needs at least {minimum}."
                    f"\n  Put more into {root / label / split},{cure} and run again."
                )


def _splits(items: Sequence[Item], classes: Sequence[str], settings: Settings, workers: int) -> Splits:
    train, test = ([item for item in items if item.split == split] for split in objects.SPLITS)
    if settings.validation:
        labels = _labels(train, classes)
        held = hold_out(labels, settings.validation, np.random.default_rng(settings.seed)).tolist()
        val = [item for item, is_held in zip(train, held, strict=True) if is_held]
        train = [item for item, is_held in zip(train, held, strict=True) if not is_held]
    else:  # the same objects, under other ids
        val = [item._replace(name=f"{item.name} (again)") for item in train]
    parts = {"train": train, "val": val, "test": test}
    views = partial(objects.views, size=settings.size, color=settings.color)
    shape = (3 if settings.color else 1, settings.size, settings.size)
    return {
        split: LazySamples(
            shapes=dict.fromkeys(STORED, shape),
            rows=parallel_map(views, part, workers, f"{split}, {VIEWS} views of {len(part)} objects"),
            labels=_labels(part, classes),
            ids=[item.id for item in part],
        )
        for split, part in parts.items()
    }


def _labels(items: Sequence[Item], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([classes.index(item.label) for item in items], dtype=np.int64)
