"""Params -> the runs that they ask for, each with the key and the folder of its results."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from greedymm.errors import GreedymmError
from greedymm.fingerprint import fingerprint
from greedymm.params.modalities import modalities_of
from greedymm.params.plugins import KINDS, plugins, settings_class
from greedymm.params.schema import Dataset, Params
from greedymm.params.sweeps import expand
from greedymm.run import DataSettings, Evaluation, Run, RunSettings, key_of
from greedymm.settings import Strict


def data_settings(params: Params, dataset: str) -> DataSettings:
    """Settings of one dataset's file."""
    data = params.datasets[dataset].data
    code = fingerprint(frozenset({"greedymm.steps.prepare", type(data).__module__}), params.code)
    return DataSettings(dataset=dataset, data=data, plugins=_listed(params, [data]), code=code)


def _listed(params: Params, settings: Iterable[Strict]) -> tuple[str, ...]:
    """Modules of the plug-ins of some settings that are found by the params' list alone."""
    if not params.plugins:
        return ()
    found = {plugin.module for kind in KINDS for plugin in plugins(kind).values()}
    return tuple(sorted({type(of).__module__ for of in settings} - found))


def figures_of(params: Params) -> dict[str, list[str]]:
    """The kinds of figures, each with the datasets that have something to show in it."""
    every, fused = list(params.datasets), params.multimodal
    speeds = [name for name in fused if not params.datasets[name].model.fusion.late]
    measures = {name: {m.name for m in params.datasets[name].measures} for name in fused}
    rates = [name for name in fused if "utilization" in measures[name]]
    return {
        "utilization": rates,
        "measures": [name for name in fused if measures[name] - {"utilization"}],
        "proxy": [name for name in rates if name in speeds],
        "d_speed": speeds,
        "steps": speeds,
        "branches": fused,
        "confusion": every,
        "samples": every,
        "uniquely_correct": every,
    }


def planned(params: Params) -> list[Run]:
    """All runs that params ask for: of each dataset, of each method and reference, of each seed."""
    return [run for name, section in params.datasets.items() for run in _planned(params, name, section)]


def _planned(params: Params, name: str, section: Dataset) -> Iterator[Run]:
    modalities = modalities_of(name, section.modalities, params.plugins)
    branches, stages = section.model.resolve(list(modalities))
    data_path, evaluation = data_settings(params, name).path, _evaluation(params, section)
    greedy = settings_class("method", "greedy")()
    every = tuple(range(len(modalities)))
    methods = [(every, method, own) for method, own in section.methods.items()]
    # Of a modality that is listed twice the second reference would be the first one again.
    alone = [((k,), "greedy", greedy) for k, (m, stored) in enumerate(modalities.items()) if m == stored]
    for which, method, own in methods + (alone if section.unimodal else []):
        fused = len(which) > 1
        parts: dict[str, Any] = {
            "data": section.data,
            "branches": tuple(branches[k] for k in which),
            "fusion": section.model.fusion if fused else None,
            "head": section.model.head if fused else settings_class("head", "own").model_validate({"name": "own"}),
            "method_settings": own,
        }
        used = [parts["data"], *parts["branches"], parts["fusion"], parts["head"], parts["method_settings"]]
        roots = {"greedymm.steps.prepare", "greedymm.steps.train"}
        roots |= {type(of).__module__ for of in used if of is not None}
        for seed in params.seeds:
            settings = RunSettings(
                plugins=_listed(params, [of for of in used if of is not None]),
                dataset=name,
                modalities=tuple(list(modalities)[k] for k in which),
                stored=tuple(list(modalities.values())[k] for k in which),
                inputs=section.inputs,
                fuse_after=tuple(stages[k] for k in which) if fused else ((),),
                # Of a single modality nothing is measured at them.
                training=section.training if fused else section.training.model_copy(update={"snapshots": ()}),
                method=method,
                seed=seed,
                code=fingerprint(frozenset(roots), params.code),
                **parts,
            )
            yield Run(settings=settings, data_path=data_path, evaluation=evaluation)


def _evaluation(params: Params, section: Dataset) -> Evaluation:
    roots = {"greedymm.steps.evaluate", *(type(measure).__module__ for measure in section.measures)}
    return Evaluation(
        measures=section.measures,
        plugins=_listed(params, section.measures),
        code=fingerprint(frozenset(roots), params.code),
    )


def variants(params: Params) -> list[Params]:
    """These params, and those of each value of each sweep."""
    return [params, *(value.params for values in expand(params).values() for value in values)]


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
    for text, of_value in expand(params)[sweep]:
        runs = [run for run in planned(of_value) if len(run.settings.modalities) > 1]
        names = tuple(run.name for run in runs)
        if names in seen:
            raise GreedymmError(f"sweeps.{sweep}: values {seen[names]} and {text} ask for the same runs")
        seen[names] = text
        found += [Point(text, run) for run in runs]
    return found


def sweep_place(params: Params, sweep: str) -> Path:
    """Where a sweep's table, figure and text are, without their endings; with the key of its runs and of the code."""
    code = fingerprint(frozenset({"greedymm.steps.sweeps"}))
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
    code = fingerprint(frozenset({"greedymm.steps.report"}))
    sweeps = params.model_dump(mode="json")["sweeps"]  # the page lists them
    return key_of([code, params.code, sweeps, *(str(run.evaluation_folder) for run in planned(params))])


def report_key(params: Params, *, swept: bool) -> str:
    """Key of the report as it is shown: with the sweeps in it, it is another page."""
    return "-".join([analysis_key(params), *([sweeps_key(params)] if swept else [])])
