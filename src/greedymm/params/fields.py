"""Types of the fields that hold a plug-in's settings. The plug-in's own class `Settings` validates them."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo, field_validator

from greedymm import settings
from greedymm.params.plugins import KINDS, plugins, settings_class
from greedymm.settings import Strict

# In an overlay, `balanced: drop` removes an entry of a mapping.
DROP = "drop"

_modules: ContextVar[tuple[str, ...]] = ContextVar("modules", default=())


class WithPlugins(Strict):
    """Settings that contain settings of plug-ins."""

    plugins: tuple[str, ...] = Field((), validate_default=True, description="modules or packages with your plug-ins")

    @field_validator("plugins")
    @classmethod
    def _search_modules(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        """Search these modules for the plug-ins of the fields that follow."""
        _modules.set(())
        for kind in KINDS:
            plugins(kind, modules)  # raises an error of this field alone
        _modules.set(modules)
        return modules


class KeyedSettings(NamedTuple):
    """Raw settings of a plug-in whose name is their key in a mapping, or with the name in themselves."""

    name: str | None
    raw: Any


def without_dropped(section: Any) -> Any:
    """A mapping without the entries that an overlay drops."""
    return {key: raw for key, raw in section.items() if raw != DROP} if isinstance(section, dict) else section


def keyed(section: Any) -> Any:
    """A mapping whose keys are the names of plug-ins, without the entries that an overlay drops."""
    section = without_dropped(section)
    return {key: KeyedSettings(key, raw) for key, raw in section.items()} if isinstance(section, dict) else section


def _validator(kind: str) -> Callable[[Any, ValidationInfo], Strict]:
    def validate(value: Any, info: ValidationInfo) -> Strict:
        name, raw = value if isinstance(value, KeyedSettings) else (info.data.get(kind), value)
        if isinstance(raw, Strict):
            return raw
        if kind == "method":
            name, raw = _name_method(name, raw)
        elif not isinstance(name, str):
            raw = raw if isinstance(raw, dict) else {"name": raw}
            name = str(raw.get("name", ""))
        settings_type: type[Strict] = settings_class(kind, name, _modules.get())
        return settings_type.model_validate({} if raw is None else raw)

    return validate


def _name_method(key: Any, raw: Any) -> tuple[str, Any]:
    """Name and settings of a method. A list is a composition, and a string in it a method with its defaults."""
    if isinstance(raw, list):
        raw = {"method": "composition", "parts": raw}
    elif isinstance(raw, str) and key is None:
        raw = {"method": raw}
    return str((raw.get("method") if isinstance(raw, dict) else None) or key), raw


# SerializeAsAny: without it, the settings would be dumped as their base class: {}, and would be in no key.
# A dataset and a method have their name in a field before (`dataset`, `method`) or as a key; the others in `name`.
Data = Annotated[SerializeAsAny[settings.DatasetSettings], BeforeValidator(_validator("dataset"))]
Branch = Annotated[SerializeAsAny[settings.BranchSettings], BeforeValidator(_validator("branch"))]
Fusion = Annotated[SerializeAsAny[settings.FusionSettings], BeforeValidator(_validator("fusion"))]
Head = Annotated[SerializeAsAny[settings.HeadSettings], BeforeValidator(_validator("head"))]
Method = Annotated[SerializeAsAny[settings.MethodSettings], BeforeValidator(_validator("method"))]
Measure = Annotated[SerializeAsAny[settings.MeasureSettings], BeforeValidator(_validator("measure"))]
Part = Annotated[Method, BeforeValidator(lambda raw: raw if isinstance(raw, Strict) else KeyedSettings(None, raw))]
# A method's name is part of paths and of commands.
Methods = Annotated[dict[Annotated[str, Field(pattern=r"^\w[\w.+-]*$")], Method], BeforeValidator(keyed)]
Branches = Annotated[dict[str, Branch], BeforeValidator(without_dropped)]
