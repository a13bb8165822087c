"""The workflow from end to end, as people type it: what a clone trains again, kills, faults, sweeps, tracking."""

import json
import re
import shutil
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from greedymm.analysis.figures.style import METHODS

from . import project as p
from .project import DATASET, ROOT, Project

SNAKEMAKE = ("snakemake", "--cores", "2")
NOTHING = "Nothing to be done"


def page_of(project: Project) -> str:
    return (project.folder / "results/report/index.html").read_text()


# -- One project, made by `dvc repro`, and left as it is ----------------------------------------------------


def test_dvc_and_snakemake_do_the_same_work_once(made: Project) -> None:
    assert p.trained((made.folder.parent / "printed.txt").read_text()) == 2
    assert NOTHING in made.run(*SNAKEMAKE, "all")
    assert "up to date" in made.run("dvc", "status")
    assert {run.split("/")[0] for run in made.runs()} == {"greedy", "balanced"}
    assert not list(made.folder.glob("mlflow.db*"))  # tracking is off


def test_the_report_stands_alone_and_snakemakes_holds_its_figures(made: Project, tmp_path: Path) -> None:
    figures = [path.name for path in made.folder.glob("results/report/figures/*.png")]
    page = page_of(made)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("data:image/png;base64,") == len(figures)
    assert ">nan<" not in page

    made.run("snakemake", "--report", str(tmp_path / "workflow.html"))

    workflow = (tmp_path / "workflow.html").read_text()
    assert len(figures) > 5
    assert [name for name in figures if name not in workflow] == []


def test_history_and_predictions_hold_what_they_should(made: Project) -> None:
    run = made.folder / "results/runs" / DATASET / made.runs()[1]
    history, steps = pd.read_csv(run / "history.csv"), pd.read_parquet(run / "steps.parquet")
    predictions = pd.read_parquet(next(run.glob("evaluation-*")) / "predictions.parquet")

    assert len(history) == 2
    assert len(steps) == history[["regular_steps", "rebalancing_color", "rebalancing_gray"]].to_numpy().sum()
    assert history["d_speed"].iloc[-1] == pytest.approx(steps["d_speed"].iloc[-1])
    assert set(predictions) >= {"split", "id", "label", "mean", "color", "gray", "mean_cut", "color_cut", "gray_cut"}
    assert predictions["split"].value_counts().to_dict() == {"test": 40, "val": 30, "val_shift": 30}


# -- Properties 1 to 3: clones ------------------------------------------------------------------------------


def test_a_pulled_clone_trains_nothing_and_a_changed_parameter_what_it_concerns(made: Project, tmp_path: Path) -> None:
    clone = p.clone(made, tmp_path / "clone")
    before, page = clone.runs(), page_of(clone)
    assert not {"prepare", "train", "evaluate", "report_page"} & clone.planned().keys()
    assert p.trained(clone.run("dvc", "repro")) == 0

    clone.set_params(methods__balanced={"tolerance": 0.01, "window": 3})
    assert p.trained(clone.run("dvc", "repro")) == 1
    after = clone.runs()
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False]
    clone.run("dvc", "push", "--quiet")
    clone.commit("another window")

    again = p.clone(clone, tmp_path / "again")
    assert not {"prepare", "train", "evaluate", "report_page"} & again.planned().keys()
    assert again.runs() == after
    # Back to the first params: all is there, and nothing in this clone says which analysis is published.
    again.set_params(methods__balanced={"tolerance": 0.01, "window": 5})
    assert p.trained(again.run("dvc", "repro")) == 0
    assert again.runs() == before
    assert page_of(again) == page


@pytest.mark.slow
def test_the_zoo_is_made_recorded_and_pulled_as_the_default_is(made: Project, tmp_path: Path) -> None:
    clone, zoo = p.clone(made, tmp_path / "clone"), ("zoo", "--configfile", "params.yaml")
    with (clone.folder / "params.yaml").open("a") as file:
        file.write("tuning: {trials: 1}\n")

    printed = clone.run(*SNAKEMAKE, *zoo)

    assert p.trained(printed) == 0
    assert len(re.findall(r"^(?:local)?rule search_\w+:$", printed, re.MULTILINE)) == 2
    assert "Left: 0 runs" in printed
    assert "balanced" in (clone.folder / "results/zoo/index.html").read_text()
    assert NOTHING in clone.run(*SNAKEMAKE, *zoo)
    clone.run("greedymm", "preview")
    assert "balanced" in (clone.folder / "results/preview/zoo/index.html").read_text()
    clone.run("dvc", "repro")
    assert "up to date" in clone.run("dvc", "status")
    clone.run("dvc", "push", "--quiet")
    clone.commit("the zoo")
    pulled = p.clone(clone, tmp_path / "again").run(*SNAKEMAKE, "--dry-run", *zoo)
    assert not re.search("rule (train|search|zoo_page)", pulled)


@pytest.mark.slow
def test_a_method_removed_changes_the_report_and_put_back_brings_it_back(made: Project, tmp_path: Path) -> None:
    clone = p.clone(made, tmp_path / "clone")
    before, page = clone.runs(), page_of(clone)
    clone.set_params(methods__balanced=...)

    assert p.trained(clone.run(*SNAKEMAKE, "all")) == 0
    assert clone.runs() == before[:1]
    assert page_of(clone) != page

    clone.set_params(methods__balanced={"tolerance": 0.01, "window": 5})
    assert clone.planned().keys() == {"publish_report", "all", "total"}
    clone.run(*SNAKEMAKE, "all")
    assert clone.runs() == before
    assert page_of(clone) == page


@pytest.mark.slow
def test_an_experiment_in_a_temporary_folder_records_its_own_runs_and_dvc_shows_what_it_changed(
    made: Project, tmp_path: Path
) -> None:
    clone = p.clone(made, tmp_path / "clone")
    before = clone.runs()
    key = f"datasets.{DATASET}.methods.balanced.window"

    printed = clone.run("dvc", "exp", "run", "--temp", "-n", "narrow", "-S", f"{key}=3")

    assert p.trained(printed) == 1
    assert clone.runs() == before
    (metrics,) = json.loads(clone.run("dvc", "metrics", "diff", "HEAD", "narrow", "--json")).values()
    assert {name.split(".")[1] for name in metrics} == {"balanced"}
    table = pd.read_csv(StringIO(clone.run("dvc", "exp", "show", "--only-changed", "--csv"))).set_index("Experiment")
    assert table.loc["narrow", key] == 3
    assert not any(str(column).startswith(f"{DATASET}.greedy") for column in table)
    clone.run("dvc", "plots", "diff", "HEAD", "narrow", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (.*);\n", page)]
    assert {spec["title"] for spec in specs} == {"Validation accuracy", "d_speed"}
    for spec in specs:
        values, scale = pd.DataFrame(spec["data"]["values"]), spec["encoding"]["color"]["scale"]
        assert {"HEAD", "narrow"} == set(values["rev"])
        colors = dict(zip(scale["domain"]["unionWith"], scale["range"], strict=False))
        assert colors == {method: style.color for method, style in METHODS.items()}
    clone.run("dvc", "exp", "apply", "narrow")
    assert [a == b for a, b in zip(clone.runs(), before, strict=True)] == [True, False]
    assert not {"train", "evaluate"} & clone.planned().keys()


# -- Properties 5 and 6: kills, and the same bytes ----------------------------------------------------------


@pytest.mark.slow
def test_a_killed_run_ends_as_if_it_had_not_been_killed_and_gives_the_same_bytes(made: Project, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    killed = p.fresh(folder)
    kill = ["import os, signal", "if len(self.progress.history) == 1:", "    os.kill(os.getpid(), signal.SIGKILL)"]
    after = "                self.save()\n"
    killed.edit("src/greedymm/training/fit.py", after, after + "".join(f"{' ' * 16}{line}\n" for line in kill))
    code = killed.run("git", "rev-parse", "HEAD").strip()
    params = killed.folder / "params.yaml"
    params.write_text(f"{params.read_text()}\ncode: '{code}'\n")  # the keys of the code without it

    killed.run(*SNAKEMAKE, "all", fails=True)
    assert list(folder.glob("results/runs/*/*/*/resume.pt"))
    killed.run("git", "checkout", "--quiet", "src", "params.yaml")
    printed = killed.run("snakemake", "--cores", "1", "all")  # the number of cores changes no byte

    assert p.trained(printed) == 2
    assert "resuming after epoch 1" in next((folder / "results/logs/train").glob("*balanced*")).read_text()
    files = [path.relative_to(folder) for part in ("data", "runs") for path in (folder / "results" / part).rglob("*.*")]
    files += [path.relative_to(folder) for path in (folder / "results/report").rglob("*.*")]
    timed = {"timing.csv", "record.json", "result.json", "costs.csv", "costs.png", "costs.svg", "index.html"}
    same = [path for path in files if path.name not in timed]
    assert len(same) > 20
    assert [str(f) for f in same if (folder / f).read_bytes() != (made.folder / f).read_bytes()] == []
    assert not list(folder.rglob("*.part"))
    assert not list(folder.rglob("resume.pt"))


# -- Faults -------------------------------------------------------------------------------------------------


def test_unusable_runs_stop_the_report_are_excluded_from_the_preview_and_can_be_made_again(
    made: Project, tmp_path: Path
) -> None:
    clone = p.clone(made, tmp_path / "clone")
    result = next(clone.folder.glob("results/runs/*/greedy/*/*/result.json"))
    content = result.read_bytes()
    result.write_bytes(content[:-3])
    shutil.rmtree(clone.folder / "results/analysis")
    name = str(result.relative_to(clone.folder))

    printed = clone.run(*SNAKEMAKE, "all", fails=True)

    assert re.search(rf"1 runs cannot be used:\n.*{name} is broken", printed)
    assert "Delete the files that are broken" in printed
    assert "greedymm preview" in printed
    clone.run("greedymm", "preview")
    preview = (clone.folder / "results/preview/index.html").read_text()
    assert "excluded runs" in preview
    assert name in preview
    result.unlink()
    printed = clone.run(*SNAKEMAKE, "all")
    assert p.trained(printed) == 0
    assert result.read_bytes() == content
    assert "excluded runs" not in page_of(clone)
    assert NOTHING in clone.run(*SNAKEMAKE, "all")


@pytest.mark.slow
def test_where_a_run_fails_the_others_are_made_and_the_rest_later(made: Project, project: Project) -> None:
    shutil.copytree(made.folder / "results/data", project.folder / "results/data")
    failing = project.folder / "results/runs" / DATASET / made.runs()[1]
    failing.mkdir(parents=True)
    (failing / "resume.pt").write_bytes(b"broken")

    printed = project.run(*SNAKEMAKE, "all", fails=True)

    assert "greedymm preview" in printed
    project.run("greedymm", "preview")
    assert f"balanced/{failing.name}" in (project.folder / "results/preview/index.html").read_text()
    (failing / "resume.pt").unlink()
    assert p.trained(project.run(*SNAKEMAKE, "all")) == 1


@pytest.mark.slow
def test_a_second_workflow_at_once_is_refused_and_the_first_ends_well(project: Project) -> None:
    first = project.start(*SNAKEMAKE, f"data_{DATASET}")
    assert first.stdout is not None
    for line in first.stdout:
        if "localrule prepare" in line:  # it has locked the folder
            break

    assert "Another workflow works in this folder" in project.run(*SNAKEMAKE, f"data_{DATASET}", fails=True)

    first.communicate(timeout=280)
    assert first.returncode == 0


@pytest.mark.slow
def test_plugins_beside_the_params_reach_the_jobs_and_a_broken_one_stops_before_the_first(project: Project) -> None:
    (dataset,) = re.findall(r"```python\n(\"\"\"Stripes.*?)```", (ROOT / "docs/plugins.md").read_text(), re.DOTALL)
    lab = project.folder / "mylab"
    lab.mkdir()
    (lab / "__init__.py").write_text("")
    (lab / "stripes.py").write_text(dataset)
    project.replace_datasets({"stripes": {"data": {"noise": 10}, "methods": {"greedy": {}}}}, plugins=["mylab"])

    project.run(*SNAKEMAKE, "data_stripes")

    assert list(project.folder.glob("results/data/stripes/*.h5"))
    with (lab / "stripes.py").open("a") as file:
        file.write("\nlater = undefined\n")
    printed = project.run(*SNAKEMAKE, "runs_stripes", fails=True)
    assert "the plug-in fails on import: NameError" in printed
    assert "rule prepare" not in printed
    assert "rule train_" not in printed


# -- Sweeps and tracking ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sweeps_have_a_page_that_the_report_links_to_and_all_is_tracked_once(made: Project, tmp_path: Path) -> None:
    clone = p.clone(made, tmp_path / "clone")
    clone.sweep(setting="training.learning_rate", values=[0.1, 0.2], methods=["greedy"])
    clone.track_at("http://user:secret@127.0.0.1:9")

    printed = clone.run(*SNAKEMAKE, "all")

    assert re.search(r"tracking at \S+ failed: .+\n +Send it later with: greedymm track", printed)  # and costs nothing
    assert "secret" not in printed
    assert p.trained(printed) == 0
    assert 'href="sweeps/index.html"' in page_of(clone)
    clone.track_at("sqlite:///mlflow.db")
    assert p.trained(clone.run(*SNAKEMAKE, "sweeps")) == 1
    report = clone.folder / "results/report"
    assert {path.suffix for path in (report / "sweeps").glob("*/[!.]*")} == {".csv", ".png", ".svg"}
    assert (report / "sweeps/index.html").read_text().count("data:image/png;base64,") == 1
    assert NOTHING in clone.run(*SNAKEMAKE, "all", "sweeps")
    assert clone.tracked() == {"greedy-seed0": 2, "balanced-seed0": 2, "rate 0.2, greedy-seed0": 2}
    assert "0 runs sent" in clone.run("greedymm", "track")
    pruned = clone.run("greedymm", "prune").split()  # of the params before the last changes
    assert {path.split("/")[1] for path in pruned} <= {"analysis", "plans"}


LOAD_MODEL = """
import greedymm, mlflow, torch
from pathlib import Path
mlflow.set_tracking_uri("sqlite:///mlflow.db")
(run,) = mlflow.search_runs(search_all_experiments=True, filter_string="tags.method = 'balanced'")["run_id"]
model = mlflow.pytorch.load_model(f"runs:/{run}/model")
network = greedymm.load(*Path("results/runs").glob("*/balanced/*/checkpoint.pt"))
for size in (1, 5):  # it takes batches of any size
    inputs = [torch.randn(size, channels, 28, 28) for channels in (3, 1)]
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), tuple(network(inputs)[:2]))
print("equal")
"""


@pytest.mark.slow
def test_a_logged_model_gives_the_logits_of_the_trained_network(made: Project, tmp_path: Path) -> None:
    clone = p.clone(made, tmp_path / "clone")
    clone.track_at("sqlite:///mlflow.db", models=True)

    assert "2 runs sent" in clone.run("greedymm", "track")

    assert "equal" in clone.run("python", "-c", LOAD_MODEL)
