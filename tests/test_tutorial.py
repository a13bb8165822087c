"""The plug-ins that docs/plugins.md shows are complete: inside the project, and in an installed package of a user's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import greedymm

DOCS = Path(__file__).parents[1] / "docs/plugins.md"
METHOD, DATASET = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[:2]
(ENTRY_POINTS,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
PARAMS = {
    "seeds": [0],
    "datasets": {
        "stripes": {
            "data": {"noise": 30},
            "model": {"branch": {"name": "cnn", "widths": [4, 8]}, "fusion": "mmtm", "fuse_after": [2]},
            "training": {"epochs": 3, "batch_size": 50, "learning_rate": 0.1},
            "methods": {"sometimes": {"share": 0.2}},
        }
    },
}
# As the workflow does it, step by step.
STORY = """
from pathlib import Path
from greedymm.files import read_json
from greedymm.params.load import load
from greedymm.plan import Plan
from greedymm.settings import Execution
from greedymm.steps.check import check
from greedymm.steps.evaluate import evaluate
from greedymm.steps.prepare import prepare
from greedymm.steps.train import train
import pandas as pd

plan = Plan.make(load(Path("params.yaml")))
check(plan)
prepare(plan.data_of("stripes"), Path("raw"), 1)
run, *references = plan.default_runs
assert [r.method for r in (run, *references)] == ["sometimes", "unimodal_left", "unimodal_right"]
train(run, Execution(device="cpu"))
evaluate(run, Execution(device="cpu"))
history = pd.read_csv(run.folder / "history.csv")
assert (history["rebalancing_left"] > 0).tolist() == [False, True, True], history
assert history["rebalanced_mean"].gt(0).tolist() == [False, True, True]
assert read_json(run.evaluation_folder / "result.json")["test"]["accuracy"] > 0.5
"""


def tell(folder: Path, *sources: Path) -> None:
    """Run the story in a folder, with code from some others."""
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sources))}
    done = subprocess.run(
        [sys.executable, "-c", STORY], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the project's code."""
    copied = tmp_path / "src"
    shutil.copytree(Path(greedymm.__file__).parent, copied / "greedymm", ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def test_they_train_inside_the_project(source: Path, tmp_path: Path) -> None:
    (source / "greedymm/training/methods/sometimes.py").write_text(METHOD)
    (source / "greedymm/data/datasets/stripes.py").write_text(DATASET)

    tell(tmp_path, source)


@pytest.mark.slow
def test_they_train_from_an_installed_package(source: Path, tmp_path: Path) -> None:
    lab, site = tmp_path / "lab", tmp_path / "site"
    for package, name, text in (("methods", "sometimes", METHOD), ("datasets", "stripes", DATASET)):
        (lab / "mylab" / package).mkdir(parents=True)
        (lab / "mylab" / package / "__init__.py").write_text("")
        (lab / "mylab" / package / f"{name}.py").write_text(text)
    (lab / "mylab/__init__.py").write_text("")
    (lab / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n'
        f'[project]\nname = "mylab"\nversion = "1.0"\n\n{ENTRY_POINTS}'
        f"\n{ENTRY_POINTS.replace('methods', 'datasets')}"
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(lab)], check=True)

    tell(tmp_path, source, site)
