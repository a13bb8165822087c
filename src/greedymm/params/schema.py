"""Schema of params.yaml: every section, the range of each setting, and its meaning."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PositiveFloat,
    Tag,
    ValidationError,
    model_validator,
)

from greedymm.address import check_address
from greedymm.params import fields
from greedymm.params.fields import Branch, WithPlugins, without_dropped
from greedymm.params.plugins import plugins, values_of
from greedymm.settings import Count, Epochs, Execution, Inputs, Strict, Training


def _distinct(values: Sequence[Any]) -> Sequence[Any]:
    names = [getattr(value, "name", value) for value in values]
    if len(set(names)) < len(names):
        raise ValueError(f"{names} has an entry twice: the same would be counted twice")
    return values


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] >= limits[1]:
        raise ValueError(f"a range needs a lower limit below its upper limit, not {list(limits)}")
    return limits


RESERVED = {"mean", "labels", "ids", "split", "id", "label"}  # columns of tables


def modalities_of(
    dataset: str, chosen: Iterable[str] | None = None, modules: tuple[str, ...] = (), data: object = None
) -> dict[str, str]:
    """Modalities of a network, m0 first: name in results -> name in the dataset's file.

    Those `chosen`, or `MODALITIES` of the plug-in. One that is listed again is another modality, `<name>_2`. The file
    has those that `data`, its settings, have as `stored`, or else `STORED` of the plug-in.

    Raises:
        ValueError: if a modality does not exist, if there are fewer than two, or if a name cannot be in a table.
    """
    values = values_of(plugins("dataset", modules)[dataset], ("MODALITIES", "STORED"))
    default = values.get("MODALITIES", ())
    stored = getattr(data, "stored", values.get("STORED", default))
    if wrong := [name for name in stored if not name.isidentifier() or name in RESERVED]:
        raise ValueError(f"modalities cannot be named {wrong}; use letters, digits, underscores, none of {RESERVED}")
    listed = list(default if chosen is None else chosen)
    if unknown := set(listed) - set(stored):
        raise ValueError(f"there is no modality {sorted(unknown)}; there are: {', '.join(stored)}")
    if not listed[1:]:
        raise ValueError(f"a multi-modal network needs at least two modalities, not {listed}")
    counts = [listed[: k + 1].count(name) for k, name in enumerate(listed)]
    names = [name if n == 1 else f"{name}_{n}" for name, n in zip(listed, counts, strict=True)]
    return dict(zip(_distinct(names), listed, strict=True))


Seeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1), AfterValidator(_distinct)]
Measures = Annotated[tuple[fields.Measure, ...], AfterValidator(_distinct)]
Stages = tuple[Count, ...]
# Two forms of a value, told apart before validation, so that an error names one form only.
ALL, EACH = "for all modalities", "for each modality"
FuseAfter = Annotated[
    Annotated[Stages, Tag(ALL)] | Annotated[dict[str, Stages], Tag(EACH)],
    Discriminator(lambda raw: EACH if isinstance(raw, dict) else ALL),
]

LISTED, NAMED = "as a list", "by name"
Values = Annotated[
    Annotated[tuple[Any, ...], Field(min_length=2), Tag(LISTED)]
    | Annotated[dict[str, Any], Field(min_length=2), Tag(NAMED)],
    Discriminator(lambda raw: NAMED if isinstance(raw, dict) else LISTED),
]


class Model(Strict):
    """A branch for each modality, a fusion of the branches, and a head."""

    branch: Branch | None = Field(default=None, description="name and settings of the branches")
    branches: fields.Branches = Field(default={}, description="modality: its branch, if it differs from `branch`")
    fusion: fields.Fusion = Field(description="name and settings of the fusion")
    fuse_after: FuseAfter = Field((), description="stages, from 1, that fusions follow: a list, or one per modality")
    head: fields.Head = Field(default="own", validate_default=True, description="name and settings of the head")

    def resolve(self, modalities: list[str]) -> tuple[tuple[Branch, ...], tuple[Stages, ...]]:
        """Branch of each modality, and the stages after which it is fused.

        Raises:
            ValueError: if the parts do not fit each other or the modalities, or if a stage does not exist.
        """
        head, fusion = f"head '{self.head.name}'", f"fusion '{self.fusion.name}'"
        if self.head.kind != self.fusion.head:
            raise ValueError(f"{head} does not fit {fusion}: use head {self.fusion.head}")
        if self.fusion.late == bool(self.fuse_after):
            expected = "an empty list" if self.fusion.late else "a list of stages, such as [2, 3]"
            raise ValueError(f"{fusion} needs fuse_after: {expected}")
        given = self.fuse_after if isinstance(self.fuse_after, dict) else dict.fromkeys(modalities, self.fuse_after)
        if unknown := {*self.branches, *given} - set(modalities):
            raise ValueError(f"model: there is no modality {sorted(unknown)}; there are: {', '.join(modalities)}")
        stages = [tuple(sorted(set(given.get(modality, ())))) for modality in modalities]
        if len(set(map(len, stages))) > 1:
            raise ValueError("model.fuse_after: all modalities need lists of the same length")
        branches = [self.branches.get(modality, self.branch) for modality in modalities]
        for modality, branch, fused in zip(modalities, branches, stages, strict=True):
            if branch is None:
                raise ValueError(f"model: set `branch`, or `branches: {{{modality}: ...}}`")
            depth = getattr(branch, "stages", None)  # None: only the network knows
            if depth is not None and max(fused, default=0) > depth:
                raise ValueError(f"model.fuse_after: the branch of {modality} has stages 1 to {depth}, not {fused}")
        return tuple(filter(None, branches)), tuple(stages)


class Dataset(Strict):
    """One dataset: how its file is made, what is trained on it, and what is measured."""

    data: fields.Data = Field(description="settings of the dataset's file")
    modalities: tuple[str, ...] | None = Field(None, description="m0 first; one may be listed twice; null: the default")
    inputs: Inputs = Inputs()
    model: Model
    training: Training
    methods: fields.Methods = Field(description="name of a method: its settings")
    unimodal: bool = Field(default=True, description="also train each modality alone, with the same settings")
    measures: Measures = Field(("utilization",), validate_default=True, description="names, or names and settings")

    def check_windows(self) -> None:
        """Raise a ValueError if a method acts in no epoch of the training."""
        epochs = self.training.epochs
        for name, method in self.methods.items():
            for part in (method, *getattr(method, "parts", ())):
                for field, window in part:
                    if isinstance(window, Epochs) and window.start > min(epochs, window.stop or epochs):
                        raise ValueError(
                            f"methods.{name}.{field}: no epoch is from {window.start} to {window.stop or epochs};"
                            f" training has epochs 1 to {epochs}"
                        )


class Sweep(Strict):
    """Runs of one dataset that differ in one setting."""

    dataset: str = Field(description="a dataset of these params, whose other settings stay as they are")
    setting: str = Field(min_length=1, description="path of the setting that varies, such as training.learning_rate")
    values: Values = Field(description="values of the setting: a list, or a mapping with a name for each value")
    methods: tuple[str, ...] | None = Field(default=None, min_length=1, description="null: all methods of the dataset")
    seeds: Seeds | None = Field(default=None, description="null: the seeds of the params")

    @property
    def named_values(self) -> list[tuple[str, Any]]:
        """Each value with its name, or as text."""
        if isinstance(self.values, dict):
            return list(self.values.items())
        return [(" + ".join(map(str, v)) if isinstance(v, list | tuple) else str(v), v) for v in self.values]


Range = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]


class Tuning(Strict):
    """Random search of each method's settings: the same number of trials for all, chosen on validation."""

    trials: Count = Field(default=8, description="trials of each method, and of each reference, on each dataset")
    seed: int = Field(1000, ge=0, lt=2**32, description="of the values, and of all trials' runs")
    learning_rate: Range = Field((0.03, 0.3), description="range of the learning rate, log-uniform, for all methods")
    choices: dict[str, dict[str, dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]]]] = Field(
        {}, description="dataset: method: setting: values to draw from, in place of the range that the method states"
    )

    def choices_of(self, dataset: str, method: str) -> dict[str, tuple[Any, ...]]:
        """Values of the settings of a method on a dataset."""
        return self.choices.get(dataset, {}).get(method, {})


def _default_store(uri: str | None) -> str:
    return os.environ.get(ENVIRONMENT_URI) or "sqlite:///mlflow.db" if uri is None else uri


ENVIRONMENT_URI = "MLFLOW_TRACKING_URI"  # name of the variable that MLflow reads
Text = Annotated[str, Field(min_length=1)]


class Tracking(Strict):
    """MLflow."""

    enabled: bool = Field(default=True, description="send runs, their results and the report to MLflow")
    uri: Annotated[
        str, BeforeValidator(_default_store, json_schema_input_type=Text | None), AfterValidator(check_address)
    ] = Field(
        default=None,
        validate_default=True,
        min_length=1,
        repr=False,
        description=f"any MLflow tracking URI; null: {ENVIRONMENT_URI} of the environment, else sqlite:///mlflow.db",
    )
    models: bool = Field(default=False, description="log each run's network as a model: 3 to 15 seconds a run")


class Params(WithPlugins):
    """All of params.yaml."""

    seeds: Seeds = Field(description="every method and reference is trained once with each seed")
    equal_within: float = Field(
        1.0, gt=0, lt=100, description="percentage points: test accuracies that differ by less are practically equal"
    )
    datasets: Annotated[dict[fields.Name, Dataset], fields.Names] = Field(
        min_length=1, description="name of a dataset: its settings"
    )
    sweeps: Annotated[dict[fields.Name, Sweep], fields.Names] = Field({}, description="name of a sweep: what varies")
    tuning: Tuning | None = Field(default=None, description="search of settings for the target zoo; null: none")
    execution: Execution = Execution()
    tracking: Tracking = Tracking()
    code: str | None = Field(
        None, pattern=r"^[0-9a-f]{7,40}$", description="a commit, in quotes: keys contain its code instead of today's"
    )

    @model_validator(mode="before")
    @classmethod
    def _name_data(cls, raw: Any) -> Any:
        """Pass the name of each dataset to its `data`; remove dropped datasets and their sweeps."""
        if not isinstance(raw, dict) or not isinstance(raw.get("datasets"), dict):
            return raw
        named, sweeps = without_dropped(raw["datasets"]), without_dropped(raw.get("sweeps", {}))
        for name, section in named.items():
            if isinstance(section, dict):
                named[name] = section | {"data": fields.KeyedSettings(name, section.get("data"))}
        if isinstance(sweeps, dict):
            dropped = raw["datasets"].keys() - named.keys()
            sweeps = {k: s for k, s in sweeps.items() if not (isinstance(s, dict) and s.get("dataset") in dropped)}
        return raw | {"datasets": named, "sweeps": sweeps}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, section in self.datasets.items():
            if not section.methods and not section.unimodal:
                raise ValueError(f"datasets.{name}: nothing to train: no methods, and no unimodal references")
            try:
                section.model.resolve(list(modalities_of(name, section.modalities, self.plugins, section.data)))
                section.check_windows()
            except ValueError as error:
                raise ValueError(f"datasets.{name}: {error}") from None
        if self.tuning and self.tuning.seed in self.seeds:
            raise ValueError(f"tuning.seed {self.tuning.seed} is one of the seeds; trials need another one")
        if self.tuning:
            self._check_choices(self.tuning)
        _ = self.sweep_values  # validates each value
        return self

    def _check_choices(self, tuning: Tuning) -> None:
        """Raise a ValueError for a value that its setting cannot have. Choices of what was dropped have no effect."""
        for dataset, section in self.datasets.items():
            for method, own in section.methods.items():
                for setting, values in tuning.choices_of(dataset, method).items():
                    self._check_values(f"tuning.choices.{dataset}.{method}", own, setting, values)

    @staticmethod
    def _check_values(name: str, settings: Strict, setting: str, values: Iterable[Any]) -> None:
        for value in values:
            try:
                type(settings).model_validate(settings.model_dump(mode="json") | {setting: value})
            except ValidationError as error:
                raise ValueError(f"{name}, value {value}:\n" + "\n".join(error_lines(error))) from None

    @cached_property
    def sweep_values(self) -> dict[str, list[tuple[str, "Params"]]]:
        """For each sweep, each value as text, and the params of its dataset with this value.

        Raises:
            ValueError: if a sweep names an unknown dataset, method or setting, or if a value is not valid.
        """
        return {name: list(self._vary(name, sweep)) for name, sweep in self.sweeps.items()}

    def _vary(self, name: str, sweep: Sweep) -> Iterator[tuple[str, "Params"]]:
        if sweep.dataset not in self.datasets:
            raise ValueError(f"sweeps.{name}: there is no dataset '{sweep.dataset}' in these params")
        section = self.datasets[sweep.dataset]
        methods = sweep.methods or tuple(section.methods)
        unknown = sorted(set(methods) - section.methods.keys())
        if unknown or not methods:
            cure = f"it has: {', '.join(section.methods) or 'none'}. To skip the sweep, set `{name}: drop`"
            raise ValueError(f"sweeps.{name}: {sweep.dataset} has no method {unknown or 'to train'}; {cure}")
        content = {"plugins": self.plugins, "seeds": sweep.seeds or self.seeds, "code": self.code}
        *path, last = sweep.setting.split(".")
        for text, value in sweep.named_values:
            raw = section.model_dump(mode="json")
            raw["methods"] = {method: own for method, own in raw["methods"].items() if method in methods}
            parent: Any = raw
            for key in path:
                parent = parent.get(key) if isinstance(parent, dict) else None
            if not isinstance(parent, dict) or last not in parent:
                raise ValueError(f"sweeps.{name}: {sweep.dataset} has no setting '{sweep.setting}'")
            parent[last] = value
            try:
                yield text, Params.model_validate(content | {"datasets": {sweep.dataset: raw}})
            except ValidationError as error:
                raise ValueError(f"sweeps.{name}, value {text}:\n" + "\n".join(error_lines(error))) from None


# What an error of pydantic says, in words of YAML.
EXPECTED = {
    "bool_type": "Input should be true or false, not in quotes",
    "dict_type": "Input should be a mapping of settings; an empty one is {}",
    "float_type": "Input should be a valid number, such as 0.1, not in quotes",
    "int_type": "Input should be a valid integer, such as 1, not in quotes",
    "missing": "is missing; if the file is an overlay, give the file that it changes before it",
    "model_type": "Input should be a mapping of settings; an empty one is {}",
    "tuple_type": "Input should be a list, such as [1, 2]",
}
KEY = "[key]"  # in the path of an error of a key itself


def error_lines(error: ValidationError) -> Iterator[str]:
    """A line for each wrong setting, with its key path."""
    errors = error.errors()
    for one in errors:
        path = one["loc"]
        is_above = any(len(e["loc"]) > len(path) and e["loc"][: len(path)] == path for e in errors)
        if one["type"] == "too_short" and is_above:
            continue  # only because an element is wrong, which has a line of its own
        key_path = ".".join(str(part) for part in path if part not in (ALL, EACH, LISTED, NAMED, KEY)) or "params"
        if one["type"] == "extra_forbidden":
            yield f"  {key_path}: there is no such setting"
        elif path[-1:] == (KEY,):
            yield f"  {key_path}: a name has 1 to 60 letters, digits and underscores; rename it"
        else:
            words = one["msg"].removeprefix("Value error, ").replace("Tuple", "List").replace(" after validation", "")
            value = one["input"]
            may_hold_password = path[:2] in {("tracking",), ("tracking", "uri")}
            is_shown = not may_hold_password and (value is None or isinstance(value, str | int | float))
            got = f" (got {_as_yaml(value)})" if is_shown else ""
            yield f"  {key_path}: {EXPECTED.get(one['type'], words)}{got}"


def _as_yaml(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
