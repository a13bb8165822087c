"""A folder of objects, `<class>/{train,val,test}/` -> the files of each object.

Every file and class folder is read, refused by name or counted in a note.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from greedymm.data.samples import GENERATED_MARKER, SPLITS, Item, is_plain
from greedymm.errors import printable

# Endings of the files of each form that are read, and of those of the same kind that are refused by name.
READ = {"pictures": {".png", ".jpg", ".jpeg"}, "meshes": {".off"}}
REFUSED = {
    "pictures": {".avif", ".bmp", ".gif", ".heic", ".jfif", ".jp2", ".pgm", ".ppm", ".tga", ".tif", ".tiff", ".webp"},
    "meshes": {".3ds", ".3mf", ".blend", ".dae", ".fbx", ".glb", ".gltf", ".obj", ".ply", ".stl", ".step",
               ".stp", ".usdz", ".wrl", ".x3d"},
}  # fmt: skip
PACKED = {".7z", ".bz2", ".gz", ".xz", ".zip", ".zst"}
NOT_SHOWN = {"__MACOSX", "@eaDir"}  # what a Mac, and a Synology disk, add
# `chair_0001.obj.shaded_v001`, `chair_0001.obj_whiteshaded_v0000`, `chair_0001_001`, `chair_0001_view1`, `001`
PICTURE = re.compile(
    r"(?P<object>.*?)(\.obj(\.shaded_v|_\w*v)|[ ._-]+(v|view)?[ ._-]*|)(?P<view>[0-9]{1,9})", re.IGNORECASE
)
DEPTH = 2  # the folder of the classes is the one in the settings, or at most so many levels below
MOST_NAMED = 5  # views in a message


def find_files(folder: Path) -> list[Path]:
    """All files below a folder, also behind links, in the order of their names; none that is hidden.

    Raises:
        OSError: if a folder cannot be read.
    """
    return sorted(here / name for here, _, names in _walk(folder) for name in names)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder, from this one on, with the names of its folders and files, but for what is hidden."""
    for home, folders, names in os.walk(folder, onerror=_fail, followlinks=True) if folder.exists() else ():
        here = Path(home)
        # A link to a folder above would be followed for ever.
        folders[:] = [f for f in folders if _is_shown(f) and not here.resolve().is_relative_to((here / f).resolve())]
        yield here, folders, list(filter(_is_shown, names))


def _fail(error: OSError) -> None:
    raise error


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name not in NOT_SHOWN


def note_others(others: Counter[str]) -> tuple[str, ...]:
    """Note on files that are not read, with the number of each kind."""
    listed = ", ".join(f"{count} {printable(ending)}" for ending, count in sorted((+others).items()))
    return (f"files of other kinds are not read: {listed}",) if listed else ()


def find_roots(folder: Path, forms: Iterable[str]) -> set[tuple[str, Path]]:
    """Each form that has files in `<class>/<split>/`, with the folder of the classes."""
    form_of = {ending: form for form in forms for ending in READ[form] | REFUSED[form]}
    roots = set()
    for file in find_files(folder):
        if form := form_of.get(file.suffix.lower()):
            parts = file.relative_to(folder).parts
            depth = next((d for d in range(DEPTH + 1) if parts[d + 1 : -1][:1] and parts[d + 1] in SPLITS), None)
            if depth is not None:
                roots.add((form, folder.joinpath(*parts[:depth])))
    return roots


def find_objects(root: Path, form: str, views: int) -> tuple[list[Item], dict[str, object], tuple[str, ...]]:
    """All objects, in the order of their names; what cannot be used, name -> reason; and notes on other files."""
    items, broken = [], dict[str, object]()
    files, faults, others = _sort_files(root, form)
    for (label, split, name), own in files.items():
        item = Item(split, label, name, tuple(own if form == "meshes" else sorted(own, key=_view_of)))
        if reason := _view_fault(item.files, views) if form == "pictures" else _double_fault(item.files):
            broken[item.id] = reason
        else:
            items.append(item)
    named = {*(label for label, *_ in files), *(name.split("/")[0] for name in faults)}
    notes = note_others(others)
    return items, faults | broken | _empty_folders(root, named, form), notes


Files = dict[tuple[str, str, str], list[Path]]  # class, split and name of an object -> its files


def _sort_files(root: Path, form: str) -> tuple[Files, dict[str, object], Counter[str]]:
    """Files of each object; files of this kind that cannot be used, name -> reason; and how many are of other kinds."""
    files, faults, others = defaultdict[tuple[str, str, str], list[Path]](list), dict[str, object](), Counter[str]()
    for file in find_files(root):
        parts, ending = file.relative_to(root).parts, file.suffix.lower()
        inner = Path(file.stem).suffix.lower() if ending in PACKED else ending
        if not file.is_file():
            faults[printable("/".join(parts))] = "a link to nothing, or no file; remove it"
        elif inner not in READ[form] | REFUSED[form]:
            others[ending or file.name] += file.name != GENERATED_MARKER
        elif reason := _fault(parts, form):
            faults[printable("/".join(parts))] = reason
        else:
            files[parts[0], parts[1], _object_name(parts, form)].append(file)
    return files, faults, others


def _fault(parts: Sequence[str], form: str) -> str:
    """Why a picture or mesh cannot be used, or nothing."""
    *folders, name = parts
    ending = Path(name).suffix.lower()
    if not all(map(is_plain, parts)):
        return "its path is not UTF-8, or has a control character; rename it"
    if folders[1:2] == [] or folders[1] not in SPLITS:
        return "it is in no folder <class>/train/, <class>/val/ or <class>/test/"
    if ending in PACKED:
        return "it is packed; unpack it"
    if ending in REFUSED[form]:
        return f"{ending} is not read; convert it to {' or '.join(sorted(READ[form]))}, as docs/data.md says"
    if form == "pictures" and not (PICTURE.fullmatch(Path(name).stem) and _object_name(parts, form)):
        return "its name does not end with an object and the number of a view, such as chair_0001_001"
    return ""


def _object_name(parts: Sequence[str], form: str) -> str:
    """Name of the object of a file: its path below the folder of the split, without ending and number of the view."""
    *above, stem = (*parts[2:-1], Path(parts[-1]).stem)
    match = PICTURE.fullmatch(stem) if form == "pictures" else None
    return "/".join(filter(None, (*above, match["object"] if match else stem)))


def _double_fault(files: Sequence[Path]) -> str:
    """That several files have the name of an object, or nothing."""
    return f"several files have this name: {', '.join(file.name for file in files)}; rename them" if files[1:] else ""


def _view_of(file: Path) -> int:
    match = PICTURE.fullmatch(file.stem)
    return int(match["view"]) if match else 0


def _view_fault(files: Sequence[Path], views: int) -> str:
    """What is wrong with the numbers of an object's pictures, or nothing. They begin with 0 or 1."""
    found = Counter(map(_view_of, files))
    first = int(0 not in found)
    needed = Counter(range(first, first + views))
    if found == needed:
        return ""
    counts = {"missing": sorted((needed - found).elements()), "too many": sorted((found - needed).elements())}
    lists = [
        f"{what}: {', '.join(map(str, numbers[:MOST_NAMED]))}{', ...' * (len(numbers) > MOST_NAMED)}"
        for what, numbers in counts.items()
        if numbers
    ]
    last = first + views - 1
    return f"data.views: {views} needs views {first} to {last}, and it has {len(files)}; {'; '.join(lists)}"


def _empty_folders(root: Path, named: set[str], form: str) -> dict[str, object]:
    """Folders of a class or of an object without files of the form, name -> reason. A split may be empty."""
    empty: dict[str, object] = {}
    for here, folders, names in _walk(root):
        parts = here.relative_to(root).parts
        if len(parts) == 1 and not {*parts, *map(printable, parts)} & named:
            empty[f"{printable(parts[0])}/"] = f"a folder without {form}; move it elsewhere"
        elif parts[2:] and not folders + names:
            empty[f"{printable('/'.join(parts))}/"] = "an empty folder; remove it"
    return empty
