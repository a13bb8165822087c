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

from greedymm.data.parallel import in_order
from greedymm.data.samples import MARK, Broken, DatasetInfo, Samples, Stream, hold_out, left_out
from greedymm.data.sources import objects
from greedymm.data.sources.archives import obtain_unpacked
from greedymm.data.sources.objects import Item
from greedymm.data.sources.renderer import FRONT_AND_REAR, NAMES, VIEWS
from greedymm.errors import GreedymmError
from greedymm.settings import DatasetSettings

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
LICENCE = "for academic use only, not to be redistributed (Princeton ModelNet)"

# Of its authors, by form: as pictures those of MVCNN (Su et al., ICCV 2015), as meshes those of Princeton.
ARCHIVES = {
    "pictures": ("shaded_images.tar.gz", ("http://supermoe.cs.umass.edu/shape_recog/",)),
    "meshes": (
        "ModelNet40.zip",
        ("http://modelnet.cs.princeton.edu/", "http://3dvision.princeton.edu/projects/2014/3DShapeNets/"),
    ),
}


class Settings(DatasetSettings):
    """Settings of ModelNet40, and of a user's own objects in its form."""

    folder: str | None = Field(
        default=None,
        description="of <class>/{train,test}/, where the user's own objects are;"
        " null: data/raw/modelnet40, into which ModelNet40 is downloaded when it is empty",
    )
    form: Literal["auto", "pictures", "meshes"] = Field(
        default="auto",
        description="PNG pictures, twelve of an object, or OFF meshes, which are rendered; auto: whichever is there",
    )
    size: int = Field(default=224, ge=8, le=2048, strict=True, description="height and width of a view, in pixels")
    color: bool = Field(default=False, description="keep the colours of pictures, three channels; else one, of gray")
    validation: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="share of the training objects held out, per class;"
        " 0: none, and the training objects serve for validation as well",
    )
    skip_broken: bool = Field(default=False, description="leave out what cannot be read; else it is an error")
    seed: int = Field(default=0, ge=0, strict=True, description="of the objects held out")
    edition: int = Field(
        default=1,
        ge=1,
        strict=True,
        description="raise it when the files in the folder have changed: nothing else tells",
    )


def make(settings: Settings, raw: Path, workers: int = 1) -> tuple[dict[str, Samples | Stream], DatasetInfo]:
    """Splits of all objects whose files can be read; some of the training objects are held out for validation.

    Raises:
        GreedymmError: if there are no objects and none can be downloaded, or if some cannot be read.
    """
    form, root, hashes = _locate(settings, raw)
    items, broken = objects.find(root, form)
    checked = list(in_order(objects.examine, items, workers, f"checking {len(items)} objects"))
    pairs = list(zip(items, checked, strict=True))
    broken += [Broken(item.id, reason) for item, (reason, _) in pairs if reason]
    notes = left_out(broken, root, skip=settings.skip_broken)
    whole = [item for item, (reason, _) in pairs if not reason]
    content = hashlib.sha256("".join(f"{item.id} {digest}\n" for item, (_, digest) in pairs).encode()).hexdigest()
    classes = tuple(sorted({item.label for item in whole}))
    if not settings.validation:
        notes += ("no object is held out: validation shows the training objects",)
    _check_classes(whole, classes, settings, root)
    source, licence = _origin(classes, root, archived=bool(hashes))
    hashes |= {f"content of {len(whole)} objects": content}
    facts = DatasetInfo(classes, source, licence, generated=(root / MARK).exists(), hashes=hashes, notes=notes)
    return _splits(whole, classes, settings, workers), facts


def _locate(settings: Settings, raw: Path) -> tuple[str, Path, dict[str, str]]:
    """Form of the objects, the folder of their classes, and the hash of the archive that they came from."""
    folder = raw if settings.folder is None else Path(settings.folder).expanduser()
    if settings.folder is not None and not folder.is_dir():
        raise GreedymmError(f"{folder.absolute()} is no folder.\n  Correct data.folder of modelnet40.")
    wanted = [settings.form] if settings.form != "auto" else list(ARCHIVES)
    hashes = {}
    for archive, mirrors in (ARCHIVES[form] for form in wanted):
        if (folder / archive).exists() or (folder / f"{archive}.sha256").exists():
            # Nothing is downloaded into a folder of one's own.
            _, hashes[archive] = obtain_unpacked(folder / archive, mirrors if settings.folder is None else ())
    roots = _roots(folder, wanted)
    if not roots and settings.folder is None and not hashes:
        archive, mirrors = ARCHIVES[wanted[0]]
        _, hashes[archive] = obtain_unpacked(folder / archive, mirrors)
        roots = _roots(folder, wanted)
    if not roots:
        raise GreedymmError(
            f"{folder.absolute()} has no objects, of the form {' or '.join(wanted)}.\n"
            "  Put <class>/train/ and <class>/test/ there, with twelve .png views of each object or .off meshes."
        )
    if len(roots) > 1:
        raise GreedymmError(
            f"{folder.absolute()} has pictures and meshes.\n  Set data.form of modelnet40 to one of them."
        )
    (form, root), *_ = roots.items()
    return form, root, hashes


def _roots(folder: Path, forms: Sequence[str]) -> dict[str, Path]:
    """The folder of the classes, for each form of which there are objects."""
    return {form: root for form in forms if (root := objects.root_of(folder, form))}


def _origin(classes: Sequence[str], root: Path, *, archived: bool) -> tuple[str, str]:
    """Source and licence, as far as can be known."""
    if (root / MARK).exists():
        return f"generated by this project, as meshes, in {root}", "BSD-3-Clause, as the project"
    if archived or set(classes) == set(CLASSES):
        return f"{SOURCE}, in {root}", LICENCE
    return f"objects in the form of ModelNet40, in {root}", f"that of their makers; of ModelNet40, {LICENCE}"


def _check_classes(items: Sequence[Item], classes: Sequence[str], settings: Settings, root: Path) -> None:
    counts = Counter((item.label, item.split) for item in items)
    for label in classes:
        least = {"train": 2 if settings.validation else 1, "test": 1}
        for split, number in least.items():
            if counts[label, split] < number:
                cure = " or set data.validation of modelnet40 to 0, which holds none out," if number > 1 else ""
                raise GreedymmError(
                    f"class {label} has {counts[label, split]} of the {number} {split} objects that it takes at least."
                    f"\n  Put more into {root / label / split},{cure} and run again."
                )


def _splits(
    items: Sequence[Item], classes: Sequence[str], settings: Settings, workers: int
) -> dict[str, Samples | Stream]:
    train, test = ([item for item in items if item.split == split] for split in objects.SPLITS)
    if settings.validation:
        labels = _labels(train, classes)
        held = hold_out(labels, settings.validation, np.random.default_rng(settings.seed)).tolist()
        val = [item for item, is_held in zip(train, held, strict=True) if is_held]
        train = [item for item, is_held in zip(train, held, strict=True) if not is_held]
    else:  # the same objects, under names of their own
        val = [item._replace(name=f"{item.name} (again)") for item in train]
    parts = {"train": train, "val": val, "test": test}
    return {split: _stream(split, part, classes, settings, workers) for split, part in parts.items()}


def _stream(split: str, items: Sequence[Item], classes: Sequence[str], settings: Settings, workers: int) -> Stream:
    shape = (3 if settings.color else 1, settings.size, settings.size)
    views = partial(objects.views, size=settings.size, color=settings.color)
    return Stream(
        shapes=dict.fromkeys(STORED, shape),
        rows=in_order(views, items, workers, f"{split}, {VIEWS} views of {len(items)} objects"),
        labels=_labels(items, classes),
        ids=[item.id for item in items],
    )


def _labels(items: Sequence[Item], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.array([classes.index(item.label) for item in items], dtype=np.int64)
