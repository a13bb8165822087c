"""Params -> the runs that they ask for, each with the key and the place of its results.

A key is a hash over every setting that can change the result and over the code that makes it. So nothing is
overwritten, and nothing stale can be taken for new.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from greedymm.errors import GreedymmError
from greedymm.fingerprint import fingerprint
from greedymm.params import (
    Branch,
    Data,
    Dataset,
    Fusion,
    Greedy,
    Inputs,
    Method,
    Of,
    Params,
    Strict,
    Training,
    modalities_of,
)

KEY_DIGITS = 8


def key_of(content: Any) -> str:
    """Short hash of anything that JSON can hold: 8 hex digits."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


class DataSettings(Strict):
    """Everything that can change a dataset's file."""

    dataset: str
    data: Data
    code: str = Field(description="fingerprint of the code that makes it")

    @model_validator(mode="before")
    @classmethod
    def _name_plug_ins(cls, raw: Any) -> Any:
        return _named(raw, data="dataset")

    @cached_property
    def key(self) -> str:
        return key_of(self.model_dump(mode="json"))

    @property
    def path(self) -> Path:
        return Path("results/data", self.dataset, f"{self.key}.h5")


class RunSettings(Strict):
    """Everything that can change the result of one training run."""

    dataset: str
    data: Data
    modalities: tuple[str, ...] = Field(min_length=1, description="m0 first; a single one: a unimodal reference")
    stored: tuple[str, ...] = Field(description="their names in the dataset's file")
    inputs: Inputs
    branch: Branch
    fusion: Fusion | None = Field(description="null for a unimodal reference")
    fuse_after: tuple[int, ...]
    training: Training
    method: str
    method_settings: Method
    seed: int
    code: str = Field(description="fingerprint of the code that makes it")

    @model_validator(mode="before")
    @classmethod
    def _name_plug_ins(cls, raw: Any) -> Any:
        return _named(raw, data="dataset", method_settings="method")

    @property
    def label(self) -> str:
        """Name of the method in paths, tables and figures."""
        return self.method if len(self.modalities) > 1 else f"unimodal_{self.modalities[0]}"


def _named(raw: Any, **name_of: str) -> Any:
    """Say of raw settings of a plug-in whose they are: that name stands in the place beside them."""
    if not isinstance(raw, dict):
        return raw
    places = {p: Of(raw.get(n, ""), raw.get(p)) for p, n in name_of.items() if not isinstance(raw.get(p), Strict)}
    return raw | places


class Run(Strict):
    """A planned run, and where its results are."""

    settings: RunSettings
    data_path: Path
    evaluation: str = Field(description="fingerprint of the code that measures utilization")

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

    @property
    def evaluation_folder(self) -> Path:
        """Utilization and predictions: beside the run, under a key of the code that measures."""
        return self.folder / f"utilization-{self.evaluation[:KEY_DIGITS]}"


def data_settings(params: Params, dataset: str) -> DataSettings:
    """Settings of one dataset's file."""
    code = fingerprint(frozenset({"greedymm.steps:data", f"greedymm.data.{dataset}"}), params.code)
    return DataSettings(dataset=dataset, data=params.datasets[dataset].data, code=code)


def planned(params: Params) -> list[Run]:
    """All runs that params ask for: of each dataset, of each method and reference, of each seed."""
    return [run for name, section in params.datasets.items() for run in _planned(params, name, section)]


def _planned(params: Params, name: str, section: Dataset) -> Iterable[Run]:
    modalities = modalities_of(name, section.modalities)
    data_path = data_settings(params, name).path
    evaluation = fingerprint(frozenset({"greedymm.steps:utilization"}), params.code)
    methods = [(tuple(modalities), method, own) for method, own in section.methods.items()]
    # Of a modality that stands twice the second reference would be the first one again.
    references = [((m,), "greedy", Greedy()) for m, stored in modalities.items() if m == stored]
    for which, method, own in methods + (references if section.unimodal else []):
        fused = len(which) > 1
        for seed in params.seeds:
            settings = RunSettings(
                dataset=name,
                data=section.data,
                modalities=which,
                stored=tuple(modalities[m] for m in which),
                inputs=section.inputs,
                branch=section.model.branch,
                fusion=section.model.fusion if fused else None,
                fuse_after=section.model.fuse_after if fused else (),
                # Of a single modality nothing is measured at them.
                training=section.training if fused else section.training.model_copy(update={"snapshots": ()}),
                method=method,
                method_settings=own,
                seed=seed,
                code=fingerprint(_code_of_training(name, section, method, fused=fused), params.code),
            )
            yield Run(settings=settings, data_path=data_path, evaluation=evaluation)


def _code_of_training(dataset: str, section: Dataset, method: str, *, fused: bool) -> frozenset[str]:
    roots = {
        "greedymm.steps:data",
        "greedymm.steps:train",
        f"greedymm.data.{dataset}",
        f"greedymm.models.branches.{section.model.branch.name}",
        f"greedymm.training.methods.{method}",
    }
    if fused:
        roots.add(f"greedymm.models.fusion.{section.model.fusion.name}")
    return frozenset(roots)


def variants(params: Params) -> list[Params]:
    """These params, and those of each value of each sweep."""
    return [params, *(of_value for name in params.sweeps for _, of_value in params.swept[name])]


class Point(NamedTuple):
    """One run of a sweep."""

    value: str  # of what varies, as it is shown
    run: Run


def points(params: Params, sweep: str) -> list[Point]:
    """The runs of a sweep, value by value; one of the settings above is a planned run, and trained but once.

    Raises:
        GreedymmError: if two values ask for the same runs.
    """
    found: list[Point] = []
    seen: dict[tuple[str, ...], str] = {}
    for text, of_value in params.swept[sweep]:
        runs = [run for run in planned(of_value) if len(run.settings.modalities) > 1]
        names = tuple(run.name for run in runs)
        if names in seen:
            raise GreedymmError(f"sweeps.{sweep}: values {seen[names]} and {text} ask for the same runs")
        seen[names] = text
        found += [Point(text, run) for run in runs]
    return found


def sweep_place(params: Params, sweep: str) -> Path:
    """Where a sweep's table, figure and text are, without their endings; with the key of its runs and of the code."""
    code = fingerprint(frozenset({"greedymm.steps:sweep", "greedymm.steps:sweeps"}))
    runs = [str(point.run.evaluation_folder) for point in points(params, sweep)]
    key = key_of([code, params.code, params.sweeps[sweep].model_dump(mode="json"), *runs])
    return Path("results/report/sweeps", f"{sweep}-{key}")


def sweeps_key(params: Params) -> str:
    """Key of the page of all sweeps."""
    return key_of([sweep_place(params, name).name for name in params.sweeps])


def sweeps_stamp(params: Params) -> Path:
    """Says by being there that all sweeps and their page are made."""
    return Path("results/report/sweeps", f"{sweeps_key(params)}.key")


def analysis_key(params: Params) -> str:
    """Key of the tables, figures and the report: of the runs in them and of the code that draws them."""
    # Never pinned: what is drawn costs seconds, and is to be of the code as it is.
    code = fingerprint(frozenset(f"greedymm.steps:{s}" for s in ("tables", "figures", "costs", "report")))
    sweeps = params.model_dump(mode="json")["sweeps"]  # the page lists them
    return key_of([code, params.code, sweeps, *(str(run.evaluation_folder) for run in planned(params))])


def report_key(params: Params, *, swept: bool) -> str:
    """Key of the report as it is shown: with the sweeps in it, it is another page."""
    return "-".join([analysis_key(params), *([sweeps_key(params)] if swept else [])])
