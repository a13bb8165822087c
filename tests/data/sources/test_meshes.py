"""OFF files as they are found, whole and broken, as texts."""

import random
from pathlib import Path

import numpy as np
import pytest

from greedymm.data.samples import UnreadableError
from greedymm.data.sources.meshes import read_off

VERTICES = "0 0 0\n1 0 0\n0 1 0\n0 0 2.5\n"
FACES = "3 0 1 2\n3 0 1 3\n"
BODY = VERTICES + FACES
TWO = [(0, 1, 2), (0, 1, 3)]


def off(body: str, header: str = "OFF\n4 2 0\n") -> bytes:
    return (header + body).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chair_0001.off"


# -- Read ---------------------------------------------------------------------------------------------------

SAME = {
    "plain": off(BODY),
    "counts on the header's line": off(BODY, "OFF 4 2 0\n"),
    "counts glued to the header": off(BODY, "OFF4 2 0\n"),
    "no count of edges": off(BODY, "OFF\n4 2\n"),
    "a word after the counts": off(BODY, "OFF\n4 2 0 edges\n"),
    "lower-case header": off(BODY, "off\n4 2 0\n"),
    "lower case, glued": off(BODY, "off4 2 0\n"),
    "Windows line ends": off(BODY).replace(b"\n", b"\r\n"),
    "old Mac line ends": off(BODY).replace(b"\n", b"\r"),
    "byte order mark": b"\xef\xbb\xbf" + off(BODY),
    "no line end at the end": off(BODY).rstrip(),
    "blank lines and spaces": off(BODY.replace("\n", " \t\n\n").replace(" ", "   "), "\n OFF \n\n 4 2 0\n\n"),
    "comments": off(BODY.replace("\n", " # 7 8\n#9\n"), "# OFF\n# 1 1 1\nOFF # of 2 3\n#\n4 2 0 # counts\n"),
    "a comment in Latin-1": b"# K\xf6rper\n" + off(BODY),
    "colors of vertices": off(VERTICES.replace("\n", " 255 0 0 255\n") + FACES, "COFF\n4 2 0\n"),
    "normals of vertices": off(VERTICES.replace("\n", " 0 0 1\n") + FACES, "NOFF\n4 2 0\n"),
    "colors and normals": off(VERTICES.replace("\n", " 0 0 1 9 9 9 1\n") + FACES, "CNOFF 4 2 0\n"),
    "normals and colors": off(VERTICES.replace("\n", " 0 0 1 9 9 9 1\n") + FACES, "NCOFF\n4 2 0\n"),
    "texture": off(VERTICES.replace("\n", " 0.5 0.5\n") + FACES, "STOFF\n4 2 0\n"),
    "texture and all": off(VERTICES.replace("\n", " 0 0 1 1 1 1 1 0.5 0.5\n") + FACES, "STCNOFF4 2 0\n"),
    "no keyword": off(BODY, "4 2 0\n"),
    "no keyword after a comment": off(BODY, "# exported\n\n4 2\n"),
    "colors of faces": off(VERTICES + "3 0 1 2 255 0 0\n3 0 1 3 0.1 0.2 0.3 1\n"),
    "floats in scientific notation": off(BODY.replace("2.5", "+.25E+01")),
    "an edge among the faces": off(BODY + "2 0 3\n", "OFF\n4 3 0\n"),
    "a face of one line": off(VERTICES + "3 1 1 2\n" + FACES, "OFF\n4 3 0\n"),
    "a face in one point": off(VERTICES + "3 3 3 3\n" + FACES, "OFF\n4 3 0\n"),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_however_it_is_written_it_is_the_same_mesh(content: bytes, file: Path) -> None:
    file.write_bytes(content)

    vertices, faces = read_off(file)

    np.testing.assert_array_equal(vertices, np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2.5]]), strict=True)
    np.testing.assert_array_equal(faces, np.array(TWO, dtype=np.int64), strict=True)


HOUSE = "0 0 0\n4 0 0\n4 3 0\n2 5 0\n0 3 0\n"  # a pentagon, convex


@pytest.mark.parametrize(
    "faces", ["5 0 1 2 3 4\n", "5 3 4 0 1 2\n", "4 0 1 2 4\n3 2 3 4\n", "3 2 3 4\n4 4 0 1 2 9 9\n"]
)
def test_polygons_become_triangles_that_cover_them_once(faces: str, file: Path) -> None:
    file.write_bytes(off(HOUSE + faces, f"OFF\n5 {faces.count(chr(10))} 0\n"))

    vertices, triangles = read_off(file)

    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    areas = np.cross(b - a, c - a)[:, 2] / 2  # signed: a fold would count twice, and once below zero
    assert len(triangles) == 3
    assert (areas > 0).all()
    assert areas.sum() == 4 * 3 + 4 * 2 / 2


NOT_NUMBERS = ["nan", "-nan", "NaN", "inf", "-inf", "1.#QNAN", "-1.#IND", "1.#INF00", "-nan(ind)", "nan(snan)", "1e999"]


def test_a_vertex_that_is_not_a_number_is_accepted_only_without_a_face(file: Path) -> None:
    for word in NOT_NUMBERS:
        file.write_bytes(off(VERTICES + f"{word} 0 {word}\n" + FACES, "OFF\n5 2 0\n"))
        vertices, faces = read_off(file)
        assert len(vertices) == 5
        assert faces.tolist() == [list(face) for face in TWO]
    for word in [*NOT_NUMBERS, "1e200"]:
        file.write_bytes(off(BODY.replace("2.5", word)))
        with pytest.raises(UnreadableError, match="1 vertices of faces are not finite numbers, the first is 3"):
            read_off(file)


# -- Refused ------------------------------------------------------------------------------------------------


BROKEN = {
    "empty file": (b"", "does not begin with OFF"),
    "blank file": (b"\n \n", "does not begin with OFF"),
    "another format": (b"v 0 0 0\nf 1 2 3\n", "does not begin with OFF"),
    "an error page": (b"<html>OFF</html>", "does not begin with OFF"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "does not begin with OFF"),
    "zeros": (bytes(100), "does not begin with OFF"),
    "header alone": (b"OFF", "not followed by the counts"),
    "another word": (b"OFFSET 4 2 0\n", "not followed by the counts"),
    "binary OFF": (b"OFF BINARY\n\0\0\0\4\0\0\0\2", "'OFF BINARY' is not read; convert it"),
    "vertices of four coordinates": (b"C4OFF\n" + off(BODY)[4:], "'C4OFF' is not read; convert it"),
    "vertices of n coordinates": (b"nOFF\n3\n" + off(BODY)[4:], "not followed by the counts"),
    "rubbish after the header": (b"OFF\n" + bytes(range(256)), "not followed by the counts"),
    "one count": (off(BODY, "OFF\n4\n"), "not followed by the counts"),
    "counts that are not whole": (off(BODY, "OFF\n4.0 2 0\n"), "not followed by the counts"),
    "a negative count": (off(BODY, "OFF\n4 -1 0\n"), "not followed by the counts"),
    "a count in other digits": (off(BODY, "OFF\n² 2 0\n"), "not followed by the counts"),
    "a count of 5000 digits": (off(BODY, f"OFF\n{'9' * 5000} 2 0\n"), "not followed by the counts"),
    "more vertices than any memory holds": (
        off(BODY, "OFF\n99999999999 2 0\n"),
        "truncated: 6 lines .* 99999999999 vertices",
    ),
    "more faces than there are": (off(BODY, "OFF\n4 3 0\n"), "truncated: 6 lines .* 3 faces"),
    "no vertices": (b"OFF\n0 0 0\n", "empty: it has no face"),
    "no faces": (off(VERTICES, "OFF\n4 0 0\n"), "empty: it has no face"),
    "only edges": (off(VERTICES + "2 0 1\n", "OFF\n4 1 0\n"), "degenerate: none of its faces has an area"),
    "faces in a line or a point": (off(VERTICES + "3 0 1 1\n3 2 2 2\n"), "degenerate: none of its faces has an area"),
    "vertices in a line": (off("0 0 0\n1 2 3\n2 4 6\n3 6 9\n" + FACES), "degenerate: none of its faces has an area"),
    "a vertex above the last": (off(VERTICES + "3 0 1 2\n3 0 1 4\n"), "a face has vertex 4; the vertices are 0 to 3"),
    "a vertex below 0": (off(VERTICES + "3 0 1 2\n3 0 1 -1\n"), "a face has vertex -1"),
    "a vertex number of 30 digits": (off(VERTICES + f"3 0 1 2\n3 0 1 {'9' * 30}\n"), "not a readable OFF file"),
    "a vertex number that is not whole": (off(VERTICES + "3 0 1 2\n3 0 1.5 3\n"), "not a readable OFF file .*1.5"),
    "a face with a corner too few": (off(VERTICES + "3 0 1 2\n3 0 1\n"), "face 1 should have 3 corners; 2 numbers"),
    "a face without a corner": (off(VERTICES + "3 0 1 2\n0\n"), "face 1 should have 0 corners"),
    "a face of -3 corners": (off(VERTICES + "-3 0 1 2\n3 0 1 3\n"), "face 0 should have -3 corners"),
    "a coordinate too few": (off(BODY.replace("1 0 0", "1 0")), "not a readable OFF file .*with 2 columns"),
    "a coordinate in words": (off(BODY.replace("2.5", "tall")), "not a readable OFF file .*tall"),
    "decimal commas": (off(BODY.replace("2.5", "2,5")), "not a readable OFF file .*2,5"),
    "a byte of zero in a number": (off(BODY.replace("2.5", "2\0")), "not a readable OFF file"),
    "a vertex more than counted": (off(BODY, "OFF\n3 3 0\n"), "face 0 should have 0 corners"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_refused_with_the_reason(content: bytes, reason: str, file: Path) -> None:
    file.write_bytes(content)

    with pytest.raises(UnreadableError, match=reason) as raised:
        read_off(file)

    assert "\n" not in str(raised.value)  # it stands in a list of such reasons


def test_no_truncated_file_is_accepted(file: Path) -> None:
    for length in range(len(off(BODY)) - 1):
        file.write_bytes(off(BODY)[:length])
        with pytest.raises(UnreadableError):
            read_off(file)


def test_no_damage_raises_anything_but_that_the_file_cannot_be_read(file: Path) -> None:
    draws = random.Random(0)  # noqa: S311
    refused = 0
    for _ in range(1000):
        content = bytearray(draws.choice((SAME["comments"], off(HOUSE + "5 0 1 2 3 4\n", "OFF\n5 1 0\n"))))
        for place in draws.choices(range(len(content)), k=draws.randint(1, 4)):
            content[place] = draws.choice(b"0123456789-+.eE#\n OFnaif\0\xff")
        file.write_bytes(content)
        try:
            vertices, faces = read_off(file)
        except UnreadableError:
            refused += 1
        else:
            assert np.isfinite(vertices[faces]).all()

    assert 100 < refused < 900  # both happen
