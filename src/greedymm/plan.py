"""Params -> the plan: every run, the key and the path of each result. Written once, and read by every step.

`results/plans/<key>.json` holds the settings of all runs and of all datasets' files, so that a step is a short command:
`greedymm train --plan PLAN --run DATASET/METHOD/seed0-KEY`. It holds no tracking URI, which may have a password in it.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Self

from greedymm.errors import GreedymmError
from greedymm.files import read, write_text
from greedymm.fingerprint import fingerprint
from greedymm.params.plugins import KINDS, plugins, settings_class
from greedymm.params.schema import Params, modalities_of
from greedymm.params.tuning import draw_trials
from greedymm.run import DataSettings, Evaluation, Run, RunSettings, key_of
from greedymm.search import Search
from greedymm.settings import Execution, MethodSettings, Strict

ANALYSES = Path("results/analysis")


class Plan(Strict):
    """All that some params ask for."""

    params: Params
    data: dict[str, DataSettings]  # id of a dataset's file: its settings
    runs: dict[str, Run]  # id of a run: its settings and paths, also of the sweeps' runs
    default: tuple[str, ...]  # ids of the runs without those of the sweeps
    sweeps: dict[str, tuple[tuple[str, str], ...]]  # name of a sweep: value and id of each of its runs
    folder: Path  # of the analysis: tables, figures and the report
    sweeps_folder: Path  # of the sweeps' tables, figures and page
    searches: dict[str, Search]  # id of a search: its trials
    zoo_folder: Path  # of the zoo's tables, figures and page

    @classmethod
    def make(cls, params: Params) -> Self:
        """Plan all runs of some params.

        Raises:
            GreedymmError: if two values of a sweep ask for the same runs, or if params name code that git lacks.
        """
        default = {run.id: run for run in planned(params)}
        swept = {name: points(params, name) for name in params.sweeps}
        variants = [params, *(variant for values in params.sweep_values.values() for _, variant in values)]
        files = [data_settings(variant, name) for variant in variants for name in variant.datasets]
        content = params.model_dump(mode="json", exclude={"execution", "tracking"})
        # The code that draws is never pinned: drawing takes seconds.
        # Figures are found in their folder, so no import leads to them.
        figures = iter_modules([str(Path(__file__).parent / "analysis/figures")])
        drawing = {f"greedymm.analysis.figures.{module.name}" for module in figures}
        report = fingerprint(frozenset({"greedymm.steps.report", *drawing}))
        key = key_of([report, content, [str(run.evaluation_folder) for run in default.values()]])
        page = fingerprint(frozenset({"greedymm.steps.sweeps"}))
        searches = {search.id: search for search in planned_searches(params, default.values())}
        zoo = fingerprint(frozenset({"greedymm.steps.zoo"}))
        evaluated = [[value, str(run.evaluation_folder)] for pairs in swept.values() for value, run in pairs]
        return cls(
            params=params,
            data={settings.id: settings for settings in files},
            runs=default | {run.id: run for pairs in swept.values() for _, run in pairs},
            default=tuple(default),
            sweeps={name: tuple((value, run.id) for value, run in pairs) for name, pairs in swept.items()},
            folder=ANALYSES / key,
            sweeps_folder=ANALYSES / f"sweeps-{key_of([page, content['sweeps'], evaluated])}",
            searches=searches,
            zoo_folder=ANALYSES / f"zoo-{key_of([zoo, key, *searches])}",
        )

    @cached_property
    def text(self) -> str:
        """The plan as JSON."""
        return json.dumps(self.model_dump(mode="json", exclude={"params": {"tracking"}}), indent=1)

    @cached_property  # each rule asks for it, and the text of thousands of runs is long
    def path(self) -> Path:
        return Path("results/plans", f"{key_of(self.text)}.json")

    def write(self) -> None:
        """Write the plan's file."""
        write_text(self.path, self.text + "\n")

    def data_of(self, dataset: str) -> DataSettings:
        """Settings of the file of one of the params' datasets."""
        return next(settings for settings in self.data.values() if settings.dataset == dataset)

    @property
    def tuned_runs(self) -> dict[str, Run]:
        """The runs with chosen settings of the searches that are finished."""
        return {run.id: run for search in self.searches.values() for run in search.finished()}

    @property
    def default_runs(self) -> list[Run]:
        """The runs without those of the sweeps."""
        return [self.runs[name] for name in self.default]


def _read(path: Path) -> Any:
    """Content of a plan's file, whose name is a hash of it."""
    text = path.read_text(encoding="utf-8")
    if key_of(text.removesuffix("\n")) != path.stem:
        raise ValueError("its content does not fit its name")
    return json.loads(text)


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        GreedymmError: if the file is missing or broken.
    """
    return read(path, lambda file: Plan.model_validate(_read(file)))


def read_runs(path: Path, names: Iterable[str]) -> tuple[list[Run], Execution]:
    """Read some runs of a plan, and where they are computed. The other runs are not validated: there may be thousands.

    Raises:
        GreedymmError: if the file is missing or broken, or if it lacks one of the runs.
    """
    content = read(path, _read)
    runs = [Run.model_validate(_part(content, path, "runs", name)) for name in names]
    return runs, Execution.model_validate(content["params"]["execution"])


def read_search(path: Path, name: str) -> tuple[Search, Execution]:
    """Read a search of a plan, and where its runs are computed. Raises as `read_runs`."""
    content = read(path, _read)
    search = Search.model_validate(_part(content, path, "searches", name))
    return search, Execution.model_validate(content["params"]["execution"])


def read_data_settings(path: Path, name: str) -> DataSettings:
    """Read the settings of one dataset's file from a plan. Raises as `read_runs`."""
    return DataSettings.model_validate(_part(read(path, _read), path, "data", name))


def _part(content: Any, path: Path, part: str, name: str) -> Any:
    if not isinstance(content, dict) or name not in content.get(part, ()):
        raise GreedymmError(f"{path} has no {name} in its {part}")
    return content[part][name]


def data_settings(params: Params, dataset: str) -> DataSettings:
    """Settings of one dataset's file."""
    data = params.datasets[dataset].data
    return DataSettings(dataset=dataset, data=data, **_origin(params, ["greedymm.steps.prepare"], [data]))


def planned(params: Params) -> list[Run]:
    """All runs that params ask for: of each dataset, of each method and reference, of each seed."""
    return [run for name in params.datasets for run in _plan_dataset(params, name)]


def _plan_dataset(params: Params, name: str) -> Iterator[Run]:
    section = params.datasets[name]
    modalities = modalities_of(name, section.modalities, params.plugins, section.data)
    origin = _origin(params, ["greedymm.steps.evaluate"], section.measures)
    evaluation = Evaluation(measures=section.measures, **origin)
    path = data_settings(params, name).path
    indices = tuple(range(len(modalities)))
    each: list[tuple[tuple[int, ...], str, Any]] = [(indices, *method) for method in section.methods.items()]
    if section.unimodal:
        greedy = settings_class("method", "greedy")()
        # A modality that is listed twice has one reference.
        each += [((k,), "greedy", greedy) for k, (m, stored) in enumerate(modalities.items()) if m == stored]
    for subset, method, settings in each:
        run_settings = _run_settings(params, name, subset, method, settings)
        for seed in params.seeds:
            seeded = run_settings.model_copy(update={"seed": seed})
            yield Run(settings=seeded, data_path=path, evaluation=evaluation)


def _run_settings(
    params: Params, name: str, subset: tuple[int, ...], method: str, method_settings: MethodSettings
) -> RunSettings:
    """Settings of the runs, but for the seed, of a method on a subset of the modalities."""
    section, fused = params.datasets[name], len(subset) > 1
    modalities = list(modalities_of(name, section.modalities, params.plugins, section.data).items())
    branches, stages = section.model.resolve([m for m, _ in modalities])
    parts: dict[str, Any] = {
        "data": section.data,
        "branches": tuple(branches[k] for k in subset),
        "fusion": section.model.fusion if fused else None,
        "head": section.model.head if fused else settings_class("head", "own").model_validate({"name": "own"}),
        "method_settings": method_settings,
    }
    methods = [method_settings, *getattr(method_settings, "parts", ())]  # of a composition
    plugged = [section.data, *parts["branches"], parts["fusion"], parts["head"], *methods]
    steps = ["greedymm.steps.prepare", "greedymm.steps.train"]
    return RunSettings(
        dataset=name,
        modalities=tuple(modalities[k][0] for k in subset),
        stored=tuple(modalities[k][1] for k in subset),
        inputs=section.inputs,
        fuse_after=tuple(stages[k] for k in subset) if fused else ((),),
        # At snapshots utilization is measured, which a single modality does not have.
        training=section.training if fused else section.training.model_copy(update={"snapshots": ()}),
        method=method,
        seed=0,
        **parts,
        **_origin(params, steps, [settings for settings in plugged if settings is not None]),
    )


def _origin(params: Params, steps: list[str], settings: Iterable[Strict]) -> dict[str, Any]:
    """The fields of what has a key: hash of the code, and modules of plug-ins that only the params' list names."""
    modules = {type(plugged).__module__ for plugged in settings}
    found = {module for kind in KINDS for module in plugins(kind).values()} if params.plugins else modules
    return {"plugins": tuple(sorted(modules - found)), "code": fingerprint(frozenset({*steps, *modules}), params.code)}


def planned_searches(params: Params, runs: Iterable[Run]) -> Iterator[Search]:
    """A search for each dataset and each method or reference of some runs, if the params have a tuning."""
    if params.tuning is None:
        return
    code = fingerprint(frozenset({"greedymm.steps.search"}), params.code)
    seed = params.tuning.seed
    for run in {(run.dataset, run.method): run for run in runs}.values():
        choices = params.tuning.choices_of(run.dataset, run.method)
        trials = draw_trials(run.method, run.settings.method_settings, params.tuning, choices)
        base = run.model_copy(update={"settings": run.settings.model_copy(update={"seed": seed})})
        yield Search(base=base, trials=tuple(trials), trial_seed=seed, seeds=params.seeds, code=code)


def points(params: Params, sweep: str) -> list[tuple[str, Run]]:
    """The value and the run of each point of a sweep. A run that is planned without the sweep, too, is trained once.

    Raises:
        GreedymmError: if two values ask for the same runs.
    """
    pairs: list[tuple[str, Run]] = []
    seen: dict[tuple[str, ...], str] = {}
    for value, variant in params.sweep_values[sweep]:
        runs = [run for run in planned(variant) if len(run.settings.modalities) > 1]
        names = tuple(run.id for run in runs)
        if names in seen:
            raise GreedymmError(f"sweeps.{sweep}: values {seen[names]} and {value} ask for the same runs")
        seen[names] = value
        pairs += [(value, run) for run in runs]
    return pairs
