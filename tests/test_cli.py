import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import greedymm
from greedymm.errors import GreedymmError
from greedymm.params.json_schema import json_schema
from greedymm.params.load import validate
from greedymm.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
NAME = "colored_mnist_5k"
RAW: dict[str, Any] = yaml.safe_load(f"""
seeds: [0]
datasets:
  {NAME}:
    data: {{}}
    model:
      branch: {{name: cnn}}
      fusion: {{name: mmtm}}
      fuse_after: [2]
    training: {{epochs: 3, batch_size: 8, learning_rate: 0.1}}
    methods: {{greedy: {{}}, random: {{}}}}
""")
PARAMS = validate(RAW)

Call = Callable[..., str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to work in, with a params.yaml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(RAW), encoding="utf-8")
    return tmp_path


def message_of(call: Call, *words: str) -> str:
    """Message with which a subcommand ends; python writes it to stderr, and the exit code is 1."""
    with pytest.raises(SystemExit) as raised:
        call(*words)
    assert isinstance(raised.value.code, str), raised.value.code
    return raised.value.code


def failing(error: Exception) -> Callable[..., None]:
    def step(*_: object, **__: object) -> None:
        raise error

    return step


# -- Errors -------------------------------------------------------------------------------------------------


def test_an_error_that_a_user_can_mend_is_shown_as_its_message_alone(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.steps.prune.prune", failing(GreedymmError("data/x is missing.\n  Put it there.")))

    assert message_of(call, "prune") == "greedymm: data/x is missing.\n  Put it there."


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EROFS, "Work in another folder"),
        (errno.EACCES, "Change the permissions"),
        (errno.EISDIR, "Name a file, not a folder,"),
        (errno.ENOTDIR, "Name a folder, not a file,"),
        (errno.EEXIST, "Move the file that is in the way"),
        (errno.EMFILE, "Allow more open files (ulimit -n 4096)"),
        (errno.EAGAIN, "Close other programs"),
    ],
)
def test_a_disk_that_refuses_is_shown_with_the_cure(
    number: int, cure: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.steps.prune.prune", failing(OSError(number, os.strerror(number), "results/x")))

    message = message_of(call, "prune")

    assert message.startswith(f"greedymm: [Errno {number}] {os.strerror(number)}: 'results/x'\n")
    assert f"{cure} and run again" in message


@pytest.mark.parametrize(
    "error", [ValueError("unforeseen"), OSError(errno.EIO, "unforeseen"), KeyError("unforeseen")], ids=repr
)
def test_an_error_that_nobody_foresaw_keeps_its_traceback(
    error: Exception, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greedymm.steps.prune.prune", failing(error))

    with pytest.raises(type(error), match="unforeseen"):
        call("prune")


def run_process(*words: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(greedymm.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "greedymm", *words],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_ends_with_1_and_without_a_traceback() -> None:
    Path("params.yaml").write_text(yaml.safe_dump(RAW | {"code": "0123456789"}))
    done = run_process("prune")

    assert done.returncode == 1
    assert done.stderr.startswith("greedymm: git has no code of greedymm.steps.")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


UNREADY: dict[str, tuple[tuple[str, ...], str | None, str]] = {
    "no params": (("prune",), None, "params.yaml"),
    "no params at the place given": (("prune", "--params", "other.yaml"), "", "other.yaml"),
    "params that are no YAML": (("prune",), "seeds: [0", "params.yaml is no valid YAML, line 1"),
    "params that are not valid": (("prune",), "seeds: [0]\ntypo: 1\n", "typo: there is no such setting"),
    "no table yet": (("summary",), "", "results/report/tables/headline.csv"),
}


@pytest.mark.parametrize(("words", "text", "what"), UNREADY.values(), ids=UNREADY)
def test_what_is_missing_or_wrong_is_named_without_a_traceback(
    words: tuple[str, ...], text: str | None, what: str, folder: Path, call: Call
) -> None:
    if text is None:
        (folder / "params.yaml").unlink()
    else:
        (folder / "params.yaml").write_text(text, encoding="utf-8")

    assert what in message_of(call, *words)


@pytest.mark.parametrize("words", [(), ("no-such-command",), ("prepare",), ("prune", "--no-such-option")], ids=" ".join)
def test_a_command_line_that_is_not_understood_shows_the_usage(
    words: tuple[str, ...], call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        call(*words)

    assert raised.value.code == 2
    printed = capsys.readouterr()
    assert "Usage: greedymm" in printed.err + printed.out


# -- Commands for people ------------------------------------------------------------------------------------


def test_the_version_is_shown(call: Call) -> None:
    assert call("--version").strip() == greedymm.__version__


def test_the_schema_is_written_as_json(call: Call) -> None:
    assert json.loads(call("schema")) == json.loads(json.dumps(json_schema()))


def test_the_summary_is_the_main_table_and_the_place_of_the_report(folder: Path, call: Call) -> None:
    table = folder / "results/report/tables/headline.csv"
    table.parent.mkdir(parents=True)
    table.write_text("method,accuracy\nunimodal_color,0.987 ± 0.001\nnone,\n", encoding="utf-8")

    shown = call("summary")

    assert ["color", "alone", "0.987", "±", "0.001"] in [line.split() for line in shown.splitlines()]
    assert "NaN" not in shown
    assert f"Report: {folder / 'results/report/index.html'}" in shown


# -- Prune --------------------------------------------------------------------------------------------------


class Results:
    """Made-up results in the folder worked in: what a plan names, and what it does not."""

    def __init__(self) -> None:
        plan = Plan.make(PARAMS)
        runs = plan.default_runs
        data = plan.data_of(NAME).path
        self.kept = [data, data.with_suffix(".json"), plan.folder / "index.html", Path("results/report/index.html")]
        self.kept += [run.folder / "checkpoint.pt" for run in runs] + [Path(f"results/data/{NAME}/notes.txt")]
        self.kept += [plan.path]
        self.stale = [
            Path(f"results/data/{NAME}/00000000.h5"),
            Path("results/data/gone/00000000.h5"),
            Path("results/data/gone/00000000.json"),
            Path("results/plans/00000000.json"),
            Path("results/analysis/00000000"),
            Path("results/runs/gone/greedy/seed0-00000000"),
            Path(f"results/runs/{NAME}/balanced/seed0-00000000"),
            runs[0].folder.with_name("seed0-00000000"),
            runs[0].folder / "evaluation-00000000",
        ]
        for path in [*self.kept, *(p if p.suffix else p / "result.json" for p in self.stale)]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made up", encoding="utf-8")
        os.utime("results/plans/00000000.json", (0, 0))

    @property
    def left(self) -> list[Path]:
        """What is still there of the stale."""
        return [path for path in self.stale if path.exists()]


@pytest.fixture
def results(folder: Path) -> Results:
    return Results()


def test_without_delete_prune_lists_what_it_would_remove_and_removes_nothing(results: Results, call: Call) -> None:
    assert sorted(call("prune").split()) == sorted(map(str, results.stale))
    assert results.left == results.stale
    assert all(path.exists() for path in results.kept)


def test_pruning_removes_what_params_no_longer_name_and_nothing_else(results: Results, call: Call) -> None:
    assert sorted(call("prune", "--delete").split()) == sorted(map(str, results.stale))
    assert results.left == []
    assert all(path.exists() for path in results.kept)
    assert call("prune") == ""


def test_nothing_is_deleted_where_the_last_workflow_had_other_params(results: Results, call: Call) -> None:
    os.utime("results/plans/00000000.json")

    message = message_of(call, "prune", "--delete")

    assert re.search("last workflow made results/plans/00000000.json.*--params OVERLAY", message, re.DOTALL)
    assert results.left == results.stale


def test_pruning_takes_the_params_that_it_is_given(results: Results, call: Call) -> None:
    Path("overlay.yaml").write_text("seeds: [7]")

    removed = call("prune", "--params", "params.yaml", "--params", "overlay.yaml").split()

    plan = Plan.make(PARAMS)
    assert {str(run.folder) for run in plan.runs.values()} <= set(removed)
    assert str(plan.data_of(NAME).path) not in removed


def test_pruning_where_there_are_no_results_does_nothing(folder: Path, call: Call) -> None:
    before = sorted(folder.rglob("*"))

    assert call("prune") == ""
    assert sorted(folder.rglob("*")) == before


def test_pruning_a_link_removes_the_link_and_not_what_it_points_to(folder: Path, call: Call) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    link = Path(f"results/runs/{NAME}/greedy/seed0-00000000")
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)

    call("prune", "--delete")

    assert elsewhere.exists()
    assert not link.is_symlink()


# -- Memory -------------------------------------------------------------------------------------------------

FULL = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", [*FULL, RuntimeError("shapes do not match")], ids=str)
def test_full_memory_is_a_message_with_what_to_lower(
    error: Exception, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Path) -> None:
        raise error

    monkeypatch.setattr("greedymm.cli.load", fail)

    with pytest.raises(SystemExit if error in FULL else RuntimeError) as raised:
        call("prune")

    words = ("--cores", "training.batch_size", "execution.workers", "execution.resident_gb", "execution.preparers")
    assert all(word in str(raised.value) for word in words) == (error in FULL)
