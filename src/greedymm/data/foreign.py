"""Checks of an HDF5 file that someone else may have made: its links, types, shapes and facts. No sample is read.

Layout: see `hdf5.py`. A message has the file, the key, what was found and what was expected.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydantic import ValidationError

from greedymm.data.samples import DatasetInfo, most_bytes
from greedymm.errors import GreedymmError

CURE = (
    "If this project made it, delete it and run again. If you made it, correct it: the function"
    " greedymm.data.hdf5.write makes files of the right form."
)
LOCKED = (
    "is open in another program that may be writing to it. It need not be broken.\n"
    "  Close that program, or wait until it has finished, and run again.\n"
    "  If no program has it open, its file system keeps an old lock: set HDF5_USE_FILE_LOCKING=FALSE and run again."
)
LABELS, IDS = "labels", "ids"
FORM = "uint8 (N, channels, *axes), such as (N, channels, height, width)"


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        GreedymmError: if it is missing, no file, locked by another program, or broken.
        OSError: if it may not be read.
    """
    if not path.exists():
        raise GreedymmError(f"{path} is missing; make it with: snakemake --cores 8 all")
    if not path.is_file():
        raise GreedymmError(f"{path} is {'a folder' if path.is_dir() else 'no file'}; name an HDF5 file")
    try:
        return h5py.File(path, "r")
    except BlockingIOError:
        raise GreedymmError(f"{path} {LOCKED}") from None
    except OSError as error:
        if "already open for write" in str(error):  # a mark in the file, which an older program sets
            raise GreedymmError(f"{path} {LOCKED}") from None
        if error.errno is not None:
            raise
        raise GreedymmError(f"{path} is no complete HDF5 file ({error}).\n  {CURE}") from None


@contextmanager
def named(path: Path, key: str = "its structure") -> Iterator[None]:
    """Name the file and the key if HDF5 cannot read it.

    Raises:
        GreedymmError: instead of any error that h5py raises for damaged content.
    """
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of the content
            raise
        raise GreedymmError(f"{path}: {key} is damaged ({error}).\n  {CURE}") from error


def mismatch(path: Path, key: str, found: object, expected: str) -> GreedymmError:
    """Error of a key whose content is not as expected."""
    return GreedymmError(f"{path}: {key} is {found}; expected {expected}.\n  {CURE}")


def check_layout(file: h5py.File, path: Path, expected: int) -> None:
    """Check the number of the layout.

    Raises:
        GreedymmError: if it is missing or another one.
    """
    found: object = "missing"
    if "layout" in file.attrs:
        stored = file.attrs.get_id("layout")
        plain = stored.shape == () and np.issubdtype(stored.dtype, np.integer)
        found = file.attrs["layout"] if plain else f"{stored.dtype} {stored.shape}"
    if found != expected:
        raise mismatch(path, "attribute 'layout'", found, str(expected))


def read_facts(file: h5py.File, path: Path) -> tuple[list[str], DatasetInfo]:
    """Modalities and facts, from the attributes.

    Raises:
        GreedymmError: if one is missing or of another form.
    """
    values = {name: _read_json(file, path, name) for name in ("modalities", *(f.name for f in fields(DatasetInfo)))}
    modalities = values.pop("modalities")
    _check_names(path, "modalities", modalities)
    _check_names(path, "classes", values["classes"])
    for name in modalities:
        if "/" in name or name in {LABELS, IDS, "."}:
            raise mismatch(
                path, "attribute 'modalities'", f"{modalities!r}", "names that a dataset in a split can have"
            )
    try:
        return modalities, DatasetInfo(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise mismatch(path, f"attribute '{first['loc'][0]}'", f"{first['input']!r}", first["msg"]) from None


def _read_json(file: h5py.File, path: Path, name: str) -> Any:
    key = f"attribute '{name}'"
    if name not in file.attrs:
        raise mismatch(path, key, "missing", "a string with JSON")
    stored = file.attrs.get_id(name)
    if not h5py.check_string_dtype(stored.dtype) or stored.shape != ():  # HDF5 may crash on reading other types
        raise mismatch(path, key, f"{stored.dtype} {stored.shape}", "a string with JSON")
    text = file.attrs[name]
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise mismatch(path, key, f"{str(text)[:80]!r}", "a string with JSON") from None


def _check_names(path: Path, name: str, value: Any) -> None:
    if not isinstance(value, list) or not value or not all(isinstance(entry, str) and entry for entry in value):
        raise mismatch(path, f"attribute '{name}'", f"{value!r}", "a list of names, in JSON")
    (most, count), *_ = Counter(value).most_common(1)
    if count > 1:
        raise mismatch(path, f"attribute '{name}'", f"a list with '{most}' {count} times", "each name once")


def check_split(file: h5py.File, path: Path, split: str, modalities: Sequence[str]) -> None:
    """Check the links, types and shapes of a split.

    Raises:
        GreedymmError: if a part is missing, of another form, or outside of the file.
    """
    group = _own_object(file, path, split, f"'/{split}'")
    if not isinstance(group, h5py.Group):
        raise mismatch(path, f"'/{split}'", "a dataset", "a group: each is a split")
    lengths = {}
    for name in (*modalities, LABELS, IDS):
        key = f"'/{split}/{name}'"
        dataset = _own_object(group, path, name, key)
        if not isinstance(dataset, h5py.Dataset):
            raise mismatch(path, key, "a group", "a dataset")
        _check_storage(dataset, path, key)
        _check_form(dataset, path, key, name)
        lengths[name] = len(dataset)
    if len(set(lengths.values())) > 1:
        raise mismatch(path, f"the number of samples in '/{split}'", lengths, "the same for all")
    if not lengths[LABELS]:
        raise mismatch(path, f"'/{split}'", "empty", "one sample or more")


def _own_object(group: h5py.Group, path: Path, name: str, key: str) -> Any:
    """An object that is stored in this file, and not linked from elsewhere."""
    if name not in group:
        present = ", ".join(group) or "nothing"
        raise mismatch(path, key, "missing", f"it beside what is there ({present})")
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise mismatch(path, key, f"a link ({type(link).__name__})", "data in this file: links are not followed")
    return group[name]


def _check_storage(dataset: h5py.Dataset, path: Path, key: str) -> None:
    """Refuse data in other files, and shapes that the stored bytes cannot fill."""
    if dataset.is_virtual or dataset.external:
        raise mismatch(path, key, "stored in other files", "data in this file")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > most_bytes(stored):
        raise mismatch(path, key, f"{dataset.nbytes:,} bytes, of which {stored:,} are stored", "stored samples")


def _check_form(dataset: h5py.Dataset, path: Path, key: str, name: str) -> None:
    shape, kind = dataset.shape or (), dataset.dtype
    found = f"{'string' if h5py.check_string_dtype(kind) else kind} {shape}"
    if name == LABELS and not (np.issubdtype(kind, np.integer) and len(shape) == 1):
        raise mismatch(path, key, found, "integers (N,)")
    if name == IDS and not (h5py.check_string_dtype(kind) and len(shape) == 1):
        raise mismatch(path, key, found, "strings (N,)")
    if name not in {LABELS, IDS} and not (kind == np.uint8 and len(shape) > 1 and all(shape[1:])):
        raise mismatch(path, key, found, FORM)
