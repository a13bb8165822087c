"""Code -> hash: the syntax trees, comments and docstrings left out, of just the modules that a result comes from.

The template beside a module, of the same name, counts as part of it. Modules are followed through their import
statements, into this project, into the packages of a user's plug-ins, and into whatever else is not installed. A
plug-in, which is imported by name, must be given.
"""

import ast
import hashlib
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from greedymm.errors import GreedymmError
from greedymm.params.plugins import file_of

SOURCE = Path(__file__).resolve().parents[1]
# It sends copies of results, and computes none.
EXCLUDED_FROM_KEYS = {"greedymm.tracking"}
INSTALLED = {"site-packages", "dist-packages"}  # folders of packages whose releases are recorded, and no part of a key


@cache
def fingerprint(roots: frozenset[str], commit: str | None = None) -> str:
    """Hash of the code reached from some modules.

    Args:
        roots: names of modules.
        commit: take this project's code as it was in this commit, instead of as it is now.

    Returns:
        64 hex digits.

    Raises:
        GreedymmError: if git knows no such commit, or if a root does not exist in it.
    """
    content = [(name, _code(name, commit)) for name in sorted(reached(roots, commit))]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def reached(roots: frozenset[str], commit: str | None = None) -> set[str]:
    """Names of the modules that are reached from some, these among them.

    Raises:
        GreedymmError: if a root does not exist.
    """
    tops = frozenset({"greedymm", *(root.partition(".")[0] for root in roots)})
    found: set[str] = set()
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name in EXCLUDED_FROM_KEYS or not _is_own(name.partition(".")[0], tops):
            continue
        tree = _tree(name, commit)
        if tree is None:
            if name in roots:
                raise GreedymmError(f"there is no code of {name}" + (f" in commit {commit}" if commit else ""))
            continue  # a name that is imported from a module, and no module itself
        found.add(name)
        waiting += [*_imports(name, commit), *([name.rpartition(".")[0]] if "." in name else [])]
    return found


@cache
def _is_own(top: str, tops: frozenset[str]) -> bool:
    """Whether the statements of a package count: of this project, of plug-ins, or of whatever is not installed."""
    if top in tops:
        return True
    if top in sys.stdlib_module_names:
        return False
    spec = find_spec(top)
    places = [*(spec.submodule_search_locations or [spec.origin or ""])] if spec else []
    return any(place and not INSTALLED & set(Path(place).parts) for place in places)


@cache
def _code(name: str, commit: str | None) -> str:
    """What counts of a module."""
    file = _file(name, commit)
    assert file is not None
    tree = _tree(name, commit)
    assert tree is not None
    return ast.dump(tree) + (_read(file.with_suffix(".html.j2"), commit) or "")


@cache
def _tree(name: str, commit: str | None) -> ast.Module | None:
    """Syntax tree of a module, without its docstrings and what only a type checker reads; None: no such module."""
    file = _file(name, commit)
    source = None if file is None else _read(file, commit)
    return None if source is None else _Bare().visit(ast.parse(source))


def _file(name: str, commit: str | None) -> Path | None:
    """File of a module; this project's stands in the folder of this file, whichever clone is installed."""
    if name.partition(".")[0] != "greedymm":
        file = file_of(name)
        return file if file is not None and file.suffix == ".py" else None
    path = SOURCE.joinpath(*name.split("."))
    both = path / "__init__.py", path.with_suffix(".py")
    return next((file for file in both if _read(file, commit) is not None), None)


class _Bare(ast.NodeTransformer):
    """Leaves out what changes no result: docstrings, and blocks for type checkers."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse:
            return None
        return self.generic_visit(node)


@cache
def _imports(name: str, commit: str | None) -> frozenset[str]:
    """Names of what a module imports, modules or not."""
    tree, file = _tree(name, commit), _file(name, commit)
    assert tree is not None
    assert file is not None
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}  # where that is a module, too
    return frozenset(found)


@cache
def _read(file: Path, commit: str | None) -> str | None:
    """Text of a file; of this project's, as it was in a commit. None: there is no such file."""
    if commit is None or not file.is_relative_to(SOURCE):
        return file.read_text(encoding="utf-8") if file.is_file() else None
    if not _knows(commit):
        raise GreedymmError(f"params name the code of commit {commit}, which this repository does not have")
    text = _git("show", f"{commit}:./{file.relative_to(SOURCE)}")
    return None if text.returncode else text.stdout


@cache
def _knows(commit: str) -> bool:
    return _git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=SOURCE, capture_output=True, text=True, check=False)
