"""JSON schema of params.yaml with the plug-ins that come with the package, for editors."""

from typing import Any

from greedymm.params.plugins import KINDS, names_of, settings_class
from greedymm.params.schema import DROP, Params


def json_schema() -> dict[str, Any]:
    """The schema, as JSON."""
    schema = Params.model_json_schema()
    definitions = schema["$defs"]
    for kind in KINDS:
        for name in names_of(kind):
            own = settings_class(kind, name).model_json_schema()
            definitions |= own.pop("$defs", {})
            definitions[f"{kind}_{name}"] = own
    for kind in ("branch", "fusion", "head", "measure"):
        for name in names_of(kind):
            definitions[f"{kind}_{name}"]["properties"]["name"] = {"const": name}
    model = definitions["Model"]["properties"]
    for part in ("branch", "fusion", "head"):
        model[part] = _any(part)
    model["branches"] |= {"additionalProperties": _any("branch")}
    dataset = definitions.pop("Dataset")
    dataset["required"].remove("data")  # all of it has defaults
    dataset["properties"]["measures"]["items"] = _any("measure")
    dataset["properties"]["methods"] = _by_name({n: _settings("method", n) for n in names_of("method")})
    datasets = {
        n: dataset | {"properties": dataset["properties"] | {"data": _settings("dataset", n)}}
        for n in names_of("dataset")
    }
    schema["properties"]["datasets"] |= _by_name(datasets)
    return schema


def _settings(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{kind}_{name}"}


def _any(kind: str) -> dict[str, Any]:
    """Settings of any plug-in of a kind, or its name alone."""
    return {"anyOf": [*(_settings(kind, n) for n in names_of(kind)), {"enum": names_of(kind)}]}


def _by_name(values: dict[str, Any]) -> dict[str, Any]:
    """A mapping whose values may be dropped, or left empty for their defaults."""
    either = {name: {"anyOf": [value, {"const": DROP}, {"type": "null"}]} for name, value in values.items()}
    return {"type": "object", "properties": either, "additionalProperties": False}
