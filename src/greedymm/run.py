"""What one job is told: the settings of a dataset's file or of a training run, with its key and its folders.

A key is a hash over every setting that can change the result and over the code that makes it. So nothing is
overwritten, and nothing stale can be taken for new.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from greedymm.params.fields import Branch, Data, Fusion, Head, Measure, Method, Of
from greedymm.settings import Inputs, Strict, Training

KEY_DIGITS = 8


def key_of(content: Any) -> str:
    """Short hash of anything that JSON can hold: 8 hex digits."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


class _WithPlugins(Strict):
    """Settings that hold those of plug-ins: read from JSON, they say where to look for them."""

    plugins: tuple[str, ...] = Field(default=(), description="modules outside of all packages that have such plug-ins")

    @model_validator(mode="before")
    @classmethod
    def _name_plugins(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        modules = tuple(raw.get("plugins", ()))
        named: dict[str, Any] = {}
        for part, by in (("data", "dataset"), ("method_settings", "method")):
            if part in raw:
                named[part] = Of(raw[part], modules, raw.get(by, ""))
        for part in ("fusion", "head"):
            if raw.get(part) is not None:
                named[part] = Of(raw[part], modules)
        for part in ("branches", "measures"):
            if part in raw:
                named[part] = [Of(own, modules) for own in raw[part]]
        return raw | named


class DataSettings(_WithPlugins):
    """Everything that can change a dataset's file."""

    dataset: str
    data: Data
    code: str = Field(description="fingerprint of the code that makes it")

    @cached_property
    def key(self) -> str:
        return key_of(self.model_dump(mode="json"))

    @property
    def path(self) -> Path:
        return Path("results/data", self.dataset, f"{self.key}.h5")


class RunSettings(_WithPlugins):
    """Everything that can change the result of one training run."""

    dataset: str
    data: Data
    modalities: tuple[str, ...] = Field(min_length=1, description="m0 first; a single one: a unimodal reference")
    stored: tuple[str, ...] = Field(description="their names in the dataset's file")
    inputs: Inputs
    branches: tuple[Branch, ...] = Field(description="one for each modality")
    fusion: Fusion | None = Field(description="null for a unimodal reference")
    fuse_after: tuple[tuple[int, ...], ...] = Field(description="stages of each branch; as many for each")
    head: Head
    training: Training
    method: str
    method_settings: Method
    seed: int
    code: str = Field(description="fingerprint of the code that makes it")

    @property
    def label(self) -> str:
        """Name of the method in paths, tables and figures."""
        return self.method if len(self.modalities) > 1 else f"unimodal_{self.modalities[0]}"


class Evaluation(_WithPlugins):
    """Everything that can change what is measured of a trained network."""

    measures: tuple[Measure, ...]
    code: str = Field(description="fingerprint of the code that measures")


class Run(Strict):
    """A planned run, and where its results are."""

    settings: RunSettings
    data_path: Path
    evaluation: Evaluation

    @property
    def dataset(self) -> str:
        return self.settings.dataset

    @property
    def method(self) -> str:
        return self.settings.label

    @property
    def seed(self) -> int:
        return self.settings.seed

    @cached_property
    def key(self) -> str:
        return key_of(self.settings.model_dump(mode="json"))

    @property
    def name(self) -> str:
        return f"seed{self.seed}-{self.key}"

    @property
    def folder(self) -> Path:
        return Path("results/runs", self.dataset, self.method, self.name)

    @cached_property
    def evaluation_folder(self) -> Path:
        """Predictions and measures: beside the run, under a key of what measures them."""
        return self.folder / f"evaluation-{key_of(self.evaluation.model_dump(mode='json'))}"
