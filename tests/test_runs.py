"""Keys: by settings, and by code."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import greedymm
from greedymm import fingerprint, params
from greedymm.errors import GreedymmError
from greedymm.params import PACKAGES, Params, validate
from greedymm.runs import DataSettings, Run, analysis_key, data_settings, planned

NAME = "colored_mnist_5k"
DATASET = f"datasets.{NAME}"
RAW = f"""
seeds: [0]
datasets:
  {NAME}:
    data: {{}}
    model:
      branch: {{name: cnn, widths: [4, 6]}}
      fusion: {{name: mmtm}}
      fuse_after: [2]
    training: {{epochs: 3, batch_size: 8, learning_rate: 0.1}}
    methods: {{greedy: {{}}, balanced: {{}}, random: {{}}}}
"""
UNIMODAL = {"unimodal_color", "unimodal_gray"}
FUSED = {"greedy", "balanced", "random"}
RUNS = FUSED | UNIMODAL
ALL = RUNS | {"data", "analysis"}

Keys = dict[str, str]


def given(changes: Mapping[str, Any] | None = None) -> Params:
    """Params with other values at some dotted places."""
    content: dict[str, Any] = yaml.safe_load(RAW)
    for place, value in (changes or {}).items():
        *above, last = place.split(".")
        section = content
        for key in above:
            section = section.setdefault(key, {})
        section[last] = value
    return validate(content)


def keys(content: Params) -> Keys:
    """All keys: of the data, of the runs by their names, of what measures them, and of the analysis."""
    runs = planned(content)
    (evaluation,) = {run.evaluation for run in runs}
    of_runs = {run.method if run.seed == 0 else f"{run.method}-{run.seed}": run.key for run in runs}
    data = data_settings(content, NAME).key
    return of_runs | {"data": data, "evaluation": evaluation, "analysis": analysis_key(content)}


def changed(before: Keys, after: Keys) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="module")
def plain() -> Keys:
    return keys(given())


# -- Settings -----------------------------------------------------------------------------------------------

# A changed value of every setting that can change a result, and what has to be made again.
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "data.variance": (0.03, ALL),
    "data.validation": (0.25, ALL),
    "data.seed": (1, ALL),
    "data.per_class": (100, ALL),
    "modalities": (["gray", "color"], FUSED | {"analysis"}),
    "inputs.scaling": ("imagenet", RUNS | {"analysis"}),
    "inputs.flip": (True, RUNS | {"analysis"}),
    "inputs.frames": (4, RUNS | {"analysis"}),
    "inputs.crop": (20, RUNS | {"analysis"}),
    "model.branch.widths": ([4, 8], RUNS | {"analysis"}),
    "model.fusion.ratio": (2, FUSED | {"analysis"}),
    "model.fusion.official_gates": (True, FUSED | {"analysis"}),
    "model.fuse_after": ([1, 2], FUSED | {"analysis"}),
    "training.epochs": (4, RUNS | {"analysis"}),
    "training.batch_size": (9, RUNS | {"analysis"}),
    "training.learning_rate": (0.2, RUNS | {"analysis"}),
    "training.momentum": (0.9, RUNS | {"analysis"}),
    "training.weight_decay": (1e-4, RUNS | {"analysis"}),
    "training.schedule": ("cosine", RUNS | {"analysis"}),
    "training.factor": (0.5, RUNS | {"analysis"}),
    "training.patience": (3, RUNS | {"analysis"}),
    "training.threshold": (1e-4, RUNS | {"analysis"}),
    "training.min_learning_rate": (1e-7, RUNS | {"analysis"}),
    "training.perfect_epochs": (2, RUNS | {"analysis"}),
    "training.snapshots": ([1, 3], FUSED | {"analysis"}),
    "methods.balanced.tolerance": (0.02, {"balanced", "analysis"}),
    "methods.balanced.window": (4, {"balanced", "analysis"}),
}
NO_RESULT: dict[str, Any] = {
    "execution.device": "cpu",
    "execution.threads": 3,
    "execution.resident_gb": 0,
    "execution.workers": 0,
    "execution.preparers": 1,
    "execution.memory_mb": 5,
    "tracking.enabled": False,
    "tracking.uri": "http://127.0.0.1:5000",
    "tracking.follow_after": 0,
    "tracking.models": True,
}


def places(section: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from places(value, f"{above}{name}.")
        else:
            yield above + name


@pytest.mark.parametrize(("place", "value", "concerned"), [(p, *c) for p, c in CHANGES.items()], ids=CHANGES)
def test_a_setting_changes_the_keys_of_what_it_can_change(
    place: str, value: Any, concerned: set[str], plain: Keys
) -> None:
    assert changed(plain, keys(given({f"{DATASET}.{place}": value}))) == concerned


@pytest.mark.parametrize(("place", "value"), NO_RESULT.items(), ids=NO_RESULT)
def test_where_and_how_it_runs_changes_no_key(place: str, value: Any, plain: Keys) -> None:
    assert keys(given({place: value})) == plain


def test_no_setting_is_left_out_above() -> None:
    dumped = given().model_dump()
    names = {"model.branch.name", "model.fusion.name", "unimodal"}  # others are other runs, which tests below change

    assert set(places(dumped["datasets"][NAME])) == CHANGES.keys() | names
    assert {p for part in ("execution", "tracking") for p in places(dumped[part], f"{part}.")} == NO_RESULT.keys()


def test_the_same_value_written_otherwise_gives_the_same_keys(plain: Keys) -> None:
    written = {f"{DATASET}.training.learning_rate": "1e-1", f"{DATASET}.methods.random": None}

    assert keys(given(written)) == plain


def test_another_seed_is_another_run_and_leaves_those_of_the_others_alone(plain: Keys) -> None:
    more = keys(given({"seeds": [5, 0]}))

    assert {name: key for name, key in more.items() if not name.endswith("-5")} == plain | {
        "analysis": more["analysis"]
    }
    assert len({key for name, key in more.items() if name.split("-")[0] in RUNS}) == 2 * len(RUNS)


@pytest.mark.parametrize(
    ("change", "left_out"),
    [({f"{DATASET}.methods.random": "drop"}, {"random"}), ({f"{DATASET}.unimodal": False}, UNIMODAL)],
    ids=["a method", "the references"],
)
def test_what_is_left_out_changes_the_analysis_alone(change: dict[str, Any], left_out: set[str], plain: Keys) -> None:
    fewer = keys(given(change))

    assert plain.keys() - fewer.keys() == left_out
    assert {name for name in fewer if fewer[name] != plain[name]} == {"analysis"}


def test_every_run_has_a_key_and_a_folder_of_its_own() -> None:
    runs = planned(given({"seeds": [0, 1, 2]}))

    assert len(runs) == 3 * len(RUNS)
    assert len({run.key for run in runs}) == len(runs)
    for run in runs:
        assert re.fullmatch(r"[0-9a-f]{8}", run.key)
        assert run.folder == Path("results/runs", NAME, run.method, f"seed{run.seed}-{run.key}")
        assert run.evaluation_folder == run.folder / f"utilization-{run.evaluation[:8]}"


def test_a_reference_sees_one_modality_and_has_no_fusion() -> None:
    references = [run.settings for run in planned(given()) if run.method in UNIMODAL]

    assert [(s.modalities, s.fusion, s.fuse_after, s.method) for s in references] == [
        (("color",), None, (), "greedy"),
        (("gray",), None, (), "greedy"),
    ]


def test_a_modality_that_stands_twice_is_two_and_has_one_reference() -> None:
    runs = planned(given({f"{DATASET}.modalities": ["gray", "gray"]}))

    assert {run.method for run in runs} == FUSED | {"unimodal_gray"}
    for run in runs:
        fused = run.method in FUSED
        assert run.settings.modalities == (("gray", "gray_2") if fused else ("gray",))
        assert run.settings.stored == (("gray", "gray") if fused else ("gray",))


@pytest.mark.parametrize("method", sorted(RUNS))
def test_a_run_keeps_its_key_and_settings_on_its_way_through_json(method: str) -> None:
    (run,) = (run for run in planned(given()) if run.method == method)

    again = Run.model_validate_json(run.model_dump_json())

    assert again == run
    assert (again.key, again.folder) == (run.key, run.folder)
    assert type(again.settings.method_settings) is type(run.settings.method_settings)
    assert type(again.settings.branch) is type(run.settings.branch)


def test_a_dataset_keeps_its_key_on_its_way_through_json() -> None:
    settings = data_settings(given({f"{DATASET}.data.variance": 0.5}), NAME)

    again = DataSettings.model_validate_json(settings.model_dump_json())

    assert again == settings
    assert again.path == settings.path == Path("results/data", NAME, f"{settings.key}.h5")


def test_the_analysis_keeps_its_key_on_the_way_of_params_through_json() -> None:
    content = given()

    assert analysis_key(Params.model_validate_json(content.model_dump_json())) == analysis_key(content)


# -- Code ---------------------------------------------------------------------------------------------------


class Code:
    """A copy of the package that can be edited, in the place of the one that is fingerprinted.

    Args:
        source: the folder above the package.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.forget()

    def forget(self) -> None:
        """See the files as they are now."""
        for remembered in (fingerprint.fingerprint, fingerprint._code, fingerprint._tree, fingerprint._knows):
            remembered.cache_clear()

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Change the text of a file."""
        path = self.source / "greedymm" / name
        before = path.read_text(encoding="utf-8")
        path.write_text(change(before), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != before
        self.forget()

    def add_statement(self, name: str, function: str = "") -> None:
        """Change what the module does, or only what one function of it does."""
        path = self.source / "greedymm" / name
        lines = path.read_text(encoding="utf-8").splitlines()
        if function:
            (found,) = (n for n in ast.parse("\n".join(lines)).body if getattr(n, "name", "") == function)
            assert isinstance(found, ast.FunctionDef)
            lines.insert(found.end_lineno or 0, "    added = 1")
        else:
            lines.append("added = 1")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.forget()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Code]:
    source = tmp_path / "src"
    shutil.copytree(Path(greedymm.__file__).parent, source / "greedymm", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "SOURCE", source)
    copied = Code(source)
    yield copied
    monkeypatch.undo()
    copied.forget()


MODULES = ["training/methods/random.py", "training/fit.py", "models/fusion/mmtm.py", f"data/{NAME}.py", "steps.py"]
NO_STATEMENT: dict[str, Callable[[str], str]] = {
    "comment above": lambda text: f"# A remark.\n{text}",
    "comments at line ends": lambda text: text.replace(":\n", ":  # a remark\n"),
    "docstrings": lambda text: re.sub('"""(.*?)"""', r'"""Changed. \1"""', text, flags=re.DOTALL),
    "formatting": lambda text: ast.unparse(ast.parse(text)),
}


def test_a_copy_of_the_package_has_its_keys(code: Code, plain: Keys) -> None:
    assert keys(given()) == plain


@pytest.mark.parametrize("change", NO_STATEMENT.values(), ids=NO_STATEMENT)
def test_an_edit_that_changes_no_statement_changes_no_key(
    change: Callable[[str], str], code: Code, plain: Keys
) -> None:
    for name in MODULES:
        code.edit(name, change)

    assert keys(given()) == plain


def test_a_docstring_that_is_taken_away_changes_no_key(code: Code, plain: Keys) -> None:
    docstring = re.compile(r'^ *""".*?"""\n', re.DOTALL | re.MULTILINE)
    code.edit("training/methods/random.py", lambda text: docstring.sub("", text))

    assert keys(given()) == plain


# A module, or one function of it, and the keys that change with one of its statements.
STATEMENTS = {
    "training/methods/random.py": {"random", "analysis"},
    "training/methods/balanced.py": {"balanced", "analysis"},
    "training/methods/greedy.py": RUNS | {"analysis"},
    "training/fit.py": RUNS | {"analysis"},
    "training/epoch.py": RUNS | {"analysis"},
    "training/speed.py": RUNS | {"analysis"},
    "models/fusion/mmtm.py": FUSED | {"analysis"},
    "models/branches/cnn.py": RUNS | {"analysis"},
    "models/multistream.py": RUNS | {"analysis", "evaluation"},
    "data/batches.py": RUNS | {"analysis", "evaluation"},
    "data/hdf5.py": ALL | {"evaluation"},
    "data/samples.py": ALL | {"evaluation"},
    f"data/{NAME}.py": ALL,
    "data/colored_mnist.py": ALL,
    "models/build.py": RUNS | {"analysis", "evaluation"},
    "checkpoint.py": RUNS | {"analysis", "evaluation"},
    "device.py": RUNS | {"analysis", "evaluation"},
    "seeding.py": RUNS | {"analysis"},
    "analysis/evaluate.py": {"evaluation", "analysis"},
    "analysis/metrics/utilization.py": {"evaluation", "analysis"},
    "analysis/aggregate.py": {"analysis"},
    "analysis/collect.py": {"analysis"},
    "analysis/statistics.py": {"analysis"},
    "analysis/figures/results.py": {"analysis"},
    "analysis/claims.py": {"analysis"},
    "analysis/report.py": {"analysis"},
    "steps.py data": ALL,
    "steps.py train": RUNS | {"analysis"},
    "steps.py utilization": {"evaluation", "analysis"},
    "steps.py tables": {"analysis"},
    "steps.py figures": {"analysis"},
    "steps.py costs": {"analysis"},
    "steps.py report": {"analysis"},
    "steps.py track": set(),
    "steps.py prune": set(),
    "tracking.py": set(),
    "cli.py": set(),
    "params.py": set(),
    "runs.py": set(),
    "record.py": set(),
    "files.py": set(),
}


@pytest.mark.parametrize(("edited", "concerned"), STATEMENTS.items(), ids=STATEMENTS)
def test_a_changed_statement_changes_the_keys_of_what_uses_it(
    edited: str, concerned: set[str], code: Code, plain: Keys
) -> None:
    code.add_statement(*edited.split())

    assert changed(plain, keys(given())) == concerned


@pytest.mark.parametrize("template", ["report.html.j2", "page.html.j2"])
def test_the_templates_of_the_report_count_as_its_code(template: str, code: Code, plain: Keys) -> None:
    code.edit(f"analysis/{template}", lambda text: text.replace("{% endblock %}", "<p>More.</p>{% endblock %}"))

    assert changed(plain, keys(given())) == {"analysis"}


@pytest.mark.parametrize("name", ["methods/balanced.py", "methods/random.py"])
def test_code_that_no_run_uses_changes_no_key(name: str, code: Code) -> None:
    few = given({f"{DATASET}.methods": {"greedy": {}}})
    before = keys(few)

    code.add_statement(f"training/{name}")

    assert keys(few) == before


# -- A user's own plug-ins ----------------------------------------------------------------------------------

GENTLE = """
from pydantic import Field

from greedymm.params import Strict


class Settings(Strict):
    force: float = Field(default=0.5, gt=0)
    bounds: tuple[int, ...] = (1, 2)
"""
WIDE = """
from pydantic import Field

from greedymm.params import Named


class Settings(Named):
    depth: int = Field(ge=1)
"""


@pytest.fixture
def own(code: Code, monkeypatch: pytest.MonkeyPatch) -> Iterator[Code]:
    """Code to which a user has added a method `gentle` and a branch `wide`."""
    added = {"method": ("gentle", GENTLE), "branch": ("wide", WIDE)}
    for kind, (name, text) in added.items():
        package = import_module(PACKAGES[kind])
        folder = code.source / PACKAGES[kind].replace(".", "/")
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield code
    for kind, (name, _) in added.items():
        sys.modules.pop(f"{PACKAGES[kind]}.{name}", None)
        vars(import_module(PACKAGES[kind])).pop(name, None)


def with_own(force: float = 0.25, depth: int = 3) -> dict[str, Any]:
    return {
        f"{DATASET}.methods": {"gentle": {"force": force}},
        f"{DATASET}.model.branch": {"name": "wide", "depth": depth},
    }


@pytest.mark.usefixtures("own")
def test_a_users_own_plug_ins_are_found_by_their_files_names() -> None:
    assert "gentle" in params.names_of("method")
    assert "wide" in params.names_of("branch")


@pytest.mark.usefixtures("own")
def test_settings_of_a_users_own_plug_ins_reach_the_run_and_survive_json() -> None:
    run = planned(given(with_own()))[0]

    again = Run.model_validate_json(run.model_dump_json())

    assert again.settings.method_settings.model_dump() == {"force": 0.25, "bounds": (1, 2)}
    assert again.settings.branch.model_dump() == {"name": "wide", "depth": 3}
    assert again.key == run.key


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("change", "concerned"),
    [({"force": 0.75}, {"gentle", "analysis"}), ({"depth": 4}, {"gentle", "analysis"} | UNIMODAL)],
    ids=["method", "branch"],
)
def test_settings_of_a_users_own_plug_ins_reach_the_keys(change: dict[str, Any], concerned: set[str]) -> None:
    assert changed(keys(given(with_own())), keys(given(with_own(**change)))) == concerned


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({f"{DATASET}.methods.gentle.typo": 1}, f"{DATASET}.methods.gentle.typo: there is no such setting"),
        ({f"{DATASET}.methods.gentle.force": 0}, f"{DATASET}.methods.gentle.force: Input should be greater than 0"),
        ({f"{DATASET}.model.branch": {"name": "wide"}}, f"{DATASET}.model.branch.depth: Field required"),
        ({f"{DATASET}.model.branch.widths": [4]}, f"{DATASET}.model.branch.widths: there is no such setting"),
    ],
    ids=["unknown key", "out of range", "missing", "of another plug-in"],
)
def test_settings_of_a_users_own_plug_ins_are_validated(change: dict[str, Any], line: str) -> None:
    with pytest.raises(GreedymmError, match=re.escape(line)):
        given(with_own() | change)


@pytest.mark.parametrize(
    ("name", "concerned"),
    [
        ("training/methods/gentle.py", {"gentle", "analysis"}),
        ("models/branches/wide.py", {"gentle", "analysis"} | UNIMODAL),
        ("training/methods/random.py", set()),
    ],
    ids=["method", "branch", "a method that is not used"],
)
def test_a_changed_statement_of_a_users_own_plug_in_changes_the_keys_of_its_runs(
    name: str, concerned: set[str], own: Code
) -> None:
    before = keys(given(with_own()))

    own.add_statement(name)

    assert changed(before, keys(given(with_own()))) == concerned


# -- Code pinned to a commit --------------------------------------------------------------------------------


class Repository:
    """A git repository around the copied package."""

    def __init__(self, code: Code) -> None:
        self.code, self.folder = code, code.source.parent
        self.git("init", "--quiet")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *words], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit all files; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "As it is")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(code: Code, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # a hook sets them
        monkeypatch.delenv(name, raising=False)
    return Repository(code)


def test_a_pinned_commit_counts_instead_of_the_code_as_it_is_now(repository: Repository, plain: Keys) -> None:
    commit = repository.commit()
    for name in (
        "training/methods/random.py",
        f"data/{NAME}.py",
        "analysis/evaluate.py",
        "analysis/figures/results.py",
    ):
        repository.code.add_statement(name)

    assert changed(plain, keys(given())) == ALL | {"evaluation"}
    for pin in (commit, commit[:7]):  # but what is drawn is always of the code as it is
        assert changed(plain, keys(given({"code": pin}))) == {"analysis"}


def test_settings_change_the_keys_of_a_pinned_commit_as_well(repository: Repository, plain: Keys) -> None:
    pinned = given({"code": repository.commit(), f"{DATASET}.methods.balanced.window": 4})

    assert changed(plain, keys(pinned)) == {"balanced", "analysis"}


def test_a_commit_that_the_repository_does_not_have_is_refused(repository: Repository) -> None:
    repository.commit()

    with pytest.raises(GreedymmError, match="commit 0123456789, which this repository does not have"):
        planned(given({"code": "0123456789"}))


def test_a_pinned_commit_outside_of_any_repository_is_refused(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(code.source.parent.parent))

    with pytest.raises(GreedymmError, match="commit 0123456789"):
        planned(given({"code": "0123456789"}))


@pytest.mark.parametrize("lost", ["training/methods/random.py", f"data/{NAME}.py", "steps.py"])
def test_a_commit_without_the_code_of_a_run_cannot_be_pinned(lost: str, repository: Repository) -> None:
    path = repository.code.source / "greedymm" / lost
    text = path.read_text(encoding="utf-8")
    path.unlink()
    commit = repository.commit()
    path.write_text(text, encoding="utf-8")  # added after that commit: no change of it would be seen in a key
    repository.code.forget()

    with pytest.raises(GreedymmError, match=commit):
        planned(given({"code": commit}))
