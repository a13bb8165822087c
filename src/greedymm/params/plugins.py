"""Plug-ins: found by the names of their files, their settings read without importing them.

A plug-in is a module with a class `Settings`; its name in the params is the file's name. It is in one of the project's
own packages, or in a package or module that an entry point of an installed distribution names (group
`greedymm.methods`, `greedymm.datasets`, ...), or that `plugins` in the params names. Other modules are helpers.

Importing a plug-in may import torch, which takes seconds, and Snakemake validates params at each start. So of a
plug-in's file only the class `Settings` is executed, and the statements that it needs.
"""

import ast
import traceback
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from greedymm import settings
from greedymm.errors import GreedymmError
from greedymm.settings import Strict

# Kind: package of the project's own plug-ins, whose last part is the group of entry points; base class of settings.
KINDS: dict[str, tuple[str, type[Strict]]] = {
    "dataset": ("greedymm.data.datasets", settings.DatasetSettings),
    "branch": ("greedymm.models.branches", settings.BranchSettings),
    "fusion": ("greedymm.models.fusions", settings.FusionSettings),
    "head": ("greedymm.models.heads", settings.HeadSettings),
    "method": ("greedymm.training.methods", settings.MethodSettings),
    "measure": ("greedymm.evaluation.measures", settings.MeasureSettings),
}


@cache
def plugins(kind: str, modules: tuple[str, ...] = ()) -> dict[str, str]:
    """Names of the plug-ins of one kind -> their modules; also of those in the modules and packages that params name.

    Raises:
        ValueError: if two have the same name, or if a named module does not exist or has no plug-ins.
    """
    package, base = KINDS[kind]
    listed = _plugins_in(package)
    points = entry_points(group=f"greedymm.{package.rpartition('.')[2]}")
    for source in [*(point.value for point in points), *modules]:
        listed += [module for module in _plugins_in(source) if issubclass(_settings_of(module), base)]
    by_name: dict[str, str] = {}
    for module in listed:
        name = module.rpartition(".")[2]
        other = by_name.setdefault(name, module)
        if other != module:
            files = f"{file_of(other)} and {file_of(module)}"
            raise ValueError(f"two plug-ins are the {kind} '{name}': {files}; rename one")
    return by_name


def names_of(kind: str, modules: tuple[str, ...] = ()) -> list[str]:
    """Names of the plug-ins of one kind."""
    return sorted(plugins(kind, modules))


def _plugins_in(source: str) -> list[str]:
    """Modules of the plug-ins in a package, or a module as a plug-in."""
    file = file_of(source)
    if file is None:
        cure = "install it, or put it beside the params; a folder of plug-ins needs an __init__.py"
        raise ValueError(f"there is no module '{source}': {cure}")
    if file.name != "__init__.py":
        return [source]
    files = [path for path in sorted(file.parent.glob("[!_]*.py")) if b"\nclass Settings(" in path.read_bytes()]
    if not files:
        raise ValueError(f"'{source}' has no plug-ins: none of its modules has a class Settings")
    return [f"{source}.{path.stem}" for path in files]


@cache
def file_of(module: str) -> Path | None:
    """File of a module, located without importing the module or its packages."""
    top, *below = module.split(".")
    spec = find_spec(top)
    for part in below:
        folders = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(part, folders) if folders else None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def settings_class(kind: str, name: str, modules: tuple[str, ...] = ()) -> type[Any]:
    """Class of a plug-in's settings.

    Raises:
        ValueError: if there is no such plug-in, or if its settings are of no kind.
    """
    available = plugins(kind, modules)
    if name not in available:
        raise ValueError(f"unknown {kind} '{name}'; there are: {', '.join(sorted(available))}")
    return _settings_of(available[name])


def _settings_of(module: str) -> type[Any]:
    settings_type: type[Any] = values_of(module, ("Settings",)).get("Settings", object)
    bases = tuple(base for _, base in KINDS.values())
    if settings_type.__module__ != module or not issubclass(settings_type, bases):
        names = ", ".join(base.__name__ for base in bases)
        raise ValueError(f"{file_of(module)} needs a class Settings that extends one of greedymm.settings: {names}")
    return settings_type


@cache
def values_of(module: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Values of some names of a plug-in, if it defines them. Only the statements that they need are executed.

    Raises:
        ValueError: if a statement fails. The message has the file and the error.
    """
    values: dict[str, Any] = {"__name__": module}
    file = file_of(module) or Path(module)
    try:
        tree = ast.parse(file.read_bytes(), file)
        exec(compile(ast.Module(_needed(tree.body, names), []), file, "exec"), values)  # noqa: S102  the user's own file
        for value in list(values.values()):
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module:
                # pydantic looks up postponed annotations in the imported module, which does not exist here.
                value.model_rebuild(_types_namespace=values)
    except (Exception, SystemExit) as error:
        raise ValueError(_failure(file, error)) from error
    return values


def _needed(body: list[ast.stmt], names: Iterable[str]) -> list[ast.stmt]:
    """The statements that bind some names, and those that these need in turn."""
    # `annotations`: the import from __future__; `*`: an import may bind any name.
    needed, count = {"annotations", "*", *names}, 0
    while len(needed) > count:
        count = len(needed)
        statements = [statement for statement in body if _bound_names(statement) & needed]
        # Only names that are read: a field `weights` does not need the module `weights`.
        nodes = (node for statement in statements for node in ast.walk(statement))
        needed |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return statements


def _bound_names(statement: ast.stmt) -> set[str]:
    """Names that a statement of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = list(ast.walk(statement))  # also inside of try and if
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {(node.asname or node.name).partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    return names | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def module_of(own: Strict) -> Any:
    """Module of the plug-in that settings belong to, imported.

    Raises:
        GreedymmError: if the import fails. The message has the file, the line and the error.
    """
    name = type(own).__module__
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        raise GreedymmError(_failure(file_of(name), error)) from error


def _failure(file: Path | None, error: BaseException) -> str:
    """One line about a plug-in that fails on import: its file, the line, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f", line {frame.lineno}" for frame in frames if frame.filename == str(file)]
    return f"{file}{(lines or [''])[-1]}: the plug-in fails on import: {type(error).__name__}: {error}"
