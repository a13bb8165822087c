"""What a fresh clone finds, trains again and leaves alone."""

import json
import re
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from greedymm.analysis.figures.style import METHODS

from . import project as p
from .project import DATASET, Project


def test_dvc_and_snakemake_do_the_same_work_once(made: Project) -> None:
    printed = (made.folder.parent / "printed.txt").read_text()

    assert p.trained(printed) == 3
    assert "Nothing to be done" in made.run("snakemake", "--cores", "2", "all")
    assert "up to date" in made.run("dvc", "status")
    assert {r.split("/")[0] for r in made.runs()} == {"greedy", "balanced", "random"}


def test_a_pulled_clone_trains_nothing_again(pulled: Project) -> None:
    assert set(pulled.planned()) <= {"track", "all", "total"}
    assert p.trained(pulled.run("dvc", "repro")) == 0


def test_a_changed_parameter_trains_the_runs_concerned_and_records_theirs(pulled: Project, tmp_path: Path) -> None:
    before = pulled.runs()
    pulled.set_params(methods__balanced={"tolerance": 0.01, "window": 3})

    printed = pulled.run("dvc", "repro")

    after = pulled.runs()
    assert p.trained(printed) == 1
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]
    pulled.run("dvc", "push", "--quiet")
    pulled.commit("another window")
    again = p.clone(pulled, tmp_path / "again")
    assert set(again.planned()) <= {"track", "all", "total"}
    assert again.runs() == after


def test_an_experiment_in_a_temporary_folder_records_its_own_runs_and_dvc_shows_what_it_changed(
    pulled: Project, tmp_path: Path
) -> None:
    before = pulled.runs()
    place = f"datasets.{DATASET}.methods.balanced.window=3"

    printed = pulled.run("dvc", "exp", "run", "--temp", "-n", "narrow", "-S", place)

    assert p.trained(printed) == 1
    assert pulled.runs() == before
    _shows_the_experiment(pulled, tmp_path / "plots")
    pulled.run("dvc", "exp", "apply", "narrow")
    assert [a == b for a, b in zip(pulled.runs(), before, strict=True)] == [True, False, True]
    assert set(pulled.planned()) <= {"track", "all", "total"}


def _shows_the_experiment(project: Project, plots: Path) -> None:
    """What DVC prints and draws of the experiment `narrow`: the method concerned, and no other."""
    (metrics,) = json.loads(project.run("dvc", "metrics", "diff", "HEAD", "narrow", "--json")).values()
    assert {name.split(".")[1] for name in metrics} == {"balanced"}
    assert all(metric["old"] != metric["new"] for metric in metrics.values())

    shown = project.run("dvc", "exp", "show", "--only-changed", "--csv")
    table = pd.read_csv(StringIO(shown)).set_index("Experiment")
    assert table.loc["narrow", f"datasets.{DATASET}.methods.balanced.window"] == 3
    assert table.loc["narrow", f"{DATASET}.balanced.d_speed"] == metrics[f"{DATASET}.balanced.d_speed"]["new"]
    assert not any(str(column).startswith(f"{DATASET}.greedy") for column in table)

    project.run("dvc", "plots", "diff", "HEAD", "narrow", "--out", str(plots))
    page = (plots / "index.html").read_text()
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (.*);\n", page)]
    assert {spec["title"] for spec in specs} == {"Validation accuracy", "d_speed"}
    for spec in specs:
        values = pd.DataFrame(spec["data"]["values"])
        assert {"HEAD", "narrow"} == set(values["rev"])
        assert {"greedy", "balanced", "random"} == set(values["method"])
        scale = spec["encoding"]["color"]["scale"]
        assert dict(zip(scale["domain"]["unionWith"], scale["range"], strict=False)) == {
            method: look.color for method, look in METHODS.items()
        }
    assert {path.name.split("_")[0] for path in (plots / "static").glob("*accuracy.png")} == {"HEAD", "narrow"}


def test_a_method_removed_changes_tables_and_trains_nothing(pulled: Project) -> None:
    before, page = pulled.runs(), (pulled.folder / "results/report/index.html").read_text()
    pulled.set_params(methods__random=...)

    assert p.trained(pulled.run("snakemake", "--cores", "2", "all")) == 0
    assert pulled.runs() == before[:2]
    assert "random" not in json.loads((pulled.folder / "results/tables/metrics.json").read_text())[DATASET]
    assert (pulled.folder / "results/report/index.html").read_text() != page

    pulled.set_params(methods__random={})
    assert p.trained(pulled.run("snakemake", "--cores", "2", "all")) == 0
    assert pulled.runs() == before
    assert (pulled.folder / "results/report/index.html").read_text() == page


def test_a_comment_or_docstring_trains_nothing_and_a_statement_what_uses_it(pulled: Project) -> None:
    pulled.edit("src/greedymm/training/step.py", '"""One step and one epoch', '"""A step and an epoch')
    pulled.edit("src/greedymm/training/fit.py", "# disable=None: a bar", "# A bar")
    assert set(pulled.planned()) <= {"track", "all", "total"}

    pulled.edit("src/greedymm/training/methods/random.py", "if step.epoch > 0", "if step.epoch >= 1")
    planned = pulled.planned()
    assert planned["train"] == planned["evaluate"] == 1
    assert "prepare" not in planned


def test_the_same_settings_give_the_same_bytes_and_tracking_changes_none(made: Project, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = p.fresh(folder)
    second.track_at("sqlite:///mlflow.db")

    second.run("snakemake", "--cores", "2", "all")

    assert second.tracked() == {"greedy-seed0": 2, "balanced-seed0": 2, "random-seed0": 2}
    assert "0 runs sent" in second.run("greedymm", "track")
    theirs = {f.relative_to(folder) for f in (folder / "results").rglob("*") if f.is_file()}
    same = [f for f in theirs if f.parts[1] in {"data", "runs", "tables", "figures"}]
    same = [f for f in same if f.name not in {"timing.csv", "record.json"}]
    assert len(same) > 20
    differing = [str(f) for f in same if (folder / f).read_bytes() != (made.folder / f).read_bytes()]
    assert differing == []


@pytest.mark.parametrize("method", ["balanced", "random"])
def test_a_killed_run_ends_as_if_it_had_not_been(made: Project, tmp_path: Path, method: str) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    killed = p.fresh(folder)
    kill = ["import os, signal", "if len(self.progress.history) == 1:", "    os.kill(os.getpid(), signal.SIGKILL)"]
    here = "                self.save()\n"
    indented = "".join(f"{' ' * 16}{line}\n" for line in kill)
    killed.edit("src/greedymm/training/fit.py", here, here + indented)
    code = killed.run("git", "rev-parse", "HEAD").strip()
    killed.set_params()
    params = (killed.folder / "params.yaml").read_text()
    (killed.folder / "params.yaml").write_text(params.replace("code: null", f"code: '{code}'"))
    run = next(r for r in made.runs() if r.startswith(method))
    checkpoint = f"results/runs/{DATASET}/{run}/checkpoint.pt"

    killed.run("snakemake", "--cores", "2", checkpoint, fails=True)
    assert (folder / checkpoint).with_name("resume.pt").exists()
    killed.run("git", "checkout", "--quiet", "src")
    printed = killed.run("snakemake", "--cores", "2", checkpoint)

    assert p.trained(printed) == 1
    assert "resuming after epoch 1" in next((folder / "results/logs/train").glob(f"*{method}*")).read_text()
    for name in ("checkpoint.pt", "history.csv", "steps.parquet"):
        mine, theirs = ((f / checkpoint).with_name(name).read_bytes() for f in (folder, made.folder))
        assert mine == theirs
    assert not (folder / checkpoint).with_name("resume.pt").exists()


def test_the_report_stands_alone(made: Project) -> None:
    page = (made.folder / "results/report/index.html").read_text()

    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("data:image/png;base64,") == 10
    assert ">nan<" not in page


def test_whatever_is_deleted_comes_back(pulled: Project) -> None:
    results = pulled.folder / "results"
    run = results / "runs" / DATASET / pulled.runs()[0]
    history = (run / "history.csv").read_bytes()
    figure = (results / "figures/accuracy.png").read_bytes()
    rates = next(run.glob("evaluation-*/rates.json"))
    for path in (run / "history.csv", rates, results / "figures/accuracy.png", results / "tables/headline.csv"):
        path.unlink()

    printed = pulled.run("snakemake", "--cores", "2", "all")

    assert p.trained(printed) == 1
    assert (run / "history.csv").read_bytes() == history
    assert (results / "figures/accuracy.png").read_bytes() == figure
    assert rates.exists()
    assert "greedy" in pulled.run("greedymm", "summary")
    assert "Nothing to be done" in pulled.run("snakemake", "--cores", "2", "all")


def test_no_file_is_made_under_another_key(made: Project) -> None:
    for wrong in (f"data/{DATASET}/deadbeef.h5", "data/other/deadbeef.h5"):
        assert "not a file of these params" in made.run("snakemake", "--cores", "1", f"results/{wrong}", fails=True)
        assert not (made.folder / "results" / wrong).exists()


def test_without_tracking_there_is_no_store(made: Project) -> None:
    assert not list(made.folder.glob("mlflow.db*"))
    assert not (made.folder / "results/tracking").exists()


def test_history_and_predictions_hold_what_they_should(made: Project) -> None:
    run = made.folder / "results/runs" / DATASET / made.runs()[1]
    history, steps = pd.read_csv(run / "history.csv"), pd.read_parquet(run / "steps.parquet")
    predictions = pd.read_parquet(next(run.glob("evaluation-*")) / "predictions.parquet")

    assert len(history) == 2
    assert len(steps) == history[["regular_steps", "rebalancing_color", "rebalancing_gray"]].to_numpy().sum()
    assert history["d_speed"].iloc[-1] == pytest.approx(steps["d_speed"].iloc[-1])
    assert set(predictions) >= {"split", "id", "label", "mean", "color", "gray", "mean_cut", "color_cut", "gray_cut"}
    assert predictions["split"].value_counts().to_dict() == {"test": 40, "val": 30}
