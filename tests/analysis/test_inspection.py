import json
from pathlib import Path

import made_up
import pytest

from greedymm.analysis.results import describe_run
from greedymm.errors import GreedymmError
from greedymm.plan import planned
from greedymm.run import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    run = planned(made_up.make_params([0]))[0]
    made_up.leave_result(
        run,
        {"val": {"accuracy": 0.75}, "test": {"accuracy": 0.5, "d_util": None}, "val_shift": {"accuracy": 0.25}},
        [0.5, 0.25, 0.125],
    )
    return run


def test_a_run_is_described_by_its_settings_where_it_ran_its_epochs_and_measures(run: Run) -> None:
    path = made_up.result_path(run)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"best_epoch": 2}))

    sections = dict(part.split("\n", 1) for part in describe_run(run.folder).split("\n\n")[1:])

    lines = {title: [line.split() for line in text.splitlines()] for title, text in sections.items()}
    assert ["training.learning_rate", "0.1"] in lines["settings"]
    assert ["seed", "0"] in lines["settings"]
    assert ["hardware.cores", "2"] in lines["computed with"]
    assert ["d_speed", "0.25"] in lines["best epoch, 2"]
    assert ["d_speed", "0.125"] in lines["last epoch, 3"]
    assert lines["measures, val split"] == [["accuracy", "0.75"]]
    assert lines["measures, test split"] == [["accuracy", "0.5"], ["d_util", "-"]]
    assert lines["measures, val_shift split"] == [["accuracy", "0.25"]]


def test_a_folder_without_a_result_and_a_broken_result_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"results has no evaluation-\*/result.json"):
        describe_run(tmp_path / "results")
    for content in (
        "{",
        "{}",
        "[]",
        "null",
        '{"settings": {}, "history": []}',
        '{"history": {"epoch": [1]}, "best_epoch": 2}',
    ):
        made_up.result_path(run).write_text(content)
        with pytest.raises(GreedymmError, match=r"result\.json is broken"):
            describe_run(run.folder)
