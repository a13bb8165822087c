"""Clips in NVGesture's form, put there by a user, through the workflow to the report."""

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from greedymm.data.datasets.handwave import Settings
from greedymm.data.synthetic.export import write_clips

from . import project as p
from .project import Project

# Real files, where there are some: the official lists and some of the clips that they name.
REAL = Path(os.environ.get("GREEDYMM_REAL_DATA", "nowhere"), "nvgesture")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two gestures of three subjects."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, Settings(classes=2, train=2, test=1, takes=2), workers=1)
    return folder


def write(project: Project, folder: Path, **data: Any) -> None:
    section = {
        "data": {"folder": str(folder.resolve()), "size": 36, "frames": 12} | data,
        "inputs": {"frames": 8, "crop": 32},
        "model": {
            "branch": {"name": "i3d", "width": 4},
            "fusion": {"name": "mmtm"},
            "fuse_after": [4, 5, 6, 7, 8, 9],
        },
        "training": {"epochs": 2, "batch_size": 2, "learning_rate": 0.05},
        "methods": {"balanced": {}},
        "unimodal": False,
    }
    content = p.TINY | {"datasets": {"nvgesture": section}}
    (project.folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def ends_with_a_report(project: Project) -> str:
    printed = project.run("snakemake", "--cores", "2", "all")

    table = pd.read_csv(project.folder / "results/report/tables/runs.csv")
    assert p.trained(printed) == len(table) == 1
    assert table["test_accuracy"].between(0, 1).all()
    return (project.folder / "results/report/index.html").read_text()


@pytest.mark.slow
def test_clips_of_ones_own_end_in_a_report(project: Project, filmed: Path) -> None:
    write(project, filmed, validation=0.5)

    page = ends_with_a_report(project)

    assert "nvgesture (generated data)" in page  # by the mark in the folder
    assert "only" not in page.split("<h3>Data and details</h3>")[1].split("<details>")[0]


@pytest.mark.slow
def test_all_that_is_missing_is_said_at_once_and_can_be_left_out(
    project: Project, filmed: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(filmed, tmp_path / "clips")
    lost = sorted(folder.glob("Video_data/class_01/subject2_r1/*.avi"))
    for path in lost:
        path.unlink()
    write(project, folder, validation=0.5)

    printed = project.run("snakemake", "--cores", "2", "all", fails=True)

    assert "2 files are missing" in printed
    assert all(str(path.relative_to(folder)) in printed for path in lost)
    assert "only_present" in printed
    assert "Traceback" not in printed
    write(project, folder, validation=0.5, only_present=True)
    assert "only 11 of the 12 listed clips exist; 1 are excluded" in ends_with_a_report(project)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="GREEDYMM_REAL_DATA names no folder of real files")
def test_real_clips_end_in_a_report(project: Project) -> None:
    write(project, REAL, validation=0, only_present=True, color="sk_wrapped")

    page = ends_with_a_report(project)

    assert "only 10 of the 1532 listed clips exist" in page
    assert "test uses the training clips" in page
