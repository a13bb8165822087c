"""The workflow as people type it: targets, overlay, faults."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from snakemake.utils import available_cpu_count

from greedymm.params.load import load
from greedymm.plan import planned

from . import project as p
from .project import DATASET, ROOT, Project

RUNS = f"runs_{DATASET}"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project with tiny params and one method, nothing made yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = p.fresh(folder)
    project.set_params(methods__balanced=..., methods__random=...)
    return project


def test_the_default_plans_every_run_once(project: Project) -> None:
    project.run("git", "init", "--quiet")
    (project.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    runs = sum(len(params["seeds"]) * (len(d["methods"]) + 2 * d["unimodal"]) for d in params["datasets"].values())

    planned = project.planned()

    assert planned["prepare"] == len(params["datasets"])
    assert planned["train"] == planned["evaluate"] == runs


def test_the_overlay_of_the_paper_replaces_the_embedded_datasets(project: Project) -> None:
    (project.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())

    printed = project.run("snakemake", "--dry-run", "all", "--configfile", "params/paper.yaml")

    assert "results/data/colored_mnist/" in printed
    assert "colored_mnist_5k" not in printed


def test_plugins_beside_the_params_reach_the_jobs_and_a_broken_one_stops_before_the_first(project: Project) -> None:
    (dataset,) = re.findall(r"```python\n(\"\"\"Stripes.*?)```", (ROOT / "docs/plugins.md").read_text(), re.DOTALL)
    lab = project.folder / "mylab"
    lab.mkdir()
    (lab / "__init__.py").write_text("")
    (lab / "stripes.py").write_text(dataset)
    project.set_params(plugins=["mylab"])
    params = yaml.safe_load((project.folder / "params.yaml").read_text())
    section = params["datasets"][DATASET] | {"data": {"noise": 10}, "methods": {"greedy": {}}}
    (project.folder / "params.yaml").write_text(yaml.safe_dump(params | {"datasets": {"stripes": section}}))

    project.run("snakemake", "--cores", "1", "data_stripes")

    assert list(project.folder.glob("results/data/stripes/*.h5"))
    with (lab / "stripes.py").open("a") as file:
        file.write("\nlater = undefined\n")
    printed = project.run("snakemake", "--cores", "1", "runs_stripes", fails=True)
    assert "the plug-in fails on import: NameError" in printed
    assert "rule prepare" not in printed
    assert "rule train" not in printed


@pytest.mark.parametrize("jobs_a_core", [1, 4])
def test_no_more_runs_compute_at_once_than_there_are_cores(jobs_a_core: int, project: Project) -> None:
    cores = str(jobs_a_core * available_cpu_count())

    printed = project.run("snakemake", "--dry-run", "--cores", cores, RUNS)

    of_runs = re.findall(r"^rule (?:train|evaluate):(.*?)(?=^\[|^rule )", printed, re.MULTILINE | re.DOTALL)
    assert of_runs
    assert all(("threads: 4" in job) == (jobs_a_core == 4) for job in of_runs)


def test_every_dvc_stage_is_a_target_that_lists_its_params(project: Project) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    targets = project.run("snakemake", "--list-rules").split()
    changing = set(yaml.safe_load((ROOT / "params.yaml").read_text())) - {"execution", "tracking"}

    for name, stage in stages.items():
        command = stage.get("do", stage)["cmd"].replace("${key}", DATASET)
        assert re.fullmatch(r"snakemake --cores all (\w+)", command), name
        assert command.split()[-1] in targets
    assert set(stages["report"]["params"]) == changing


def test_the_snakemake_report_holds_the_figures(made: Project, tmp_path: Path) -> None:
    page = tmp_path / "workflow.html"

    made.run("snakemake", "--report", str(page))

    text = page.read_text()
    figures = [*made.folder.glob("results/figures/*.png"), *made.folder.glob("results/costs/*.png")]
    assert len(figures) == 1 + 8 + 1
    assert [figure.name for figure in figures if figure.name not in text] == []
    for category in ("Accuracy", "Utilization", "Learning speed", "Learning curves", "Data", "Costs", "Report"):
        assert f'"{category}"' in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"methods__greedy": {"speed": 1}}, r"methods\.greedy\.speed: there is no such setting"),
        ({"training__epochs": "many"}, r"training\.epochs: .*integer.*'many'"),
        ({"data__variance": -1}, r"data\.variance: .*greater than or equal to 0.*-1"),
        ({"methods__fair": {}}, r"methods\.fair: unknown method 'fair'; there are: .*balanced, .*greedy, .*random"),
    ],
    ids=["unknown key", "wrong type", "out of range", "unknown method"],
)
def test_a_mistake_in_params_is_named_before_anything_runs(
    project: Project, changes: dict[str, object], says: str
) -> None:
    project.set_params(**changes)

    printed = project.run("snakemake", "--cores", "2", "all", fails=True)

    assert re.search(says, printed)
    assert "Traceback" not in printed
    assert not (project.folder / "results").exists()


def test_a_second_workflow_at_once_is_refused_and_the_first_ends_well(project: Project) -> None:
    first = project.start("snakemake", "--cores", "1", "all")
    assert first.stdout is not None
    for line in first.stdout:
        if "localrule prepare" in line:  # it is at work, and has locked the folder
            break

    printed = project.run("snakemake", "--cores", "1", "all", fails=True)

    assert "lock" in printed.lower()
    first.communicate(timeout=280)
    assert first.returncode == 0
    assert "Nothing to be done" in project.run("snakemake", "--cores", "1", "all")


def test_a_long_run_is_shown_while_it_trains_and_a_short_one_at_the_end(made: Project, project: Project) -> None:
    shutil.copytree(made.folder / "results/data", project.folder / "results/data")
    project.track_at("sqlite:///mlflow.db", follow_after=60)
    project.run("snakemake", "--cores", "2", RUNS)
    assert not (project.folder / "mlflow.db").exists()

    shutil.rmtree(project.folder / "results/runs")
    project.track_at("sqlite:///mlflow.db", follow_after=0)
    project.run("snakemake", "--cores", "2", RUNS)
    assert project.tracked("RUNNING") == {"greedy-seed0": 2}

    assert "1 runs sent" in project.run("greedymm", "track")
    assert project.tracked() == {"greedy-seed0": 2}


@pytest.mark.parametrize("fault", ["down", "newer", "locked"])
def test_a_store_that_cannot_be_used_costs_no_run_and_gets_it_later(
    made: Project, project: Project, fault: str
) -> None:
    shutil.copytree(made.folder / "results/data", project.folder / "results/data")
    database = project.folder / "store.db"
    uri = "http://127.0.0.1:9" if fault == "down" else f"sqlite:///{database}"
    project.track_at(uri)
    lock = None
    if fault == "newer":
        with sqlite3.connect(database) as connection:
            connection.execute("create table alembic_version (version_num varchar(32))")
            connection.execute("insert into alembic_version values ('from_the_future')")
    if fault == "locked":
        project.track_at(f"sqlite:///{database}?timeout=1")
        lock = sqlite3.connect(database, isolation_level=None)
        lock.execute("begin exclusive")

    target = RUNS if fault != "down" else "all"
    printed = project.run("snakemake", "--cores", "2", target)

    if target == "all":  # and a user sees it where the workflow runs
        assert re.search(r"tracking at \S+ failed: .+\n +Send them later with: greedymm track", printed)
        assert project.planned() == {"track": 1, "all": 1, "total": 2}  # and it is tried again

    if lock is not None:
        lock.close()
    log = next((project.folder / "results/logs/train").iterdir()).read_text()
    assert re.search(r"tracking at \S+ failed: .+\n +The run goes on; send it later with: greedymm track", log)
    project.track_at("sqlite:///mlflow.db")
    if target == "all":  # another store: there is something to send
        assert project.planned() == {"track": 1, "all": 1, "total": 2}
    assert "1 runs sent" in project.run("greedymm", "track")
    assert project.tracked() == {"greedy-seed0": 2}


def test_where_a_run_fails_the_others_can_be_seen_and_the_rest_is_made_later(made: Project, project: Project) -> None:
    shutil.copytree(made.folder / "results/data", project.folder / "results/data")
    project.set_params(seeds=[0, 1])
    failing = planned(load(project.folder / "params.yaml"))[1].folder
    (project.folder / failing).mkdir(parents=True)
    state = project.folder / failing / "resume.pt"
    state.write_bytes(b"broken")

    printed = project.run("snakemake", "--cores", "2", "--keep-going", "all", fails=True)
    assert "greedymm preview" in printed
    assert not (project.folder / "results/tables/runs.csv").exists()
    assert "results/preview/report/index.html" in project.run("greedymm", "preview")

    page = (project.folder / "results/preview/report/index.html").read_text()
    assert f"greedy, seed 1, of {DATASET}: {failing}/record.json is missing" in page
    state.unlink()
    assert p.trained(project.run("snakemake", "--cores", "2", "all")) == 1
    assert "Left out" not in (project.folder / "results/report/index.html").read_text()


def test_a_run_that_was_left_out_is_in_the_report_once_it_is_mended(made: Project, tmp_path: Path) -> None:
    project = p.clone(made, tmp_path / "clone")
    history = next((project.folder / "results/runs").glob("*/greedy/*/history.csv"))
    whole = history.read_text()
    history.write_text(whole[:-3])
    (project.folder / "results/tables/runs.csv").unlink()
    page = project.folder / "results/report/index.html"

    project.run("snakemake", "--cores", "2", "all")
    assert "Left out" in page.read_text()
    history.write_text(whole)
    project.run("snakemake", "--cores", "2", "all")

    assert "Left out" not in page.read_text()
    assert "Nothing to be done" in project.run("snakemake", "--cores", "2", "all")


def test_once_the_sweeps_are_made_the_report_shows_them_and_is_sent_beside_the_one_without(
    made: Project, tmp_path: Path
) -> None:
    project = p.clone(made, tmp_path / "clone")
    project.sweep(setting="training.learning_rate", values=[0.1, 0.2])
    project.track_at("sqlite:///mlflow.db", follow_after=60)
    page = project.folder / "results/report/index.html"
    project.run("snakemake", "--cores", "2", "all")
    assert 'id="sweep-rate"' not in page.read_text()
    assert "snakemake --cores 8 sweeps" in page.read_text()

    printed = project.run("snakemake", "--cores", "2", "sweeps")

    assert "snakemake --cores 8 all shows the sweeps in the report" in printed
    assert project.planned().keys() - {"all", "total"} == {"report", "track"}
    project.run("snakemake", "--cores", "2", "all")
    assert 'id="sweep-rate"' in page.read_text()
    assert project.planned() == {}
    with sqlite3.connect(project.folder / "mlflow.db") as database:
        pages = {name for (name,) in database.execute("select value from tags where key = 'kind'")}
    assert pages == {"report", "sweeps", "report with sweeps"}


def test_a_sweep_of_which_a_run_was_mended_is_made_anew(made: Project, tmp_path: Path) -> None:
    project = p.clone(made, tmp_path / "clone")
    project.sweep(setting="training.learning_rate", values=[0.1, 0.2], methods=["greedy"])
    shared = next((project.folder / "results/runs").glob("*/greedy/*/history.csv"))
    whole = shared.read_text()
    shared.write_text(whole[:-3])
    project.run("snakemake", "--cores", "2", "sweeps")
    page = project.folder / "results/report/sweeps.html"
    assert "Left out: greedy" in page.read_text()

    shared.write_text(whole)
    project.run("snakemake", "--cores", "2", "sweeps")

    assert "Left out: greedy" not in page.read_text()
    assert project.planned("sweeps") == {}


def test_sweeps_are_trained_on_their_own_target_alone_and_once(project: Project) -> None:
    project.sweep(setting="training.learning_rate", values=[0.1, 0.2])
    project.track_at("sqlite:///mlflow.db", follow_after=60)
    assert project.planned()["train"] == 1

    assert p.trained(project.run("snakemake", "--cores", "2", "sweeps")) == 2

    report = project.folder / "results/report"
    assert {f.suffix for f in (report / "sweeps").glob("rate-*")} == {".csv", ".png", ".svg", ".txt"}
    page = (report / "sweeps.html").read_text()
    assert "training.learning_rate" in page
    assert page.count("data:image/png;base64,") == 1
    shown = 'id="sweep-rate"'
    assert shown in page
    assert "Nothing to be done" in project.run("snakemake", "--cores", "2", "sweeps")
    (note,) = (project.folder / "results/tracking").glob("sweeps-*.txt")
    assert note.read_text().startswith("2 runs sent")
    assert not {"train", "evaluate"} & set(project.planned())  # one of the sweep's runs is the default's
    project.run("snakemake", "--cores", "2", "all")
    assert shown in (report / "index.html").read_text()
    assert project.planned() == {}
    assert project.run("greedymm", "prune").strip() == ""
