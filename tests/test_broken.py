"""A flipped bit or a cut in any file that a step reads: the file is named with the cure, or the bit meant nothing."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from smallest import CPU, PARAMS

from greedymm import checkpoint
from greedymm.analysis.results import read_results
from greedymm.errors import GreedymmError
from greedymm.files import read, read_json, write_json
from greedymm.info import check_content, read_info
from greedymm.plan import Plan, planned, read_data_settings, read_plan
from greedymm.run import Run
from greedymm.steps.evaluate import evaluate
from greedymm.steps.prepare import prepare
from greedymm.steps.train import train

FLIPS, CUTS = 6, 2


def evaluated(run: Run) -> Any:
    evaluate(run, CPU)
    return read_json(run.evaluation_folder / "result.json")


def resumed(run: Run) -> Any:
    train(run, CPU)
    return (run.folder / "checkpoint.pt").read_bytes()


def results(run: Run) -> str:
    return repr(read_results([run]))


READERS: dict[str, Callable[[Run], Any]] = {
    "data/*/*.h5": evaluated,
    "data/*/*.json": lambda run: read_info(run.data_path),
    "plans/*.json": lambda _: read_plan(*Path("results/plans").iterdir()).text,
    "runs/*/*/*/checkpoint.pt": evaluated,
    "runs/*/*/*/snapshots.pt": evaluated,
    "runs/*/*/*/resume.pt": resumed,
    "runs/*/*/*/history.csv": evaluated,
    "runs/*/*/*/timing.csv": evaluated,
    "runs/*/*/*/record.json": evaluated,
    "runs/*/*/*/steps.parquet": results,
    "runs/*/*/*/*/predictions.parquet": results,
    "runs/*/*/*/*/result.json": results,
    "searches/*.json": lambda _: read(Path("results/searches/s.json"), read_json),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, and the state to resume it from."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = Plan.make(PARAMS)
        plan.write()
        prepare(read_data_settings(plan.path, *plan.data), folder, 1)
        (run,) = planned(PARAMS)
        state = run.folder / "resume.pt"
        patch.setattr("greedymm.training.fit.Fit.finished", lambda fit: bool(fit.progress.history))
        patch.setattr(Path, "unlink", lambda path, **_: None)
        train(run, CPU)
        assert state.exists()
        evaluate(run, CPU)
        write_json({"trials": [{"accuracy": 0.5}], "chosen": {"val": 0}}, Path("results/searches/s.json"))
    return folder


@pytest.mark.parametrize("kind", READERS)
def test_damage_is_found_and_named(kind: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(whole, tmp_path / "copy"))
    (run,) = planned(PARAMS)
    (path,) = Path("results").glob(kind)
    content, expected = path.read_bytes(), READERS[kind](run)
    draw = random.Random(kind)  # noqa: S311
    for damage in range(FLIPS + CUTS):
        broken, place = bytearray(content), draw.randrange(len(content) - 1)
        if damage < FLIPS:
            broken[place] ^= 1 << draw.randrange(8)
        path.write_bytes(broken if damage < FLIPS else broken[:place])
        check_content.cache_clear()
        try:
            found = READERS[kind](run)
        except GreedymmError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "elete" in str(error)  # noqa: PT017
        else:
            assert damage < FLIPS
            assert found == expected, place
        path.write_bytes(content)


def test_a_checkpoint_with_any_flipped_bit_of_a_weight_is_refused(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"seed": 0}, {"weights": torch.full((100,), 0.5)})
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((100,), 0.5).numpy().tobytes()) + 200] ^= 1
    path.write_bytes(content)

    with pytest.raises(
        GreedymmError, match=r"checkpoint.pt is no checkpoint .* or broken \(wrong checksum of (?s:.*)delete"
    ):
        checkpoint.load(path, torch.device("cpu"))
