"""ModelNet40 and objects in its form, from tiny files in their true formats."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from greedymm.data import hdf5
from greedymm.data.datasets import modelnet40
from greedymm.data.datasets.modelnet40 import Settings, make
from greedymm.data.hdf5 import DataFile
from greedymm.data.samples import GENERATED_MARKER, DatasetInfo, LazySamples, Samples
from greedymm.data.sources.meshes import read_off
from greedymm.data.sources.renderer import render
from greedymm.errors import GreedymmError

Bytes = npt.NDArray[np.uint8]
Splits = dict[str, Samples | LazySamples]

SIZE = 8
COUNTS = {"cup": {"train": 5, "test": 2}, "sofa": {"train": 3, "test": 1}}
OBJECTS = [
    (label, split, f"{label}_{k:04d}")
    for label, counts in COUNTS.items()
    for split, count in counts.items()
    for k in range(count)
]
SETTINGS = Settings(size=SIZE, validation=0.4)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the real servers."""
    nowhere = {form: (name, ()) for form, (name, _) in modelnet40.ARCHIVES.items()}
    monkeypatch.setattr(modelnet40, "ARCHIVES", nowhere)


def stream(*object_: str) -> np.random.Generator:
    return np.random.default_rng(list("/".join(object_).encode()))


def off(*object_: str) -> bytes:
    """A tetrahedron, of other proportions for each object."""
    x, y, z = stream(*object_).integers(50, 300, size=3)
    return f"OFF\n4 4 6\n0 0 0\n{x} 0 0\n0 {y} 0\n0 0 {z}\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n".encode()


def colors(*object_: str) -> Bytes:
    """Twelve pictures, others for each object: (12, SIZE, SIZE, 3)."""
    return stream(*object_).integers(256, size=(12, SIZE, SIZE, 3), dtype=np.uint8)


def png(picture: Bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def meshes() -> dict[str, bytes]:
    """Path within the folder of the classes -> content."""
    return {f"{label}/{split}/{name}.off": off(label, split, name) for label, split, name in OBJECTS}


def pictures(pattern: str, first: int) -> dict[str, bytes]:
    return {
        f"{label}/{split}/{name}{pattern.format(first + k)}": png(picture)
        for label, split, name in OBJECTS
        for k, picture in enumerate(colors(label, split, name))
    }


FORMS: dict[str, Callable[[], dict[str, bytes]]] = {
    "meshes": meshes,
    "MVCNN's pictures": partial(pictures, ".obj.shaded_v{:03d}.png", 1),
    "pictures from 0": partial(pictures, ".obj_whiteshaded_v{:04d}.png", 0),
}


def put(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def views(split: Samples | LazySamples) -> dict[str, Bytes]:
    """Id of each sample -> its twelve views."""
    assert isinstance(split, LazySamples)
    return {name: np.asarray(row) for name, row in zip(split.ids, split.rows, strict=True)}


# -- All objects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_every_object_is_in_one_split_with_its_label_its_views_and_the_split_of_its_folder(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    put(FORMS[form](), tmp_path / "my cups")

    splits, facts = make(SETTINGS.model_copy(update={"folder": "~/my cups", "color": True}), tmp_path / "raw")

    assert facts.classes == ("cup", "sofa")
    assert facts.source == f"objects in the form of ModelNet40, in {tmp_path / 'my cups'}"
    assert facts.license.startswith("set by their authors; of ModelNet40, for academic use only")
    assert not facts.generated
    counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
    assert counts == {"train": [3, 2], "val": [2, 1], "test": [2, 1]}
    ids = {name: split.ids for name, split in splits.items()}
    assert sorted(ids["train"] + ids["val"]) == sorted("/".join(o) for o in OBJECTS if o[1] == "train")
    assert sorted(ids["test"]) == sorted("/".join(o) for o in OBJECTS if o[1] == "test")
    for split in splits.values():
        assert split.labels.dtype == np.int64
        assert [facts.classes[label] for label in split.labels] == [name.split("/")[0] for name in split.ids]
    seen = {name: row for split in splits.values() for name, row in views(split).items()}
    for label, part, name in OBJECTS:
        if form == "meshes":
            mesh = read_off(tmp_path / "my cups" / label / part / f"{name}.off")
            expected = render(*mesh, SIZE).repeat(3, axis=1)
        else:
            expected = colors(label, part, name).transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(seen[f"{label}/{part}/{name}"], expected, strict=True)


def test_held_out_objects_depend_on_the_seed(tmp_path: Path) -> None:
    put(meshes(), tmp_path)

    held = [tuple(make(SETTINGS.model_copy(update={"seed": s}), tmp_path)[0]["val"].ids) for s in (0, 0, *range(1, 9))]

    assert held[0] == held[1]
    assert len(set(held)) > 2


def test_without_validation_the_training_objects_stand_in_for_it_under_other_names_and_a_note_says_so(
    tmp_path: Path,
) -> None:
    splits, facts = make(Settings(size=SIZE, validation=0), put(meshes(), tmp_path))

    train, val = views(splits["train"]), views(splits["val"])
    assert len(train) == 8
    assert set(train).isdisjoint(val)
    np.testing.assert_array_equal(list(train.values()), list(val.values()))
    np.testing.assert_array_equal(splits["train"].labels, splits["val"].labels)
    assert facts.notes == ("no object is held out: validation uses the training objects",)


@pytest.mark.parametrize("form", FORMS)
def test_all_twelve_views_are_kept_in_the_requested_size_in_color_or_gray(form: str, tmp_path: Path) -> None:
    put(FORMS[form](), tmp_path)
    for color, channels in ((True, 3), (False, 1)):
        splits, _ = make(Settings(size=10, color=color), tmp_path)
        for split in splits.values():
            assert isinstance(split, LazySamples)
            assert split.shapes == {f"view{k}": (channels, 10, 10) for k in range(12)}
            assert {(row.shape, row.dtype.name) for row in views(split).values()} == {((12, channels, 10, 10), "uint8")}
    assert set(modelnet40.MODALITIES) <= set(modelnet40.STORED) == {f"view{k}" for k in range(12)}


@pytest.mark.parametrize("form", ["meshes", "pictures from 0"])
def test_one_worker_and_two_write_the_same_bytes(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    raw = put(FORMS[form](), tmp_path / "raw")

    for workers in (1, 2):
        hdf5.write(tmp_path / f"{workers}.h5", *make(SETTINGS, raw, workers))

    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    with DataFile(tmp_path / "2.h5") as file:
        assert file.modalities == list(modelnet40.STORED)
        assert len(file.images("train", "view11")) == 5


# -- Where the objects are ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["meshes", "MVCNN's pictures"])
def test_objects_are_found_one_or_two_levels_down_beside_the_files_that_a_mac_adds(form: str, tmp_path: Path) -> None:
    for within in ("objects", "unpacked/objects"):
        files = {name.replace("sofa_0000.off", "sofa_0000.OFF"): content for name, content in FORMS[form]().items()}
        shadows = {f"../__MACOSX/{Path(n).parent}/._{Path(n).name}": b"\0\5\x16\7" for n in files}
        raw = tmp_path / within.replace("/", "-")
        put(files | shadows, raw / within)

        splits, _ = make(SETTINGS, raw)

        assert sum(len(split.ids) for split in splits.values()) == len(OBJECTS)


HIDDEN = {"._cup_0000.off": b"\0\5\x16\7", ".DS_Store": b"\0", "._cup_0000.obj.shaded_v001.png": b"\0", "README": b"hi"}


@pytest.mark.parametrize("form", FORMS)
def test_hidden_files_are_no_objects_and_files_of_other_kinds_are_counted_in_a_note(form: str, tmp_path: Path) -> None:
    put(FORMS[form](), tmp_path)
    for place in ("", "cup/", "cup/train/", "__MACOSX/cup/train/", ".cache/train/", "cup/.train/"):
        put({place + name: content for name, content in HIDDEN.items()}, tmp_path)
    put({".trash/train/old.off": b"OFF", ".trash/train/old.obj.shaded_v001.png": b""}, tmp_path)

    splits, facts = make(SETTINGS, tmp_path)

    assert facts.notes == ("files of other kinds are not read: 3 README",)
    assert facts.classes == ("cup", "sofa")
    assert sum(len(split.ids) for split in splits.values()) == len(OBJECTS)


def test_of_pictures_and_meshes_the_form_in_the_settings_is_used_and_must_be_set(tmp_path: Path) -> None:
    put(meshes() | FORMS["MVCNN's pictures"](), tmp_path)
    rendered = render(*read_off(tmp_path / "cup" / "test" / "cup_0000.off"), SIZE)

    for form in ("meshes", "pictures"):
        splits, _ = make(Settings.model_validate({"size": SIZE, "form": form}), tmp_path)
        assert np.array_equal(views(splits["test"])["cup/test/cup_0000"], rendered) == (form == "meshes")
    with pytest.raises(GreedymmError, match=r"has pictures and meshes(?s:.*)data\.form"):
        make(SETTINGS, tmp_path)


def test_a_missing_folder_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=rf"{tmp_path / 'cups'} is not a folder(?s:.*)data\.folder"):
        make(Settings(folder=str(tmp_path / "cups")), tmp_path)


# -- ModelNet40 itself --------------------------------------------------------------------------------------


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(f"shaded_images/{name}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(f"ModelNet40/{name}", content)
            path = Path(name)
            file.writestr(f"__MACOSX/ModelNet40/{path.parent}/._{path.name}", b"\0\5\x16\7")
    return buffer.getvalue()


ARCHIVES = {
    "pictures": ("shaded_images.tar.gz", tarred(FORMS["MVCNN's pictures"]())),
    "meshes": ("ModelNet40.zip", zipped(meshes())),
}


class Mirror(ThreadingHTTPServer):
    """A server of the files in a folder, which notes what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                asked.append(self.path)

        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of both archives, in the place of the real ones."""
    folder = put(dict(ARCHIVES.values()), tmp_path_factory.mktemp("mirror"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with Mirror(folder) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        urls = (f"http://127.0.0.1:{server.server_port}/",)
        monkeypatch.setattr(modelnet40, "ARCHIVES", {form: (name, urls) for form, (name, _) in ARCHIVES.items()})
        yield server
        server.shutdown()
        thread.join()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("form", "what"), [("auto", "pictures"), ("meshes", "meshes")])
def test_a_missing_archive_is_downloaded_once_and_one_that_exists_is_unpacked(
    form: str, what: str, mirror: Mirror, tmp_path: Path
) -> None:
    name, content = ARCHIVES[what]
    settings, raw = Settings(size=SIZE, form=form), tmp_path / "raw" / "modelnet40"

    first, facts = make(settings, raw)
    second, again = make(settings, raw)
    (raw / name).unlink()
    _, deleted = make(settings, raw)
    put({name: content}, tmp_path / "put")
    splits, _ = make(SETTINGS, tmp_path / "put")

    assert mirror.asked == [f"/{name}"]
    assert facts == again == deleted
    assert first["train"].ids == second["train"].ids
    assert len(first["test"].ids) == len(splits["test"].ids) == 3
    assert facts.hashes[name] == digest(content)
    assert facts.source.startswith("ModelNet40")
    assert "academic" in facts.license


def test_existing_objects_are_used_and_no_mirror_is_asked(mirror: Mirror, tmp_path: Path) -> None:
    make(SETTINGS, put(meshes(), tmp_path))

    assert mirror.asked == []


OTHER_THINGS = {"shaded_images.tar.gz": tarred({"cup/cup.png": b""}), "ModelNet40.zip": zipped({"cup/cup.off": b""})}


@pytest.mark.parametrize(("name", "content"), OTHER_THINGS.items(), ids=OTHER_THINGS)
def test_where_an_archive_of_other_things_is_nothing_is_downloaded_in_its_stead(
    name: str, content: bytes, mirror: Mirror, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    for _ in range(2):
        with pytest.raises(GreedymmError, match=r"has no objects(?s:.*)<class>/train/"):
            make(SETTINGS, tmp_path)

    assert mirror.asked == []


@pytest.mark.parametrize("left", [{}, {"README": b""}, {"shaded_images.tar.gz.sha256": b"00  shaded_images.tar.gz\n"}])
def test_nothing_is_ever_downloaded_into_a_folder_of_ones_own(
    left: dict[str, bytes], mirror: Mirror, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    put(left, own)

    reason = "shaded_images.tar.gz is missing" if "shaded_images.tar.gz.sha256" in left else "has no objects"
    with pytest.raises(GreedymmError, match=reason) as raised:
        make(Settings(folder=str(own)), tmp_path)
    assert str(own) in str(raised.value)

    assert mirror.asked == []
    assert sorted(path.name for path in own.iterdir()) == sorted(left)


# -- Broken objects -----------------------------------------------------------------------------------------


def spoil_meshes(folder: Path) -> dict[str, str]:
    """Name of each broken object -> what must be said of it."""
    (folder / "cup" / "train" / "cup_0001.off").write_bytes(b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 nan 0\n3 0 1 2\n")
    (folder / "cup" / "test" / "cup_0001.off").write_bytes(b"OFF\n0 0 0\n")
    (folder / "sofa" / "train" / "sofa_0002.off").write_bytes(b"OFF\n3 1 0\n0 0 0\n1 0 0\n")
    return {"cup/train/cup_0001": "not finite", "cup/test/cup_0001": "empty", "sofa/train/sofa_0002": "truncated"}


def spoil_pictures(folder: Path) -> dict[str, str]:
    (folder / "cup" / "train" / "cup_0001.obj.shaded_v004.png").unlink()
    cut = folder / "cup" / "test" / "cup_0001.obj.shaded_v012.png"
    cut.write_bytes(cut.read_bytes()[:-20])
    Image.new("L", (8, 9)).save(folder / "sofa" / "train" / "sofa_0002.obj.shaded_v001.png")
    return {
        "cup/train/cup_0001": "data.views: 12 needs views 1 to 12, and it has 11; missing: 4",
        "cup/test/cup_0001": "cup_0001.obj.shaded_v012.png: no complete PNG or JPEG file",
        "sofa/train/sofa_0002": "8 x 9 pixels",
    }


SPOIL = {"meshes": spoil_meshes, "MVCNN's pictures": spoil_pictures}


@pytest.mark.parametrize("form", SPOIL)
def test_all_broken_objects_are_listed_at_once_with_their_reasons(form: str, tmp_path: Path) -> None:
    broken = SPOIL[form](put(FORMS[form](), tmp_path))

    with pytest.raises(GreedymmError) as raised:
        make(SETTINGS, tmp_path)

    first, *lines, remedy = str(raised.value).splitlines()
    assert first == f"3 samples or files in {tmp_path} cannot be used:"
    said = dict(line.strip().split(": ", 1) for line in lines)
    assert said.keys() == broken.keys()
    assert all(reason in said[name] for name, reason in broken.items())
    assert "data.skip_broken" in remedy


@pytest.mark.parametrize("form", SPOIL)
def test_broken_objects_are_left_out_with_a_note_where_the_settings_allow_it(form: str, tmp_path: Path) -> None:
    broken = SPOIL[form](put(FORMS[form](), tmp_path))

    splits, facts = make(SETTINGS.model_copy(update={"skip_broken": True}), tmp_path)

    ids = [name for split in splits.values() for name in views(split)]
    assert sorted(ids) == sorted({"/".join(o) for o in OBJECTS} - broken.keys())
    (note,) = facts.notes
    assert note.startswith("excluded 3 samples or files: ")
    assert all(name in note and reason in note for name, reason in broken.items())
    assert any(key == f"content of {len(ids)} objects" for key in facts.hashes)


def test_a_picture_whose_name_fits_no_pattern_is_not_passed_over(tmp_path: Path) -> None:
    put(FORMS["pictures from 0"]() | {"sofa/test/sofa.png": png(np.zeros((8, 8), dtype=np.uint8))}, tmp_path)

    with pytest.raises(GreedymmError, match=r"sofa/test/sofa\.png: its name does not end"):
        make(SETTINGS, tmp_path)


def test_a_class_with_too_few_objects_is_named_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.data.datasets.modelnet40.render", lambda *_: pytest.fail("too early"))
    for split in ("train", "test"):
        files = {name: content for name, content in meshes().items() if f"sofa/{split}" not in name}
        raw = put(files, tmp_path / split)
        with pytest.raises(GreedymmError, match=f"split '{split}' has no sample of: sofa"):
            hdf5.write(tmp_path / "data.h5", *make(SETTINGS, raw))


def test_objects_that_the_project_wrote_are_called_generated(tmp_path: Path) -> None:
    put(meshes() | {GENERATED_MARKER: b"generated here"}, tmp_path)

    _, facts = make(Settings(folder=str(tmp_path), size=SIZE), tmp_path)

    assert facts.generated
    assert "ModelNet40" not in facts.source


# -- DatasetInfo --------------------------------------------------------------------------------------------------


def contents(facts: DatasetInfo) -> str:
    (value,) = (value for key, value in facts.hashes.items() if key.startswith("content of "))
    return value


def test_the_hash_of_the_content_knows_every_object_its_class_and_its_split(tmp_path: Path) -> None:
    raw = put(meshes(), tmp_path / "raw")
    seen = [contents(make(SETTINGS, raw)[1])]
    assert contents(make(SETTINGS, put(meshes(), tmp_path / "elsewhere"))[1]) == seen[0]

    changed = raw / "cup" / "test" / "cup_0000.off"
    changed.write_bytes(changed.read_bytes() + b"# mended\n")
    seen.append(contents(make(SETTINGS, raw)[1]))
    changed.rename(raw / "cup" / "train" / "cup_9999.off")
    seen.append(contents(make(SETTINGS, raw)[1]))
    (raw / "cup").rename(raw / "goblet")
    seen.append(contents(make(SETTINGS, raw)[1]))

    assert len(set(seen)) == 4
