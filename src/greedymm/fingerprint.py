"""Code -> hash: the syntax trees, without comments and docstrings, of just the modules that a result comes from.

The template beside a module, of the same name, counts as part of it. Modules are followed through their import
statements: in this project, in the packages of a user's plug-ins, and in whatever is not installed. A plug-in is
imported by name, so it must be given.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from greedymm.errors import GreedymmError
from greedymm.params.plugins import file_of
from greedymm.system import run_git

SOURCE = Path(__file__).resolve().parents[1]
INSTALLED = {"site-packages", "dist-packages"}  # folders of packages whose releases are recorded, and in no key


@cache
def fingerprint(roots: frozenset[str], commit: str | None = None) -> str:
    """Hash of the code reached from some modules; of this project's, as it was in a commit or as it is now.

    Raises:
        GreedymmError: if a root does not exist in the commit.
    """
    return hashlib.sha256(repr(sorted(reached(roots, commit).items())).encode()).hexdigest()


def reached(roots: frozenset[str], commit: str | None = None) -> dict[str, str]:
    """Code of these modules and of all modules that they import, by the modules' names."""
    tops = frozenset({"greedymm", *(root.partition(".")[0] for root in roots)})
    code: dict[str, str] = {}
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        if name in code or not _counts(name.partition(".")[0], tops):
            continue
        module = _read(name, commit)
        if module is not None:
            code[name], imports = module
            waiting += imports
        elif name in roots:  # any other name may be one that a module defines
            raise GreedymmError(f"git has no code of {name} in commit {commit}; correct `code` in the params")
    return code


@cache
def _counts(top: str, tops: frozenset[str]) -> bool:
    """Whether a package is in keys: this project, packages of plug-ins, and whatever is not installed."""
    if top in tops or top in sys.stdlib_module_names:
        return top in tops
    spec = find_spec(top)
    paths = spec.submodule_search_locations or [spec.origin or ""] if spec else []
    return any(path and not INSTALLED & set(Path(path).parts) for path in paths)


@cache
def _read(name: str, commit: str | None) -> tuple[str, set[str]] | None:
    """What counts of a module, and what it imports, also names that are no modules. None: there is no such module."""
    path = SOURCE.joinpath(*name.split("."))
    # This project's files are beside this one, whichever clone is installed.
    own = name.partition(".")[0] == "greedymm"
    for file in (path / "__init__.py", path.with_suffix(".py")) if own else filter(None, [file_of(name)]):
        text = _text(file, commit) if file.suffix == ".py" else None
        if text is not None:
            tree = ast.parse(text)
            blocks = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
            for block in [block for block in blocks if ast.get_docstring(block) is not None]:
                block.body = block.body[1:] or [ast.Pass()]
            parent = name.rpartition(".")[0]
            imports = {parent, *_imports(tree, name if file.name == "__init__.py" else parent)} - {""}
            beside = "".join(_text(file.with_suffix(suffix), commit) or "" for suffix in (".html.j2", ".yaml"))
            return ast.dump(tree) + beside, imports
    return None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Names of what a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (module, *(f"{module}.{alias.name}" for alias in node.names))


@cache
def _text(file: Path, commit: str | None) -> str | None:
    """Text of a file; of this project's, as it was in a commit. None: there is no such file."""
    if commit is None or not file.is_relative_to(SOURCE):
        return file.read_text(encoding="utf-8") if file.is_file() else None
    return run_git(SOURCE, "show", f"{commit}:./{file.relative_to(SOURCE)}")
