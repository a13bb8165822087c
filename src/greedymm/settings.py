"""Base classes of all settings, and the sections that a run reads. No torch.

The settings of a plug-in are in the plug-in's file, in a class `Settings` that extends the base class of its kind.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler

Count = Annotated[int, Field(ge=1)]

Processes = Annotated[int, Field(ge=1, le=1024)]


def uniform(low: float, high: float) -> dict[str, Any]:
    """Range of a setting that tuning draws from, for `json_schema_extra` of its field."""
    return {"search": {"uniform": [low, high]}}


def log_uniform(low: float, high: float) -> dict[str, Any]:
    """Range of a positive setting whose logarithm is drawn from a uniform distribution."""
    return {"search": {"log_uniform": [low, high]}}


def choice(*values: Any) -> dict[str, Any]:
    """Values of a setting that tuning draws from."""
    return {"search": {"choice": list(values)}}


def _strict(schema: Any) -> Any:
    """A schema whose numbers and bools are of their own type."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_strict, schema))
    if not isinstance(schema, dict):
        return schema
    strict = {"strict": True} if schema.get("type") in ("bool", "float", "int") else {}
    return {key: _strict(part) for key, part in schema.items()} | strict


class Strict(BaseModel):
    """A section whose unknown keys are errors, so that a typo cannot pass silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Accept no text and no `true` for a number, and nothing else for a bool, however deep in a field."""
        return _strict(handler(source))


class Named(Strict):
    """A section that names its plug-in."""

    name: str


class DatasetSettings(Strict):
    """Settings of a dataset's file."""


class BranchSettings(Named):
    """Settings of a branch."""

    def untrained(self) -> Self:
        """These settings without a file of initial weights: for a network that is loaded from a checkpoint."""
        return self.model_copy(update={"weights": None}) if hasattr(self, "weights") else self


class FusionSettings(Named):
    """Settings of a fusion."""

    late: ClassVar[bool] = False  # True: it follows the branches, and reads nothing between their stages
    head: ClassVar[str] = "own"  # kind of the head that it needs


class HeadSettings(Named):
    """Settings of a head."""

    # own: each branch has its own logits; joint: one layer reads joined features; central: it reads a central tower
    kind: ClassVar[str] = "own"


class MethodSettings(Strict):
    """Settings of a training method."""

    method: str | None = Field(
        default=None,
        exclude_if=lambda name: name is None,
        description="name of the method; null: the key of its section",
    )
    objective: Literal["branch", "joint", "multi"] = Field("branch", description="loss: of branches, network, or both")


class Epochs(Strict):
    """Epochs in which a method acts. Training goes on outside of them."""

    start: Count = Field(default=1, description="first epoch in which the method acts")
    stop: Count | None = Field(default=None, description="last epoch; null: the last of training")

    def include(self, epoch: int) -> bool:
        """Whether the method acts in an epoch, counted from 0."""
        return self.start <= epoch + 1 <= (self.stop or epoch + 1)


class LaterEpochs(Epochs):
    """Epochs of a method that measures the network before each of them: there is none before the first epoch."""

    start: int = Field(default=2, ge=2, description="first epoch in which the method acts, 2 or later")


class Window(Epochs):
    """When a method acts. Training goes on outside the window."""

    every: Count = Field(default=1, description="the method acts in one of so many steps")

    def contains(self, epoch: int, step: int) -> bool:
        """Whether a step of an epoch, both counted from 0, is in the window."""
        return self.include(epoch) and step % self.every == 0


class ScoringSettings(MethodSettings):
    """Settings of a training method that compares scores of the branches."""

    evidence: Literal["full", "cut"] = Field("full", description="score the step's pass, or one without fusion (cut)")
    active: Window = Window()


class DistillationSettings(MethodSettings):
    """Settings of a training method with a teacher for each branch."""

    objective: Literal["branch", "joint", "multi"] = Field("joint", description="loss: of branches, network, or both")
    teacher_epochs: Count | None = Field(default=None, description="epochs of the teachers; null: of the training")


class MeasureSettings(Named):
    """Settings of a measure."""

    during_training: ClassVar[bool] = True  # False: not computed at snapshots, because it is expensive


class Training(Strict):
    """Epochs and optimizer, the same for every method and reference."""

    epochs: Count = Field(description="maximum number of epochs")
    batch_size: int = Field(ge=2, description="samples in one step; batch norm needs two")
    learning_rate: float = Field(gt=0, description="learning rate of SGD")
    momentum: float = Field(default=0.0, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay of SGD")
    schedule: Literal["plateau", "cosine"] = Field("plateau", description="ReduceLROnPlateau, or half a cosine")
    factor: float = Field(default=0.3, gt=0, lt=1, description="ReduceLROnPlateau: factor of the learning rate")
    patience: int = Field(default=10, ge=0, description="ReduceLROnPlateau: epochs without improvement")
    threshold: float = Field(default=1e-3, ge=0, description="ReduceLROnPlateau: relative change that is improvement")
    min_learning_rate: float = Field(default=1e-6, ge=0, description="lowest learning rate")
    perfect_epochs: Count = Field(default=5, description="stop after so many epochs with 100 % training accuracy")
    snapshots: tuple[Count, ...] = Field((), description="epochs after which weights are kept, to measure them later")


class Inputs(Strict):
    """How the bytes in a dataset's file become the input of a network."""

    scaling: Literal["symmetric", "imagenet"] = Field("symmetric", description="-1 to 1, or ImageNet's mean and std")
    flip: bool = Field(default=False, description="in training, flip each modality horizontally with probability 0.5")
    frames: Count | None = Field(None, description="random window in training, at even distances else; null: all")
    crop: Count | None = Field(None, description="pixels; random square in training, central else; null: no crop")


class Execution(Strict):
    """Where and how runs compute. None of this is in a key, although another device may round differently."""

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU, if there is one")
    threads: Processes = Field(default=1, description="CPU threads of one run; many runs at a time are faster")
    runs_per_job: Count = Field(default=1, description="runs of a method that one process trains, one after another")
    resident_gb: float = Field(default=4.0, ge=0, description="a larger split is streamed from its file; in GB")
    workers: int = Field(default=2, ge=0, le=1024, description="processes that stream a split; 0: none of its own")
    preparers: Processes = Field(default=8, description="processes that prepare a large dataset")
    memory_mb: Count = Field(default=1000, description="memory that a run requests from the scheduler, in MB")


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings as `training.epochs: 12`."""
    paths: dict[str, Any] = {}
    for name, value in settings.items():
        paths |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return paths


def differences(actual: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """A line for each difference between nested settings, as JSON has them."""
    has, needs = flat(actual), flat(expected)
    paths = sorted(k for k in has.keys() | needs.keys() if has.get(k) != needs.get(k))
    return [f"{k}: {has.get(k)!r} there, {needs.get(k)!r} asked for" for k in paths]
