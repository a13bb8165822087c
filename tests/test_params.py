"""Params: read, validated, refused with the key path; the schema for editors agrees with them."""

import copy
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from snakemake.utils import update_config

from greedymm.errors import GreedymmError
from greedymm.params.json_schema import json_schema
from greedymm.params.load import load, validate
from greedymm.params.plugins import KINDS, names_of, settings_class
from greedymm.params.schema import Params, Tracking, modalities_of
from greedymm.settings import Execution, Strict, Window, differences, flat

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
NAME = "colored_mnist_5k"
DATASET = f"datasets.{NAME}"
ABSENT = object()


def raw(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Raw params with other values at some key paths."""
    content: dict[str, Any] = yaml.safe_load(RAW)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        section = content
        for key in parents:
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


def only_error(path: str, value: Any) -> str:
    """The single error of a wrong value; a path that ends in a number is that of an element of the value."""
    (line,) = errors(raw({re.sub(r"\.\d+$", "", path): value}))
    assert line.startswith(f"  {path}: "), line
    return line


# -- Valid params -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlays", "datasets"),
    [
        ((), ["colored_mnist_5k", "solids", "handwave"]),
        (("paper",), ["colored_mnist", "modelnet40", "nvgesture"]),
        (("paper", "calibration"), ["colored_mnist"]),
        (("paper", "smoke"), ["modelnet40", "nvgesture"]),
        (("paper", "fusions"), ["colored_mnist"]),
    ],
    ids=lambda value: "-".join(value) or "default",
)
def test_the_params_of_the_project_are_valid_as_snakemake_and_the_command_line_read_them(
    overlays: tuple[str, ...], datasets: list[str]
) -> None:
    files = [ROOT / "params.yaml", *(ROOT / f"params/{name}.yaml" for name in overlays)]
    content: dict[str, Any] = {}
    for file in files:
        update_config(content, yaml.safe_load(file.read_text(encoding="utf-8")))

    params = validate(content)

    assert list(params.datasets) == datasets
    assert all(sweep.dataset in datasets for sweep in params.sweeps.values())
    assert load(*files) == params


def test_missing_settings_have_their_defaults() -> None:
    absent = dict.fromkeys(("execution", "tracking", f"{DATASET}.data"), ABSENT)
    content = validate(raw(absent | {f"{DATASET}.methods.balanced": None}))

    assert content.execution == Execution()
    assert content.tracking == Tracking()
    section = content.datasets[NAME]
    assert section.data.model_dump() == {"variance": 0.02, "validation": 0.2, "seed": 0, "per_class": 500}
    assert section.methods["balanced"].model_dump() == {"objective": "branch", "tolerance": 0.01, "window": 5}
    assert section.model.head.model_dump() == {"name": "own"}
    assert section.measures[0].model_dump() == {"name": "utilization"}


def test_params_survive_a_trip_through_json_and_leave_the_raw_ones_alone() -> None:
    given = raw({f"{DATASET}.methods.random": None, f"{DATASET}.model.branches": {"gray": "cnn"}})
    before = copy.deepcopy(given)

    content = validate(given)

    assert given == before
    again = Params.model_validate_json(content.model_dump_json())
    assert again == content
    dumped = again.model_dump(mode="json")["datasets"][NAME]
    assert dumped["data"]["per_class"] == 100
    assert dumped["model"]["branch"] == {"name": "cnn", "widths": [4, 6]}
    assert dumped["model"]["fusion"]["ratio"] == 2
    assert dumped["methods"]["balanced"] == {"objective": "branch", "tolerance": 0.5, "window": 5}


def test_drop_removes_an_entry_of_an_overlay() -> None:
    other = raw()["datasets"][NAME] | {"data": {}}
    sweep = {"dataset": NAME, "setting": "training.epochs", "values": [1, 2]}
    for changes, path, left in (
        ({f"{DATASET}.methods.balanced": "drop"}, f"{DATASET}.methods", ["greedy", "random"]),
        ({f"{DATASET}.model.branches": {"sound": "drop"}}, f"{DATASET}.model.branches", []),
        ({"datasets.colored_mnist": other, DATASET: "drop"}, "datasets", ["colored_mnist"]),
        ({"sweeps": {"a": sweep, "b": "drop"}}, "sweeps", ["a"]),
        ({"sweeps": {"a": sweep}, "datasets.colored_mnist": other, DATASET: "drop"}, "sweeps", []),
    ):
        content: Any = validate(raw(changes)).model_dump()
        for key in path.split("."):
            content = content[key]
        assert list(content) == left, changes


# -- Errors: one line each, with the key path ---------------------------------------------------------------

MODEL, TRAINING, BALANCED = f"{DATASET}.model", f"{DATASET}.training", f"{DATASET}.methods.balanced"
SECTIONS = [
    "", DATASET, f"{DATASET}.data", MODEL, f"{MODEL}.branch", f"{MODEL}.fusion", TRAINING, f"{DATASET}.methods.greedy",
    BALANCED, "execution", "tracking",
]  # fmt: skip
REQUIRED = [
    "seeds", "datasets", MODEL, f"{MODEL}.fusion", TRAINING, f"{TRAINING}.epochs", f"{TRAINING}.batch_size",
    f"{TRAINING}.learning_rate", f"{DATASET}.methods",
]  # fmt: skip
OUT_OF_RANGE = {
    "seeds": [], "seeds.0": [-1], "seeds.1": [0, 2**32], "datasets": {}, f"{DATASET}.data.variance": -0.01,
    f"{DATASET}.data.validation": 0, f"{DATASET}.data.seed": -1, f"{DATASET}.data.per_class": 501,
    f"{DATASET}.inputs.frames": 0, f"{DATASET}.inputs.crop": 0, f"{MODEL}.branch.widths": [],
    f"{MODEL}.branch.widths.0": [0, 8], f"{MODEL}.fusion.ratio": 0, f"{MODEL}.fuse_after.1": [1, 0],
    f"{TRAINING}.epochs": 0, f"{TRAINING}.batch_size": 1, f"{TRAINING}.learning_rate": 0, f"{TRAINING}.momentum": 1,
    f"{TRAINING}.weight_decay": -1e-9, f"{TRAINING}.schedule": "linear", f"{TRAINING}.factor": 1,
    f"{TRAINING}.patience": -1, f"{TRAINING}.threshold": -1, f"{TRAINING}.min_learning_rate": -1,
    f"{TRAINING}.perfect_epochs": 0, f"{TRAINING}.snapshots.0": [0], f"{BALANCED}.tolerance": 0,
    f"{BALANCED}.window": 0, "execution.device": "tpu", "execution.threads": 1025, "execution.resident_gb": -1,
    "execution.workers": -1, "execution.preparers": 0, "execution.memory_mb": 0, "tracking.uri": "",
    "code": "HEAD",
}  # fmt: skip
WRONG_NUMBERS = {"null": None, "'0.1'": "0.1", "'yes'": "yes"}  # nor true for a number, nor 1 for true: below
UNKNOWN = {
    "dataset": ({"datasets.nonesuch": raw()["datasets"][NAME]}, "datasets.nonesuch.data"),
    "method": ({f"{DATASET}.methods.nonesuch": {}}, f"{DATASET}.methods.nonesuch"),
    "branch": ({f"{MODEL}.branch": {"name": "nonesuch"}}, f"{MODEL}.branch"),
    "fusion": ({f"{MODEL}.fusion": {"name": "nonesuch"}}, f"{MODEL}.fusion"),
    "head": ({f"{MODEL}.head": "nonesuch"}, f"{MODEL}.head"),
    "measure": ({f"{DATASET}.measures": ["nonesuch"]}, f"{DATASET}.measures.0"),
}
NAMELESS: dict[str, Any] = {"branch": {}, "fusion": {"ratio": 4}, "head": ""}


def test_an_unknown_key_is_an_error_at_every_level() -> None:
    for section in SECTIONS:
        path = f"{section}.typo".removeprefix(".")
        assert errors(raw({path: 1})) == [f"  {path}: there is no such setting"]


def test_what_is_missing_is_named() -> None:
    for path in REQUIRED:
        (line,) = errors(raw({path: ABSENT}))
        assert line.startswith(f"  {path}: "), path


def leaves(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def test_every_setting_refuses_a_value_of_another_type_and_what_is_no_finite_number() -> None:
    content = raw({f"{DATASET}.data": ABSENT, f"{DATASET}.inputs": {"frames": None}, "code": None})
    settings = dict(leaves(validate(content).model_dump()))
    assert len(settings) > 40
    for path, value in settings.items():
        (line, *_) = errors(raw({path: {"wrong": {}}}))
        assert line.startswith(f"  {path.removesuffix('.name')}"), path
        for number in (math.nan, math.inf, -math.inf) if isinstance(value, float) else ():
            assert f"(got {number})" in only_error(path, number)
        for text, wrong in WRONG_NUMBERS.items() if isinstance(value, int | float) else ():
            assert re.search(rf"Input should be .*, not in quotes \(got {text}\)", only_error(path, wrong)), path
    assert "such as 1, not in quotes (got 10.5)" in only_error(f"{TRAINING}.epochs", 10.5)
    assert "(got true)" in only_error("seeds.1", [0, True])
    assert "(got '4')" in only_error(f"{MODEL}.branch.widths.1", [4, "4"])


@pytest.mark.parametrize("name", ["../x", "a b", "", "größe", "x" * 61])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    sweep = {"dataset": NAME, "setting": "training.epochs", "values": [1, 2]}
    for section, content in ((f"{DATASET}.methods", {"method": "greedy"}), ("sweeps", sweep)):
        (line,) = errors(raw({section: {name: content}}))
        assert line == f"  {section}.{name}: a name has 1 to 60 letters, digits and underscores; rename it"


def test_names_that_would_share_a_file_are_refused() -> None:
    methods = {"Greedy": {"method": "greedy"}, "greedy": {}}
    assert "['Greedy', 'greedy'] differ in upper and lower case only" in only_error(f"{DATASET}.methods", methods)
    methods = {"unimodal_color": {"method": "greedy"}}
    assert "is the name of a modality alone" in only_error(f"{DATASET}.methods", methods)


def test_an_error_says_what_is_expected_and_what_was_found() -> None:
    path = f"{BALANCED}.window"
    assert only_error(path, 0) == f"  {path}: Input should be greater than or equal to 1 (got 0)"
    assert only_error("seeds", [3, 1, 3]) == "  seeds: [3, 1, 3] has an entry twice: the same would be counted twice"
    assert "['shapley', 'shapley'] has an entry twice" in only_error(
        f"{DATASET}.measures", ["shapley", {"name": "shapley"}]
    )
    assert "should be a valid string" in only_error("code", 1234567)
    assert "at least 1" in only_error("datasets", {NAME: "drop"})


@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_unknown_or_missing_name_is_refused_with_those_that_exist(kind: str) -> None:
    changes, path = UNKNOWN[kind]
    names = ", ".join(names_of(kind))

    (line,) = errors(raw(changes))
    assert line.startswith(f"  {path}: unknown {kind} 'nonesuch'; there are: {names}")
    if kind in NAMELESS:
        line = only_error(path, NAMELESS[kind])
        assert line.startswith(f"  {path}: unknown {kind} ''; there are: {names}")


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "no branch": ({"branch": ABSENT}, "model: set `branch`, or `branches: {color: ...}`"),
    "unknown modality": ({"branches": {"sound": "cnn"}}, "no modality ['sound']; there are: color, gray"),
    "no stages": ({"fuse_after": ABSENT}, "fusion 'mmtm' needs fuse_after"),
    "empty stages": ({"fuse_after": []}, "fusion 'mmtm' needs fuse_after"),
    "late with stages": ({"fusion": "concat", "head": "joint"}, "fusion 'concat' needs fuse_after: an empty list"),
    "late with own heads": ({"fusion": "concat", "fuse_after": []}, "does not fit fusion 'concat': use head joint"),
    "joint head": ({"head": "joint"}, "does not fit fusion 'mmtm': use head own"),
    "stage behind the last": ({"fuse_after": [1, 3]}, "the branch of color has stages 1 to 2, not (1, 3)"),
    "one modality": ({"fuse_after": {"color": [1]}}, "all modalities need lists of the same length"),
    "unequal": ({"fuse_after": {"color": [1], "gray": [1, 2]}}, "all modalities need lists of the same length"),
    "unknown one": ({"fuse_after": {"color": [1], "gray": [1], "x": [1]}}, "there is no modality ['x']"),
    "unknown stored": ({"modalities": ["gray", "sound"]}, "no modality ['sound']; there are: color, gray"),
    "single": ({"modalities": ["gray"]}, "at least two modalities, not ['gray']"),
}


@pytest.mark.parametrize(("parts", "message"), MISFITS.values(), ids=MISFITS)
def test_parts_that_do_not_fit_are_refused_in_one_line(parts: dict[str, Any], message: str) -> None:
    section = DATASET if "modalities" in parts else MODEL
    (line,) = errors(raw({f"{section}.{part}": value for part, value in parts.items()}))

    assert DATASET in line
    assert message in line


def test_every_module_that_is_a_plug_in_has_settings() -> None:
    for kind in KINDS:
        for name in names_of(kind):
            assert issubclass(settings_class(kind, name), Strict), name
            if kind == "dataset":
                assert len(modalities_of(name)) >= 2, name
    assert {"greedy", "balanced", "random"} <= set(names_of("method"))


def test_modalities_may_be_any_of_the_file() -> None:
    for chosen, expected in (
        (None, {"view0": "view0", "view6": "view6"}),
        (["view3", "view1"], {"view3": "view3", "view1": "view1"}),
        (["view0", "view0"], {"view0": "view0", "view0_2": "view0"}),
        (["view0", "view6", "view0"], {"view0": "view0", "view6": "view6", "view0_2": "view0"}),
    ):
        assert list(modalities_of("modelnet40", chosen).items()) == list(expected.items())


def test_modalities_are_as_many_as_the_settings_of_the_data_say() -> None:
    content = raw({})
    section = dict(content["datasets"]["colored_mnist_5k"], data={"views": 4})
    for modalities, message in ((["view0", "view3"], ""), (None, "view6"), (["view0", "view4"], "view4")):
        params = content | {"datasets": {"modelnet40": section | {"modalities": modalities}}}
        if message:
            expected = rf"no modality \['{message}'\]; there are: view0, view1, view2, view3"
            with pytest.raises(ValueError, match=expected):
                Params.model_validate(params)
        else:
            Params.model_validate(params)


def test_every_error_has_its_own_line() -> None:
    wrong = {
        "seeds": [1, 1],
        f"{TRAINING}.epochs": 0,
        f"{TRAINING}.typo": 1,
        f"{BALANCED}.window": 0,
        f"{BALANCED}.tolerance": "x",
        f"{DATASET}.methods.nonesuch": {},
        "execution.threads": 0,
    }

    lines = errors(raw(wrong | {f"{MODEL}.branch.widths": [0, 8, -1]}))

    expected = [*wrong, f"{MODEL}.branch.widths.0", f"{MODEL}.branch.widths.2"]
    assert sorted(line.split(": ")[0].strip() for line in lines) == sorted(expected)


def test_without_methods_there_must_be_unimodal_references() -> None:
    for methods in ({}, dict.fromkeys(("greedy", "balanced", "random"), "drop")):
        unimodal = {f"{DATASET}.methods": methods}

        assert validate(raw(unimodal)).datasets[NAME].methods == {}
        (line,) = errors(raw(unimodal | {f"{DATASET}.unimodal": False}))
        assert f"{DATASET}: nothing to train" in line


def test_a_sweep_that_cannot_be_trained_is_refused() -> None:
    sweep = {"dataset": NAME, "setting": "training.epochs", "values": [1, 2]}
    for change, methods, message in (
        ({}, {}, f"  params: sweeps.a: {NAME} has no method to train; it has: none. To skip the sweep, set `a: drop`"),
        (
            {"methods": ["fair"]},
            {"greedy": {}},
            f"  params: sweeps.a: {NAME} has no method ['fair']; it has: greedy. To skip the sweep, set `a: drop`",
        ),
        ({"dataset": "solids"}, {"greedy": {}}, "  params: sweeps.a: there is no dataset 'solids' in these params"),
        ({"setting": "training.x"}, {"greedy": {}}, f"  params: sweeps.a: {NAME} has no setting 'training.x'"),
        (
            {"setting": "training.epochs.x"},
            {"greedy": {}},
            f"  params: sweeps.a: {NAME} has no setting 'training.epochs.x'",
        ),
        ({"values": [1, 0]}, {"greedy": {}}, "  params: sweeps.a, value 0:"),
    ):
        lines = errors(raw({f"{DATASET}.methods": methods, "sweeps": {"a": sweep | change}}))
        assert lines[0] == message
    assert lines[1].startswith(f"  {TRAINING}.epochs: Input should be greater")


def test_malformed_sections_are_refused_at_their_key_paths() -> None:
    for path in ("datasets", DATASET, f"{DATASET}.methods", f"{MODEL}.branches", "sweeps", "plugins"):
        only_error(path, 3)
    only_error("plugins.0", [3])


# -- Files --------------------------------------------------------------------------------------------------


def test_what_holds_no_valid_params_is_refused(tmp_path: Path) -> None:
    for text in ("[]", "text", ""):
        (line,) = errors(yaml.safe_load(text))
        assert line.startswith("  params: ")
    path = tmp_path / "params.yaml"
    with pytest.raises(GreedymmError, match=f"{re.escape(str(path))} is missing; run in its folder"):
        load(path)
    for text, message in (
        ("seeds: [0", "is no valid YAML, line 1, column 10: expected"),
        ("- 0\n- 1\n", "no mapping of settings"),
        ("", "no mapping of settings"),
        (RAW.replace("batch_size", "batchsize"), r"training\.batchsize: there is no such setting"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(GreedymmError, match=message):
            load(path)


def test_a_later_file_overrides_an_earlier_one_and_changes_override_both(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(RAW)
    (tmp_path / "overlay.yaml").write_text(f"seeds: [7]\ndatasets: {{{NAME}: {{training: {{learning_rate: 1e-3}}}}}}")
    files = tmp_path / "params.yaml", tmp_path / "overlay.yaml"

    assert load(*files).seeds == (7,)
    assert load(*files).datasets[NAME].training.learning_rate == 0.001
    assert load(*files, changes=["seeds=[0, 1]", f"datasets={{{NAME}: {{unimodal: false}}}}"]).seeds == (0, 1)
    with pytest.raises(GreedymmError, match=r"--config seeds=\[0 is no valid YAML"):
        load(*files, changes=["seeds=[0"])


ORDERS = {
    "a file twice": (["params.yaml", "drop.yaml", "params.yaml"], "params.yaml is given twice; .* give each one once"),
    "the overlay that drops first": (
        ["params.yaml", "drop.yaml", "more.yaml"],
        f"more.yaml has settings of datasets.{NAME}, which an earlier overlay drops; give .* that drops it last",
    ),
    "an overlay alone": (["more.yaml"], "model: is missing; if the file is an overlay, give the file that it changes"),
    "a folder": (["folder"], "is a folder; give a YAML file in it"),
}


@pytest.mark.parametrize(("names", "message"), ORDERS.values(), ids=ORDERS)
def test_files_that_contradict_or_come_alone_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "params.yaml").write_text(RAW)
    (tmp_path / "drop.yaml").write_text(f"datasets: {{{NAME}: drop}}")
    (tmp_path / "more.yaml").write_text(f"seeds: [0]\ndatasets: {{{NAME}: {{methods: {{greedy: {{}}}}}}}}")

    with pytest.raises(GreedymmError, match=message):
        load(*(tmp_path / name for name in names))


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


def test_the_schema_and_the_code_refuse_values_out_of_range(schema: Any) -> None:
    for path, value in OUT_OF_RANGE.items():
        only_error(path, value)
        assert not schema.is_valid(raw({re.sub(r"\.\d+$", "", path): value})), path


def test_the_schema_refuses_unknown_keys_and_plug_ins(schema: Any) -> None:
    wrong = [raw({f"{section}.typo".removeprefix("."): 1}) for section in SECTIONS]
    wrong += [raw(changes) for changes, _ in UNKNOWN.values()]
    wrong += [raw({f"{MODEL}.{part}": value}) for part, value in NAMELESS.items()]

    assert [content for content in wrong if schema.is_valid(content)] == []


def test_the_schema_accepts_what_the_code_accepts(schema: Any) -> None:
    schema.validate(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    stages = {"branches": {"gray": "cnn"}, "fuse_after": {"color": [1], "gray": [1]}}
    changes: list[dict[str, Any]] = [
        {f"{DATASET}.data": ABSENT, f"{DATASET}.methods.random": None},
        {f"{DATASET}.methods.random": "drop"},
        {f"{MODEL}.branch": "cnn", f"{DATASET}.measures": ["shapley", {"name": "utilization"}]},
        {f"{MODEL}.{part}": value for part, value in stages.items()},
        {MODEL: {"branch": "cnn", "fusion": "concat", "head": "joint"}},
    ]
    for change in changes:
        validate(raw(change))
        schema.validate(raw(change))


# -- Small helpers of settings ------------------------------------------------------------------------------


def test_a_window_contains_epochs_from_start_to_stop_and_every_nth_step() -> None:
    window = Window(start=2, stop=3, every=2)
    assert [epoch for epoch in range(5) if window.contains(epoch, 0)] == [1, 2]
    assert [step for step in range(5) if window.contains(1, step)] == [0, 2, 4]
    assert Window().contains(99, 1)


def test_differences_are_named_by_their_key_paths() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "d": [2]}
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}) == ["a.b: 1 there, 3 asked for"]
    assert differences({}, {"a": 1}) == ["a: None there, 1 asked for"]


# -- What is imported ---------------------------------------------------------------------------------------

PLANNING = """
import sys
from pathlib import Path
import greedymm
from greedymm.params.json_schema import json_schema
from greedymm.params.load import load
from greedymm.params.pages import methods_page
from greedymm.plan import planned
kinds = ("datasets", "branches", "fusions", "heads", "methods", "measures")
assert all(getattr(greedymm, f"list_{kind}")() for kind in kinds)
assert planned(load(Path("params.yaml"), Path("params/paper.yaml")))
json_schema()  # reads the settings of all plug-ins
methods_page()
slow = {"torch", "torchvision", "mlflow", "pandas", "matplotlib", "scipy", "mlxtend", "h5py"} & sys.modules.keys()
assert not slow, slow
"""


def test_planning_all_runs_the_schema_and_the_page_of_methods_import_nothing_that_costs_seconds() -> None:
    subprocess.run([sys.executable, "-c", PLANNING], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("ogm_ge", {"active": {"start": 4}}, "active: no epoch is from 4 to 3; training has epochs 1 to 3"),
        ("pmr", {"entropy": {"start": 3, "stop": 2}}, "entropy: no epoch is from 3 to 2"),
    ],
)
def test_a_method_that_would_never_act_is_refused(method: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(GreedymmError, match=re.escape(f"methods.{method}.{message}")):
        validate(raw({f"{DATASET}.methods.{method}": settings}))
