"""Folders of objects as users have them: all of it is read, refused by name or counted in a note."""

import os
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from greedymm.data import hdf5
from greedymm.data.datasets.modelnet40 import Settings, make
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import LazySamples
from greedymm.errors import GreedymmError

OFF = "OFF\n4 4 6\n0 0 0\n{} 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
PLAIN = [
    f"{label}/{split}/{label}_{k}.off"
    for label in ("cup", "sofa")
    for split, count in (("train", 4), ("test", 2))
    for k in range(count)
]


def put(folder: Path, *names: str) -> Settings:
    """Write plain objects and others, each another mesh."""
    for k, name in enumerate([*PLAIN, *names]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OFF.format(k + 1), encoding="ascii")
    return Settings(folder=str(folder), size=8, validation=0.25)


def ids(settings: Settings) -> dict[str, list[str]]:
    splits, facts = make(settings, Path("unused"))
    assert facts.notes == ()
    return {name: split.ids for name, split in splits.items()}


# -- Read ---------------------------------------------------------------------------------------------------


def test_a_folder_val_is_the_validation_and_holds_nothing_out_of_its_class(tmp_path: Path) -> None:
    settings = put(tmp_path, "cup/val/cup_8.off", "cup/val/cup_9.off", "sofa/val/sofa_9.off")

    found = ids(settings)

    assert found["val"] == ["cup/val/cup_8", "cup/val/cup_9", "sofa/val/sofa_9"]
    assert len(found["train"]) == 8
    assert found == ids(settings.model_copy(update={"validation": 0.0}))


def test_where_only_some_classes_have_a_folder_val_a_note_names_the_others(tmp_path: Path) -> None:
    settings = put(tmp_path, "cup/val/cup_9.off")

    splits, facts = make(settings, Path("unused"))

    assert [name.rsplit("_", 1)[0] for name in splits["val"].ids] == ["cup/val/cup", "sofa/train/sofa"]
    assert len(splits["train"].ids) == 4 + 3
    assert facts.notes == ("without a folder val, so that training objects are held out: sofa",)


def test_objects_may_be_in_subfolders_and_behind_links(tmp_path: Path) -> None:
    settings = put(tmp_path / "own", "cup/train/old/blue/cup_0.off", "cup/test/cup.v2/mesh.off")
    (tmp_path / "own" / "mug").symlink_to(tmp_path / "own" / "sofa")
    (tmp_path / "own" / "cup" / "train" / "again").symlink_to(tmp_path / "own")  # a circle

    found = ids(settings)

    assert "cup/train/old/blue/cup_0" in found["train"] + found["val"]
    assert "cup/test/cup.v2/mesh" in found["test"]
    assert sum(map(len, found.values())) == len(PLAIN) + 2 + 6


NAMES = [
    "$x_1$",
    "50 % off",
    'it\'s "new"',
    "<b>a & b",
    "a\\b",
    "a|b,c;d",
    "Stühle",
    "椅子",
    "class_",
    "100",
    "-",
    "{}",
    "no-break\xa0space",
    "right\u202eto left",
    "NA",
]


def test_names_with_signs_of_other_languages_are_stored_as_they_are(tmp_path: Path) -> None:
    others = [f"{name}/{split}/{name} {k}.off" for name in NAMES for split in ("train", "test") for k in range(2)]
    settings = put(tmp_path / "own", *others)

    hdf5.write(tmp_path / "data.h5", *make(settings, Path("unused")))

    with DataFile(tmp_path / "data.h5") as file:
        assert file.facts.classes == tuple(sorted(["cup", "sofa", *NAMES]))
        assert set(file.sample_table("test")["id"]) >= {f"{name}/test/{name} 1" for name in NAMES}


# -- Refused ------------------------------------------------------------------------------------------------

REFUSED = {
    "outside of a split": ("lamp/lamp_1.off", "lamp/lamp_1.off", "in no folder <class>/train/"),
    "a split of another name": ("lamp/training/a.off", "lamp/training/a.off", "in no folder <class>/train/"),
    "no class": ("lamp_1.off", "lamp_1.off", "in no folder <class>/train/"),
    "a class of another format": ("lamp/train/a.ply", "lamp/train/a.ply", r"\.ply is not read; convert it to \.off"),
    "a file of another format": ("cup/train/a.OBJ", "cup/train/a.OBJ", r"\.obj is not read; convert it to \.off"),
    "a class without meshes": ("lamp/train/a.npy", "lamp/", "a folder without meshes; move it elsewhere"),
    "a line break": ("cup/train/a\nb.off", r"cup/train/a\\nb.off", "control character; rename it"),
    "a packed mesh": ("cup/train/a.off.gz", "cup/train/a.off.gz", "it is packed; unpack it"),
    "a packed mesh of another format": ("cup/a.ply.zip", "cup/a.ply.zip", "in no folder <class>/train/"),
    "not UTF-8": ("caf\udce9/train/a.off", r"caf\\udce9/train/a.off", "not UTF-8"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_placed_is_refused_by_name_or_excluded_with_a_note(kind: str, tmp_path: Path) -> None:
    other, name, reason = REFUSED[kind]
    settings = put(tmp_path, other)

    with pytest.raises(
        GreedymmError, match=rf"1 samples or files in .*:\n  {name}: .*{reason}(?s:.*)data\.skip_broken"
    ):
        make(settings, Path("unused"))

    splits, facts = make(settings.model_copy(update={"skip_broken": True}), Path("unused"))
    assert facts.classes == ("cup", "sofa")
    assert sum(len(split.ids) for split in splits.values()) == len(PLAIN)
    assert any(note.startswith("excluded 1 samples or files: ") for note in facts.notes)


def test_an_empty_class_folder_is_refused_and_other_files_are_counted_in_a_note(tmp_path: Path) -> None:
    settings = put(
        tmp_path, "cup/train/cup.mtl", "cup/test/cup.mtl", "sofa/README", "lamp.zip", "@eaDir/cup/train/a.off"
    )
    (tmp_path / "cup" / "val").mkdir()
    _, facts = make(settings, Path("unused"))
    assert facts.notes == ("files of other kinds are not read: 2 .mtl, 1 .zip, 1 README",)

    (tmp_path / "lamp" / "train").mkdir(parents=True)
    (tmp_path / "cup" / "train" / "cup_8.off").mkdir()
    (tmp_path / "mug").symlink_to(tmp_path / "gone")
    with pytest.raises(GreedymmError) as raised:
        make(settings, Path("unused"))
    for line in ("lamp/: a folder without meshes", "cup/train/cup_8.off/: an empty folder", "mug: a link to nothing"):
        assert f"  {line}" in str(raised.value)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    settings = put(tmp_path, "cup/test/cup_0.OFF")

    with pytest.raises(GreedymmError, match=r"cup/test/cup_0: several files have this name: cup_0\.OFF, cup_0\.off"):
        make(settings, Path("unused"))


def test_two_classes_whose_names_look_the_same_are_refused(tmp_path: Path) -> None:
    names = [normalize(form, "Stühle") for form in ("NFC", "NFD")]
    settings = put(tmp_path, *(f"{name}/{split}/a.off" for name in names for split in ("train", "test")))

    with pytest.raises(GreedymmError, match="2 classes have the name Stühle"):
        hdf5.write(tmp_path / "data.h5", *make(settings, Path("unused")))


@pytest.mark.parametrize("name", ["~nobody-of-this-name/objects", "x" * 300])
def test_a_folder_that_cannot_be_is_refused_with_its_name(name: str) -> None:
    with pytest.raises(GreedymmError, match=f"{name} cannot be read (?s:.*)Correct it in the params"):
        make(Settings(folder=name), Path("unused"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_without_training_or_test_objects_is_named(split: str, tmp_path: Path) -> None:
    settings = put(tmp_path, *(f"lamp/{split}/lamp_{k}.off" for k in range(3)))
    lacking = {"train": "test", "test": "train"}[split]

    with pytest.raises(GreedymmError, match=f"split '{lacking}' has no sample of: lamp"):
        hdf5.write(tmp_path / "data.h5", *make(settings, Path("unused")))


def test_a_class_with_one_training_object_is_not_validated_and_a_note_says_so(tmp_path: Path) -> None:
    settings = put(tmp_path / "own", "lamp/train/a.off", "lamp/test/b.off")

    hdf5.write(tmp_path / "data.h5", *make(settings, Path("unused")))

    with DataFile(tmp_path / "data.h5") as file:
        assert file.facts.notes == ("split 'val' has no sample of: lamp",)
        assert 1 in file.labels("train")


def test_objects_of_no_split_at_all_are_shown_with_the_layout(tmp_path: Path) -> None:
    for name in ("cup/a.off", "train/cup/b.off"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(OFF.format(1), encoding="ascii")

    with pytest.raises(GreedymmError, match=r"has no objects(?s:.*)cup/a\.off\n(?s:.*)Put <class>/train/"):
        make(Settings(folder=str(tmp_path)), Path("unused"))


def test_classes_in_several_folders_are_refused_with_all_of_them(tmp_path: Path) -> None:
    for part in ("a", "b"):
        put(tmp_path / part)

    with pytest.raises(GreedymmError, match=rf"several folders .*: {tmp_path}/a, {tmp_path}/b\.\n  Set data\.folder"):
        make(Settings(folder=str(tmp_path)), Path("unused"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    settings = put(tmp_path, "lamp/train/a.off")
    (tmp_path / "lamp" / "train").chmod(0)

    with pytest.raises(PermissionError):
        make(settings, Path("unused"))


# -- Views --------------------------------------------------------------------------------------------------


def test_pictures_of_another_number_are_stored_view_by_view(tmp_path: Path) -> None:
    from PIL import Image

    for label in ("cup", "sofa"):
        for split, object_ in (("train", "a"), ("train", "b"), ("test", "c")):
            for view in range(1, 4):
                path = tmp_path / label / split / object_ / f"{view}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8), 40 * view, dtype=np.uint8)).save(path)
    settings = Settings(folder=str(tmp_path), size=8, views=3)

    splits, _ = make(settings, Path("unused"))

    assert list(splits["test"].shapes) == ["view0", "view1", "view2"]
    assert isinstance(splits["test"], LazySamples)
    for row in splits["test"].rows:
        np.testing.assert_array_equal(np.asarray(row).mean(axis=(1, 2, 3)).round(), [40, 80, 120])


def test_another_number_of_views_of_meshes_is_refused(tmp_path: Path) -> None:
    settings = put(tmp_path).model_copy(update={"views": 20})

    with pytest.raises(GreedymmError, match=r"rendered from 12 sides\.\n  Remove data\.views"):
        make(settings, Path("unused"))
