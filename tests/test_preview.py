"""The report of what is finished so far: whatever is missing is named, and nothing that is there is lost."""

import html
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
import yaml

from greedymm import cli
from greedymm.data import hdf5
from greedymm.data.datasets.colored_mnist_5k import Settings, make
from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import analysis_key, data_settings, planned, points
from greedymm.steps.report import preview

NAME, LATER = "colored_mnist_5k", "solids"
FOLDER = Path("results/preview")


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two datasets, two seeds; of the first all runs are there, of the second not even the data."""
    monkeypatch.chdir(tmp_path)
    return left(tmp_path, [0, 1])


def left(folder: Path, seeds: list[int]) -> Params:
    section: dict[str, Any] = {
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.1, "snapshots": [1, 2]},
        "methods": {"greedy": {}, "balanced": {}},
    }
    params = validate({"seeds": seeds, "datasets": {NAME: section | {"data": {"per_class": 10}}, LATER: section}})
    hdf5.write(data_settings(params, NAME).path, *make(Settings(per_class=10), folder, 1))
    draws = np.random.default_rng(0)
    for run in planned(params):
        if run.dataset == NAME:
            right = 0.25 + 0.5 * (run.method != "greedy") + 0.05 * run.seed
            split: dict[str, float] = {"accuracy": right, "d_util": draws.normal()}
            for m in run.settings.modalities:
                split |= {f"accuracy_{m}": right, f"accuracy_{m}_cut": right / 2, f"utilization_{m}": 0.5}
            fused = len(run.settings.modalities) > 1
            speeds = ([0.5, 0.2, 0.1], [0.3, 0.1]) if fused else ()
            made_up.leave(run, {"val": split, "test": split}, *speeds)
    return params


def test_of_one_seed_there_is_no_interval_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = left(tmp_path, [0])

    preview(params, FOLDER)

    page = (FOLDER / "report/index.html").read_text()
    assert "Where there is one seed, there is neither interval nor test." in page
    assert "one seed: no interval, no test" in page
    claims = pd.read_csv(FOLDER / "tables/claims.csv")
    assert claims[["low", "high", "p"]].isna().all(axis=None)
    assert "supported" not in page
    assert "contradicted" not in page


def test_the_page_says_in_short_what_holds_what_it_cost_and_how_to_make_it_again(params: Params) -> None:
    preview(params, FOLDER)

    page = (FOLDER / "report/index.html").read_text()
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]
    (verdict,) = (row[1] for row in rows if row[:1] == ["(a) Greedy training uses its modalities unequally"])
    assert re.match(r"undecided, -?\d\.\d\d \[-?\d+\.\d\d, -?\d+\.\d\d\], p 1\.000", verdict)
    costs = ["greedy", "2", "0.2", "6.0", "6.0", "100", "300"]  # two runs of three epochs of 2 s
    assert costs in [row[1:] for row in rows]
    assert "Made up, 2 cores, 4 GiB of memory, made up, device cpu" in page
    settings = yaml.safe_load(html.unescape(re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)[-1]))
    assert {run.name for run in planned(validate(settings))} == {run.name for run in planned(params)}


def test_what_is_finished_is_shown_and_what_is_not_is_named(params: Params) -> None:
    broken = planned(params)[0]
    (broken.folder / "history.csv").write_text("epoch,train_loss\n1,")

    preview(params, FOLDER)

    runs = pd.read_csv(FOLDER / "tables/runs.csv", keep_default_na=False)
    reasons = dict(zip(runs["run"], runs["left_out"], strict=True))
    assert reasons.keys() == {run.name for run in planned(params)}
    assert "history.csv" in reasons[broken.name]
    for run in planned(params)[1:]:
        assert ("record.json is missing" in reasons[run.name]) == (run.dataset == LATER)
    page = (FOLDER / "report/index.html").read_text()
    assert "9 runs could not be used" in page
    assert f"greedy, seed 0, of {LATER}" in page
    assert "0.8 minutes of training in all; a run at most 6 s and 300 MiB" in page  # 8 runs of 3 epochs
    assert "gray alone on colored_mnist_5k: 77.5 %" in page  # beside what others published
    assert page.count("data:image/png;base64,") == 1 + 8 + 1
    without = [path.name for path in FOLDER.glob(f"figures/*-{LATER}.png")]  # there, and not on the page
    assert len(without) == 8
    seeds = pd.read_csv(FOLDER / "tables/headline.csv").set_index(["dataset", "method"])["seeds"]
    assert seeds[NAME, "greedy"] == "1 of 2"


def test_where_only_single_modalities_are_finished_it_shows_those(params: Params) -> None:
    for run in planned(params):
        if len(run.settings.modalities) > 1:
            (run.folder / "record.json").unlink(missing_ok=True)

    preview(params, FOLDER)

    assert set(pd.read_csv(FOLDER / "tables/headline.csv").dropna()["method"]) <= {"unimodal_color", "unimodal_gray"}
    assert (FOLDER / "report/index.html").exists()


def test_a_sweep_of_which_a_run_failed_is_shown_and_the_run_is_named(params: Params) -> None:
    section = {"dataset": NAME, "setting": "training.learning_rate", "methods": ["greedy"], "seeds": [0]}
    sweeps = {"rate": section | {"values": [0.1, 0.2, 9.0]}, "untouched": section | {"values": [0.1, 0.3]}}
    params = validate(params.model_dump(mode="json") | {"sweeps": sweeps})
    of_base, lower, diverged = (point.run for point in points(params, "rate"))
    shutil.copytree(of_base.folder, lower.folder)
    record = json.loads((lower.folder / "record.json").read_text())
    record["settings"] = lower.settings.model_dump(mode="json")
    (lower.folder / "record.json").write_text(json.dumps(record))

    preview(params, FOLDER)

    page = (FOLDER / "report/index.html").read_text()
    assert 'id="sweep-rate"' in page
    assert 'id="sweep-untouched"' not in page  # of which there is no run
    assert re.search(r"Not made yet\..*?<code>training.learning_rate</code> of colored_mnist_5k\.", page, re.DOTALL)
    assert "greedy, seed 0, at 9.0: " in page
    assert f"{diverged.folder}/record.json is missing" in page


def test_the_preview_is_never_taken_for_the_whole(params: Params) -> None:
    preview(params, Path("results"))

    assert not list(Path("results").glob(f"*/{analysis_key(params)}.key"))


def test_without_a_finished_run_it_says_so(params: Params, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for run in planned(params):
        (run.folder / "record.json").unlink(missing_ok=True)

    with pytest.raises(GreedymmError, match="no run has results that can be used"):
        preview(params, FOLDER)
    (tmp_path / "params.yaml").write_text("seeds: [0]\n")
    monkeypatch.setattr(sys, "argv", ["greedymm", "preview"])
    with pytest.raises(SystemExit, match="greedymm: "):
        cli.main()
