"""Steps `tables`, `figures`, `costs` and `report`: all runs -> one page; `preview`: of those that are finished."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from greedymm.analysis import aggregate, tables_text
from greedymm.analysis import figures as draw
from greedymm.analysis import report as html
from greedymm.analysis.claims import claims_table
from greedymm.analysis.collect import collect, costs_table, steps_table, used
from greedymm.analysis.sweeps import sections
from greedymm.data.hdf5 import DataFile, shown_name
from greedymm.data.samples import DatasetInfo
from greedymm.errors import GreedymmError
from greedymm.files import atomic_write, sha256, write_json, write_text
from greedymm.params.modalities import modalities_of
from greedymm.params.schema import Params
from greedymm.plan import data_settings, figures_of, planned, points, report_key, sweep_place
from greedymm.steps.stamps import stamped
from greedymm.steps.sweeps import sweep

log = logging.getLogger(__name__)


def tables(params: Params, folder: Path, stamp: Path) -> None:
    """Step `tables`: results of all runs -> tables."""
    names = {name: shown_name(name, data_settings(params, name).path) for name in params.datasets}
    wanted = planned(params)
    collected = collect(wanted)
    summary = aggregate.summary_table(collected.used)
    headline = aggregate.headline(summary, collected.runs, names)
    # Utilization on validation, which has the training's distribution: that is what d_speed can be a proxy of.
    claims = claims_table(collected.runs, collected.training, split="val").round(aggregate.DECIMALS)  # alike everywhere
    with stamped(stamp):
        for name, table in {
            "runs": collected.runs,
            "summary": summary,
            "headline": headline,
            "curves": aggregate.curves_table(collected.histories, names),
            "during_training": collected.during,
            "confusion": collected.confusion,
            "uniquely_correct": aggregate.uniquely_correct(collected.shares),
            "claims": claims,
        }.items():
            aggregate.write_csv(table, folder / f"{name}.csv")
        there = set(collected.used["run"])
        with atomic_write(folder / "steps.parquet") as beside:
            steps_table(run for run in wanted if run.name in there).to_parquet(beside, index=False)
        write_json(aggregate.metrics(summary), folder / "metrics.json")
        write_text(folder / "headline.md", tables_text.as_markdown(headline))
        write_text(folder / "headline.tex", tables_text.as_latex(headline))
        write_text(folder / "claims.md", tables_text.markdown(claims, names))
        write_text(folder / "claims.tex", tables_text.latex(claims, names))


def figures(params: Params, tables: Path, folder: Path, stamp: Path) -> None:
    """Step `figures`: tables and samples -> figures."""
    tabled = ("runs", "summary", "curves", "during_training", "confusion", "uniquely_correct")
    runs, summary, curves, during, counts, told = (pd.read_csv(tables / f"{name}.csv") for name in tabled)
    steps = pd.read_parquet(tables / "steps.parquet")
    runs = used(runs)
    drawn = set(runs["dataset"])  # without a run that can be used there is nothing to draw
    names = {name: shown_name(name, data_settings(params, name).path) for name in params.datasets}
    modalities = {n: modalities_of(n, params.datasets[n].modalities, params.plugins) for n in params.datasets}
    kinds: dict[str, Callable[[str], Figure]] = {
        "utilization": lambda n: draw.utilization(summary, n, list(modalities[n]), names[n]),
        "measures": lambda n: draw.measures(summary, n, names[n]),
        "proxy": lambda n: draw.proxy(runs, n, names[n]),
        "d_speed": lambda n: draw.d_speed(curves, during, n, names[n]),
        "steps": lambda n: draw.steps(steps, n, list(params.datasets[n].methods), list(modalities[n]), names[n]),
        "branches": lambda n: draw.branches(curves, n, list(modalities[n]), names[n]),
        "confusion": lambda n: draw.confusion(counts, n, _facts(params, n).classes, names[n]),
        "samples": lambda n: _samples(params, n, modalities[n].values(), names[n]),
        "uniquely_correct": lambda n: _uniquely_correct(params, n, modalities[n].values(), told, names[n]),
    }
    with stamped(stamp):
        for old in [*folder.glob("*.png"), *folder.glob("*.svg")]:  # of datasets that are no longer wanted, too
            old.unlink()
        draw.save(draw.accuracy(runs, summary, names), folder / "accuracy.png")
        for kind, of in figures_of(params).items():
            for name in of:
                figure = kinds[kind](name) if name in drawn else draw.nothing(names[name])
                draw.save(figure, folder / f"{kind}-{name}.png")


def _facts(params: Params, dataset: str) -> DatasetInfo:
    with DataFile(data_settings(params, dataset).path) as file:
        return file.facts


def _samples(params: Params, dataset: str, stored: Iterable[str], title: str) -> Figure:
    """Figure of samples of a dataset's file."""
    with DataFile(data_settings(params, dataset).path) as file:
        lines = [(split, m) for split in ("train", "test") for m in dict.fromkeys(stored)]
        examples = {f"{split}\n{m}": file.examples(split, m, count=3) for split, m in lines}
        return draw.samples(examples, file.facts.classes, title)


def _uniquely_correct(params: Params, dataset: str, stored: Iterable[str], told: pd.DataFrame, title: str) -> Figure:
    """Figure of the test samples that one method gets right more often than others."""
    own = told[told["dataset"] == dataset]
    with DataFile(data_settings(params, dataset).path) as file:
        pictures = {m: [file.images("test", m)[row] for row in own["row"]] for m in dict.fromkeys(stored)}
        return draw.uniquely_correct(own, pictures, file.facts.classes, title)


def costs(params: Params, folder: Path, stamp: Path) -> None:
    """Step `costs`: timing of all runs -> table and figure of what they took; apart, as it is never twice the same."""
    names = {name: shown_name(name, data_settings(params, name).path) for name in params.datasets}
    table = costs_table(planned(params))
    with stamped(stamp):
        aggregate.write_csv(table, folder / "costs.csv")
        draw.save(draw.costs(table, names), folder / "costs.png")


def report(
    params: Params,
    tables: Path,
    figures: Path,
    costs: Path,
    page: Path,
    stamp: Path,
    swept: Mapping[str, Path] | None = None,
) -> None:
    """Step `report`: tables and figures, and sweeps where they are made -> one HTML page."""
    if swept is None:
        made = params.sweeps if stamp.stem == report_key(params, swept=True) else {}
        swept = {name: sweep_place(params, name) for name in made}
    datasets = []
    for name in params.datasets:
        path = data_settings(params, name).path
        if not path.exists():
            continue
        with DataFile(path) as file:
            modalities = list(modalities_of(name, params.datasets[name].modalities, params.plugins))
            of_file = {"name": name, "shown": shown_name(name, path), "modalities": modalities, "file": path}
            own = getattr(params.datasets[name].data, "folder", None) is not None  # a user's, whatever is in it
            datasets.append(asdict(file.facts) | of_file | {"sha256": sha256(path), "own": own})
    with stamped(stamp):
        html.write(page, html.collect(params, datasets, tables, figures, costs, sections(swept, params.sweeps)))


def preview(params: Params, folder: Path) -> None:
    """Tables, figures and the report of the runs that are finished, while others train or cannot be."""
    at = {name: folder / name for name in ("tables", "figures", "costs", "report")}
    stamps = {name: place / "preview.key" for name, place in at.items()}
    page = at["report"] / "index.html"
    tables(params, at["tables"], stamps["tables"])
    figures(params, at["tables"], at["figures"], stamps["figures"])
    costs(params, at["costs"], stamps["costs"])
    swept = _preview_sweeps(params, at["report"] / "sweeps")
    report(params, at["tables"], at["figures"], at["costs"], page, stamps["report"], swept)
    log.info("Report: %s", page.resolve())


def _preview_sweeps(params: Params, folder: Path) -> dict[str, Path]:
    """Table, figure and text of those sweeps of which any run of their own is finished: name -> place."""
    others, places = {run.name for run in planned(params)}, {}
    for name in params.sweeps:
        own = [run for _, run in points(params, name) if run.name not in others]
        if any((run.evaluation_folder / "rates.json").exists() for run in own):
            try:
                sweep(params, name, folder / name)
            except GreedymmError as error:  # what is there is broken
                log.warning("sweep %s is left out: %s", name, error)
            else:
                places[name] = folder / name
    return places
