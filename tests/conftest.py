"""What the tests share: one thread each, and where they find the modules that several of them import."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is imported

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "training")]  # reference.py; tiny.py


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a subcommand; returns what it writes to the standard output."""
    from greedymm import cli

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["greedymm", *words])
        try:
            cli.main()
        except SystemExit as end:
            if end.code:
                raise
        return capsys.readouterr().out

    return run
