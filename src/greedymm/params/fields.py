"""Fields of models that hold the settings of a plug-in, parsed by the plug-in's own class."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, SerializeAsAny

from greedymm import settings
from greedymm.params.plugins import names_of, settings_class
from greedymm.settings import Strict


class Of(NamedTuple):
    """Raw settings, the plug-in that they belong to, and where to look for it."""

    raw: Any
    modules: tuple[str, ...] = ()
    name: str | None = None  # None: the settings have it


def _parser(kind: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if isinstance(value, Strict):
            return value
        of = value if isinstance(value, Of) else Of(value)
        if isinstance(of.raw, Strict):
            return of.raw
        if of.name is not None:
            return settings_class(kind, of.name, of.modules).model_validate({} if of.raw is None else of.raw)
        raw = {"name": of.raw} if isinstance(of.raw, str) else of.raw
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            # A ValueError, which pydantic reports with its place.
            raise ValueError(f"the {kind} needs a name; there are: {', '.join(names_of(kind, of.modules))}")  # noqa: TRY004
        return settings_class(kind, raw["name"], of.modules).model_validate(raw)

    return parse


# SerializeAsAny: typed as the base class alone, a plug-in's settings would dump as {} and never reach the key.
Data = Annotated[SerializeAsAny[settings.DatasetSettings], BeforeValidator(_parser("dataset"))]
Branch = Annotated[SerializeAsAny[settings.BranchSettings], BeforeValidator(_parser("branch"))]
Fusion = Annotated[SerializeAsAny[settings.FusionSettings], BeforeValidator(_parser("fusion"))]
Head = Annotated[SerializeAsAny[settings.HeadSettings], BeforeValidator(_parser("head"))]
Method = Annotated[SerializeAsAny[settings.MethodSettings], BeforeValidator(_parser("method"))]
Measure = Annotated[SerializeAsAny[settings.MeasureSettings], BeforeValidator(_parser("measure"))]
