"""YAML without its traps: what another reader would read as something else is an error, with its line."""

import re
from typing import Any

import yaml
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

FLOAT, INT, MERGE, TEXT, TIME = (f"tag:yaml.org,2002:{tag}" for tag in ("float", "int", "merge", "str", "timestamp"))


class Reader(yaml.SafeLoader):
    """A safe loader that refuses a key that is there twice or is no text, and numbers that YAML 1.2 reads as others."""

    # A date stays text.
    yaml_implicit_resolvers = {  # noqa: RUF012  an attribute of PyYAML
        first: [(tag, pattern) for tag, pattern in resolvers if tag != TIME]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag not in (TEXT, MERGE):
                shown = repr(key.value) if isinstance(key, ScalarNode) else "that is a list or a mapping"
                raise MarkedYAMLError(
                    problem=f"the key {shown} is no text; put it in quotes", problem_mark=key.start_mark
                )
            if key.value in lines:
                problem = f"the key '{key.value}' is there twice, first in line {lines[key.value]}; delete one"
                raise MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  as in PyYAML
        try:
            return super().construct_object(node, deep)
        except (AttributeError, KeyError, ValueError) as error:  # of a tag that does not fit, or 5,000 digits
            kind = node.tag.rpartition(":")[2]
            problem = f"'{str(node.value)[:40]}' is no {kind}; correct it"
            raise MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error

    def construct_number(self, node: ScalarNode) -> float:
        """An integer or a float. YAML 1.1 reads 010 as 8 and 1:30 as 90."""
        if ":" in node.value or (node.tag == INT and re.match("[-+]?0[0-7_]", node.value)):
            problem = f"{node.value} has two meanings; write a plain number, or text in quotes"
            raise MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        construct = self.construct_yaml_int if node.tag == INT else self.construct_yaml_float
        number: float = construct(node)
        return number


# 1e-3 and 1e-05, as Python and `dvc exp run -S` write them, are text in YAML 1.1.
Reader.add_implicit_resolver(FLOAT, re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))
Reader.add_constructor(INT, Reader.construct_number)
Reader.add_constructor(FLOAT, Reader.construct_number)


def read(content: bytes) -> Any:
    """Content of a YAML text in UTF-8.

    Raises:
        yaml.YAMLError: if it is no YAML, or has one of the traps.
    """
    try:
        return yaml.load(content, Reader)  # noqa: S506  a safe loader
    except RecursionError:
        raise YAMLError("it has too many levels") from None


def describe(error: yaml.YAMLError) -> str:
    """What is wrong, in which line, and the cure, after the name of the file."""
    if isinstance(error, ReaderError):
        return (
            f"is no text in UTF-8 ({error.reason}, at {error.position}); save it as UTF-8, without control characters"
        )
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        mark, cure = error.problem_mark, "; indent with spaces" if "\\t" in str(error.problem) else ""
        return f"is no valid YAML, line {mark.line + 1}, column {mark.column + 1}: {error.problem}{cure}"
    return f"is no valid YAML: {error}"
