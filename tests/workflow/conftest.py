"""One project whose workflow has run by `dvc repro`, shared by all tests and left as it is."""

from pathlib import Path

import pytest
from filelock import FileLock

from . import project as p
from .project import Project


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """Made once, by `dvc repro`, pushed and committed; with several workers by the first that needs it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "made" / "project"
    with FileLock(shared / "made.lock"):
        if not (folder / "dvc.lock").exists():
            folder.mkdir(parents=True)
            project = p.fresh(folder)
            (folder.parent / "printed.txt").write_text(project.run("dvc", "repro"))
            project.run("dvc", "push", "--quiet")
            project.commit("results")
    return Project(folder)


@pytest.fixture
def pulled(made: Project, tmp_path: Path) -> Project:
    """A fresh clone of it, its results pulled."""
    return p.clone(made, tmp_path / "clone")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project with tiny params, nothing made yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    return p.fresh(folder)
