"""What Snakemake plans, seen on made-up results: empty files at the planned paths. Nothing is trained here."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import available_cpu_count

from greedymm.params.load import load
from greedymm.plan import Plan

from . import project as p
from .project import DATASET, ROOT, TINY

TRAINED = ("checkpoint.pt", "snapshots.pt", "history.csv", "timing.csv", "steps.parquet", "record.json")
EVALUATED = ("result.json", "predictions.parquet")
Printed = Callable[..., str]


PARAMS = yaml.safe_load(yaml.safe_dump(TINY))
PARAMS["datasets"][DATASET]["methods"]["random"] = {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny params and the project's profile; the Snakefile stays where it is."""
    monkeypatch.chdir(tmp_path)
    write({})
    return tmp_path


def write(changes: dict[str, Any]) -> None:
    """Write params.yaml: the tiny one, with other values at some dotted paths. `...` removes."""
    params = yaml.safe_load(yaml.safe_dump(PARAMS))
    for path, value in changes.items():
        *above, last = path.split(".")
        section = params
        for key in above:
            section = section[key]
        if value is ...:
            del section[last]
        else:
            section[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def make_up(*, seed: int = 0) -> Plan:
    """Leave empty files for all that is planned, their times in any order, as after `dvc pull`."""
    plan = Plan.make(load(Path("params.yaml")))
    paths = [path for data in plan.data.values() for path in (data.path, data.path.with_suffix(".json"))]
    paths += [run.folder / name for run in plan.runs.values() for name in TRAINED]
    paths += [run.evaluation_folder / name for run in plan.runs.values() for name in EVALUATED]
    page = ("index.html", "figures/rate.png", "tables/rate.csv")
    paths += [folder / name for folder in (plan.folder, plan.sweeps_folder, plan.zoo_folder) for name in page]
    for search in plan.searches.values():
        search.path.parent.mkdir(parents=True, exist_ok=True)
        search.path.write_text('{"chosen": {"val": 1}}')
        paths += [run.evaluation_folder / name for run in search.finished() for name in EVALUATED]
    random.Random(seed).shuffle(paths)  # noqa: S311
    published = [Path("results", part, name) for part in ("report", "report/sweeps", "zoo") for name in page]
    for path in paths + published:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return plan


@pytest.fixture
def plan_jobs(folder: Path) -> Printed:
    """Plan jobs; returns what Snakemake prints."""

    def run(*words: str, fails: bool = False) -> str:
        code, printed = p.dry_run(folder, *words)
        assert (code != 0) == fails, printed
        return printed

    return run


def jobs(printed: str) -> dict[str, int]:
    """Planned jobs by rule, without targets; of `train` and `evaluate` the runs, which share jobs."""
    counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE)}
    of_steps = {step: len(runs) for step in ("train", "evaluate") if (runs := runs_of(step, printed))}
    others = {rule for rule in counts if not rule.startswith(("train_", "evaluate_"))} - {
        "all",
        "sweeps",
        "zoo",
        "total",
    }
    return of_steps | {rule: counts[rule] for rule in others}


def runs_of(step: str, printed: str) -> list[str]:
    """Runs of the planned jobs of a step."""
    commands = re.findall(rf"greedymm {step} --plan \S+( --run .*) 2>", printed)
    return [run for command in commands for run in command.split(" --run ")[1:]]


def trained(printed: str) -> set[str]:
    """Methods of the planned training jobs."""
    return {run.split("/")[1] for run in runs_of("train", printed)}


PAGE = {"report_page": 1, "publish_report": 1}
ALL_NEW = {"prepare": 1, "train": 3, **PAGE}


def test_every_run_is_planned_once_by_short_commands_without_a_secret(plan_jobs: Printed) -> None:
    write({"tracking.uri": "postgresql://user:secret@host/db"})

    printed = plan_jobs()

    assert jobs(printed) == ALL_NEW
    commands = re.findall(r"-m greedymm .*", printed)
    assert len(commands) == 5
    for command in commands:
        assert len(command) < 250
        assert "secret" not in command
        assert "{" not in command
    assert "secret" not in Plan.make(load(Path("params.yaml"))).text


def test_the_default_plans_every_run_once_and_the_papers_params_replace_its_datasets(plan_jobs: Printed) -> None:
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    params = yaml.safe_load(Path("params.yaml").read_text())
    runs = sum(len(params["seeds"]) * (len(d["methods"]) + 2 * d["unimodal"]) for d in params["datasets"].values())

    planned = jobs(plan_jobs())
    of_paper = plan_jobs("--configfile", str(ROOT / "params/paper.yaml"))

    assert planned == {"prepare": 3, "train": runs, **PAGE}
    assert "results/data/colored_mnist/" in of_paper
    assert "colored_mnist_5k" not in of_paper


@pytest.mark.parametrize("seed", range(3))
def test_where_all_is_there_nothing_is_planned_whatever_the_times_of_the_files(seed: int, plan_jobs: Printed) -> None:
    write({"sweeps": {"rate": {"dataset": DATASET, "setting": "training.learning_rate", "values": [0.1, 0.2]}}})
    make_up(seed=seed)

    assert jobs(plan_jobs("all")) == {}
    assert jobs(plan_jobs("sweeps")) == {}


def test_the_zoo_trains_all_methods_and_searches_settings_of_each(plan_jobs: Printed) -> None:
    write({"tuning": {"trials": 2}})
    page = {"zoo_page": 1, "publish_zoo": 1}
    methods = ("greedy", "balanced", "random")
    options = ("zoo", "--configfile", "params.yaml")
    searches = {f"search_{DATASET}_{method}": 1 for method in methods}

    assert jobs(plan_jobs(*options)) == {"prepare": 1, "train": 3, **searches, **page}
    assert jobs(plan_jobs()) == ALL_NEW  # the default searches nothing
    plan = make_up()
    assert jobs(plan_jobs(*options)) == {}
    search = next(iter(plan.searches.values()))
    job = {f"search_{DATASET}_{search.base.method}": 1, **page}
    for path in (search.finished()[0].evaluation_folder / "result.json", search.path):
        path.unlink()
        assert jobs(plan_jobs(*options)) == job


def test_the_target_zoo_has_params_of_its_own(folder: Path, plan_jobs: Printed) -> None:
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    (folder / "params").mkdir()
    shutil.copy(ROOT / "params/zoo.yaml", "params")
    plan = Plan.make(load(Path("params.yaml"), Path("params/zoo.yaml")))

    planned = jobs(plan_jobs("zoo"))

    assert planned["train"] == len(plan.default_runs)
    assert {dataset for dataset, *_ in (run.split("/") for run in plan.runs)} == {
        "colored_mnist_5k",
        "solids",
        "handwave",
    }
    for section in plan.params.datasets.values():
        assert list(section.methods) == list(plan.params.datasets["solids"].methods)
    assert sum(name.startswith("search_") for name in planned) == len(plan.searches) == len(plan.default_runs) / 5


CHANGES: dict[str, tuple[dict[str, Any], set[str], dict[str, int]]] = {
    "a method's setting": (
        {f"datasets.{DATASET}.methods.balanced.window": 3},
        {"balanced"},
        {"train": 1, **PAGE},
    ),
    "another seed": ({"seeds": [0, 1]}, {"greedy", "balanced", "random"}, {**ALL_NEW, "prepare": 0}),
    "the data": ({f"datasets.{DATASET}.data.variance": 0.03}, {"greedy", "balanced", "random"}, ALL_NEW),
    "a measure": (
        {f"datasets.{DATASET}.measures": ["shapley"]},
        set(),
        {"evaluate": 3, **PAGE},
    ),
    "a method removed": ({f"datasets.{DATASET}.methods.random": ...}, set(), PAGE),
    "another store": ({"tracking.uri": "sqlite:///other.db"}, set(), {}),
    "another device": ({"execution.device": "cuda"}, set(), {}),
}


@pytest.mark.parametrize(("changes", "methods", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_plans_what_it_concerns_and_nothing_when_it_is_taken_back(
    changes: dict[str, Any], methods: set[str], expected: dict[str, int], plan_jobs: Printed
) -> None:
    make_up()
    write(changes)

    printed = plan_jobs()

    assert jobs(printed) == {rule: count for rule, count in expected.items() if count}
    assert trained(printed) == methods
    write({})
    assert jobs(plan_jobs()) == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("history.csv", {"train": 1, **PAGE}),
        ("result.json", {"evaluate": 1, **PAGE}),
        ("index.html", PAGE),
    ],
)
def test_whatever_is_deleted_is_made_again(name: str, expected: dict[str, int], plan_jobs: Printed) -> None:
    plan = make_up()
    run = plan.default_runs[0]
    for folder in (run.folder, run.evaluation_folder, plan.folder):
        (folder / name).unlink(missing_ok=True)

    assert jobs(plan_jobs()) == expected


@pytest.mark.parametrize("part", ["runs", "searches"])
def test_runs_are_not_forgotten_where_their_data_are_made_again(part: str, plan_jobs: Printed) -> None:
    write({"tuning": {"trials": 2}})
    zoo = ("--configfile", "params.yaml", "--forcerun", "prepare", "--", "zoo")
    make_up()
    shutil.rmtree(f"results/{part}")

    planned = jobs(plan_jobs(*zoo))

    assert planned["prepare"] == 1
    assert sum(rule.startswith("search_") for rule in planned) == 3
    assert planned.get("train", 0) == (3 if part == "runs" else 0)


def test_sweeps_are_planned_by_their_own_target_alone_and_share_the_runs_of_the_default(plan_jobs: Printed) -> None:
    make_up()
    rate = {"dataset": DATASET, "setting": "training.learning_rate", "values": [0.1, 0.2], "methods": ["greedy"]}
    write({"sweeps": {"rate": rate}})

    assert jobs(plan_jobs("all")) == PAGE  # the page names the sweeps
    assert jobs(plan_jobs("sweeps")) == {"train": 1, "sweeps_page": 1, "publish_sweeps": 1}


@pytest.mark.parametrize("jobs_a_core", [1, 4])
def test_no_more_runs_compute_at_once_than_there_are_cores(jobs_a_core: int, plan_jobs: Printed) -> None:
    printed = plan_jobs("--cores", str(jobs_a_core * available_cpu_count()))

    of_runs = re.findall(r"^rule train_\w+:(.*?)(?=^\[|^rule )", printed, re.MULTILINE | re.DOTALL)
    assert len(of_runs) == 3
    assert all(("threads: 4" in job) == (jobs_a_core == 4) for job in of_runs)


@pytest.mark.parametrize(
    "path",
    [
        f"results/data/{DATASET}/deadbeef.h5",
        "results/data/other/deadbeef.h5",
        f"results/runs/{DATASET}/greedy/seed0-deadbeef/checkpoint.pt",
    ],
)
def test_no_file_is_made_under_a_key_of_other_params(path: str, plan_jobs: Printed) -> None:
    assert re.search("is not planned by these params|No rule to produce", plan_jobs(path, fails=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"datasets.{DATASET}.methods.greedy": {"speed": 1}}, r"methods\.greedy\.speed: there is no such setting"),
        ({f"datasets.{DATASET}.training.epochs": "many"}, r"training\.epochs: .*integer.*'many'"),
        ({f"datasets.{DATASET}.data.variance": -1}, r"data\.variance: .*greater than or equal to 0.*-1"),
        ({f"datasets.{DATASET}.methods.fair": {}}, r"unknown method 'fair'; there are: .*balanced, .*greedy, .*random"),
    ],
    ids=["unknown key", "wrong type", "out of range", "unknown method"],
)
def test_a_mistake_in_params_is_named_before_anything_runs(
    changes: dict[str, Any], message: str, plan_jobs: Printed
) -> None:
    write(changes)

    printed = plan_jobs(fails=True)

    assert re.search(message, printed)
    assert "Traceback" not in printed
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--configfile", "overlay.yaml"), "overlay.yaml is no valid YAML, line 2, .*the key 'seeds' is there twice"),
        (("--configfile", "params.yaml", "params.yaml"), "params.yaml is given twice"),
        (("--config", "seeds=0-4"), r"seeds: Input should be a list, such as \[1, 2\] \(got '0-4'\)"),
    ],
    ids=["a key twice", "a file twice", "a range"],
)
def test_a_mistake_in_an_overlay_or_on_the_command_line_is_named(
    words: tuple[str, ...], message: str, plan_jobs: Printed
) -> None:
    Path("overlay.yaml").write_text("seeds: [0]\nseeds: [1]\n")

    printed = plan_jobs(*words, fails=True)

    assert re.search(message, printed)
    assert "Traceback" not in printed


def test_settings_of_the_command_line_may_be_lists_and_mappings(plan_jobs: Printed) -> None:
    config = ("seeds=[0, 1]", f"datasets={{{DATASET}: {{methods: {{random: drop}}}}}}")

    assert jobs(plan_jobs("--configfile", "params.yaml", "--config", *config))["train"] == 4


def test_every_dvc_stage_runs_a_target_and_depends_on_all_params(plan_jobs: Printed) -> None:
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        assert "params.yaml" in stage["deps"]
        assert stage["cmd"].startswith('PATH="$PATH:.venv/bin" snakemake --cores all ')
        plan_jobs(stage["cmd"].split()[-1])


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("training/fit.py", "# disable=None: a progress", "# A progress", {}),
        ("training/methods/random.py", "if step.epoch > 0", "if step.epoch >= 1", {"train": 1}),
        ("evaluation/evaluate.py", "values |= computed", "values.update(computed)", {"evaluate": 3}),
    ],
    ids=["a comment", "a method", "the evaluation"],
)
def test_a_change_of_code_plans_what_can_reach_it(
    file: str, old: str, new: str, expected: dict[str, int], folder: Path
) -> None:
    make_up()
    for name in ("Snakefile", "workflow", "src", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    project = p.Project(folder)
    project.edit(f"src/greedymm/{file}", old, new)

    planned = project.planned()

    rest = PAGE if expected else {}
    assert {rule: n for rule, n in planned.items() if rule not in {"all", "total"}} == expected | rest
