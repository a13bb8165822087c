"""Code -> hash: the syntax trees, comments and docstrings left out, of just the modules that a result comes from.

The template beside a module, of the same name, counts as part of it.
Modules are followed through their import statements. A plug-in, which is imported by name, must be given.
"""

import ast
import hashlib
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from greedymm.errors import GreedymmError

SOURCE = Path(__file__).resolve().parents[1]
# What these do is seen in the settings, or never in a result.
NEUTRAL = {
    f"greedymm.{name}" for name in ("params", "runs", "errors", "files", "fingerprint", "record", "tracking", "cli")
}


@cache
def fingerprint(roots: frozenset[str], commit: str | None = None) -> str:
    """Hash of the code reached from some modules.

    Args:
        roots: names of modules, or `module:function` where only one function of it counts.
        commit: take the code as it was in this commit, instead of as it is now.

    Returns:
        64 hex digits.

    Raises:
        GreedymmError: if git knows no such commit, or if a root does not exist in it.
    """
    reached: dict[str, str] = {}
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        if name in reached or name in NEUTRAL:
            continue
        code = _code(name, commit)
        if code is None:
            if name in roots:
                raise GreedymmError(f"there is no code of {name}" + (f" in commit {commit}" if commit else ""))
            continue  # a name that is imported from a module, and no module itself
        reached[name], imported = code
        waiting += imported
    return hashlib.sha256(repr(sorted(reached.items())).encode()).hexdigest()


@cache
def _code(name: str, commit: str | None) -> tuple[str, list[str]] | None:
    """What counts of a module or of one function of it, and what it imports; None where there is no such module."""
    module, _, function = name.partition(":")
    place = module.replace(".", "/")
    tree = _tree(place, commit)
    if function and tree is not None:
        tree = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == function), None)
    if tree is None:
        return None
    template = _read(f"{place}.html.j2", commit) or ""
    return ast.dump(tree) + template, list(_imports(tree))


@cache
def _tree(place: str, commit: str | None) -> ast.AST | None:
    """Syntax tree of a module, without its docstrings."""
    source = _read(f"{place}.py", commit) or _read(f"{place}/__init__.py", commit)
    if source is None:
        return None
    tree: ast.AST = ast.parse(source)
    for node in ast.walk(tree):
        _drop_docstring(node)
    return tree


def _read(path: str, commit: str | None) -> str | None:
    if commit is None:
        file = SOURCE / path
        return file.read_text(encoding="utf-8") if file.is_file() else None
    if not _knows(commit):
        raise GreedymmError(f"params name the code of commit {commit}, which this repository does not have")
    shown = _git("show", f"{commit}:./{path}")
    return None if shown.returncode else shown.stdout


@cache
def _knows(commit: str) -> bool:
    return _git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=SOURCE, capture_output=True, text=True, check=False)


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            written = f"from {'.' * node.level}{node.module or ''} import ..."
            raise GreedymmError(f"'{written}' is invisible to the keys of runs; write 'from greedymm...' instead")
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("greedymm."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "greedymm":
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)  # where that is a module, too
