"""People's own objects, from files in all the forms in which they have them, through the workflow to the report."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from greedymm.data import solids
from greedymm.data.meshes import read_off
from greedymm.data.render import render

from . import project as p
from .project import Project

CLASSES = 2
# Real files, where there are some: modelnet40/{off,views}, psb/off, each of <class>/{train,test}/.
REAL = Path(os.environ.get("GREEDYMM_REAL_DATA", "nowhere"))


def params(folder: Path, **data: Any) -> dict[str, Any]:
    """Small params that name a folder of objects."""
    section = {
        "data": {"folder": str(folder), "size": 64, "validation": 0.3} | data,
        "inputs": {"scaling": "imagenet", "flip": True},
        "model": {
            "branch": {"name": "resnet18", "width": 4},
            "fusion": {"name": "mmtm"},
            "fuse_after": [2, 3, 4],
        },
        "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.05},
        "methods": {"greedy": {}},
        "unimodal": False,
    }
    return p.TINY | {"datasets": {"modelnet40": section}}


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OFF files of two classes, five objects of each for training and two for testing."""
    folder = tmp_path_factory.mktemp("objects") / "off"
    solids.write_meshes(folder, solids.Settings(train=4, val=1, test=2), CLASSES)
    return folder


@pytest.fixture(scope="module")
def pictures(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same objects as pictures on a transparent ground, under which they are white."""
    folder = tmp_path_factory.mktemp("pictures")
    for path in meshes.rglob("*.off"):
        place = folder / path.relative_to(meshes).parent
        place.mkdir(parents=True, exist_ok=True)
        for k, view in enumerate(render(*read_off(path), 64)[:, 0]):
            shown, alpha = np.where(view, view, 255), np.where(view, 255, 0)
            pixels = np.stack([shown, shown, shown, alpha], axis=2).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{path.stem}.obj_whiteshaded_v{k:04d}.png")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return p.fresh(folder)


def write(project: Project, content: dict[str, Any]) -> None:
    (project.folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def ends_with_a_report(project: Project, runs: int) -> str:
    printed = project.run("snakemake", "--cores", "2", "all")

    table = pd.read_csv(project.folder / "results/tables/runs.csv")
    assert p.trained(printed) == len(table) == runs
    assert table["test_accuracy"].between(0, 1).all()
    assert "Nothing to be done" in project.run("snakemake", "--cores", "2", "all")
    return (project.folder / "results/report/index.html").read_text()


@pytest.mark.parametrize("form", ["meshes", "pictures"])
def test_objects_of_ones_own_end_in_a_report(form: str, project: Project, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(form)
    write(project, params(folder))

    page = ends_with_a_report(project, runs=1)

    assert f"objects in the form of ModelNet40, in {folder}" in page


def test_another_pair_of_views_and_the_same_view_twice_take_the_same_file(project: Project, meshes: Path) -> None:
    content = params(meshes)
    write(project, content)
    project.run("snakemake", "--cores", "2", "data_modelnet40")
    content["datasets"]["modelnet40"]["modalities"] = ["view3", "view9"]
    write(project, content)
    assert "data" not in project.planned()
    content["datasets"]["modelnet40"]["modalities"] = ["view0", "view0"]
    write(project, content)

    ends_with_a_report(project, runs=1)

    (path,) = project.folder.glob("results/runs/modelnet40/greedy/*/*/predictions.parquet")
    assert {"view0", "view0_2", "view0_cut", "view0_2_cut"} <= set(pd.read_parquet(path))


def test_broken_objects_stop_the_workflow_by_name_or_are_left_out_and_noted(
    project: Project, meshes: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(meshes, tmp_path / "off")
    broken = min(folder.glob("*/train/*.off"))
    broken.write_text("OFF\n3 1 0\n0 0 0\n")
    write(project, params(folder))

    printed = project.run("snakemake", "--cores", "2", "all", fails=True)

    assert f"train/{broken.stem}: truncated" in printed
    assert "skip_broken" in printed
    assert "Traceback" not in printed
    write(project, params(folder, skip_broken=True))
    page = ends_with_a_report(project, runs=1)
    assert "left out 1 objects or files" in page
    assert broken.stem in page


def test_the_papers_settings_run_for_two_epochs_on_a_few_objects(project: Project) -> None:
    shutil.copy(p.ROOT / "params.yaml", project.folder / "params.yaml")
    printed = project.run("greedymm", "objects", "data/raw/smoke", "--classes", "2", "--count", "6")
    assert "of 2 classes" in printed
    overlays = ("--configfile", "params/paper.yaml", "params/smoke.yaml")

    printed = project.run("snakemake", "--cores", "2", "all", *overlays)

    table = pd.read_csv(project.folder / "results/tables/runs.csv")
    assert p.trained(printed) == len(table) == 2
    assert (table["epochs"] == 2).all()


@pytest.mark.skipif(not REAL.is_dir(), reason="GREEDYMM_REAL_DATA names no folder of real files")
@pytest.mark.parametrize(
    ("place", "data"),
    [("psb/off", {}), ("modelnet40/off", {"validation": 0}), ("modelnet40/views", {"validation": 0})],
    ids=["meshes of six classes", "meshes of ModelNet40", "pictures of ModelNet40"],
)
def test_real_objects_end_in_a_report(place: str, data: dict[str, Any], project: Project) -> None:
    content = params((REAL / place).resolve(), **data)
    content["datasets"]["modelnet40"]["training"]["batch_size"] = 2
    write(project, content)

    page = ends_with_a_report(project, runs=1)

    assert ("validation shows the training objects" in page) == ("validation" in data)
