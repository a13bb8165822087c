"""OFF files -> triangles, of whatever people's files can be read as."""

import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from greedymm.data.samples import UnreadableError

HEADER = re.compile(r"\s*(?:#.*\n\s*)*C?OFF", re.IGNORECASE)
COUNTS = re.compile(r"\+?[0-9]{1,12} \+?[0-9]{1,12}( .*)?")  # of vertices, faces and edges, which nobody counts
WINDOWS_NAN = re.compile(r"[-+]?(?:1\.#\w+|nan\(\w+\))", re.IGNORECASE)  # as its printf wrote it, then and now
AXES = TRIANGLE = 3
LARGEST = 1e100  # coordinate: with larger ones, areas and distances would overflow

Lines = Sequence[Sequence[str]]


def read_off(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Vertices and triangles of an OFF file.

    Read are: counts on the line of the header, glued to it or not (`OFF490 518 0`, as in some files of ModelNet40),
    comments, polygons, which become fans of triangles, colours, which are left out, and vertices that are not a
    number where no face has them. Faces without an area are left out.

    Returns:
        float64 (V, 3), finite where a face has them, and int64 (F, 3), at least one of them with an area.

    Raises:
        UnreadableError: if it is no OFF file, truncated, without a face that has an area, or if a face has a vertex
            that is not a number or does not exist.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if (header := HEADER.match(text)) is None:
        raise UnreadableError("no OFF file: it does not begin with OFF")
    text = WINDOWS_NAN.sub("nan", text[header.end() :])
    if (plain := _plain(text)) is not None:
        return plain[0], _with_area(*plain)
    lines = [fields for line in text.splitlines() if (fields := line.split("#")[0].split())]
    try:
        vertices, faces = _parsed(lines)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"no readable OFF file ({error})") from None
    return vertices, _with_area(vertices, faces)


def _plain(text: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]] | None:
    """Vertices and triangles of a file of nothing else, as most are: all at once, for a tenth of the time and memory.

    None: it has polygons, colours, comments or a fault, and has to be read line by line.
    """
    counts, _, body = text.lstrip().partition("\n")
    if "#" in text or not COUNTS.fullmatch(" ".join(counts.split())):
        return None
    vertex_count, face_count = (int(n) for n in counts.split()[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy gives where it meets something else
        try:
            numbers = np.fromstring(body, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
    if len(numbers) != AXES * vertex_count + 4 * face_count:
        return None
    vertices, triangles = np.split(numbers, [AXES * vertex_count])
    corners = triangles.reshape(-1, 4)
    whole = np.isfinite(corners).all() and (corners[:, 0] == TRIANGLE).all() and (corners == corners.round()).all()
    if not whole or not face_count or not 0 <= corners[:, 1:].min() <= corners[:, 1:].max() < vertex_count:
        return None
    return vertices.reshape(-1, AXES), corners[:, 1:].astype(np.int64)


def _parsed(lines: Lines) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """All vertices and triangles of the lines after the header."""
    if not lines or not COUNTS.fullmatch(" ".join(lines[0])):
        raise UnreadableError("no readable OFF file (OFF is not followed by the counts of vertices and faces)")
    vertex_count, face_count = int(lines[0][0]), int(lines[0][1])
    if len(lines) - 1 < vertex_count + face_count:
        raise UnreadableError(
            f"truncated: its header says {vertex_count} vertices and {face_count} faces,"
            f" and {len(lines) - 1} lines follow"
        )
    points, polygons = lines[1 : vertex_count + 1], lines[vertex_count + 1 : vertex_count + face_count + 1]
    vertices = np.array([_point(k, line) for k, line in enumerate(points)], dtype=np.float64).reshape(-1, 3)
    faces = np.array([t for k, line in enumerate(polygons) for t in _fan(k, line)], dtype=np.int64).reshape(-1, 3)
    if len(faces) and not 0 <= faces.min() <= faces.max() < vertex_count:
        bad = faces[(faces < 0) | (faces >= vertex_count)][0]
        raise UnreadableError(f"a face has vertex {bad}; there are {vertex_count}, from 0")
    return vertices, faces


def _point(number: int, line: Sequence[str]) -> Sequence[str]:
    if len(line) < AXES:
        raise UnreadableError(f"vertex {number} has only {len(line)} coordinates")
    return line[:AXES]  # its colour may follow


def _fan(number: int, line: Sequence[str]) -> list[tuple[int, int, int]]:
    """Triangles of a polygon: those of its first corner with each of its other sides."""
    count = int(line[0])
    if not 0 < count < len(line):
        raise UnreadableError(f"face {number} says that it has {count} corners, and {len(line) - 1} numbers follow")
    first, *others = map(int, line[1 : count + 1])
    return [(first, b, c) for b, c in pairwise(others)]


def _with_area(vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if not len(faces):
        raise UnreadableError("empty: it has no face")
    used = np.unique(faces)
    bad = used[~(np.abs(vertices[used]) < LARGEST).all(axis=1)]
    if len(bad):
        raise UnreadableError(f"{len(bad)} vertices that faces have are not a finite number, the first is {bad[0]}")
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    kept: npt.NDArray[np.int64] = faces[(normals != 0).any(axis=1)]
    if not len(kept):
        raise UnreadableError("degenerate: none of its faces has an area")
    return kept
