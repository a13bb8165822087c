"""Planned runs, and their keys by settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import analysis_key, data_settings, planned
from greedymm.run import DataSettings, Run, key_of

NAME = "colored_mnist_5k"
DATASET = f"datasets.{NAME}"
RAW = f"""
seeds: [0]
datasets:
  {NAME}:
    data: {{}}
    model:
      branch: {{name: cnn, widths: [4, 6]}}
      fusion: {{name: mmtm}}
      fuse_after: [2]
    training: {{epochs: 3, batch_size: 8, learning_rate: 0.1}}
    methods: {{greedy: {{}}, balanced: {{}}, random: {{}}}}
"""
UNIMODAL = {"unimodal_color", "unimodal_gray"}
FUSED = {"greedy", "balanced", "random"}
RUNS = FUSED | UNIMODAL
ALL = RUNS | {"data", "analysis"}

Keys = dict[str, str]


def given(changes: Mapping[str, Any] | None = None) -> Params:
    """Params with other values at some dotted places."""
    content: dict[str, Any] = yaml.safe_load(RAW)
    for place, value in (changes or {}).items():
        *above, last = place.split(".")
        section = content
        for key in above:
            section = section.setdefault(key, {})
        section[last] = value
    return validate(content)


def keys(content: Params) -> Keys:
    """All keys: of the data, of the runs by their names, of what measures them, and of the analysis."""
    runs = planned(content)
    (evaluation,) = {key_of(run.evaluation.model_dump(mode="json")) for run in runs}
    of_runs = {run.method if run.seed == 0 else f"{run.method}-{run.seed}": run.key for run in runs}
    data = data_settings(content, NAME).key
    return of_runs | {"data": data, "evaluation": evaluation, "analysis": analysis_key(content)}


def changed(before: Keys, after: Keys) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="module")
def plain() -> Keys:
    return keys(given())


# -- Settings -----------------------------------------------------------------------------------------------

# A changed value of every setting that can change a result, and what has to be made again.
CHANGES: dict[str, tuple[Any, set[str]]] = {
    "data.variance": (0.03, ALL),
    "data.validation": (0.25, ALL),
    "data.seed": (1, ALL),
    "data.per_class": (100, ALL),
    "modalities": (["gray", "color"], FUSED | {"analysis"}),
    "inputs.scaling": ("imagenet", RUNS | {"analysis"}),
    "inputs.flip": (True, RUNS | {"analysis"}),
    "inputs.frames": (4, RUNS | {"analysis"}),
    "inputs.crop": (20, RUNS | {"analysis"}),
    "model.branch.widths": ([4, 8], RUNS | {"analysis"}),
    "model.fusion.ratio": (2, FUSED | {"analysis"}),
    "model.fusion.official_gates": (True, FUSED | {"analysis"}),
    "model.fuse_after": ([1, 2], FUSED | {"analysis"}),
    "training.epochs": (4, RUNS | {"analysis"}),
    "training.batch_size": (9, RUNS | {"analysis"}),
    "training.learning_rate": (0.2, RUNS | {"analysis"}),
    "training.momentum": (0.9, RUNS | {"analysis"}),
    "training.weight_decay": (1e-4, RUNS | {"analysis"}),
    "training.schedule": ("cosine", RUNS | {"analysis"}),
    "training.factor": (0.5, RUNS | {"analysis"}),
    "training.patience": (3, RUNS | {"analysis"}),
    "training.threshold": (1e-4, RUNS | {"analysis"}),
    "training.min_learning_rate": (1e-7, RUNS | {"analysis"}),
    "training.perfect_epochs": (2, RUNS | {"analysis"}),
    "training.snapshots": ([1, 3], FUSED | {"analysis"}),
    "methods.greedy.objective": ("multi", {"greedy", "analysis"}),
    "methods.balanced.objective": ("joint", {"balanced", "analysis"}),
    "methods.random.objective": ("multi", {"random", "analysis"}),
    "measures": (["shapley"], {"evaluation", "analysis"}),
    "methods.balanced.tolerance": (0.02, {"balanced", "analysis"}),
    "methods.balanced.window": (4, {"balanced", "analysis"}),
}
NO_RESULT: dict[str, Any] = {
    "execution.device": "cpu",
    "execution.threads": 3,
    "execution.resident_gb": 0,
    "execution.workers": 0,
    "execution.preparers": 1,
    "execution.memory_mb": 5,
    "tracking.enabled": False,
    "tracking.uri": "http://127.0.0.1:5000",
    "tracking.follow_after": 0,
    "tracking.models": True,
}


def places(section: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from places(value, f"{above}{name}.")
        else:
            yield above + name


@pytest.mark.parametrize(("place", "value", "concerned"), [(p, *c) for p, c in CHANGES.items()], ids=CHANGES)
def test_a_setting_changes_the_keys_of_what_it_can_change(
    place: str, value: Any, concerned: set[str], plain: Keys
) -> None:
    assert changed(plain, keys(given({f"{DATASET}.{place}": value}))) == concerned


@pytest.mark.parametrize(("place", "value"), NO_RESULT.items(), ids=NO_RESULT)
def test_where_and_how_it_runs_changes_no_key(place: str, value: Any, plain: Keys) -> None:
    assert keys(given({place: value})) == plain


def test_no_setting_is_left_out_above() -> None:
    dumped = given().model_dump()
    # Others are other plug-ins and other runs, which tests below change.
    names = {"model.branch.name", "model.fusion.name", "model.head.name", "unimodal"}

    assert set(places(dumped["datasets"][NAME])) == CHANGES.keys() | names | {"model.branches"}
    assert {p for part in ("execution", "tracking") for p in places(dumped[part], f"{part}.")} == NO_RESULT.keys()


def test_the_same_value_written_otherwise_gives_the_same_keys(plain: Keys) -> None:
    written = {f"{DATASET}.training.learning_rate": "1e-1", f"{DATASET}.methods.random": None}

    assert keys(given(written)) == plain


def test_another_seed_is_another_run_and_leaves_those_of_the_others_alone(plain: Keys) -> None:
    more = keys(given({"seeds": [5, 0]}))

    assert {name: key for name, key in more.items() if not name.endswith("-5")} == plain | {
        "analysis": more["analysis"]
    }
    assert len({key for name, key in more.items() if name.split("-")[0] in RUNS}) == 2 * len(RUNS)


@pytest.mark.parametrize(
    ("change", "left_out"),
    [({f"{DATASET}.methods.random": "drop"}, {"random"}), ({f"{DATASET}.unimodal": False}, UNIMODAL)],
    ids=["a method", "the references"],
)
def test_what_is_left_out_changes_the_analysis_alone(change: dict[str, Any], left_out: set[str], plain: Keys) -> None:
    fewer = keys(given(change))

    assert plain.keys() - fewer.keys() == left_out
    assert {name for name in fewer if fewer[name] != plain[name]} == {"analysis"}


def test_every_run_has_a_key_and_a_folder_of_its_own() -> None:
    runs = planned(given({"seeds": [0, 1, 2]}))

    assert len(runs) == 3 * len(RUNS)
    assert len({run.key for run in runs}) == len(runs)
    for run in runs:
        assert re.fullmatch(r"[0-9a-f]{8}", run.key)
        assert run.folder == Path("results/runs", NAME, run.method, f"seed{run.seed}-{run.key}")
        assert run.evaluation_folder == run.folder / f"evaluation-{keys(given())['evaluation']}"


def test_a_reference_sees_one_modality_and_has_no_fusion() -> None:
    references = [run.settings for run in planned(given()) if run.method in UNIMODAL]

    assert [(s.modalities, s.fusion, s.fuse_after, s.method) for s in references] == [
        (("color",), None, ((),), "greedy"),
        (("gray",), None, ((),), "greedy"),
    ]


def test_a_modality_that_stands_twice_is_two_and_has_one_reference() -> None:
    runs = planned(given({f"{DATASET}.modalities": ["gray", "gray"]}))

    assert {run.method for run in runs} == FUSED | {"unimodal_gray"}
    for run in runs:
        fused = run.method in FUSED
        assert run.settings.modalities == (("gray", "gray_2") if fused else ("gray",))
        assert run.settings.stored == (("gray", "gray") if fused else ("gray",))


@pytest.mark.parametrize("method", sorted(RUNS))
def test_a_run_keeps_its_key_and_settings_on_its_way_through_json(method: str) -> None:
    (run,) = (run for run in planned(given()) if run.method == method)

    again = Run.model_validate_json(run.model_dump_json())

    assert again == run
    assert (again.key, again.folder) == (run.key, run.folder)
    assert type(again.settings.method_settings) is type(run.settings.method_settings)
    assert list(map(type, again.settings.branches)) == list(map(type, run.settings.branches))


def test_a_dataset_keeps_its_key_on_its_way_through_json() -> None:
    settings = data_settings(given({f"{DATASET}.data.variance": 0.5}), NAME)

    again = DataSettings.model_validate_json(settings.model_dump_json())

    assert again == settings
    assert again.path == settings.path == Path("results/data", NAME, f"{settings.key}.h5")


def test_the_analysis_keeps_its_key_on_the_way_of_params_through_json() -> None:
    content = given()

    assert analysis_key(Params.model_validate_json(content.model_dump_json())) == analysis_key(content)


# -- Branches that differ -----------------------------------------------------------------------------------


def test_a_modality_can_have_a_branch_of_its_own_also_in_depth() -> None:
    model = {
        "branch": {"name": "cnn", "widths": [4, 6]},
        "branches": {"gray": {"name": "cnn", "widths": [4, 6, 8]}},
        "fusion": "mmtm",
        "fuse_after": {"color": [1, 2], "gray": [1, 3]},
    }
    runs = {run.method: run.settings for run in planned(given({f"{DATASET}.model": model}))}

    widths = [branch.model_dump()["widths"] for branch in runs["greedy"].branches]
    assert widths == [(4, 6), (4, 6, 8)]
    assert runs["greedy"].fuse_after == ((1, 2), (1, 3))
    assert [b.model_dump()["widths"] for b in runs["unimodal_gray"].branches] == [(4, 6, 8)]


def test_a_branch_of_one_modality_changes_the_runs_that_have_it(plain: Keys) -> None:
    other = given({f"{DATASET}.model.branches": {"gray": {"name": "cnn", "widths": [4, 8]}}})

    assert changed(plain, keys(other)) == FUSED | {"unimodal_gray", "analysis"}
