"""The report of all runs, and the preview of the finished ones."""

import html
import logging
import re
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
import yaml

from greedymm.data import hdf5
from greedymm.data.datasets.colored_mnist_5k import Settings, make
from greedymm.errors import GreedymmError
from greedymm.files import write_text
from greedymm.params.load import validate
from greedymm.plan import Plan, planned
from greedymm.steps.preview import preview
from greedymm.steps.report import make_report

NAME, LATER = made_up.DATASET, "solids"
FOLDER = Path("results/preview")
SWEEP = {"dataset": NAME, "setting": "training.learning_rate", "methods": ["greedy"], "seeds": [0]}
SWEEPS = {"rate": SWEEP | {"values": [0.1, 0.2]}, "later": SWEEP | {"values": [0.1, 0.3]}}


def make_plan(seeds: list[int], *, later: bool = False, sweeps: dict[str, Any] | None = None) -> Plan:
    """A plan whose runs on one dataset are finished; of the second, `later`, there are not even data."""
    raw = made_up.make_params(seeds, unimodal=True, data={"per_class": 10}, sweeps=sweeps).model_dump(mode="json")
    if later:
        raw["datasets"][LATER] = made_up.make_params(seeds, dataset=LATER).model_dump(mode="json")["datasets"][LATER]
    return Plan.make(validate(raw))


def leave_all(plan: Plan, folder: Path) -> None:
    path = plan.data_of(NAME).path
    hdf5.write(path, *make(Settings(per_class=10), folder, 1))
    random = np.random.default_rng(0)
    for run in plan.default_runs:
        if run.dataset == NAME:
            correct = 0.25 + 0.5 * (run.method != "greedy") + 0.05 * run.seed
            measures: dict[str, float | None] = {"accuracy": correct}
            fused = len(run.settings.modalities) > 1
            if fused:
                measures["d_util"] = random.normal()
                for m in run.settings.modalities:
                    measures |= {f"accuracy_{m}": correct, f"accuracy_{m}_cut": correct / 2, f"utilization_{m}": 0.5}
            speeds: Any = ([0.5, 0.2, 0.1], [0.3, 0.1]) if fused else ()
            made_up.leave_result(run, {"val": measures, "test": measures}, *speeds)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read_rows(page: str) -> list[list[str]]:
    """Cells of each row of each table."""
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]


# -- The report ---------------------------------------------------------------------------------------------


def test_the_report_shows_results_costs_and_how_to_reproduce_them(tmp_path: Path) -> None:
    plan = make_plan([0, 1], sweeps=SWEEPS)
    leave_all(plan, tmp_path)

    make_report(plan)

    page = (plan.folder / "index.html").read_text()
    rows = read_rows(page)
    assert page.count("data:image/png;base64,") == len(list(plan.folder.glob("figures/*.png"))) == 1 + 7 + 1
    assert len(list(plan.folder.glob("figures/*.svg"))) == 9
    assert {path.name for path in plan.folder.glob("tables/*.csv")} >= {"runs.csv", "headline.csv", "claims.csv"}
    costs = ["greedy", "2", "0.2", "6.0", "6.0", "100", "300"]  # two runs of three epochs of 2 s
    assert costs in [row[1:] for row in rows]
    (estimate,) = (row[1] for row in rows if row[:1] == ["(a) Greedy training uses its modalities unequally"])
    assert re.fullmatch(r"undecided, -?\d\.\d\d \[-?\d+\.\d\d, -?\d+\.\d\d\], .*\d+ seeds would decide", estimate)
    assert "0.8 minutes of training; the longest run 6 s; at most 300 MiB" in page
    assert "Made up, 2 cores, 4 GiB of memory, made up, device cpu" in page
    assert "gray alone on colored_mnist_5k: 77.5 %" in page  # beside published numbers
    assert "variance 0.02, validation 0.2, seed 0, per_class 10, epochs 3." in page
    assert 'id="excluded"' not in page
    assert "<code>training.learning_rate</code> of colored_mnist_5k" in page
    assert 'href="sweeps/index.html"' in page
    assert "snakemake --cores 8 sweeps" in page
    assert f"<code>{plan.data_of(NAME).path}</code>" in page
    settings = yaml.safe_load(html.unescape(re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)[-1]))
    assert not {"tracking", "execution"} & set(settings)
    assert [run.id for run in planned(validate(settings))] == [run.id for run in plan.default_runs]


@pytest.mark.slow
def test_of_one_seed_there_is_no_interval_and_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    plan = make_plan([0])
    leave_all(plan, tmp_path)

    make_report(plan)
    page = (plan.folder / "index.html").read_text()
    make_report(plan)

    assert (plan.folder / "index.html").read_text() == page
    assert "sweeps/index.html" not in page
    assert "undecided with one seed" in page
    assert "one seed: no interval, no test" in page
    claims = pd.read_csv(plan.folder / "tables/claims.csv")
    assert claims[["low", "high", "p"]].isna().all(axis=None)
    assert set(claims["verdict"]) == {"undecided"}


def test_the_report_is_refused_where_a_run_cannot_be_used(tmp_path: Path) -> None:
    plan = make_plan([0])
    leave_all(plan, tmp_path)
    broken = plan.default_runs[0]
    made_up.result_path(broken).write_text("{")

    with pytest.raises(GreedymmError, match=rf"1 runs cannot be used:\n  {broken.id}"):
        make_report(plan)

    assert not plan.folder.exists()


# -- The preview --------------------------------------------------------------------------------------------


def test_the_preview_shows_finished_runs_and_names_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = make_plan([0, 1], later=True, sweeps=SWEEPS)
    leave_all(plan, tmp_path)
    swept = plan.runs[plan.sweeps["rate"][1][1]]
    made_up.leave_result(swept, {split: {"accuracy": 0.5, "d_util": 0.1} for split in ("val", "test")}, [0.5])
    broken = plan.default_runs[1]
    made_up.result_path(broken).write_text("{")
    for old in (f"figures/samples-{LATER}.png", "sweeps/figures/later.png", "sweeps/index.html"):
        write_text(FOLDER / old, "of an earlier preview")

    with caplog.at_level(logging.INFO):
        preview(plan, FOLDER)

    page = (FOLDER / "index.html").read_text()
    assert len(plan.default_runs) == 12
    assert "not finished or cannot be used: 5." in page
    assert f"{broken.id}: {made_up.result_path(broken)} is broken" in page
    assert page.count(f"<li>{LATER}/") == 4
    assert page.count("data:image/png;base64,") == 1 + 7 + 1
    headline = pd.read_csv(FOLDER / "tables/headline.csv").set_index("method")["seeds"]
    assert headline.to_dict() == {"greedy": 1, "balanced": 2, "unimodal_color": 2, "unimodal_gray": 2}
    assert not list(FOLDER.glob(f"*/*{LATER}*"))
    assert {path.name for path in FOLDER.glob("sweeps/*/*")} == {"rate.csv", "rate.png", "rate.svg"}
    assert 'id="sweep-rate"' in (FOLDER / "sweeps/index.html").read_text()
    assert "Sweep later is skipped: 1 runs cannot be used" in caplog.text
    assert str((FOLDER / "index.html").resolve()) in caplog.text
    assert not plan.folder.exists()


def test_the_preview_shows_single_modalities_alone(tmp_path: Path) -> None:
    plan = make_plan([0])
    leave_all(plan, tmp_path)
    for run in plan.default_runs:
        if len(run.settings.modalities) > 1:
            made_up.result_path(run).unlink()

    preview(plan, FOLDER)

    assert set(pd.read_csv(FOLDER / "tables/headline.csv")["method"]) == {"unimodal_color", "unimodal_gray"}
    assert (FOLDER / "index.html").exists()
    assert not (FOLDER / "sweeps/index.html").exists()


def test_without_a_finished_run_the_preview_says_so() -> None:
    with pytest.raises(GreedymmError, match="4 runs cannot be used"):
        preview(make_plan([0]), FOLDER)
