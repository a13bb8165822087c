"""Objects and images of one's own, whose names hold signs that figures, tables and pages give a meaning."""

import html
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from . import project as p
from .project import Project

NAMES = ["$x_1$", '<b>it\'s | "a" & b', "$\\frac{$ %s {0}"]


def write_views(folder: Path) -> None:
    """Pictures of three views; the last class has one object for training, so that none is left for validation."""
    draws = np.random.default_rng(0)
    for k, label in enumerate(NAMES):
        for split, count in (("train", 4 if label != NAMES[-1] else 1), ("test", 2)):
            for number in range(count):
                for view in (1, 2, 3):
                    path = folder / label / split / f"{label} {number}_{view:03d}.jpg"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    pixels = draws.integers(80 * k, 80 * k + 90, (16, 16), dtype=np.uint8)
                    Image.fromarray(pixels).save(path)


def write_idx(folder: Path) -> None:
    """Images of labels 5 to 7, as Kaggle unpacks them."""
    draws = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 12)):
        arrays = {"images-idx3": draws.integers(256, size=(count, 16, 16)), "labels-idx1": np.arange(count) % 3 + 5}
        for name, array in arrays.items():
            home = folder / f"{part}-{name}-ubyte"
            home.mkdir(parents=True)
            content = (
                struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
            )
            (home / home.name.replace("-idx", ".idx")).write_bytes(content)


@pytest.mark.slow
def test_classes_and_objects_of_any_name_end_in_a_report_that_shows_them_as_they_are(
    project: Project, tmp_path: Path
) -> None:
    write_views(tmp_path / "my views")
    write_idx(tmp_path / "my digits")
    section = dict(p.TINY["datasets"][p.DATASET], methods={"greedy": {}})
    section["training"] = {"epochs": 2, "batch_size": 3, "learning_rate": 0.1}
    views: dict[str, Any] = {"folder": str(tmp_path / "my views"), "size": 16, "views": 3}
    datasets = {
        "modelnet40": section | {"data": views, "modalities": ["view0", "view2"]},
        "colored_mnist": section | {"data": {"folder": str(tmp_path / "my digits"), "classes": NAMES}},
    }
    (project.folder / "params.yaml").write_text(yaml.safe_dump(p.TINY | {"datasets": datasets}, sort_keys=False))

    printed = project.run("snakemake", "--cores", "2", "all")

    assert "Traceback" not in printed
    results = project.folder / "results"
    assert pd.read_csv(results / "report/tables/runs.csv")["test_accuracy"].between(0, 1).all()
    page = (results / "report/index.html").read_text()
    assert f"split 'val' has no sample of: {NAMES[-1]}" in html.unescape(page)
    assert "<b>it's" not in page
    for figure in results.glob("report/figures/*.svg"):
        assert "<b>it's" not in figure.read_text()
