"""How many small errors, made on purpose in a module, do its tests find.

python benchmarks/mutants.py [--count 20] [--slow] MODULE=TEST[,TEST...] ...

Run it in the root of a clone, all changes committed: the tests run in a temporary clone. A mutant is the module with
one change: another operator, a negated condition, a number plus 1, `min` for `max`, `return None`, a call left out. A
hash of the change draws the mutants, so lines that two versions share give the same ones. A mutant is killed if a test
fails, or if the tests take 5 times as long. Prints the mutants that survive.
"""

import argparse
import ast
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

SLOWER = 5  # times the duration without a change
SKIPPED = {"annotation", "returns"}  # fields that change no result
PAIRS = "Add Sub, Mult Div, BitAnd BitOr, And Or, Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, min max, any all"
SWAPPED = {a: b for pair in map(str.split, PAIRS.split(",")) for a, b in (pair, pair[::-1])}
SWAPPED |= {"FloorDiv": "Div", "Mod": "Mult", "Pow": "Mult", "argmin": "argmax", "argmax": "argmin"}


def locations(parent: ast.AST, line: int = 0) -> Iterator[tuple[Any, Any, str, int]]:
    """Every node and name below a node: what holds it, its index there, the field of its parent, and the line."""
    if isinstance(parent, ast.Assert | ast.JoinedStr) or getattr(parent, "arg", None) == "strict":
        return  # they find or describe errors
    for field, value in ast.iter_fields(parent):
        holder, keys = (value, range(len(value))) if isinstance(value, list) else (vars(parent), [field])
        for key in keys if field not in SKIPPED else []:
            below = getattr(holder[key], "lineno", line)  # operators have none
            if isinstance(holder[key], ast.AST) or field in {"id", "attr"}:
                yield holder, key, field, below
            if isinstance(holder[key], ast.AST):
                yield from locations(holder[key], below)


def variants(node: Any, field: str) -> Iterator[Any]:
    """Nodes or names to put in place of one."""
    if field in {"test", "ifs"} and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)
    match node:
        case str() if node in SWAPPED:
            yield SWAPPED[node]
        case ast.operator() | ast.boolop() | ast.cmpop() if type(node).__name__ in SWAPPED:
            yield getattr(ast, SWAPPED[type(node).__name__])()
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Constant(value=int() | float()):
            yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
        case ast.Return(value=ast.AST()):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


def draw_mutants(source: str, count: int) -> list[tuple[int, str, str]]:
    """Line, text of the change, and source of each drawn mutant of a module."""
    tree, found = ast.parse(source), []
    before = ast.unparse(tree).splitlines()
    for holder, key, field, line in locations(tree):
        node = holder[key]
        for holder[key] in list(variants(node, field)):
            after = ast.unparse(tree).splitlines()
            changes = [f"{a.strip()}  ->  {b.strip()}" for a, b in zip(before, after, strict=False) if a != b]
            found += [(line, change, "\n".join(after)) for change in changes[:1]]
        holder[key] = node
    return sorted(found, key=lambda mutant: hashlib.sha256(mutant[1].encode()).digest())[:count]


def passes(module: Path, source: str, words: list[str], limit: float = 0) -> bool:
    """Whether the tests pass with this source of the module, within so many seconds; 0: no limit."""
    module.write_text(source, encoding="utf-8")
    Path(cache_from_source(str(module))).unlink(missing_ok=True)  # its age is compared in whole seconds
    command = ["timeout", "--kill-after=1", str(limit), sys.executable, "-m", "pytest", "-x", "-q", *words]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def measure(module: Path, words: list[str], count: int) -> None:
    """Print how many mutants of a module are killed, and which survive."""
    source, start = module.read_text(encoding="utf-8"), time.monotonic()
    if not passes(module, ast.unparse(ast.parse(source)), words):
        sys.exit(f"{module}: without a change, this fails: pytest {' '.join(words)}")
    limit, mutants = SLOWER * (time.monotonic() - start), draw_mutants(source, count)
    survivors = sorted(mutant for mutant in mutants if passes(module, mutant[2], words, limit))
    module.write_text(source, encoding="utf-8")
    sys.stdout.write(f"{module}: {len(mutants)} mutants, {len(mutants) - len(survivors)} killed\n")
    sys.stdout.writelines(f"  {line}: {change}\n" for line, change, _ in survivors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", metavar="MODULE=TEST[,TEST...]", help="a module and its tests")
    parser.add_argument("--count", type=int, default=20, help="mutants per module")
    parser.add_argument("--slow", action="store_true", help="also run the tests marked slow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = f"{folder}/src"
        for name, tests in (words.split("=") for words in options.modules):
            words = ["-p", "no:cacheprovider", *tests.split(","), *([] if options.slow else ["-m", "not slow"])]
            measure(Path(name), words, options.count)
