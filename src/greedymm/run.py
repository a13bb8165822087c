"""What one job is told: the settings of a dataset's file or of a training run, with its key and its folders.

A key is a hash over every setting that can change the result and over the code that makes it. So nothing is
overwritten, and nothing stale can be taken for new.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from greedymm.params.fields import Branch, Data, Fusion, Head, Measure, Method, WithPlugins
from greedymm.settings import Inputs, Strict, Training


def key_of(content: Any) -> str:
    """Short hash of anything that JSON can hold: 8 hex digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


class DataSettings(WithPlugins):
    """Everything that can change a dataset's file."""

    dataset: str
    data: Data
    code: str  # fingerprint of the code that makes it

    @cached_property
    def id(self) -> str:
        """Name in a plan."""
        return f"{self.dataset}/{key_of(self.model_dump(mode='json'))}"

    @property
    def path(self) -> Path:
        return Path("results/data", f"{self.id}.h5")


class RunSettings(WithPlugins):
    """Everything that can change the result of one training run."""

    dataset: str
    data: Data
    modalities: tuple[str, ...]  # m0 first; a single one: a unimodal reference
    stored: tuple[str, ...]  # their names in the dataset's file
    inputs: Inputs
    branches: tuple[Branch, ...]  # one for each modality
    fusion: Fusion | None  # None for a unimodal reference
    fuse_after: tuple[tuple[int, ...], ...]  # stages of each branch; as many for each
    head: Head
    training: Training
    method: str
    method_settings: Method
    seed: int
    code: str  # fingerprint of the code that makes it


class Evaluation(WithPlugins):
    """Everything that can change what is measured of a trained network."""

    measures: tuple[Measure, ...]
    code: str  # fingerprint of the code that measures


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
        """Name of the method in paths, tables and figures."""
        settings = self.settings
        return settings.method if len(settings.modalities) > 1 else f"unimodal_{settings.modalities[0]}"

    @property
    def seed(self) -> int:
        return self.settings.seed

    @cached_property
    def name(self) -> str:
        return f"seed{self.seed}-{key_of(self.settings.model_dump(mode='json'))}"

    @property
    def id(self) -> str:
        """Name in a plan, and path below results/runs."""
        return f"{self.dataset}/{self.method}/{self.name}"

    @property
    def folder(self) -> Path:
        return Path("results/runs", self.id)

    @cached_property
    def evaluation_folder(self) -> Path:
        """Predictions and measures: beside the run, under a key of what measures them."""
        return self.folder / f"evaluation-{key_of(self.evaluation.model_dump(mode='json'))}"
