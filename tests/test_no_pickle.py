"""No pickle is loaded: it could run any code of whoever wrote the file."""

import ast
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from greedymm import checkpoint
from greedymm.errors import GreedymmError
from greedymm.files import read_json
from greedymm.models import weights

ROOT = Path(__file__).parents[1]
SOURCES = [p for folder in ("src", "benchmarks", ".ci", "workflow") for p in sorted((ROOT / folder).rglob("*.py"))]
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
# Functions that load pickles, unless an argument has this value.
FUNCTIONS = {"read_pickle": None, "unsafe_load": None, "full_load": None, "torch.load": ("weights_only", True)}
FORBIDDEN_ARGUMENTS = {"allow_pickle"}


def loads(tree: ast.AST) -> Iterator[str]:
    """What may load a pickle in a module."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            arguments = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            yield from (name for name in FORBIDDEN_ARGUMENTS if arguments.get(name))
            for name, safe in FUNCTIONS.items():
                if (function == name or function.endswith(f".{name}")) and (
                    not safe or arguments.get(safe[0]) is not safe[1]
                ):
                    yield function


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from joblib import load", "torch.load(f)", "torch.load(f, weights_only=False)",
     "np.load(f, allow_pickle=True)", "pd.read_pickle(f)", "yaml.unsafe_load(f)"],
)  # fmt: skip
def test_what_loads_a_pickle_is_found(code: str) -> None:
    assert list(loads(ast.parse(code)))


def test_no_source_file_loads_a_pickle() -> None:
    assert len(SOURCES) > 100
    assert {str(path): found for path in SOURCES if (found := list(loads(ast.parse(path.read_text()))))} == {}
    for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]:
        assert not any(module in path.read_text() for module in MODULES), path


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def saved(content: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def npy(content: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([content], dtype=object), allow_pickle=True)
    return buffer.getvalue()


KINDS: dict[str, Callable[[object], bytes]] = {
    "pickle": pickle.dumps,
    "torch": lambda content: saved({"settings": "{}", "best": content}),
    "torch, old form": lambda content: saved({"best": content}, _use_new_zipfile_serialization=False),
    "npy": npy,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_in_place_of_a_checkpoint_weights_or_json_is_refused_and_not_run(kind: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "file.pt", tmp_path / "trace"
    path.write_bytes(KINDS[kind](Evil(trace)))

    with pytest.raises(GreedymmError, match=r"file\.pt is no checkpoint of this project, or broken \(.+\)"):
        checkpoint.load(path, torch.device("cpu"))
    with pytest.raises(GreedymmError, match=r"file\.pt is no file of weights such as .+, or broken \(.+\)"):
        weights.load(torch.nn.Linear(1, 1), path, str, "a network")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        read_json(path)

    assert not trace.exists()
