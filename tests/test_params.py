import copy
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from snakemake.utils import update_config

from greedymm.errors import GreedymmError
from greedymm.params.json_schema import json_schema
from greedymm.params.load import load, validate
from greedymm.params.modalities import modalities_of
from greedymm.params.plugins import KINDS, names_of, settings_class
from greedymm.params.schema import Params, Tracking
from greedymm.settings import Execution, Inputs, Strict

ROOT = Path(__file__).resolve().parents[1]
RAW = """
seeds: [0, 1]
datasets:
  colored_mnist_5k:
    data: {variance: 0.02, per_class: 100}
    model:
      branch: {name: cnn, widths: [4, 6]}
      fusion: {name: mmtm, ratio: 2}
      fuse_after: [1, 2]
    training: {epochs: 3, batch_size: 8, learning_rate: 0.1}
    methods:
      greedy: {}
      balanced: {tolerance: 0.5}
      random: {}
execution: {device: cpu}
tracking: {enabled: false}
"""
DATASET = "datasets.colored_mnist_5k"
ABSENT = object()


def raw(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Raw params with other values at some dotted places."""
    content: dict[str, Any] = yaml.safe_load(RAW)
    for place, value in (changes or {}).items():
        *above, last = place.split(".")
        section = content
        for key in above:
            section = section.setdefault(key, {})
        if value is ABSENT:
            del section[last]
        else:
            section[last] = value
    return content


def errors(content: Any) -> list[str]:
    """Lines of the error that these raw params give, without the first."""
    with pytest.raises(GreedymmError) as raised:
        validate(content)
    first, *lines = str(raised.value).splitlines()
    assert first == "params are not valid:"
    return lines


def only_error(place: str, value: Any) -> str:
    """The one line that a wrong value gives; a place that ends in a number is that of an element of the value."""
    (line,) = errors(raw({re.sub(r"\.\d+$", "", place): value}))
    assert line.startswith(f"  {place}: ")
    return line


# -- Valid params -------------------------------------------------------------------------------------------


def test_the_params_of_the_project_are_valid() -> None:
    content = load(ROOT / "params.yaml")

    assert list(content.datasets) == ["colored_mnist_5k", "solids", "handwave"]
    assert all(list(d.methods) == ["greedy", "balanced", "random"] for d in content.datasets.values())


OVERLAYS = {
    "paper": (("paper",), ["colored_mnist", "modelnet40", "nvgesture"]),
    "calibration": (("paper", "calibration"), ["colored_mnist"]),
    "smoke": (("paper", "smoke"), ["modelnet40", "nvgesture"]),
}


@pytest.mark.parametrize(("names", "datasets"), OVERLAYS.values(), ids=OVERLAYS)
def test_the_overlays_of_the_project_are_valid(names: tuple[str, ...], datasets: list[str]) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in names:
        update_config(content, yaml.safe_load((ROOT / f"params/{name}.yaml").read_text(encoding="utf-8")))

    assert list(validate(content).datasets) == datasets


def test_the_settings_of_the_paper_on_modelnet40_are_those_of_its_authors_code() -> None:
    section = load(ROOT / "params.yaml", ROOT / "params/paper.yaml").datasets["modelnet40"]

    assert section.training.model_dump(exclude={"snapshots"}) == {
        "epochs": 299, "batch_size": 8, "learning_rate": 0.1, "momentum": 0, "weight_decay": 0,
        "schedule": "plateau", "factor": 0.3, "patience": 10, "threshold": 1e-3, "min_learning_rate": 1e-6,
        "perfect_epochs": 5,
    }  # fmt: skip
    assert section.methods["balanced"].model_dump() == {"objective": "branch", "tolerance": 0.01, "window": 5}
    assert section.modalities == ("view0", "view6")
    assert section.inputs == Inputs(scaling="imagenet", flip=True)
    branches, stages = section.model.resolve(["view0", "view6"])
    assert [branch.model_dump() for branch in branches] == 2 * [{"name": "resnet18", "width": 64, "weights": None}]
    assert stages == ((2, 3, 4), (2, 3, 4))
    assert section.data.model_dump()["size"] == 224
    assert section.data.model_dump()["validation"] == 0.2


def test_what_is_left_out_has_the_value_that_the_schema_says() -> None:
    content = validate(raw({"execution": ABSENT, "tracking": ABSENT, f"{DATASET}.data": ABSENT}))

    assert content.execution == Execution()
    assert content.tracking == Tracking()
    assert content.datasets["colored_mnist_5k"].data.model_dump() == {
        "variance": 0.02,
        "validation": 0.2,
        "seed": 0,
        "per_class": 500,
    }


def test_settings_of_plug_ins_survive_a_dump() -> None:
    dumped = validate(raw()).model_dump(mode="json")["datasets"]["colored_mnist_5k"]

    assert dumped["data"]["per_class"] == 100
    assert dumped["model"]["branch"] == {"name": "cnn", "widths": [4, 6]}
    assert dumped["model"]["fusion"]["ratio"] == 2
    assert dumped["methods"]["balanced"] == {"objective": "branch", "tolerance": 0.5, "window": 5}
    assert dumped["measures"] == [{"name": "utilization"}]


def test_params_are_the_same_after_a_trip_through_json() -> None:
    content = validate(raw())

    assert Params.model_validate_json(content.model_dump_json()) == content


def test_validating_leaves_the_raw_params_as_they_are() -> None:
    content = raw({f"{DATASET}.methods.random": None})
    before = copy.deepcopy(content)

    validate(content)

    assert content == before


def test_a_method_left_empty_has_its_defaults() -> None:
    content = validate(raw({f"{DATASET}.methods.balanced": None}))

    balanced = content.datasets["colored_mnist_5k"].methods["balanced"]
    assert balanced.model_dump() == {"objective": "branch", "tolerance": 0.01, "window": 5}


def test_drop_drops_a_method() -> None:
    content = validate(raw({f"{DATASET}.methods.balanced": "drop"}))

    assert list(content.datasets["colored_mnist_5k"].methods) == ["greedy", "random"]


def test_drop_drops_a_dataset() -> None:
    content = raw()
    content["datasets"]["colored_mnist"] = content["datasets"]["colored_mnist_5k"] | {"data": {}}
    content["datasets"]["colored_mnist_5k"] = "drop"

    assert list(validate(content).datasets) == ["colored_mnist"]


# -- Errors: one line each, with the place ------------------------------------------------------------------

SECTIONS = [
    "",
    DATASET,
    f"{DATASET}.data",
    f"{DATASET}.model",
    f"{DATASET}.model.branch",
    f"{DATASET}.model.fusion",
    f"{DATASET}.training",
    f"{DATASET}.methods.greedy",
    f"{DATASET}.methods.balanced",
    "execution",
    "tracking",
]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_is_an_error_at_every_level(section: str) -> None:
    place = f"{section}.typo".removeprefix(".")

    assert errors(raw({place: 1})) == [f"  {place}: there is no such setting"]


REQUIRED = [
    "seeds",
    "datasets",
    f"{DATASET}.model",
    f"{DATASET}.model.fusion",
    f"{DATASET}.training",
    f"{DATASET}.training.epochs",
    f"{DATASET}.training.batch_size",
    f"{DATASET}.training.learning_rate",
    f"{DATASET}.methods",
]


@pytest.mark.parametrize("place", REQUIRED)
def test_what_is_missing_is_named(place: str) -> None:
    (line,) = errors(raw({place: ABSENT}))

    assert line.startswith(f"  {place}: ")


PARTS_THAT_DO_NOT_FIT = {
    "no branch": ({"branch": ABSENT}, "modality 'color' has no branch"),
    "of an unknown modality": ({"branches": {"sound": "cnn"}}, r"no modality \['sound'\]; there are: color, gray"),
    "no stages": ({"fuse_after": ABSENT}, "fusion 'mmtm' needs fuse_after"),
    "empty stages": ({"fuse_after": []}, "fusion 'mmtm' needs fuse_after"),
    "stages of a late fusion": ({"fusion": "concat", "head": "joint"}, "leave fuse_after empty"),
    "a late fusion without its head": ({"fusion": "concat", "fuse_after": []}, "take the head 'joint'"),
    "a joint head without its fusion": ({"head": "joint"}, "take the head 'own', or a fusion such as concat"),
    "a stage that does not exist": ({"fuse_after": [1, 3]}, "the branch of color has stages 1 to 2, not 3"),
    "stages of one modality": ({"fuse_after": {"color": [1]}}, "modality 'gray' is missing"),
    "more stages of one modality": ({"fuse_after": {"color": [1], "gray": [1, 2]}}, "must have the same length"),
}


@pytest.mark.parametrize(("parts", "says"), PARTS_THAT_DO_NOT_FIT.values(), ids=PARTS_THAT_DO_NOT_FIT)
def test_parts_of_a_model_that_do_not_fit_are_refused_in_one_line(parts: dict[str, Any], says: str) -> None:
    (line,) = errors(raw({f"{DATASET}.model.{part}": value for part, value in parts.items()}))

    assert DATASET in line
    assert re.search(says, line)


def test_each_modality_may_have_a_branch_and_stages_of_its_own() -> None:
    own = {"branches": {"gray": {"name": "cnn", "widths": [4, 6, 8]}}, "fuse_after": {"color": [2, 1], "gray": [1, 3]}}
    content = validate(raw({f"{DATASET}.model.{part}": value for part, value in own.items()}))

    branches, stages = content.datasets["colored_mnist_5k"].model.resolve(["color", "gray"])
    assert [branch.model_dump()["widths"] for branch in branches] == [(4, 6), (4, 6, 8)]
    assert stages == ((1, 2), (1, 3))


@pytest.mark.parametrize("kind", ["branch", "fusion", "head"])
def test_a_plug_in_without_a_name_is_told_which_names_there_are(kind: str) -> None:
    (line,) = errors(raw({f"{DATASET}.model.{kind}": {}}))

    assert line == f"  {DATASET}.model.{kind}: the {kind} needs a name; there are: {', '.join(names_of(kind))}"


WRONG_TYPE = {
    "seeds": "many",
    "seeds.1": [0, 0.5],
    "datasets": ["colored_mnist_5k"],
    DATASET: 3,
    f"{DATASET}.data": "small",
    f"{DATASET}.data.variance": "large",
    f"{DATASET}.data.per_class": 10.5,
    f"{DATASET}.model": [],
    f"{DATASET}.model.branch": ["cnn"],
    f"{DATASET}.model.branch.widths": 16,
    f"{DATASET}.model.branch.widths.1": [16, "x"],
    f"{DATASET}.model.fusion": ["mmtm"],
    f"{DATASET}.model.fusion.official_gates": "perhaps",
    f"{DATASET}.model.fuse_after.0": [None],
    f"{DATASET}.training": None,
    f"{DATASET}.training.epochs": 1.5,
    f"{DATASET}.methods": ["greedy"],
    f"{DATASET}.methods.balanced": 0.01,
    f"{DATASET}.methods.balanced.window": "five",
    f"{DATASET}.unimodal": "perhaps",
    "execution": 1,
    "execution.device": "tpu",
    "execution.threads": [],
    "tracking.enabled": {},
    "tracking.uri": 5000,
    "tracking.follow_after": "soon",
    "tracking.models": "perhaps",
    "code": 1234567,
}
OUT_OF_RANGE = {
    "seeds": [],
    "seeds.0": [-1],
    "seeds.1": [0, 2**32],
    "datasets": {},
    f"{DATASET}.data.variance": -0.01,
    f"{DATASET}.data.validation": 0,
    f"{DATASET}.data.seed": -1,
    f"{DATASET}.data.per_class": 501,
    f"{DATASET}.model.branch.widths": [],
    f"{DATASET}.model.branch.widths.0": [0, 8],
    f"{DATASET}.model.fusion.ratio": 0,
    f"{DATASET}.model.fuse_after.1": [1, 0],
    f"{DATASET}.training.epochs": 0,
    f"{DATASET}.training.batch_size": 0,
    f"{DATASET}.training.learning_rate": 0,
    f"{DATASET}.training.momentum": 1,
    f"{DATASET}.training.weight_decay": -1e-9,
    f"{DATASET}.training.factor": 1,
    f"{DATASET}.training.patience": -1,
    f"{DATASET}.training.threshold": -1,
    f"{DATASET}.training.min_learning_rate": -1,
    f"{DATASET}.training.perfect_epochs": 0,
    f"{DATASET}.methods.balanced.tolerance": 0,
    f"{DATASET}.methods.balanced.window": 0,
    "execution.threads": 0,
    "execution.resident_gb": -1,
    "execution.workers": -1,
    "execution.memory_mb": 0,
    "tracking.uri": "",
    "tracking.follow_after": -1,
    "code": "HEAD",
}
FLOATS = [
    f"{DATASET}.data.variance",
    f"{DATASET}.data.validation",
    f"{DATASET}.training.learning_rate",
    f"{DATASET}.training.weight_decay",
    f"{DATASET}.training.threshold",
    f"{DATASET}.methods.balanced.tolerance",
    "execution.resident_gb",
]


@pytest.mark.parametrize(("place", "value"), WRONG_TYPE.items(), ids=WRONG_TYPE)
def test_a_value_of_another_type_is_refused_at_its_place(place: str, value: Any) -> None:
    only_error(place, value)


@pytest.mark.parametrize(("place", "value"), OUT_OF_RANGE.items(), ids=OUT_OF_RANGE)
def test_a_value_out_of_its_range_is_refused_at_its_place(place: str, value: Any) -> None:
    only_error(place, value)


def test_what_is_no_finite_number_is_refused() -> None:
    for place in FLOATS:
        for value in (math.nan, math.inf, -math.inf):
            assert f"(got {value})" in only_error(place, value)


def test_an_error_says_what_was_expected_and_what_was_found() -> None:
    place = f"{DATASET}.methods.balanced.window"

    assert only_error(place, 0) == f"  {place}: Input should be greater than or equal to 1 (got 0)"


def test_a_seed_that_stands_twice_is_refused() -> None:
    assert only_error("seeds", [3, 1, 3]) == "  seeds: a seed is listed twice: the same run would be counted twice"


UNKNOWN: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "dataset": ("datasets.nonesuch.data", lambda: raw({"datasets.nonesuch": raw()["datasets"]["colored_mnist_5k"]})),
    "method": (f"{DATASET}.methods.nonesuch", lambda: raw({f"{DATASET}.methods.nonesuch": {}})),
    "branch": (f"{DATASET}.model.branch", lambda: raw({f"{DATASET}.model.branch": {"name": "nonesuch"}})),
    "fusion": (f"{DATASET}.model.fusion", lambda: raw({f"{DATASET}.model.fusion": {"name": "nonesuch"}})),
    "head": (f"{DATASET}.model.head", lambda: raw({f"{DATASET}.model.head": "nonesuch"})),
    "measure": (f"{DATASET}.measures.0", lambda: raw({f"{DATASET}.measures": ["nonesuch"]})),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_unknown_plug_in_is_refused_with_those_that_there_are(kind: str) -> None:
    place, content = UNKNOWN[kind]

    (line,) = errors(content())

    assert line.startswith(f"  {place}: unknown {kind} 'nonesuch'; there are: {', '.join(names_of(kind))}")


def test_the_plug_ins_that_come_with_the_package_are_found() -> None:
    assert set(names_of("dataset")) >= {"colored_mnist", "colored_mnist_5k"}
    assert set(names_of("method")) >= {"greedy", "balanced", "random"}
    assert "cnn" in names_of("branch")
    assert "mmtm" in names_of("fusion")


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_that_passes_for_a_plug_in_has_settings(kind: str) -> None:
    for name in names_of(kind):
        assert issubclass(settings_class(kind, name), Strict), name
        if kind == "dataset":
            assert len(modalities_of(name)) >= 2, name


def test_modalities_are_those_of_the_dataset_where_none_are_chosen() -> None:
    assert modalities_of("modelnet40") == {"view0": "view0", "view6": "view6"}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["view3", "view1"], {"view3": "view3", "view1": "view1"}),
        (["view0", "view0"], {"view0": "view0", "view0_2": "view0"}),
        (["view0", "view6", "view0"], {"view0": "view0", "view6": "view6", "view0_2": "view0"}),
    ],
    ids=["another pair", "the same twice", "three"],
)
def test_modalities_may_be_any_that_the_file_has(chosen: list[str], expected: dict[str, str]) -> None:
    found = modalities_of("modelnet40", chosen)

    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("chosen", "says"),
    [(["gray", "sound"], r"no modality \['sound'\]; it has: color, gray"), (["gray"], "at least two modalities")],
    ids=["unknown", "a single one"],
)
def test_modalities_that_cannot_be_are_refused_before_anything_runs(chosen: list[str], says: str) -> None:
    (line,) = errors(raw({f"{DATASET}.modalities": chosen}))

    assert re.search(says, line)


def test_every_error_has_its_own_line() -> None:
    content = raw(
        {
            "seeds": [1, 1],
            f"{DATASET}.training.epochs": 0,
            f"{DATASET}.training.typo": 1,
            f"{DATASET}.methods.balanced": {"window": 0, "tolerance": "x"},
            f"{DATASET}.methods.nonesuch": {},
            f"{DATASET}.model.branch.widths": [0, 8, -1],
            "execution.threads": 0,
        }
    )

    places = [line.split(": ")[0].strip() for line in errors(content)]

    assert sorted(places) == sorted(
        [
            "seeds",
            f"{DATASET}.training.epochs",
            f"{DATASET}.training.typo",
            f"{DATASET}.methods.balanced.window",
            f"{DATASET}.methods.balanced.tolerance",
            f"{DATASET}.methods.nonesuch",
            f"{DATASET}.model.branch.widths.0",
            f"{DATASET}.model.branch.widths.2",
            "execution.threads",
        ]
    )


def test_dropping_all_datasets_is_an_error() -> None:
    assert "at least 1" in only_error("datasets", {"colored_mnist_5k": "drop"})


NO_METHODS = {"none": {}, "all dropped": {"greedy": "drop", "balanced": "drop", "random": "drop"}}


@pytest.mark.parametrize("methods", NO_METHODS.values(), ids=NO_METHODS)
def test_without_methods_there_must_be_unimodal_references(methods: dict[str, str]) -> None:
    unimodal = {f"{DATASET}.methods": methods}

    assert validate(raw(unimodal)).multimodal == []
    (line,) = errors(raw(unimodal | {f"{DATASET}.unimodal": False}))
    assert line.startswith(f"  {DATASET}: nothing to train")


@pytest.mark.parametrize("content", [[], "text", None], ids=["list", "text", "nothing"])
def test_what_is_no_mapping_is_refused(content: Any) -> None:
    (line,) = errors(content)

    assert line.startswith("  params: ")


# -- Files --------------------------------------------------------------------------------------------------

UNREADABLE = {
    "no YAML": ("seeds: [0", "is no YAML"),
    "list": ("- 0\n- 1\n", "no mapping of settings"),
    "empty": ("", "no mapping of settings"),
    "not valid": (RAW.replace("batch_size", "batchsize"), r"training\.batchsize: there is no such setting"),
}


@pytest.mark.parametrize(("text", "what"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_holds_no_valid_params_is_refused(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(GreedymmError, match=what):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=re.escape(str(tmp_path / "params.yaml"))):
        load(tmp_path / "params.yaml")


# -- The schema for editors ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema() -> Any:
    content = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def test_the_schema_file_is_that_of_the_code(schema: Any) -> None:
    assert schema.schema == json.loads(json.dumps(json_schema())), (
        "renew it with: greedymm schema > workflow/schemas/params.schema.json"
    )


def test_the_schema_accepts_the_params_of_the_project(schema: Any) -> None:
    schema.validate(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    schema.validate(raw())


def test_the_schema_refuses_what_the_code_refuses(schema: Any) -> None:
    wrong = {f"{section}.typo".removeprefix("."): raw({f"{section}.typo".removeprefix("."): 1}) for section in SECTIONS}
    wrong |= {f"unknown {kind}": content() for kind, (_, content) in UNKNOWN.items()}
    wrong |= {f"{part} without a name": raw({f"{DATASET}.model.{part}": {}}) for part in ("branch", "fusion", "head")}
    wrong |= {place: raw({re.sub(r"\.\d+$", "", place): value}) for place, value in OUT_OF_RANGE.items()}

    assert [name for name, content in wrong.items() if schema.is_valid(content)] == []


ACCEPTED: dict[str, dict[str, Any]] = {
    "no data": {f"{DATASET}.data": ABSENT},
    "null for defaults": {f"{DATASET}.methods.random": None},
    "dropped": {f"{DATASET}.methods.random": "drop"},
    "a name alone": {f"{DATASET}.model.branch": "cnn", f"{DATASET}.measures": ["shapley", {"name": "utilization"}]},
    "of each modality": {
        f"{DATASET}.model.branches": {"gray": "cnn"},
        f"{DATASET}.model.fuse_after": {"color": [1], "gray": [1]},
    },
    "late": {f"{DATASET}.model": {"branch": "cnn", "fusion": "concat", "head": "joint"}},
}


def test_the_schema_accepts_what_the_code_accepts(schema: Any) -> None:
    for change in ACCEPTED.values():
        validate(raw(change))
        schema.validate(raw(change))


# -- What is imported ---------------------------------------------------------------------------------------

SLOW = ("torch", "mlflow", "pandas", "matplotlib", "scipy", "mlxtend", "h5py")
PLANNING = f"""
import sys
from pathlib import Path
from greedymm.params.json_schema import json_schema
from greedymm.params.load import load
from greedymm.plan import analysis_key, planned
content = load(Path({str(ROOT / "params.yaml")!r}))
json_schema()  # reads the settings of all plug-ins
print(len(planned(content)), analysis_key(content), [m for m in {SLOW!r} if m in sys.modules])
"""


def test_planning_all_runs_and_the_schema_import_nothing_that_costs_seconds() -> None:
    done = subprocess.run([sys.executable, "-c", PLANNING], capture_output=True, text=True, check=True)

    count, _, imported = done.stdout.split(maxsplit=2)
    assert int(count) > 0
    assert imported.strip() == "[]"
