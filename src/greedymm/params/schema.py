"""Schema of params.yaml: every section, its ranges and its meaning."""

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from greedymm.params.fields import Branch, Data, Fusion, Head, Measure, Method, Of
from greedymm.params.modalities import modalities_of
from greedymm.params.plugins import KINDS, plugins
from greedymm.settings import Execution, Inputs, Strict, Training

# An overlay can add to a mapping and change it, but not leave anything out: `balanced: drop` does.
DROP = "drop"

Stages = tuple[Annotated[int, Field(ge=1, strict=True)], ...]
# Two forms of a value, told apart before it is validated, so that an error is that of one of them.
ALL, EACH = "for all modalities", "for each modality"
StagesOfAll = Annotated[Stages, Tag(ALL)]
StagesOfEach = Annotated[dict[str, Stages], Tag(EACH)]
FuseAfter = Annotated[StagesOfAll | StagesOfEach, Discriminator(lambda raw: EACH if isinstance(raw, dict) else ALL)]


class Model(Strict):
    """A branch per modality, a fusion between them, and a head."""

    branch: Branch | None = Field(default=None, description="name and settings of the branches")
    branches: dict[str, Branch] = Field(
        default={}, description="modality: name and settings of its branch, where it differs from `branch`"
    )
    fusion: Fusion = Field(description="name and settings of the fusion")
    fuse_after: FuseAfter = Field(
        default=(),
        description="stages, counted from 1, after which the branches are fused; where branches differ in depth, a list"
        " of the same length for each modality. Empty for a fusion that joins the last features",
    )
    head: Head = Field(default="own", validate_default=True, description="name and settings of the head")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.head.joint and not self.fusion.late:
            raise ValueError(
                f"head '{self.head.name}' reads joined features, and fusion '{self.fusion.name}' joins none: take the"
                " head 'own', or a fusion such as concat"
            )
        if self.fusion.late and not self.head.joint:
            raise ValueError(
                f"fusion '{self.fusion.name}' joins the branches' last features, and head '{self.head.name}' reads"
                " each branch's own: take the head 'joint'"
            )
        if bool(self.fuse_after) == self.fusion.late:
            need = "stands after the last stage: leave fuse_after empty" if self.fusion.late else "needs fuse_after"
            raise ValueError(f"fusion '{self.fusion.name}' {need}")
        return self

    def resolve(self, modalities: list[str]) -> tuple[tuple[Branch, ...], tuple[Stages, ...]]:
        """Branch of each modality, and the stages after which it is fused.

        Raises:
            ValueError: if a modality has no branch, or none of that name is there, or if a stage does not exist.
        """
        given = [*self.branches, *(self.fuse_after if isinstance(self.fuse_after, dict) else ())]
        if unknown := set(given) - set(modalities):
            raise ValueError(f"model: there is no modality {sorted(unknown)}; there are: {', '.join(modalities)}")
        branches = []
        for m in modalities:
            branch = self.branches.get(m, self.branch)
            if branch is None:
                raise ValueError(f"model: modality '{m}' has no branch: give `branch`, or `branches: {{{m}: ...}}`")
            branches.append(branch)
        stages = tuple(self._stages(m) for m in modalities)
        if len({len(own) for own in stages}) > 1:
            raise ValueError("model.fuse_after: the lists of the modalities must have the same length")
        for m, branch, own in zip(modalities, branches, stages, strict=True):
            depth = getattr(branch, "stages", None)  # None: only the network itself knows
            if depth is not None and own and max(own) > depth:
                raise ValueError(f"model.fuse_after: the branch of {m} has stages 1 to {depth}, not {max(own)}")
        return tuple(branches), stages

    def _stages(self, modality: str) -> Stages:
        stages = self.fuse_after
        if isinstance(stages, dict):
            if modality not in stages:
                raise ValueError(f"model.fuse_after: modality '{modality}' is missing")
            stages = stages[modality]
        return tuple(sorted(set(stages)))


class Dataset(Strict):
    """One dataset: how it is made, what is trained on it, and what is measured."""

    data: Data = Field(description="settings of the dataset, as in its file")
    modalities: tuple[str, ...] | None = Field(
        default=None,
        description="which of those in its file, m0 first; one may be listed twice; null: those that it says itself",
    )
    inputs: Inputs = Inputs()
    model: Model
    training: Training
    methods: dict[str, Method] = Field(description="name of a method: its settings")
    unimodal: bool = Field(default=True, description="train each modality alone, too: same branch, same budget")
    measures: tuple[Measure, ...] = Field(
        default=("utilization",), validate_default=True, description="names, or names and settings, of what is measured"
    )

    @field_validator("measures")
    @classmethod
    def _distinct(cls, measures: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [m.name for m in measures]
        if len(set(names)) < len(names):
            raise ValueError("a measure is listed twice")
        return measures

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if not self.methods and not self.unimodal:
            raise ValueError("nothing to train: no methods, and no unimodal references")
        return self


Seeds = tuple[Annotated[int, Field(ge=0, lt=2**32, strict=True)], ...]


class Sweep(Strict):
    """Runs of one dataset that differ in one setting."""

    dataset: str = Field(description="one of those above, whose other settings stay as they are")
    setting: str = Field(min_length=1, description="which one varies, with dots: training.learning_rate")
    values: tuple[Any, ...] = Field(min_length=2, description="what it is set to, one after the other")
    methods: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="those of the dataset that are trained; null: all of them"
    )
    seeds: Seeds | None = Field(default=None, min_length=1, description="null: those above")


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

    plugins: tuple[str, ...] = Field(
        default=(), description="modules, or packages of them, with plug-ins of your own: mylab.methods"
    )
    seeds: Seeds = Field(min_length=1, description="one run of every method and reference for each")
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
            raise ValueError("put the commit in quotes: YAML takes it for a number")  # noqa: TRY004  pydantic's
        return code

    @property
    def multimodal(self) -> list[str]:
        """Datasets on which more is trained than unimodal references: those with speeds and rates."""
        return [name for name, section in self.datasets.items() if section.methods]

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is listed twice: the same run would be counted twice")
        return seeds

    @model_validator(mode="after")
    def _modalities_exist(self) -> Self:
        for name, section in self.datasets.items():
            try:
                section.model.resolve(list(modalities_of(name, section.modalities, self.plugins)))
            except ValueError as error:
                raise ValueError(f"datasets.{name}: {error}") from None
        return self

    @model_validator(mode="before")
    @classmethod
    def _name_plugins(cls, raw: Any) -> Any:
        """Say of each plug-in's settings where to look for it; leave out what an overlay drops."""
        datasets = raw.get("datasets") if isinstance(raw, dict) else None
        if not isinstance(datasets, dict):
            return raw
        given = raw.get("plugins")
        modules = tuple(given) if isinstance(given, list | tuple) and all(isinstance(m, str) for m in given) else ()
        for kind in KINDS if modules else ():
            plugins(kind, modules)  # what is wrong with them is said once, not at each place
        if isinstance(raw.get("sweeps"), dict):
            kept = {name: _kept(sweep, datasets) for name, sweep in raw["sweeps"].items()}
            raw = raw | {"sweeps": {name: sweep for name, sweep in kept.items() if sweep != DROP}}
        return raw | {"datasets": {n: _name_plugins(n, d, modules) for n, d in datasets.items() if d != DROP}}


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


def _name_plugins(dataset: str, raw: Any, modules: tuple[str, ...]) -> Any:
    """Raw settings of a dataset, in which each plug-in's say where to look for it."""
    if not isinstance(raw, dict):
        return raw
    named: dict[str, Any] = {"data": Of(raw.get("data"), modules, dataset)}
    methods, model, measures = raw.get("methods"), raw.get("model"), raw.get("measures")
    if isinstance(methods, dict):
        named["methods"] = {name: Of(own, modules, name) for name, own in methods.items() if own != DROP}
    if isinstance(model, dict):
        parts: dict[str, Any] = {
            part: Of(model[part], modules) for part in ("branch", "fusion", "head") if model.get(part) is not None
        }
        if isinstance(branches := model.get("branches"), dict):
            parts["branches"] = {m: Of(own, modules) for m, own in branches.items() if own != DROP}
        named["model"] = model | parts
    if isinstance(measures, list | tuple):
        named["measures"] = [Of(own, modules) for own in measures]
    return raw | named
