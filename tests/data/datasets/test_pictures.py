"""Pictures in all kinds of PNG files, whole and broken."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from greedymm.data.samples import UnreadableError
from greedymm.data.sources.objects import find_objects
from greedymm.data.sources.pictures import read_picture

Bytes = npt.NDArray[np.uint8]


def read_pictures(files: list[Path], size: int | None = None, *, color: bool = False) -> Bytes:
    return np.stack([read_picture(file, size, color=color) for file in files])


MVCNN = [f"chair_0001.obj.shaded_v{k:03d}.png" for k in range(1, 13)]
WHITE = [f"chair_0001.obj_whiteshaded_v{k:04d}.png" for k in range(12)]


def noise(*shape: int, seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def save(path: Path, array: npt.NDArray[np.generic], **options: object) -> Path:
    Image.fromarray(array).save(path, format="PNG", **options)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / WHITE[0]


# -- Names --------------------------------------------------------------------------------------------------


def test_views_are_ordered_by_their_numbers_object_by_object_in_either_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "chair" / "train"
    folder.mkdir(parents=True)
    objects = {
        name: [pattern.replace("chair_0001", name) for pattern in names]
        for name, names in {"a": MVCNN, "a.old": MVCNN, "b": WHITE, "b.old": WHITE}.items()
    }
    for names in objects.values():
        for name in names:
            (folder / name).touch()

    items, broken, _ = find_objects(tmp_path, "pictures", 12)

    assert broken == {}
    assert {item.name: [file.name for file in item.files] for item in items} == objects


PATTERNS = [
    "chair_0001_{:03d}.png",
    "chair_0001_{}.png",
    "chair_0001-view{}.jpg",
    "chair_0001/{:02d}.jpeg",
    "chair_0001/front side {}.PNG",
    "chair_0001.obj_whiteshaded_v{:03d}.png",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("first", "views"), [(0, 12), (1, 12), (1, 3), (0, 20)])
def test_views_may_be_named_and_numbered_otherwise_and_be_as_many_as_the_settings_say(
    pattern: str, first: int, views: int, tmp_path: Path
) -> None:
    names = [pattern.format(k) for k in range(first, first + views)]
    for name in names:
        path = tmp_path / "chair" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    (item,), broken, notes = find_objects(tmp_path, "pictures", views)

    assert (broken, notes) == ({}, ())
    assert item.name.startswith("chair_0001")
    assert [str(file.relative_to(tmp_path / "chair" / "train")) for file in item.files] == names


UNKNOWN = ["chair.png", "chair.obj.png", "001.png"]
BROKEN = {
    "one missing": (
        [name for k, name in enumerate(WHITE) if k != 5],
        "needs views 0 to 11, and it has 11; missing: 5$",
    ),
    "a thirteenth": ([f"a.obj_v{k:04d}.png" for k in range(13)], "it has 13; too many: 12$"),
    "both patterns": ([*MVCNN, *WHITE], r"it has 24; too many: 1, 2, 3, 4, 5, \.\.\.$"),
    "two files of a view": ([*MVCNN[1:], MVCNN[1].replace("png", "jpg")], "missing: 1; too many: 2$"),
    "twenty": ([f"a_{k}.png" for k in range(1, 21)], "data.views: 12 needs views 1 to 12, and it has 20"),
} | {name: ([name], "its name does not end with an object and the number of a view") for name in UNKNOWN}


@pytest.mark.parametrize("kind", BROKEN)
def test_another_set_of_views_and_other_names_are_broken_with_the_reason(kind: str, tmp_path: Path) -> None:
    names, reason = BROKEN[kind]
    folder = tmp_path / "chair" / "test"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()

    items, broken, _ = find_objects(tmp_path, "pictures", 12)

    ((name, said),) = broken.items()
    assert items == []
    assert name.startswith("chair/test/")
    assert re.search(reason, str(said))


# -- Kinds of pixels ----------------------------------------------------------------------------------------


def luminance(colors: Bytes) -> Bytes:
    """Of ITU-R 601-2, as floats: (..., 3) -> (...)."""
    gray: Bytes = (colors @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    return gray


def nearly(one: Bytes, other: Bytes) -> bool:
    return one.shape == other.shape and bool((np.abs(one.astype(int) - other.astype(int)) <= 1).all())


def test_gray_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    gray = noise(3, 8, 8)
    files = [save(tmp_path / f"{k}.png", picture) for k, picture in enumerate(gray)]

    np.testing.assert_array_equal(read_pictures(files), gray[:, None], strict=True)
    np.testing.assert_array_equal(read_pictures(files, color=True), gray[:, None].repeat(3, axis=1), strict=True)


def test_colors_are_kept_or_become_gray_by_luminance(file: Path) -> None:
    colors = noise(8, 8, 3)
    save(file, colors)

    np.testing.assert_array_equal(read_pictures([file], color=True), colors.transpose(2, 0, 1)[None], strict=True)
    assert nearly(read_pictures([file]), luminance(colors)[None, None])


def test_a_palette_is_looked_up_and_two_tones_are_black_and_white(file: Path) -> None:
    picture = Image.fromarray(noise(8, 8, 3)).quantize(16)
    picture.save(file)
    expected = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)[None]
    np.testing.assert_array_equal(read_pictures([file], color=True), expected)

    tones = noise(8, 8) > 127
    save(file, tones)
    np.testing.assert_array_equal(read_pictures([file]), 255 * tones[None, None].astype(np.uint8), strict=True)


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colors"])
def test_a_transparent_background_is_black_whatever_color_it_hides(channels: int, file: Path) -> None:
    for hidden in (255, 119):
        object_ = noise(8, 8, channels, seed=1)
        opaque = noise(8, 8, 1) > 127
        shown = np.where(opaque, object_, np.uint8(hidden))
        save(file, np.concatenate([shown, np.where(opaque, np.uint8(255), np.uint8(0))], axis=2))

        expected = np.where(opaque, object_, 0).repeat(3 // channels, axis=2).transpose(2, 0, 1)[None]
        np.testing.assert_array_equal(read_pictures([file], color=True), expected)


def test_a_transparent_color_of_a_palette_or_of_a_gray_picture_is_black(tmp_path: Path) -> None:
    gray = np.where(noise(8, 8) > 127, np.uint8(255), np.uint8(90))
    one = save(tmp_path / "gray.png", gray, transparency=255)
    two = tmp_path / "palette.png"
    palette = Image.fromarray(gray).quantize(2)
    palette.save(two, transparency=int(np.asarray(palette)[0, 0]))

    np.testing.assert_array_equal(read_pictures([one])[0, 0], np.where(gray == 255, 0, 90))
    np.testing.assert_array_equal(read_pictures([two])[0, 0], np.where(gray == gray[0, 0], 0, gray))


def test_a_gray_picture_of_16_bits_is_refused(file: Path) -> None:
    save(file, noise(8, 8).astype(np.uint16) * 257)

    with pytest.raises(UnreadableError, match=rf"{WHITE[0]}: its pixels have mode 'I;16'"):
        read_pictures([file])


# -- Sizes --------------------------------------------------------------------------------------------------


def test_pictures_are_resized_to_the_size_asked_for(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{n}.png", noise(n, n, 3)) for n in (5, 8, 12)]

    assert read_pictures(files, 8).shape == (3, 1, 8, 8)
    assert read_pictures(files, 8, color=True).shape == (3, 3, 8, 8)
    np.testing.assert_array_equal(read_pictures(files, 8, color=True)[1], noise(8, 8, 3).transpose(2, 0, 1))


def test_a_fine_checkerboard_becomes_even_gray(file: Path) -> None:
    save(file, (255 * (np.indices((64, 64)).sum(axis=0) % 2)).astype(np.uint8))

    small = read_pictures([file], 16)[0, 0]

    assert (np.abs(small[2:-2, 2:-2].astype(int) - 127) <= 2).all()  # without antialiasing: 0 or 255


def test_what_hides_behind_transparency_does_not_bleed_into_a_smaller_picture(file: Path) -> None:
    picture = np.zeros((32, 32, 4), dtype=np.uint8)
    picture[..., :3] = 255
    picture[8:24, 8:24] = (100, 100, 100, 255)
    save(file, picture)

    assert read_pictures([file], 8).max() < 125  # LANCZOS overshoots a little; the hidden white would show


def test_a_picture_that_is_not_square_is_refused_by_name(file: Path) -> None:
    save(file, noise(8, 9))

    with pytest.raises(UnreadableError, match=f"{WHITE[0]}: 9 x 8 pixels is not square"):
        read_pictures([file])


# -- Broken -------------------------------------------------------------------------------------------------


def png(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise(6, 6, 4)).save(buffer, format="PNG", **options)
    return buffer.getvalue()


NOT_PNG = {
    "empty": b"",
    "an error page": b"<html>404</html>",
    "zeros": bytes(200),
    "the signature alone": b"\x89PNG\r\n\x1a\n",
    "a mesh": b"OFF\n0 0 0\n",
    "no pixels": png()[:33] + png()[-12:],
    "of 0 pixels": b"\x89PNG\r\n\x1a\n"
    + struct.pack(">I", 13)
    + (header := b"IHDR" + struct.pack(">IIBBBBB", 0, 0, 8, 0, 0, 0, 0))
    + struct.pack(">I", zlib.crc32(header)),
}


def test_a_file_that_is_no_picture_is_refused_by_name_in_one_line(file: Path) -> None:
    Image.fromarray(noise(8, 8)).save(file, format="BMP")
    for content in [file.read_bytes(), b"\n" * 100, *NOT_PNG.values()]:
        file.write_bytes(content)
        with pytest.raises(UnreadableError, match=rf"^{WHITE[0]}: no complete PNG or JPEG file .*$"):
            read_pictures([file])


def test_a_jpeg_is_read_turned_upright_and_refused_if_it_is_cut(tmp_path: Path) -> None:
    file, colors = tmp_path / "chair_0001_01.jpg", np.kron(noise(2, 2, 3), np.ones((8, 8, 1), dtype=np.uint8))
    turned = Image.fromarray(np.rot90(colors))
    turned.getexif()[0x0112] = 6  # orientation: the camera was held on its side
    turned.save(file, quality=95, subsampling=0, exif=turned.getexif())

    found = read_pictures([file], color=True)[0].transpose(1, 2, 0)

    assert np.abs(found.astype(int) - colors).mean() < 5
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UnreadableError, match=r"^chair_0001_01\.jpg: no complete PNG or JPEG file"):
        read_pictures([file])


def test_no_beginning_of_a_file_passes_for_the_whole(file: Path) -> None:
    whole = png()

    for length in range(0, len(whole) - 4, 3):  # the last four are the checksum of its end, which holds nothing
        file.write_bytes(whole[:length])
        with pytest.raises(UnreadableError, match="no complete PNG or JPEG file"):
            read_pictures([file])


@pytest.mark.slow
def test_no_flipped_byte_changes_a_picture_in_silence(file: Path) -> None:
    whole = png()
    file.write_bytes(whole)
    expected = read_pictures([file], color=True)

    refused = 0
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        try:
            np.testing.assert_array_equal(read_pictures([file], color=True), expected)
        except UnreadableError:
            refused += 1

    assert refused >= len(whole) - 8


def test_the_broken_one_of_many_is_named(tmp_path: Path) -> None:
    files = [save(tmp_path / name, noise(8, 8)) for name in WHITE]
    files[7].write_bytes(files[7].read_bytes()[:-30])

    with pytest.raises(UnreadableError, match=f"^{WHITE[7]}: "):
        read_pictures(files)


# -- Bombs --------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("side", [9_500, 14_000, 65_535, 2**31 - 1])
def test_a_small_file_that_declares_a_huge_picture_is_refused_before_it_is_decoded(file: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)  # RGBA
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + data)

    with pytest.raises(UnreadableError, match=r"no complete PNG or JPEG file .*(decompression bomb|exceeds limit)"):
        read_picture(file)


def test_a_huge_text_in_a_picture_is_refused(file: Path) -> None:
    whole = save(file, noise(8, 8)).read_bytes()
    text = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(10**8)))
    file.write_bytes(whole[:33] + text + whole[33:])  # after the header

    with pytest.raises(UnreadableError, match=r"no complete PNG or JPEG file .*too large"):
        read_picture(file)
