"""The ground floor of all settings: base classes, and the sections that a run reads. No torch.

Settings of a plug-in stand in the plug-in's file, in a class `Settings` that extends the base class of its kind.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Strict(BaseModel):
    """A section whose unknown keys are errors, so that a typo cannot pass silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Named(Strict):
    """A section that says by its name which plug-in it belongs to."""

    name: str


# -- Base classes of the settings of plug-ins ---------------------------------------------------------------


class DatasetSettings(Strict):
    """Of a dataset: how its file is made."""


class BranchSettings(Named):
    """Of a branch."""

    def untrained(self) -> Self:
        """The same without a file of weights to start from: for a network that gets its own from a checkpoint."""
        return self.model_copy(update={"weights": None}) if hasattr(self, "weights") else self


class FusionSettings(Named):
    """Of a fusion.

    Attributes:
        late: the fusion joins the branches' last features for one head, instead of standing between stages.
    """

    late: ClassVar[bool] = False


class HeadSettings(Named):
    """Of a head.

    Attributes:
        joint: the head reads what a late fusion joins, instead of giving each branch logits of its own.
    """

    joint: ClassVar[bool] = False


class MethodSettings(Strict):
    """Of a training method."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="branch",
        description="cross-entropy that is minimized. branch: sum over the branches; joint: of the network's own"
        " logits; multi: both",
    )


class Window(Strict):
    """When a method acts. Training goes on outside the window."""

    start: int = Field(default=1, ge=1, strict=True, description="first epoch in which the method acts")
    stop: int | None = Field(default=None, ge=1, strict=True, description="last epoch; null: the last of training")
    every: int = Field(default=1, ge=1, strict=True, description="acts in one of so many steps")

    def contains(self, epoch: int, step: int) -> bool:
        """Whether a step of an epoch, both counted from 0, lies in the window."""
        return self.start <= epoch + 1 <= (self.stop or epoch + 1) and step % self.every == 0


class ScoringSettings(MethodSettings):
    """Of a training method that compares scores of the branches."""

    evidence: Literal["full", "cut"] = Field(
        default="full",
        description="logits that a branch's score is read from. full: of the step's forward pass; cut: of one more"
        " pass, in which no branch hears the others",
    )
    active: Window = Window()


class MeasureSettings(Named):
    """Of a measure."""


# -- Sections that a run reads ------------------------------------------------------------------------------


class Training(Strict):
    """The budget and the optimizer, the same for every method and reference."""

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
        " training does not reach are ignored",
    )

    @field_validator("snapshots")
    @classmethod
    def _rising(cls, snapshots: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(snapshots)))


class Inputs(Strict):
    """What a network sees of the bytes in a dataset's file."""

    scaling: Literal["symmetric", "imagenet"] = Field(
        default="symmetric",
        description="symmetric: 0 to 255 become -1 to 1; imagenet: convert to 3 channels and normalize with ImageNet's"
        " mean and standard deviation",
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


# -- Nested settings as one line each -----------------------------------------------------------------------


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings as `training.epochs: 12`."""
    lines: dict[str, Any] = {}
    for name, value in settings.items():
        lines |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return lines


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Where nested settings, as JSON has them, differ from those expected: a line for each."""
    there, asked = flat(found), flat(expected)
    names = sorted(k for k in there.keys() | asked.keys() if there.get(k) != asked.get(k))
    return [f"{k}: {there.get(k)!r} there, {asked.get(k)!r} asked for" for k in names]
