"""OFF files -> triangles.

The loader of trimesh is not used: it accepts files whose faces are cut off, and reads no `1.#QNAN`.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError

# ST, C, N: texture, color, normal follow the coordinates of a vertex; 4, n: it has other than three coordinates.
HEADER = re.compile(
    r"\s*(?:#.*\n\s*)*(?P<form>(?:ST|C|N|4)*OFF(?:[ \t]+BINARY)?|(?=\+?[0-9]+[ \t]+\+?[0-9]))", re.IGNORECASE
)
COUNTS = re.compile(r"\s*\+?([0-9]{1,12})\s+\+?([0-9]{1,12})(\s.*)?")  # vertices, faces; edges are ignored
WINDOWS_NAN = re.compile(r"[-+]?(?:1\.#\w+|nan\(\w+\))", re.IGNORECASE)  # as printf of old and new versions writes it
TRIANGLE = 3
MAX_COORDINATE = 1e100  # areas and distances of larger ones would overflow

Vertices = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]


def read_off(path: Path) -> tuple[Vertices, Faces]:
    """Vertices, float64 (V, 3), and triangles, int64 (F, 3), of an OFF file.

    The counts may be on the line of the header, glued to it or not (`OFF490 518 0`, in some files of ModelNet40). The
    keyword may be missing, or one of its relatives with colors, normals or texture (`COFF`, `NOFF`, `STOFF`).
    Polygons become fans of triangles. Comments, colors, normals and faces without an area are ignored. Only a vertex of
    no face may be NaN.

    Raises:
        UnreadableError: if it is not a complete OFF file, or if no face has an area.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if (header := HEADER.match(text)) is None:
        raise UnreadableError("not an OFF file: it does not begin with OFF")
    if (form := header["form"].upper()).endswith("BINARY") or "4" in form:
        raise UnreadableError(f"'{form}' is not read; convert it to OFF in text, with three coordinates of a vertex")
    text = WINDOWS_NAN.sub("nan", text[header.end() :])
    lines = [line for full in text.splitlines() if (line := full.partition("#")[0]) and not line.isspace()]
    if not lines or (counts := COUNTS.fullmatch(lines[0])) is None:
        raise UnreadableError("OFF is not followed by the counts of vertices and faces")
    vertex_count, face_count = int(counts[1]), int(counts[2])
    if len(lines) - 1 < vertex_count + face_count:
        raise UnreadableError(
            f"truncated: {len(lines) - 1} lines follow its header, not {vertex_count} vertices and {face_count} faces"
        )
    if not vertex_count or not face_count:
        raise UnreadableError("empty: it has no face")
    points, polygons = lines[1 : vertex_count + 1], lines[vertex_count + 1 : vertex_count + face_count + 1]
    try:
        vertices = np.loadtxt(points, usecols=(0, 1, 2), ndmin=2)
        faces = _triangles(polygons)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"not a readable OFF file ({error})") from None
    if len(faces) and not 0 <= faces.min() <= faces.max() < vertex_count:
        unknown = faces[(faces < 0) | (faces >= vertex_count)][0]
        raise UnreadableError(f"a face has vertex {unknown}; the vertices are 0 to {vertex_count - 1}")
    return vertices, _with_area(vertices, faces)


def _triangles(lines: Sequence[str]) -> Faces:
    """Triangles of polygons: of the first corner with each side that does not touch it."""
    try:  # most files have only triangles: all at once takes a fraction of the time
        faces = np.loadtxt(lines, dtype=np.int64, usecols=range(TRIANGLE + 1), ndmin=2)
    except ValueError:
        faces = np.zeros((1, 1), dtype=np.int64)
    if (faces[:, 0] == TRIANGLE).all():
        return faces[:, 1:]
    fans = []
    for number, line in enumerate(lines):
        count, *indices = line.split()
        if not 0 < int(count) <= len(indices):
            raise UnreadableError(f"face {number} should have {count} corners; {len(indices)} numbers follow")
        first, *others = map(int, indices[: int(count)])
        fans += [(first, b, c) for b, c in pairwise(others)]
    return np.array(fans, dtype=np.int64).reshape(-1, TRIANGLE)


def _with_area(vertices: Vertices, faces: Faces) -> Faces:
    used = np.unique(faces)
    infinite = used[~(np.abs(vertices[used]) < MAX_COORDINATE).all(axis=1)]
    if len(infinite):
        raise UnreadableError(f"{len(infinite)} vertices of faces are not finite numbers, the first is {infinite[0]}")
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    kept: Faces = faces[(normals != 0).any(axis=1)]
    if not len(kept):
        raise UnreadableError("degenerate: none of its faces has an area")
    return kept
