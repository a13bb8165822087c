"""Docstrings and settings of the project's own plug-ins -> docs/methods.md. No plug-in is imported.

A docstring is `Name: one sentence.`, followed by paragraphs, lists, and formulas, which are indented by four spaces.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from textwrap import dedent
from typing import Any, NamedTuple

from greedymm.params.plugins import KINDS, file_of, plugins, settings_class
from greedymm.settings import MethodSettings, ScoringSettings, Strict

INTRODUCTION = """\
# Methods, fusions, heads and measures

`greedymm methods > docs/methods.md` writes this page from the source files. Names are those of `params.yaml`. The
column *tuned* has the range from which tuning draws a setting. [plugins.md](plugins.md) explains the parts and their
hooks."""
SHARED = """\
These settings are shared. The section of a method names those it has, and its table has those that differ."""
SECTIONS = {"method": "Methods", "fusion": "Fusions", "head": "Heads", "measure": "Measures"}
HEADER = ("setting", "default", "values", "tuned", "meaning")
FORMULAS = re.compile(r"((?:^ {4}.*\n*)+)", re.MULTILINE)  # indented lines, and empty ones between them
# Code, or what Markdown would take for a backslash, emphasis or HTML.
SPECIAL = re.compile(r"(`[^`]*`)|(\\|\*(?=\S)|(?<=\S)\*|(?<!\w)_(?=\S)|<(?=[A-Za-z/!?]))")

Rows = dict[str, tuple[str, ...]]  # path of a setting: its cells in the other columns of HEADER


class Docstring(NamedTuple):
    """Parts of a plug-in's docstring, in Markdown."""

    first: str  # its name, if it has one, and one sentence
    body: str


def methods_page() -> str:
    """The page: for each kind a list of the plug-ins, and a section for each of them."""
    shared = settings_rows(MethodSettings) | settings_rows(ScoringSettings)
    parts = [INTRODUCTION]
    for kind, title in SECTIONS.items():
        texts = {name: parse(_docstring(module)) for name, module in _own(kind).items()}
        folder = f"../src/{KINDS[kind][0].replace('.', '/')}"
        listed = [
            (f"[{name}](#{name})", text.first, f"[{name}.py]({folder}/{name}.py)") for name, text in texts.items()
        ]
        parts += [f"## {title}", table(("name", "what it is", "code"), listed)]
        if kind == "method":
            parts += [SHARED, settings_table(shared)]
        for name, text in texts.items():
            rows = settings_rows(settings_class(kind, name))
            own = {path: cells for path, cells in rows.items() if shared.get(path) != cells and path != "name"}
            parts += [f"### {name}", text.first, text.body, settings_table(own), _also(rows.keys() - own.keys())]
    return "\n\n".join(filter(None, parts))


def _own(kind: str) -> dict[str, str]:
    """Names and modules of the plug-ins that come with the project."""
    package, _ = KINDS[kind]
    return {name: module for name, module in sorted(plugins(kind).items()) if module.startswith(f"{package}.")}


def _docstring(module: str) -> str:
    file = file_of(module)
    assert file is not None
    return ast.get_docstring(ast.parse(file.read_bytes())) or ""


def _also(paths: Iterable[str]) -> str:
    names = sorted({path.partition(".")[0] for path in paths} - {"name", "method"})
    return f"Shared settings: {', '.join(map(_code, names))}." if names else ""


# -- Docstrings ---------------------------------------------------------------------------------------------


def parse(docstring: str) -> Docstring:
    """Convert a docstring to Markdown."""
    first, _, rest = docstring.partition("\n\n")
    name, colon, sentence = escape(" ".join(first.split())).partition(": ")
    return Docstring(f"**{name}**: {sentence}" if colon else name, "\n\n".join(_blocks(rest)))


def _blocks(text: str) -> Iterator[str]:
    for number, part in enumerate(FORMULAS.split(text)):
        if number % 2:  # what the pattern matches
            yield f"```text\n{dedent(part).rstrip()}\n```"
        else:
            yield from map(_paragraph, re.findall(r"(?:.+\n?)+", part))


def _paragraph(text: str) -> str:
    """A list line by line; a paragraph as one line, so that no line of it can begin like a list."""
    has_list = re.search(r"^(- |1\. )", text, re.MULTILINE)
    return escape(text.rstrip() if has_list else " ".join(text.split()))


def escape(text: str) -> str:
    """Escape what Markdown would take for markup, except in code."""
    return SPECIAL.sub(lambda match: match[1] or f"\\{match[2]}", text)


# -- Settings -----------------------------------------------------------------------------------------------


def settings_rows(settings: type[Strict]) -> Rows:
    """Cells of each setting, by its path: those of a section are `active.start`."""
    schema = settings.model_json_schema()
    return dict(_rows(schema, schema.get("$defs", {}), {}))


def _rows(
    section: dict[str, Any], definitions: dict[str, Any], defaults: dict[str, Any], above: str = ""
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, field in section.get("properties", {}).items():
        below = definitions.get(field.get("$ref", "").rpartition("/")[2])
        default = defaults.get(name, field.get("default", ...))
        if below:
            yield from _rows(below, definitions, {} if default is ... else default, f"{above}{name}.")
        else:
            shown = "required" if default is ... else _code(default)
            meaning = escape(field.get("description", ""))
            yield above + name, (shown, _values(field), _tuned(field.get("search", {})), meaning)


def _values(field: dict[str, Any]) -> str:
    """Values that a setting can have, from its JSON schema."""
    if "anyOf" in field:
        return " or ".join(map(_values, field["anyOf"]))
    if "const" in field or "enum" in field:
        return ", ".join(map(_code, field.get("enum", [field.get("const")])))
    kind = field.get("type", "section")
    if kind in ("boolean", "null"):
        return "`true`, `false`" if kind == "boolean" else "`null`"
    if kind == "array":
        items = field.get("items", {})
        return "list" if "type" not in items else f"list of {_values(items)}"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        bounds = f"{low:g} to {high:g}"
    else:
        signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        bounds = ", ".join(f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field)
    return " ".join(filter(None, ["" if bounds and kind == "number" else kind, bounds]))


def _tuned(search: dict[str, list[Any]]) -> str:
    """Range from which tuning draws, from the JSON schema."""
    for how, values in search.items():
        if how == "choice":
            return ", ".join(map(_code, values))
        return f"{values[0]:g} to {values[1]:g}" + ", log-uniform" * (how == "log_uniform")
    return ""


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def settings_table(rows: Rows) -> str:
    """Settings as a table in Markdown; empty if there are none."""
    return table(HEADER, [(_code(path), *cells) for path, cells in rows.items()])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without columns that have no content; empty if there is no row."""
    kept = [k for k in range(len(header)) if any(row[k] for row in rows)]
    lines = [[row[k].replace("|", "\\|") for k in kept] for row in (header, ["---"] * len(header), *rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if rows else ""
