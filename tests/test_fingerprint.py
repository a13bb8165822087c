"""Keys by code: comments change none, a changed statement changes those of the runs that can reach it."""

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
from test_params import DATASET, NAME
from test_plan import ALL, RUNS, Keys, changed, given, keys

import greedymm
from greedymm import fingerprint
from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import Plan, data_settings, planned

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def plain() -> Keys:
    return keys(given())


class Code:
    """A copy of the package that can be edited, and is fingerprinted instead of the package.

    Args:
        source: the folder above the package.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.forget()

    def forget(self) -> None:
        """See the files as they are now."""
        for value in vars(fingerprint).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()

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


METHOD, DATA = "training/methods/random.py", f"data/datasets/{NAME}.py"
NO_STATEMENT: list[Callable[[str], str]] = [
    lambda text: f"# A remark.\n{text}",
    lambda text: text.replace(":\n", ":  # a remark\n"),
    lambda text: re.sub('"""(.*?)"""', r'"""Changed. \1"""', text, flags=re.DOTALL),
    lambda text: ast.unparse(ast.parse(text)),
]


def test_an_edit_that_changes_no_statement_changes_no_key(code: Code, plain: Keys) -> None:
    assert keys(given()) == plain
    for change in NO_STATEMENT:
        for name in (METHOD, DATA, "training/fit.py", "models/fusions/mmtm.py"):
            code.edit(name, change)
        assert keys(given()) == plain
    docstring = re.compile(r'^ *""".*?"""\n', re.DOTALL | re.MULTILINE)
    code.edit("training/methods/balanced.py", lambda text: docstring.sub("", text))
    assert keys(given()) == plain


# -- Every statement that a run can reach, and no other -------------------------------------------------------

IMPORT_EACH = """
import sys, importlib, os, json
import torch, torchvision, pandas
for name, modules in {roots}.items():
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


def code_keys(params: Params) -> dict[str, str]:
    """Fingerprints of the code behind each dataset's file, run and evaluation."""
    found = {f"data {name}": data_settings(params, name).code for name in params.datasets}
    for run in planned(params):
        found[f"run {run.dataset} {run.method}"] = run.settings.code
        found[f"evaluation {run.dataset}"] = run.evaluation.code
    return found


def imported_modules(params: Params) -> dict[str, set[str]]:
    """Modules of this project that Python imports for each of these keys."""
    roots: dict[str, list[str]] = {}
    for run in planned(params):
        settings = run.settings
        data = ["greedymm.steps.prepare", type(settings.data).__module__]
        parts = [*settings.branches, settings.fusion, settings.head, settings.method_settings]
        modules = [type(part).__module__ for part in parts if part is not None]
        roots[f"data {run.dataset}"] = data
        roots[f"run {run.dataset} {run.method}"] = [*data, "greedymm.steps.train", *modules]
        measures = [type(measure).__module__ for measure in run.evaluation.measures]
        roots[f"evaluation {run.dataset}"] = ["greedymm.steps.evaluate", *measures]
    story = IMPORT_EACH.format(roots=roots)
    done = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True)
    return {name: set(modules) for name, modules in map(json.loads, done.stdout.splitlines())}


def statements(tree: ast.Module) -> list[ast.stmt]:
    """All statements of a module but docstrings and imports."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and not isinstance(n, ast.Import | ast.ImportFrom)]
    return [n for n in nodes if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]


def with_another_statement(text: str, draws: random.Random) -> str:
    """A module in which a random statement is replaced."""
    tree = ast.parse(text)
    chosen = draws.choice(statements(tree))

    class Change(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return ast.parse("raise NotImplementedError").body[0] if node is chosen else self.generic_visit(node)

    return ast.unparse(ast.fix_missing_locations(Change().visit(tree)))


def compare_with_imports(code: Code, params: Params, of_some: int, of_all_or_none: int) -> None:
    """Change random statements of random modules; exactly the keys whose code imports the module must change.

    Args:
        code: the copied package.
        params: whose keys.
        of_some: how many modules that some of the keys reach, and not all.
        of_all_or_none: how many of the other modules.
    """
    seed = int(os.environ.get("GREEDYMM_SEED", random.SystemRandom().randrange(10**6)))
    draws, before, imported = random.Random(seed), code_keys(params), imported_modules(params)  # noqa: S311
    assert before.keys() == imported.keys()
    some: list[tuple[Path, str, set[str]]] = []
    rest: list[tuple[Path, str, set[str]]] = []
    for file in sorted((code.source / "greedymm").rglob("*.py")):
        name = file.relative_to(code.source).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")
        if statements(ast.parse(file.read_text(encoding="utf-8"))):
            reached = {key for key, modules in imported.items() if name in modules}
            (some if 0 < len(reached) < len(imported) else rest).append((file, name, reached))
    for file, name, reached in [*draws.sample(some, of_some), *draws.sample(rest, of_all_or_none)]:
        text = file.read_text(encoding="utf-8")
        file.write_text(with_another_statement(text, draws), encoding="utf-8")
        code.forget()

        after = code_keys(params)

        assert {key for key in before if after[key] != before[key]} == reached, f"{name}, with GREEDYMM_SEED={seed}"
        file.write_text(text, encoding="utf-8")


def test_a_changed_statement_changes_the_keys_of_what_imports_it_and_no_other(code: Code) -> None:
    compare_with_imports(code, given({"seeds": [0]}), of_some=3, of_all_or_none=1)


@pytest.mark.slow
def test_in_all_datasets_a_changed_statement_changes_the_keys_of_what_imports_it(code: Code) -> None:
    default, paper = (
        yaml.safe_load((ROOT / f).read_text(encoding="utf-8"))["datasets"] for f in ("params.yaml", "params/paper.yaml")
    )
    used = {name: section for name, section in (default | paper).items() if section != "drop"}
    compare_with_imports(code, validate({"seeds": [0], "datasets": default | used}), of_some=20, of_all_or_none=5)


def test_what_a_plug_in_says_of_its_stages_changes_the_keys_of_its_runs(code: Code, plain: Keys) -> None:
    code.edit("models/branches/cnn.py", lambda text: text.replace("return len(self.widths)", "return 4"))

    assert changed(plain, keys(given())) == RUNS


def test_a_template_counts_as_code_of_the_module_beside_it(code: Code) -> None:
    (code.source / "greedymm/page.py").write_text("added = 1\n")
    template = code.source / "greedymm/page.html.j2"
    found = []
    for text in ("<p>One</p>", "<p>Two</p>"):
        template.write_text(text)
        code.forget()
        found.append(fingerprint.fingerprint(frozenset({"greedymm.page"})))

    assert found[0] != found[1]


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


def test_a_pinned_commit_counts_instead_of_the_present_code(repository: Repository, plain: Keys) -> None:
    commit = repository.commit()
    for name in (METHOD, DATA, "evaluation/evaluate.py"):
        repository.code.add_statement(name)

    assert changed(plain, keys(given())) == ALL | {"evaluation"}
    assert keys(given({"code": commit[:7]})) == plain
    pinned = given({"code": commit, f"{DATASET}.methods.balanced.window": 4})
    assert changed(plain, keys(pinned)) == {"balanced"}  # settings change keys as without a pin


def test_an_unknown_commit_is_refused(repository: Repository) -> None:
    repository.commit()
    with pytest.raises(GreedymmError, match=r"no code of .* in commit 0123456789"):
        planned(given({"code": "0123456789"}))


def test_a_commit_without_the_code_of_a_run_cannot_be_pinned(repository: Repository) -> None:
    path = repository.code.source / "greedymm" / METHOD
    text = path.read_text(encoding="utf-8")
    path.unlink()
    commit = repository.commit()
    path.write_text(text, encoding="utf-8")  # added after that commit, so no key could follow its changes
    repository.code.forget()

    with pytest.raises(GreedymmError, match=f"no code of .* in commit {commit}"):
        planned(given({"code": commit}))


def test_a_figure_a_template_and_published_numbers_are_in_the_key_of_the_report_alone(code: Code) -> None:
    plan = Plan.make(given())
    folders = {plan.folder}
    for name in ("figures/steps.py", "report.yaml", "report.html.j2", "page.html.j2"):
        code.edit(f"analysis/{name}", lambda text: f"{text}\nadded: 1\n")
        edited = Plan.make(given())
        folders.add(edited.folder)
        assert edited.runs.keys() == plan.runs.keys()

    assert len(folders) == 1 + 4
