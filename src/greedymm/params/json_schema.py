"""JSON schema of params.yaml with the plug-ins that come with the package, for editors."""

from typing import Any

from greedymm.params.fields import DROP
from greedymm.params.plugins import KINDS, names_of, settings_class
from greedymm.params.schema import Params


def json_schema() -> dict[str, Any]:
    """The schema, as JSON."""
    schema = Params.model_json_schema()
    definitions = schema["$defs"]
    for kind, (_, base) in KINDS.items():
        del definitions[base.__name__]
        for name in names_of(kind):
            plugin = settings_class(kind, name).model_json_schema()
            definitions |= plugin.pop("$defs", {}) | {f"{kind}_{name}": plugin}
            if kind not in ("dataset", "method"):
                plugin["properties"]["name"] = {"const": name}
    model, dataset = definitions["Model"]["properties"], definitions["Dataset"]
    model |= {part: _any(part) for part in ("branch", "fusion", "head")}
    model["branches"]["additionalProperties"] = _any("branch")
    dataset["required"].remove("data")  # all datasets have defaults
    dataset["properties"] |= {"data": {}, "methods": _by_name({n: _ref("method", n) for n in names_of("method")})}
    dataset["properties"]["measures"]["items"] = _any("measure")
    own_data = {name: {"properties": {"data": _ref("dataset", name)}} for name in names_of("dataset")}
    any_dataset = {"$ref": "#/$defs/Dataset"}
    del schema["properties"]["datasets"]["patternProperties"]  # any name of a user's
    schema["properties"]["datasets"] |= _by_name({n: {"allOf": [any_dataset, data]} for n, data in own_data.items()})
    return schema


def _ref(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{kind}_{name}"}


def _any(kind: str) -> dict[str, Any]:
    """Settings of any plug-in of a kind, or its name alone."""
    return {"anyOf": [*(_ref(kind, name) for name in names_of(kind)), {"enum": names_of(kind)}]}


def _by_name(values: dict[str, Any]) -> dict[str, Any]:
    """A mapping whose values may be dropped, or empty for their defaults."""
    either = {name: {"anyOf": [value, {"enum": [DROP, None]}]} for name, value in values.items()}
    return {"type": "object", "properties": either, "additionalProperties": False}
