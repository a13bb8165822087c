"""Schema of params.yaml: every knob, its range and its meaning.

No torch here: Snakemake imports this module at each start.
"""

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from greedymm.errors import GreedymmError


class Strict(BaseModel):
    """A section whose unknown keys are errors, so that a typo cannot pass silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Named(Strict):
    """A section that says by its name which plug-in it belongs to."""

    name: str

    def untrained(self) -> Self:
        """The same without a file of weights to start from: for a network that gets its own from a checkpoint."""
        return self.model_copy(update={"weights": None}) if hasattr(self, "weights") else self


# -- Settings of the plug-ins that need torch ---------------------------------------------------------------


class Cnn(Named):
    """Branch `cnn`: 3 x 3 convolutions, one a stage; all stages but the last halve the image."""

    widths: tuple[Annotated[int, Field(ge=1, strict=True)], ...] = Field(
        default=(32, 32, 64, 64), min_length=1, max_length=5, description="channels of each stage"
    )

    @property
    def stages(self) -> int:
        """How many stages the branch has."""
        return len(self.widths)


class Resnet18(Named):
    """Branch `resnet18` (He et al., CVPR 2016): stages layer1 (with what stands before it) to layer4."""

    width: int = Field(
        default=64, ge=1, strict=True, description="channels of the first stage; doubled by each one after it"
    )
    weights: str | None = Field(
        default=None, description="file of weights in torchvision's names, to start from; null: random ones"
    )

    @property
    def stages(self) -> int:
        """How many stages the branch has."""
        return 4


class I3d(Named):
    """Branch `i3d` (Carreira and Zisserman, CVPR 2017): a stage for each of the nine Inception modules."""

    width: int = Field(default=64, ge=4, strict=True, description="channels of the first layer; of all in proportion")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="before the logits")
    norm_momentum: float = Field(default=0.01, gt=0, le=1, description="of the running means of the norm layers")
    weights: str | None = Field(
        default=None, description="file of weights in the names of pytorch-i3d, to start from; null: random ones"
    )

    @property
    def stages(self) -> int:
        """How many stages the branch has."""
        return 9


class Mmtm(Named):
    """Fusion `mmtm` (Joze et al., CVPR 2020)."""

    ratio: int = Field(
        strict=True, default=4, ge=1, description="the joint vector has 2 * (sum of channels) / ratio elements"
    )
    official_gates: bool = Field(
        default=False,
        description="as in the authors' code, every running mean is that of the first modality's gate",
    )


class Greedy(Strict):
    """Method `greedy`: every step is regular."""


class Balanced(Strict):
    """Method `balanced`: balanced multi-modal learning (Wu et al. 2022)."""

    tolerance: float = Field(
        default=0.01, gt=0, description="alpha, in units of log10: |d_speed| that opens a re-balancing window"
    )
    window: int = Field(strict=True, default=5, ge=1, description="Q: steps in one re-balancing window")


class Random(Strict):
    """Method `random`: each step after the warm-up epoch is drawn from regular and re-balancing for each modality."""


# A plug-in that is not listed here has a class `Settings` in its own file.
BUILT_IN: dict[str, dict[str, type[Strict]]] = {
    "branch": {"cnn": Cnn, "i3d": I3d, "resnet18": Resnet18},
    "fusion": {"mmtm": Mmtm},
    "method": {"greedy": Greedy, "balanced": Balanced, "random": Random},
    "dataset": {},
}
PACKAGES = {
    "branch": "greedymm.models.branches",
    "fusion": "greedymm.models.fusion",
    "method": "greedymm.training.methods",
    "dataset": "greedymm.data",
}
LEAST = 2  # modalities of a multi-modal network
# An overlay can add to a mapping and change it, but not leave anything out: `balanced: drop` does.
DROP = "drop"
# Modules of the package `data` that are no datasets.
SHARED_BY_DATASETS = {
    *("archive", "batches", "cad", "clips", "export", "hands", "hdf5", "inputs", "meshes", "objects", "parallel"),
    *("pictures", "render", "samples", "shared", "source", "video"),
}


def names_of(kind: str) -> list[str]:
    """Names of the plug-ins of one kind: their files' names."""
    path = import_module(PACKAGES[kind]).__path__
    return sorted({m.name for m in pkgutil.iter_modules(path)} - SHARED_BY_DATASETS)


def settings_class(kind: str, name: str) -> type[Strict]:
    """Class of a plug-in's settings.

    Raises:
        ValueError: if there is no such plug-in; the message lists those that there are.
    """
    if name not in names_of(kind):
        raise ValueError(f"unknown {kind} '{name}'; there are: {', '.join(names_of(kind))}")
    if name in BUILT_IN[kind]:
        return BUILT_IN[kind][name]
    module = import_module(f"{PACKAGES[kind]}.{name}")
    if not hasattr(module, "Settings"):
        raise ValueError(f"{module.__file__} has no class Settings; without settings: class Settings(Strict): pass")
    settings: type[Strict] = module.Settings
    return settings


def modalities_of(dataset: str, chosen: Sequence[str] | None = None) -> dict[str, str]:
    """A network's modalities, m0 first: name in results -> name in the dataset's file.

    Args:
        dataset: its name.
        chosen: which of those in the file; one that stands there again is another modality, `<name>_2`.
            None: those that the dataset's own file says.

    Raises:
        ValueError: if one of those chosen is not in the file, or if there are fewer than two.
        GreedymmError: if a name cannot stand in a path and in a table.
    """
    module = import_module(f"{PACKAGES['dataset']}.{dataset}")
    stored = tuple(getattr(module, "STORED", module.MODALITIES))
    for name in stored:
        if not name.isidentifier() or name in {"mean", "labels", "ids", "split", "id", "label"}:
            raise GreedymmError(f"{dataset}: a modality cannot be named '{name}'; take letters, digits and underscores")
    wanted = tuple(module.MODALITIES if chosen is None else chosen)
    if strangers := set(wanted) - set(stored):
        raise ValueError(f"{dataset} has no modality {sorted(strangers)}; it has: {', '.join(stored)}")
    if len(wanted) < LEAST:
        raise ValueError(f"{dataset}: a multi-modal network takes at least two modalities, not {list(wanted)}")
    counts = [wanted[: k + 1].count(name) for k, name in enumerate(wanted)]
    names = {name if n == 1 else f"{name}_{n}": name for name, n in zip(wanted, counts, strict=True)}
    if len(names) < len(wanted):
        raise ValueError(f"{dataset}: two modalities would have the same name in {list(wanted)}")
    return names


class Of(NamedTuple):
    """Raw settings, and the plug-in that they belong to."""

    name: str
    raw: Any


def plug_in(kind: str) -> Callable[[Any], Any]:
    """Validator of the settings of a plug-in, named by its section's `name` or, with `Of`, by the key above it."""

    def parse(value: Any) -> Any:
        if isinstance(value, Of):
            return settings_class(kind, value.name).model_validate({} if value.raw is None else value.raw)
        if isinstance(value, dict):
            if not isinstance(value.get("name"), str):
                # A ValueError, which pydantic reports with its place.
                raise ValueError(f"the {kind} needs a name; there are: {', '.join(names_of(kind))}")  # noqa: TRY004
            return settings_class(kind, value["name"]).model_validate(value)
        return value

    return parse


# SerializeAsAny: typed as the base class alone, a plug-in's settings would dump as {} and never reach the key.
Branch = Annotated[SerializeAsAny[Named], BeforeValidator(plug_in("branch"))]
Fusion = Annotated[SerializeAsAny[Named], BeforeValidator(plug_in("fusion"))]
Method = Annotated[SerializeAsAny[Strict], BeforeValidator(plug_in("method"))]
Data = Annotated[SerializeAsAny[Strict], BeforeValidator(plug_in("dataset"))]


class Model(Strict):
    """A branch per modality, fused after some of the stages."""

    branch: Branch = Field(description="name and settings of the branches")
    fusion: Fusion = Field(description="name and settings of the fusion")
    fuse_after: tuple[Annotated[int, Field(ge=1, strict=True)], ...] = Field(
        min_length=1, description="stages, counted from 1, after which the branches are fused"
    )

    @model_validator(mode="after")
    def _fused_where_there_are_stages(self) -> Self:
        stages = getattr(self.branch, "stages", None)  # None: only the network itself knows
        if stages is not None and max(self.fuse_after) > stages:
            raise ValueError(f"fuse_after: the branches have stages 1 to {stages}, not {max(self.fuse_after)}")
        return self


class Training(Strict):
    """The budget and the optimiser, the same for every method and reference."""

    epochs: int = Field(strict=True, ge=1, description="at most so many")
    batch_size: int = Field(strict=True, ge=1, description="samples in one step")
    learning_rate: float = Field(gt=0, description="of SGD")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(default=0.0, ge=0, description="of SGD")
    schedule: Literal["plateau", "cosine"] = Field(
        default="plateau",
        description="of the learning rate. plateau: ReduceLROnPlateau on the training loss; cosine: along"
        " half a cosine over all epochs, towards min_learning_rate",
    )
    factor: float = Field(default=0.3, gt=0, lt=1, description="ReduceLROnPlateau: of the learning rate")
    patience: int = Field(
        strict=True, default=10, ge=0, description="ReduceLROnPlateau: epochs without a better training loss"
    )
    threshold: float = Field(default=1e-3, ge=0, description="ReduceLROnPlateau: relative change that counts as better")
    min_learning_rate: float = Field(default=1e-6, ge=0, description="the lowest learning rate")
    perfect_epochs: int = Field(
        strict=True, default=5, ge=1, description="stop after so many with a training accuracy of 100 %"
    )
    snapshots: tuple[Annotated[int, Field(ge=1, strict=True)], ...] = Field(
        default=(),
        description="epochs after which multi-modal weights are kept, to measure utilization there, too; those that"
        " training does not reach are left out",
    )

    @field_validator("snapshots")
    @classmethod
    def _rising(cls, snapshots: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(snapshots)))


class Inputs(Strict):
    """What a network sees of the bytes in a dataset's file."""

    scaling: Literal["symmetric", "imagenet"] = Field(
        default="symmetric",
        description="symmetric: 0 to 255 become -1 to 1; imagenet: three channels, whatever there are, less the mean"
        " of ImageNet and over its standard deviation",
    )
    flip: bool = Field(
        default=False,
        description="in training, flip each modality of each sample horizontally, on its own, half of the time",
    )
    frames: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="of each clip: a random window in training, evenly over the clip otherwise; null: all",
    )
    crop: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="side of a square, the same for all modalities: at random in training, in the middle otherwise;"
        " null: all",
    )


class Dataset(Strict):
    """One dataset: how it is made, and what is trained on it."""

    data: Data = Field(description="settings of the dataset, as in its file")
    modalities: tuple[str, ...] | None = Field(
        default=None,
        description="which of those in the dataset's file, m0 first; one may stand twice; null: those it says itself",
    )
    inputs: Inputs = Inputs()
    model: Model
    training: Training
    methods: dict[str, Method] = Field(description="name of a method: its settings")
    unimodal: bool = Field(default=True, description="train each modality alone, too: same branch, same budget")

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if not self.methods and not self.unimodal:
            raise ValueError("nothing to train: no methods, and no unimodal references")
        return self


class Sweep(Strict):
    """Runs of one dataset that differ in one setting."""

    dataset: str = Field(description="one of those above, whose other settings stay as they are")
    setting: str = Field(min_length=1, description="which one varies, with dots: training.learning_rate")
    values: tuple[Any, ...] = Field(min_length=2, description="what it is set to, one after the other")
    methods: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="those of the dataset that are trained; null: all of them"
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32, strict=True)], ...] | None = Field(
        default=None, min_length=1, description="null: those above"
    )


class Execution(Strict):
    """Where and how it runs. A device may round differently, but none of this is a setting of the method: no key."""

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU where there is one")
    threads: int = Field(
        strict=True, default=1, ge=1, description="CPU threads of one run; many runs beat many threads"
    )
    resident_gb: float = Field(default=4.0, ge=0, description="a split larger than this is streamed from its file")
    workers: int = Field(strict=True, default=2, ge=0, description="processes that stream a split; 0: in the run's own")
    preparers: int = Field(
        strict=True, default=8, ge=1, description="processes that prepare a dataset, where it takes many"
    )
    memory_mb: int = Field(strict=True, default=1000, ge=1, description="memory that one run asks the scheduler for")


class Tracking(Strict):
    """MLflow."""

    enabled: bool = Field(default=True, description="send runs, their results and the report")
    uri: str = Field(default="sqlite:///mlflow.db", min_length=1, description="any MLflow tracking URI")
    # The process that follows a run takes 2.4 s of a CPU to start: too much for runs of 10 s.
    follow_after: float = Field(
        default=60.0,
        ge=0,
        description="seconds of training after which a run is shown while it trains, 0: from its first epoch; shorter"
        " ones are sent at the end of the workflow",
    )
    models: bool = Field(
        default=False,
        description="log each run's network as a model, which mlflow.pytorch.load_model brings back; takes 3 to 15"
        " seconds a run",
    )


class Params(Strict):
    """All of params.yaml."""

    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32, strict=True)], ...] = Field(
        min_length=1, description="one run of every method and reference for each"
    )
    datasets: dict[str, Dataset] = Field(min_length=1, description="name of a dataset: what is done with it")
    sweeps: dict[Annotated[str, Field(pattern=r"^\w+$")], Sweep] = Field(
        default={}, description="name of a sweep: what varies in it; made by `snakemake sweeps` alone"
    )
    execution: Execution = Execution()
    tracking: Tracking = Tracking()
    code: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{7,40}$",
        description="a commit, in quotes, whose code counts in the keys: for changes of code known to change no result",
    )

    @field_validator("code", mode="before")
    @classmethod
    def _quoted(cls, code: Any) -> Any:
        if isinstance(code, int | float):
            raise ValueError("put the commit in quotes: YAML takes it for a number")  # noqa: TRY004 as above
        return code

    @property
    def multimodal(self) -> list[str]:
        """Datasets on which more is trained than unimodal references: those with speeds and rates."""
        return [name for name, section in self.datasets.items() if section.methods]

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice: the same run would be counted twice")
        return seeds

    @model_validator(mode="after")
    def _modalities_are_there(self) -> Self:
        for name, section in self.datasets.items():
            modalities_of(name, section.modalities)
        return self

    @model_validator(mode="after")
    def _sweeps_can_be_made(self) -> Self:
        _ = self.swept
        return self

    @cached_property
    def swept(self) -> dict[str, list[tuple[str, Self]]]:
        """What each sweep comes to: the text of each value, and params of its one dataset with that value.

        Raises:
            ValueError: if one names a dataset, method or setting that there is not, or if a value is not valid.
        """
        return {name: self._swept(name, sweep) for name, sweep in self.sweeps.items()}

    def _swept(self, name: str, sweep: Sweep) -> list[tuple[str, Self]]:
        if sweep.dataset not in self.datasets:
            raise ValueError(f"sweeps.{name}: there is no dataset '{sweep.dataset}' in these params")
        section = self.datasets[sweep.dataset]
        strangers = set(sweep.methods or ()) - set(section.methods)
        if strangers:
            raise ValueError(f"sweeps.{name}: {sweep.dataset} has no method {sorted(strangers)}")
        points = []
        for value in sweep.values:
            raw = section.model_dump(mode="json")
            raw["methods"] = {m: s for m, s in raw["methods"].items() if m in (sweep.methods or section.methods)}
            *above, last = sweep.setting.split(".")
            place: Any = raw
            for key in above:
                place = place.get(key) if isinstance(place, dict) else None
            if not isinstance(place, dict) or last not in place:
                raise ValueError(f"sweeps.{name}: {sweep.dataset} has no setting '{sweep.setting}'")
            place[last] = value
            whole = {"seeds": sweep.seeds or self.seeds, "code": self.code, "datasets": {sweep.dataset: raw}}
            try:
                points.append((value_text(value), type(self).model_validate(whole | {"sweeps": {}})))
            except ValidationError as error:
                raise ValueError(f"sweeps.{name}, value {value!r}:\n" + "\n".join(_lines(error))) from None
        return points

    @model_validator(mode="before")
    @classmethod
    def _name_plug_ins(cls, raw: Any) -> Any:
        """Say of each dataset's and method's settings whose they are; drop what an overlay drops."""
        datasets = raw.get("datasets") if isinstance(raw, dict) else None
        if isinstance(raw, dict) and isinstance(raw.get("sweeps"), dict) and isinstance(datasets, dict):
            kept = {name: _kept(sweep, datasets) for name, sweep in raw["sweeps"].items()}
            raw = raw | {"sweeps": {name: sweep for name, sweep in kept.items() if sweep != DROP}}
        if not isinstance(datasets, dict):
            return raw
        return raw | {"datasets": {n: _name_plug_ins(n, d) for n, d in datasets.items() if d != DROP}}


def _kept(sweep: Any, datasets: dict[str, Any]) -> Any:
    """A sweep without the methods that are dropped; DROP, where nothing of it is left, or its dataset is dropped."""
    section = datasets.get(sweep.get("dataset", "")) if isinstance(sweep, dict) else None
    methods = section.get("methods") if isinstance(section, dict) else None
    if not isinstance(methods, dict):
        return DROP if section == DROP else sweep
    dropped = {name for name, settings in methods.items() if settings == DROP}
    of_method = str(sweep.get("setting", "")).removeprefix("methods.").split(".")[0]
    left = [name for name in sweep.get("methods") or methods if name not in dropped]
    if not left or of_method in dropped:
        return DROP
    return sweep | {"methods": left} if sweep.get("methods") else sweep


def value_text(value: Any) -> str:
    """A value of a sweep, as it is shown: lists by their elements."""
    return " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _name_plug_ins(dataset: str, raw: Any) -> Any:
    if not isinstance(raw, dict):
        return raw
    methods = raw.get("methods")
    if isinstance(methods, dict):
        methods = {name: Of(name, settings) for name, settings in methods.items() if settings != DROP}
    return raw | {"data": Of(dataset, raw.get("data")), "methods": methods}


def validate(raw: dict[str, Any]) -> Params:
    """Params from a parsed params.yaml.

    Raises:
        GreedymmError: with one line for each thing that is wrong, and where it stands.
    """
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise GreedymmError("params are not valid:\n" + "\n".join(_lines(error))) from None


def _lines(error: ValidationError) -> Iterator[str]:
    for found in error.errors():
        if found["type"] == "too_short" and any(_within(e["loc"], found["loc"]) for e in error.errors()):
            continue  # because of an element that is wrong, and named on its own line
        place = found["loc"]
        if found["type"] == "extra_forbidden":
            yield f"  {_dotted(place)}: there is no such setting"
        else:
            got = f" (got {found['input']!r})" if isinstance(found["input"], str | int | float) else ""
            yield f"  {_dotted(place)}: {found['msg'].removeprefix('Value error, ')}{got}"


def _within(place: tuple[int | str, ...], section: tuple[int | str, ...]) -> bool:
    return len(place) > len(section) and place[: len(section)] == section


def _dotted(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place)) or "params"


def load(*paths: Path) -> Params:
    """Params from YAML files, each laid over those before it, as Snakemake does with --configfile.

    Raises:
        GreedymmError: if a file is no YAML mapping, or if what they come to is not valid.
    """
    raw: dict[str, Any] = {}
    for path in paths:
        raw = _overlaid(raw, _read(path))
    return validate(raw)


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        k: _overlaid(below[k], v) for k, v in above.items() if isinstance(v, dict) and isinstance(below.get(k), dict)
    }
    return below | above | both


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GreedymmError(f"{path.absolute()} is missing; run this where it is, or name it") from None
    except yaml.YAMLError as error:
        raise GreedymmError(f"{path} is no YAML: {error}") from None
    if not isinstance(raw, dict):
        raise GreedymmError(f"{path} holds no mapping of settings")
    return raw


def json_schema() -> dict[str, Any]:
    """JSON schema of params.yaml with the plug-ins that come with the package, for editors."""
    schema = Params.model_json_schema()
    definitions = schema["$defs"]
    for kind in PACKAGES:
        for name in names_of(kind):
            definitions[f"{kind}_{name}"] = settings_class(kind, name).model_json_schema()
    for kind in ("branch", "fusion"):
        for name in names_of(kind):
            definitions[f"{kind}_{name}"]["properties"]["name"] = {"const": name}
        definitions["Model"]["properties"][kind] = {"oneOf": [_settings(kind, n) for n in names_of(kind)]}
    dataset = definitions.pop("Dataset")
    dataset["required"].remove("data")  # all of it has defaults
    dataset["properties"]["methods"] = _by_name({n: _settings("method", n) for n in names_of("method")})
    datasets = {
        n: dataset | {"properties": dataset["properties"] | {"data": _settings("dataset", n)}}
        for n in names_of("dataset")
    }
    schema["properties"]["datasets"] |= _by_name(datasets)
    return schema


def _settings(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{kind}_{name}"}


def _by_name(places: dict[str, Any]) -> dict[str, Any]:
    """A mapping whose places may be dropped, or left empty for their defaults."""
    either = {name: {"anyOf": [place, {"const": DROP}, {"type": "null"}]} for name, place in places.items()}
    return {"type": "object", "properties": either, "additionalProperties": False}


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings as `training.epochs: 12`."""
    places: dict[str, Any] = {}
    for name, value in settings.items():
        places |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return places


def differing(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where nested settings, as JSON has them, are others than those wanted: a line for each place."""
    found, asked = flat(there), flat(wanted)
    places = sorted(k for k in found.keys() | asked.keys() if found.get(k) != asked.get(k))
    return [f"{k}: {found.get(k)!r} there, {asked.get(k)!r} asked for" for k in places]
