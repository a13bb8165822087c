"""Keys by code."""

import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_plan import ALL, DATASET, NAME, RUNS, Keys, changed, given, keys

import greedymm
from greedymm import fingerprint
from greedymm.errors import GreedymmError
from greedymm.params import plugins
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import data_settings, planned

ROOT = Path(__file__).parents[1]
DEFAULT, PAPER = (yaml.safe_load((ROOT / f).read_text(encoding="utf-8")) for f in ("params.yaml", "params/paper.yaml"))
CACHED = ("is_own", "code", "tree", "imports", "read", "knows")


@pytest.fixture(scope="module")
def plain() -> Keys:
    return keys(given())


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
        for remembered in (fingerprint.fingerprint, *(getattr(fingerprint, f"_{n}") for n in CACHED)):
            remembered.cache_clear()
        for found in (plugins.plugins, plugins.read_settings):
            found.cache_clear()

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Change the text of a file."""
        path = self.source / "greedymm" / name
        before = path.read_text(encoding="utf-8")
        path.write_text(change(before), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != before
        self.forget()

    def add_statement(self, name: str) -> None:
        """Change what the module does."""
        self.edit(name, lambda text: f"{text}\nadded = 1\n")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Code]:
    source = tmp_path / "src"
    shutil.copytree(Path(greedymm.__file__).parent, source / "greedymm", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "SOURCE", source)
    copied = Code(source)
    yield copied
    monkeypatch.undo()
    copied.forget()


MODULES = [
    "training/methods/random.py",
    "training/fit.py",
    "models/fusions/mmtm.py",
    f"data/datasets/{NAME}.py",
    "steps/train.py",
]
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
    code.edit("training/methods/balanced.py", lambda text: docstring.sub("", text))

    assert keys(given()) == plain


# -- Every statement that a run can reach, and no other -------------------------------------------------------

WITH_ALL = """
import sys, importlib, os, json, unittest.mock
import {first}
for name in {excluded}:
    sys.modules[name] = unittest.mock.MagicMock()
asked = {asked}
for name, modules in asked.items():
    out, into = os.pipe()
    if os.fork() == 0:
        for module in modules:
            importlib.import_module(module)
        with os.fdopen(into, "w") as file:
            json.dump([m for m in sys.modules if m.split(".")[0] == "greedymm"], file)
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as file:
        print(json.dumps([name, json.load(file)]))
"""


@pytest.fixture(scope="module")
def everything() -> Params:
    """Params of every dataset, those of the paper among them, with one seed."""
    paper = {name: section for name, section in PAPER["datasets"].items() if section != "drop"}
    datasets = DEFAULT["datasets"] | paper
    return validate({"seeds": [0], "datasets": datasets})


def keys_of(params: Params) -> dict[str, str]:
    """Fingerprints of the code behind each dataset's file, run and evaluation."""
    found = {f"data {name}": data_settings(params, name).code for name in params.datasets}
    for run in planned(params):
        found[f"run {run.dataset} {run.method}"] = run.settings.code
        found[f"evaluation {run.dataset}"] = run.evaluation.code
    return found


@pytest.fixture(scope="module")
def imported(everything: Params) -> dict[str, set[str]]:
    """Modules of this project that Python has imported for each of these, tracking left aside."""
    asked: dict[str, list[str]] = {}
    for run in planned(everything):
        settings = run.settings
        data = ["greedymm.steps.prepare", type(settings.data).__module__]
        parts = [
            *settings.branches,
            settings.head,
            settings.method_settings,
            *([settings.fusion] if settings.fusion else []),
        ]
        asked[f"data {run.dataset}"] = data
        asked[f"run {run.dataset} {run.method}"] = [*data, "greedymm.steps.train", *(type(p).__module__ for p in parts)]
        measures = [type(m).__module__ for m in run.evaluation.measures]
        asked[f"evaluation {run.dataset}"] = ["greedymm.steps.evaluate", *measures]
    story = WITH_ALL.format(first="torch, torchvision, pandas", excluded=fingerprint.EXCLUDED_FROM_KEYS, asked=asked)
    done = subprocess.run(
        [sys.executable, "-c", story],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name: set(modules) for name, modules in map(json.loads, done.stdout.splitlines())}


def statements(tree: ast.Module) -> list[ast.stmt]:
    """All statements of a module but docstrings, imports, and what only a type checker reads."""
    found: list[ast.stmt] = []

    def walk(body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
                continue
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not is_text and not isinstance(statement, ast.Import | ast.ImportFrom):
                found.append(statement)
            for inner in ("body", "orelse", "finalbody"):
                walk(getattr(statement, inner, []))

    walk(tree.body)
    return found


def with_another_statement(text: str, draws: random.Random) -> str:
    """A module in which one of its statements, drawn at random, is another one."""
    tree = ast.parse(text)
    chosen = draws.choice(statements(tree))

    class Change(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return ast.parse("raise NotImplementedError").body[0] if node is chosen else self.generic_visit(node)

    return ast.unparse(ast.fix_missing_locations(Change().visit(tree)))


def test_every_statement_that_a_run_can_reach_changes_its_key_and_no_other_does(
    code: Code, everything: Params, imported: dict[str, set[str]]
) -> None:
    seed = int(os.environ.get("GREEDYMM_SEED", random.SystemRandom().randrange(10**6)))
    draws, before = random.Random(seed), keys_of(everything)  # noqa: S311
    assert before.keys() == imported.keys()
    package = code.source / "greedymm"
    modules = {f: f.relative_to(code.source).with_suffix("").as_posix() for f in sorted(package.rglob("*.py"))}
    names = {file: name.removesuffix("/__init__").replace("/", ".") for file, name in modules.items()}
    # Of every kind of module some: those that every run imports, those of some runs, and those of none.
    counts = {f: sum(name in of for of in imported.values()) for f, name in names.items()}
    some = [f for f in counts if 0 < counts[f] < len(imported) and statements(ast.parse(f.read_text()))]
    rest = [f for f in counts if f not in some and statements(ast.parse(f.read_text()))]
    for file in [*draws.sample(some, 20), *draws.sample(rest, 5)]:
        text = file.read_text(encoding="utf-8")
        code.edit(str(file.relative_to(package)), lambda text: with_another_statement(text, draws))

        found = keys_of(everything)

        name = names[file]
        expected = {key for key, of in imported.items() if name in of and name not in fingerprint.EXCLUDED_FROM_KEYS}
        different = {key for key in before if found[key] != before[key]}
        assert different == expected, f"{name}, with GREEDYMM_SEED={seed}"
        file.write_text(text, encoding="utf-8")
        code.forget()


def test_what_stages_a_branch_says_it_has_changes_the_key_of_its_runs(code: Code, plain: Keys) -> None:
    code.edit("models/branches/cnn.py", lambda text: text.replace("return len(self.widths)", "return 4"))

    assert changed(plain, keys(given())) == RUNS | {"analysis"}


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
        f"data/datasets/{NAME}.py",
        "evaluation/evaluate.py",
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


@pytest.mark.parametrize("lost", ["training/methods/random.py", f"data/datasets/{NAME}.py", "steps/train.py"])
def test_a_commit_without_the_code_of_a_run_cannot_be_pinned(lost: str, repository: Repository) -> None:
    path = repository.code.source / "greedymm" / lost
    text = path.read_text(encoding="utf-8")
    path.unlink()
    commit = repository.commit()
    path.write_text(text, encoding="utf-8")  # added after that commit: no change of it would be seen in a key
    repository.code.forget()

    with pytest.raises(GreedymmError, match=commit):
        planned(given({"code": commit}))
