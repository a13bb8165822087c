"""Planned runs, and their keys by settings."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from test_params import DATASET, NAME, leaves, raw

from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import data_settings, planned, points
from greedymm.run import DataSettings, Evaluation, Run, key_of

UNIMODAL = {"unimodal_color", "unimodal_gray"}
FUSED = {"greedy", "balanced", "random"}
RUNS = FUSED | UNIMODAL
ALL = RUNS | {"data"}

Keys = dict[str, str]


def given(changes: Mapping[str, Any] | None = None) -> Params:
    """Params of one seed with other values at some key paths."""
    return validate(raw({"seeds": [0]} | dict(changes or {})))


def keys(content: Params) -> Keys:
    """Keys of the data, of the runs by their names, and of the evaluation."""
    runs = planned(content)
    (evaluation,) = {key_of(run.evaluation.model_dump(mode="json")) for run in runs}
    of_runs = {run.method if run.seed == 0 else f"{run.method}-{run.seed}": run.name for run in runs}
    return of_runs | {"data": data_settings(content, NAME).id, "evaluation": evaluation}


def changed(before: Keys, after: Keys) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="module")
def plain() -> Keys:
    return keys(given())


# -- Settings -----------------------------------------------------------------------------------------------

# A changed value of every setting that can change a result, and what has to be computed again.
CHANGES: list[tuple[set[str], dict[str, Any]]] = [
    (ALL, {"data.variance": 0.03, "data.validation": 0.25, "data.seed": 1, "data.per_class": 50}),
    (RUNS, {"inputs.scaling": "imagenet", "inputs.flip": True, "inputs.frames": 4, "inputs.crop": 20}),
    (RUNS, {"model.branch.widths": [4, 8], "training.epochs": 4, "training.batch_size": 9}),
    (RUNS, {"training.learning_rate": 0.2, "training.momentum": 0.9, "training.weight_decay": 1e-4}),
    (RUNS, {"training.schedule": "cosine", "training.factor": 0.5, "training.patience": 3}),
    (RUNS, {"training.threshold": 1e-4, "training.min_learning_rate": 1e-7, "training.perfect_epochs": 2}),
    (FUSED, {"modalities": ["gray", "color"], "model.fusion.ratio": 4, "model.fusion.official_gates": True}),
    (FUSED, {"model.fuse_after": [2], "training.snapshots": [1, 3]}),
    (FUSED | {"unimodal_gray"}, {"model.branches": {"gray": {"name": "cnn", "widths": [4, 8]}}}),
    ({"greedy"}, {"methods.greedy.objective": "multi"}),
    ({"random"}, {"methods.random.objective": "multi"}),
    ({"balanced"}, {f"methods.balanced.{k}": v for k, v in (("objective", "joint"), ("tolerance", 2), ("window", 4))}),
    ({"evaluation"}, {"measures": ["shapley"]}),
]
NO_RESULT: dict[str, Any] = {
    "execution.device": "cuda", "execution.threads": 3, "execution.resident_gb": 0, "execution.workers": 0,
    "execution.preparers": 1, "execution.memory_mb": 5, "execution.runs_per_job": 2,
    "tracking.enabled": True, "tracking.uri": "http://127.0.0.1:5000",
    "tracking.models": True,
}  # fmt: skip


def test_a_setting_changes_the_keys_of_what_it_can_change(plain: Keys) -> None:
    for concerned, settings in CHANGES:
        for path, value in settings.items():
            assert changed(plain, keys(given({f"{DATASET}.{path}": value}))) == concerned, path
    assert keys(given(NO_RESULT)) == plain
    written = {f"{DATASET}.data.validation": 0.2, f"{DATASET}.methods.random": None}
    assert keys(given(written)) == plain  # the same values in another form


def test_no_setting_is_missing_above() -> None:
    dumped = given().model_dump()
    # Another name is another plug-in; `unimodal` adds runs.
    names = {"model.branch.name", "model.fusion.name", "model.head.name", "unimodal"}

    listed = {path for _, settings in CHANGES for path in settings}
    assert {path for path, _ in leaves(dumped["datasets"][NAME])} == listed - {"model.branches"} | names
    assert {p for part in ("execution", "tracking") for p, _ in leaves(dumped[part], f"{part}.")} == NO_RESULT.keys()


def test_other_seeds_methods_and_references_leave_the_keys_of_the_rest_alone(plain: Keys) -> None:
    more = keys(given({"seeds": [5, 0]}))
    assert {name: key for name, key in more.items() if not name.endswith("-5")} == plain
    assert len({key for name, key in more.items() if name.split("-")[0] in RUNS}) == 2 * len(RUNS)

    fewer = keys(given({f"{DATASET}.methods.random": "drop", f"{DATASET}.unimodal": False}))
    assert plain.keys() - fewer.keys() == {"random"} | UNIMODAL
    assert fewer.items() <= plain.items()


# -- Runs ---------------------------------------------------------------------------------------------------


def test_every_run_has_its_own_key_and_folder(plain: Keys) -> None:
    runs = planned(given({"seeds": [0, 1, 2]}))

    assert len(runs) == 3 * len(RUNS)
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        assert re.fullmatch(rf"seed{run.seed}-[0-9a-f]{{8}}", run.name)
        assert run.folder == Path("results/runs", NAME, run.method, run.name)
        assert run.evaluation_folder == run.folder / f"evaluation-{plain['evaluation']}"


def test_a_reference_has_one_modality_and_no_fusion() -> None:
    references = [run.settings for run in planned(given()) if run.method in UNIMODAL]

    assert [(s.modalities, s.fusion, s.fuse_after, s.method) for s in references] == [
        (("color",), None, ((),), "greedy"),
        (("gray",), None, ((),), "greedy"),
    ]


def test_a_modality_that_is_listed_twice_is_two_and_has_one_reference() -> None:
    runs = planned(given({f"{DATASET}.modalities": ["gray", "gray"]}))

    assert {run.method for run in runs} == FUSED | {"unimodal_gray"}
    for run in runs:
        fused = run.method in FUSED
        assert run.settings.modalities == (("gray", "gray_2") if fused else ("gray",))
        assert run.settings.stored == (("gray", "gray") if fused else ("gray",))


def test_a_modality_may_have_its_own_branch() -> None:
    model = {
        "branches": {"gray": {"name": "cnn", "widths": [4, 6, 8]}},
        "fuse_after": {"color": [2, 1, 2], "gray": [1, 3]},
    }
    runs = {r.method: r.settings for r in planned(given({f"{DATASET}.model.{k}": v for k, v in model.items()}))}

    assert [branch.model_dump()["widths"] for branch in runs["greedy"].branches] == [(4, 6), (4, 6, 8)]
    assert runs["greedy"].fuse_after == ((1, 2), (1, 3))
    assert [branch.model_dump()["widths"] for branch in runs["unimodal_gray"].branches] == [(4, 6, 8)]


def test_settings_keep_their_keys_and_classes_on_the_way_through_json() -> None:
    content = given({f"{DATASET}.data.variance": 0.5})
    for run in planned(content):
        again = Run.model_validate_json(run.model_dump_json())

        assert again == run
        assert (again.folder, again.evaluation_folder) == (run.folder, run.evaluation_folder)
        assert type(again.settings.method_settings) is type(run.settings.method_settings)
        assert list(map(type, again.settings.branches)) == list(map(type, run.settings.branches))
        assert Evaluation.model_validate_json(run.evaluation.model_dump_json()) == run.evaluation
    data = data_settings(content, NAME)
    assert DataSettings.model_validate_json(data.model_dump_json()) == data
    assert data.path == Path("results/data", f"{data.id}.h5") == planned(content)[0].data_path


def test_a_sweep_shares_the_runs_of_the_params() -> None:
    sweep = {"dataset": NAME, "setting": "methods.balanced.window", "values": [5, 20], "methods": ["balanced"]}
    content = given({"sweeps": {"window": sweep}})

    runs = [run for _, run in points(content, "window")]

    assert [run.method for run in runs] == ["balanced", "balanced"]
    assert [run in planned(content) for run in runs] == [True, False]
    twice = given({"sweeps": {"window": sweep | {"values": [5, 20, 5]}}})
    with pytest.raises(GreedymmError, match=r"sweeps\.window: values 5 and 5 ask for the same runs"):
        points(twice, "window")
