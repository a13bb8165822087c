"""Plug-ins: found by their files' names, their settings read without importing them.

A plug-in is a module with a class `Settings` and the functions of its kind. It stands in one of the project's own
packages, in a package or module that an installed distribution names by an entry point (group `greedymm.methods`,
`greedymm.datasets`, ...), or in one that `plugins:` in the params names. The name in the params is the file's name.
A module without either is a helper, and no plug-in.

Importing a plug-in may import torch, which takes seconds. So of the file only the class `Settings` is executed, with
the statements that it needs: Snakemake, which validates params at each start, stays fast.
"""

import ast
import re
import traceback
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import BaseModel

from greedymm import settings
from greedymm.errors import GreedymmError
from greedymm.settings import Strict


class Kind(NamedTuple):
    """One kind of plug-ins."""

    group: str  # of entry points
    package: str  # the project's own
    base: type[Strict]  # of its settings
    parts: tuple[str, ...]  # that a plug-in defines beside its settings


KINDS = {
    "dataset": Kind("greedymm.datasets", "greedymm.data.datasets", settings.DatasetSettings, ("make", "MODALITIES")),
    "branch": Kind("greedymm.branches", "greedymm.models.branches", settings.BranchSettings, ("build",)),
    "fusion": Kind("greedymm.fusions", "greedymm.models.fusions", settings.FusionSettings, ("build",)),
    "head": Kind("greedymm.heads", "greedymm.models.heads", settings.HeadSettings, ("build",)),
    "method": Kind("greedymm.methods", "greedymm.training.methods", settings.MethodSettings, ("build",)),
    "measure": Kind(
        "greedymm.measures", "greedymm.evaluation.measures", settings.MeasureSettings, ("passes", "compute")
    ),
}


class PlugIn(NamedTuple):
    """A file with a plug-in."""

    kind: str
    name: str
    module: str
    file: Path


# -- Where they are -----------------------------------------------------------------------------------------


@cache
def plugins(kind: str, modules: tuple[str, ...] = ()) -> dict[str, PlugIn]:
    """The plug-ins of one kind, by their names.

    Args:
        kind: a key of KINDS.
        modules: modules and packages that the params name.

    Raises:
        ValueError: if two have the same name, or if a module that is named does not exist.
    """
    own = [KINDS[kind].package, *(point.value for point in entry_points(group=KINDS[kind].group))]
    found = [p for source in dict.fromkeys(own) for p in _within(kind, source, KINDS[kind].parts)]
    every = tuple(part for of in KINDS.values() for part in of.parts)
    for source in modules:
        listed = list(_within(kind, source, every))
        if not listed:
            raise ValueError(f"'{source}' has no plug-ins: none of its modules has a class Settings")
        found += [p for p in listed if _kind_of(p) == kind]
    by_name: dict[str, PlugIn] = {}
    for plugin in found:
        other = by_name.setdefault(plugin.name, plugin)
        if other.file != plugin.file:
            raise ValueError(f"two plug-ins are the {kind} '{plugin.name}': {other.file} and {plugin.file}; rename one")
    return by_name


def names_of(kind: str, modules: tuple[str, ...] = ()) -> list[str]:
    """Names of the plug-ins of one kind."""
    return sorted(plugins(kind, modules))


def _within(kind: str, source: str, parts: tuple[str, ...]) -> Iterator[PlugIn]:
    """The plug-ins in a package, or the one that a module is."""
    file = file_of(source)
    if file is None:
        raise ValueError(
            f"there is no module '{source}', which should have plug-ins: install its package, or put it beside the"
            " params. A folder of plug-ins needs an __init__.py"
        )
    if file.name != "__init__.py":
        yield PlugIn(kind, source.rpartition(".")[2], source, file)
        return
    for path in sorted(file.parent.glob("[!_]*.py")):
        if _declares(path.read_text(encoding="utf-8"), parts):
            yield PlugIn(kind, path.stem, f"{source}.{path.stem}", path)


def _declares(text: str, parts: tuple[str, ...]) -> bool:
    """Whether a file defines settings or a part of a plug-in, rather than only helps others."""
    return re.search(rf"^(class Settings\b|def ({'|'.join(parts)})\()", text, re.MULTILINE) is not None


def _kind_of(plugin: PlugIn) -> str:
    """Kind of a plug-in that the params name, by the base class of its settings."""
    base = values_of(plugin, ("Settings",)).get("Settings", object)
    kinds = [kind for kind, of in KINDS.items() if issubclass(base, of.base)]
    if not kinds:
        bases = ", ".join(of.base.__name__ for of in KINDS.values())
        raise ValueError(f"{plugin.file} needs a class Settings that extends one of greedymm.settings: {bases}")
    return kinds[0]


@cache
def file_of(module: str) -> Path | None:
    """File of a module; found without importing it, or the packages that it is in."""
    top, *below = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    if not below:
        return Path(spec.origin) if spec.origin and Path(spec.origin).is_file() else None
    for folder in spec.submodule_search_locations or ():
        path = Path(folder, *below)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
    return None


# -- What they say ------------------------------------------------------------------------------------------


def settings_class(kind: str, name: str, modules: tuple[str, ...] = ()) -> type[Strict]:
    """Class of a plug-in's settings.

    Raises:
        ValueError: if there is no such plug-in, or if it is not whole; the message names the file, or those that
            there are.
    """
    found = plugins(kind, modules)
    if name not in found:
        raise ValueError(f"unknown {kind} '{name}'; there are: {', '.join(sorted(found))}")
    return read_settings(found[name])


@cache
def read_settings(plugin: PlugIn) -> type[Strict]:
    """Class `Settings` of a plug-in.

    Raises:
        ValueError: if the file lacks it or a function of its kind, if it cannot be executed, or if the class extends
            another kind's base class.
    """
    tree = _parsed(plugin.file)
    defined = {name for statement in tree.body for name in _binds(statement)}
    for part in ("Settings", *KINDS[plugin.kind].parts):
        if part not in defined:
            what = "class Settings" if part == "Settings" else f"'{part}'"
            raise ValueError(f"{plugin.file} is no whole plug-in ({plugin.kind}): it defines no {what}")
    found: type[Strict] = values_of(plugin, ("Settings",))["Settings"]
    base = KINDS[plugin.kind].base
    if found.__module__ != plugin.module:
        raise ValueError(f"{plugin.file} imports its Settings: define a class in the file, which may extend that one")
    if not issubclass(found, base):
        raise ValueError(f"{plugin.file}: class Settings must extend greedymm.settings.{base.__name__}")  # noqa: TRY004
    return found


def values_of(plugin: PlugIn, names: Iterable[str]) -> dict[str, Any]:
    """Values of some names of a plug-in's module, of which only the statements that they need are executed.

    Raises:
        ValueError: if a statement fails; the message has the file and the error.
    """
    tree = _parsed(plugin.file)
    needed = ast.Module(body=_needed(tree.body, names), type_ignores=[])
    module = ModuleType(plugin.module)
    try:
        exec(compile(needed, plugin.file, "exec"), vars(module))  # noqa: S102  the user's own file
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == plugin.module:
                # Postponed annotations: pydantic looks their names up in the imported module, which there is not.
                value.model_rebuild(_types_namespace=vars(module))
    except (Exception, SystemExit) as error:
        raise ValueError(failure(plugin.file, error)) from error
    return {name: getattr(module, name) for name in names if hasattr(module, name)}


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(failure(file, error)) from error


def _needed(body: list[ast.stmt], names: Iterable[str]) -> list[ast.stmt]:
    """The statements that bind some names, and those that these need in turn."""
    binding = [(statement, _binds(statement)) for statement in body]
    # Also the import of annotations from __future__, and of whatever `*` may bring.
    waiting, wanted = {"annotations", "*", *names}, set[str]()
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        for statement, bound in binding:
            if name in bound:
                # Names that are read: a field `weights` does not need the module `weights`.
                used = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
                waiting |= used - wanted
    return [statement for statement, bound in binding if bound & wanted]


def _binds(statement: ast.stmt) -> set[str]:
    """Names that a statement of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    names = set()
    for node in ast.walk(statement):  # of try and if, too
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def failure(file: Path | str, error: BaseException) -> str:
    """A plug-in that fails on import, in one line: its file, the line, and the traceback's last line."""
    last = traceback.format_exception_only(error)[-1].strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
    return f"{file}{f', line {line}' if line else ''}: the plug-in fails on import: {last}"


def module_of(of: Strict) -> Any:
    """Module of the plug-in that settings belong to, imported.

    Raises:
        GreedymmError: if it fails on import; the message has the file and the last line of the traceback.
    """
    name = type(of).__module__
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        raise GreedymmError(failure(file_of(name) or name, error)) from error
