"""The steps of the workflow, one function each: the only place where data meets models.

Imports stand inside the functions: torch costs seconds, and a step's key counts only the code that it uses.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from greedymm.models.multistream import MultiStream
    from greedymm.params import Execution, Params, Tracking
    from greedymm.runs import DataSettings, Run
    from greedymm.tracking import Page

log = logging.getLogger(__name__)


def data(settings: DataSettings, raw: Path, workers: int, output: Path) -> None:
    """Step `data`: sources -> HDF5."""
    from dataclasses import replace
    from importlib import import_module

    from greedymm.data import hdf5

    make = import_module(f"greedymm.data.{settings.dataset}").make
    splits, facts = make(settings.data, raw / settings.dataset, workers)
    hdf5.write(output, splits, replace(facts, settings=settings.model_dump(mode="json")))


def train(run: Run, execution: Execution, tracking: Tracking) -> None:
    """Step `train`: HDF5 -> batches -> network -> training -> checkpoint, snapshots, history, timing, steps, record."""
    from greedymm import checkpoint, record, seeding
    from greedymm.data import batches, inputs
    from greedymm.data.hdf5 import DataFile, shown_name
    from greedymm.device import describe, prepare
    from greedymm.files import write_json
    from greedymm.models.build import build
    from greedymm.tracking import Tracker
    from greedymm.training import fit, history

    settings, folder = run.settings, run.folder
    device = prepare(execution.device, execution.threads)
    streams = seeding.seed_everything(settings.seed)
    with DataFile(run.data_path) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        classes = file.facts.classes
    model = build(settings.branch, settings.fusion, settings.fuse_after, channels, len(classes)).to(device)
    method = fit.make_method(
        settings.method, settings.method_settings, len(settings.modalities), device, streams["method"]
    )
    size = settings.training.batch_size
    load = batches.loader(run.data_path, settings.stored, size, device, execution, settings.inputs)
    identity = settings.model_dump(mode="json")
    state = folder / "resume.pt"
    fitting = fit.Fit(model, method, settings.training, settings.modalities, streams, state, identity)
    with Tracker(run, tracking) as tracker:
        train_batches = load("train", streams["order"], streams["augmentation"])
        progress = fitting.run(train_batches, load("val"), tracker.epoch)
    history.write_rows(folder / "history.csv", progress.history)
    history.write_rows(folder / "timing.csv", progress.timing)
    history.write_steps(folder / "steps.parquet", progress.steps, settings.modalities)
    made = {"data": shown_name(settings.dataset, run.data_path)} | record.surroundings(describe(device))
    write_json({"settings": identity} | made, folder / "record.json")
    checkpoint.save(folder / "snapshots.pt", checkpoint.stamped(identity) | {"weights": progress.snapshots})
    trained = {"best": progress.best, "classes": list(classes)}
    checkpoint.save(folder / "checkpoint.pt", checkpoint.stamped(identity) | trained)
    state.unlink(missing_ok=True)


def utilization(run: Run, execution: Execution) -> None:
    """Step `utilization`: checkpoint and snapshots + batches -> predictions, un-cut and cut -> utilization rates."""
    import pandas as pd

    from greedymm import checkpoint
    from greedymm.analysis import evaluate
    from greedymm.data import batches, inputs
    from greedymm.data.hdf5 import DataFile
    from greedymm.device import prepare
    from greedymm.files import whole, write_json
    from greedymm.models.build import build

    settings = run.settings
    device = prepare(execution.device, execution.threads)
    best, snapshots = (
        checkpoint.load(run.folder / f"{file}.pt", settings.model_dump(mode="json"), device)[content]
        for file, content in (("checkpoint", "best"), ("snapshots", "weights"))
    )
    size = batches.evaluation_size(run.data_path, settings.stored)
    load = batches.loader(run.data_path, settings.stored, size, device, execution, settings.inputs)
    with DataFile(run.data_path) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        classes = len(file.facts.classes)
        known = {split: file.known(split) for split in ("val", "test")}
    train = load("train")
    model = build(settings.branch.untrained(), settings.fusion, settings.fuse_after, channels, classes).to(device)
    model.load_state_dict(best["model"])
    model.record_means(train)
    frames = {s: evaluate.samples(model, load(s), known[s], settings.modalities) for s in known}
    with whole(run.evaluation_folder / "predictions.parquet") as beside:
        pd.concat(frames.values()).to_parquet(beside, index=False)
    rates = {split: evaluate.rates(frame, settings.modalities) for split, frame in frames.items()}
    # Of validation alone: test is looked at once, with the weights that were chosen.
    during = evaluate.during_training(model, snapshots, train, load("val"), known["val"], settings.modalities)
    with whole(run.evaluation_folder / "during_training.csv") as beside:
        during.to_csv(beside, index=False)
    write_json({"best_epoch": best["epoch"]} | rates, run.evaluation_folder / "rates.json")


def predict(checkpoint: Path, data: Path, split: str, output: Path) -> None:
    """Write what a trained network predicts of a split: its mean and each branch, with probabilities, as CSV."""
    from greedymm import checkpoint as states
    from greedymm.analysis.inference import probabilities
    from greedymm.data import batches, inputs
    from greedymm.data.hdf5 import DataFile
    from greedymm.device import prepare
    from greedymm.errors import GreedymmError
    from greedymm.files import whole
    from greedymm.models.build import build
    from greedymm.params import Execution
    from greedymm.runs import RunSettings

    if output.is_dir():  # before the work
        raise GreedymmError(f"{output} is a folder; name a file in it")
    execution = Execution()
    device = prepare(execution.device, execution.threads)
    state, saved = states.read(checkpoint, device)
    if missing := {"best", "classes"} - state.keys():
        raise GreedymmError(f"{checkpoint} lacks {', '.join(sorted(missing))}: give the checkpoint.pt of a trained run")
    try:
        settings = RunSettings.model_validate(saved)
    except ValueError as error:
        raise GreedymmError(f"{checkpoint} is of settings that this version does not know:\n  {error}") from error
    with DataFile(data) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        classes, known = file.facts.classes, file.known(split)
    if len(classes) == len(state["classes"]) and list(classes) != state["classes"]:
        differing = [f"{a} there, {b} here" for a, b in zip(state["classes"], classes, strict=True) if a != b]
        named = "; ".join(differing)
        raise GreedymmError(f"{checkpoint} was trained on other classes than those of {data}:\n  {named}")
    model = build(settings.branch.untrained(), settings.fusion, settings.fuse_after, channels, len(classes)).to(device)
    try:
        model.load_state_dict(state["best"]["model"])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise GreedymmError(f"{checkpoint} was trained on data of another form than {data}:\n  {reason}") from error
    size = batches.evaluation_size(data, settings.stored)
    load = batches.loader(data, settings.stored, size, device, execution, settings.inputs)
    frame = probabilities(model, load(split), known, settings.modalities, classes)
    with whole(output) as beside:
        frame.to_csv(beside, index=False, float_format="%.6g")


def tables(params: Params, folder: Path, stamp: Path) -> None:
    """Step `tables`: results of all runs -> tables."""
    from greedymm.analysis import aggregate, tables_text
    from greedymm.analysis.claims import claims_table
    from greedymm.analysis.collect import collect, steps_table
    from greedymm.data.hdf5 import shown_name
    from greedymm.files import whole, write_json, write_text
    from greedymm.runs import data_settings, planned

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
            "told_by_one": aggregate.told_by_one(collected.shares),
            "claims": claims,
        }.items():
            aggregate.write_csv(table, folder / f"{name}.csv")
        there = set(collected.used["run"])
        with whole(folder / "steps.parquet") as beside:
            steps_table(run for run in wanted if run.name in there).to_parquet(beside, index=False)
        write_json(aggregate.metrics(summary), folder / "metrics.json")
        write_text(folder / "headline.md", tables_text.as_markdown(headline))
        write_text(folder / "headline.tex", tables_text.as_latex(headline))
        write_text(folder / "claims.md", tables_text.markdown(claims, names))
        write_text(folder / "claims.tex", tables_text.latex(claims, names))


def figures(params: Params, tables: Path, folder: Path, stamp: Path) -> None:
    """Step `figures`: tables and samples -> figures."""
    import pandas as pd

    from greedymm.analysis import figures as draw
    from greedymm.analysis.collect import used
    from greedymm.analysis.report import OF_EACH, OF_MULTIMODAL
    from greedymm.data.hdf5 import DataFile, shown_name
    from greedymm.params import modalities_of
    from greedymm.runs import data_settings

    tabled = ("runs", "summary", "curves", "during_training", "confusion", "told_by_one")
    runs, summary, curves, during, counts, told = (pd.read_csv(tables / f"{name}.csv") for name in tabled)
    steps = pd.read_parquet(tables / "steps.parquet")
    runs = used(runs)
    drawn = set(runs["dataset"])  # without a run that can be used there is nothing to draw
    names = {name: shown_name(name, data_settings(params, name).path) for name in params.datasets}
    with stamped(stamp):
        for old in [*folder.glob("*.png"), *folder.glob("*.svg")]:  # of datasets that are no longer wanted, too
            old.unlink()
        draw.save(draw.accuracy(runs, summary, names), folder / "accuracy.png")
        for name in params.datasets:
            kinds = [*(OF_MULTIMODAL if name in params.multimodal else ()), *OF_EACH]
            for kind in kinds if name not in drawn else ():
                draw.save(draw.nothing(names[name]), folder / f"{kind}-{name}.png")
        for name in filter(drawn.__contains__, params.multimodal):
            modalities = list(modalities_of(name, params.datasets[name].modalities))
            utilization = draw.utilization(summary, name, modalities, names[name])
            draw.save(utilization, folder / f"utilization-{name}.png")
            draw.save(draw.d_speed(curves, during, name, names[name]), folder / f"d_speed-{name}.png")
            methods = list(params.datasets[name].methods)
            draw.save(draw.steps(steps, name, methods, modalities, names[name]), folder / f"steps-{name}.png")
            draw.save(draw.proxy(runs, name, names[name]), folder / f"proxy-{name}.png")
            draw.save(draw.branches(curves, name, modalities, names[name]), folder / f"branches-{name}.png")
        for name in filter(drawn.__contains__, params.datasets):
            with DataFile(data_settings(params, name).path) as file:
                shown = dict.fromkeys(modalities_of(name, params.datasets[name].modalities).values())
                rows = [(split, m) for split in ("train", "test") for m in shown]
                examples = {f"{split}\n{m}": file.examples(split, m, count=3) for split, m in rows}
                classes = file.facts.classes
                draw.save(draw.samples(examples, classes, names[name]), folder / f"samples-{name}.png")
                own = told[told["dataset"] == name]
                pictures = {m: [file.images("test", m)[row] for row in own["row"]] for m in shown}
                figure = draw.told_by_one(own, pictures, classes, names[name])
                draw.save(figure, folder / f"told_by_one-{name}.png")
            draw.save(draw.confusion(counts, name, classes, names[name]), folder / f"confusion-{name}.png")


def costs(params: Params, folder: Path, stamp: Path) -> None:
    """Step `costs`: timing of all runs -> table and figure of what they took; apart, as it is never twice the same."""
    from greedymm.analysis import aggregate
    from greedymm.analysis import figures as draw
    from greedymm.analysis.collect import costs_table
    from greedymm.data.hdf5 import shown_name
    from greedymm.runs import data_settings, planned

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
    from dataclasses import asdict

    from greedymm.analysis import report as html
    from greedymm.analysis.sweeps import sections
    from greedymm.data.hdf5 import DataFile, shown_name
    from greedymm.files import sha256
    from greedymm.params import modalities_of
    from greedymm.runs import data_settings, report_key, sweep_place

    if swept is None:
        made = params.sweeps if stamp.stem == report_key(params, swept=True) else {}
        swept = {name: sweep_place(params, name) for name in made}
    datasets = []
    for name in params.datasets:
        path = data_settings(params, name).path
        if not path.exists():
            continue
        with DataFile(path) as file:
            modalities = list(modalities_of(name, params.datasets[name].modalities))
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
    from greedymm.errors import GreedymmError
    from greedymm.runs import planned, points

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


def sweep(params: Params, name: str, place: Path | None = None) -> None:
    """Step `sweep`: results of a sweep's runs -> table, figure and text, at a place without ending."""
    from greedymm.analysis import aggregate
    from greedymm.analysis import figures as draw
    from greedymm.analysis.sweeps import sweep_figure, sweep_results, sweep_text
    from greedymm.data.hdf5 import shown_name
    from greedymm.files import write_text
    from greedymm.runs import points, sweep_place

    wanted, setting, place = points(params, name), params.sweeps[name].setting, place or sweep_place(params, name)
    results = sweep_results(wanted)
    title = shown_name(wanted[0].run.dataset, wanted[0].run.data_path)
    every = [method for section in params.datasets.values() for method in section.methods]
    draw.save(sweep_figure(results, setting, title, every), place.with_suffix(".png"))
    write_text(place.with_suffix(".txt"), f"{title}. {sweep_text(results, setting)}\n")
    aggregate.write_csv(results.table, place.with_suffix(".csv"))


def sweeps(params: Params, page: Path, stamp: Path) -> None:
    """Step `sweeps`: tables, figures and texts of all sweeps -> one HTML page."""
    from greedymm.analysis.sweeps import sections, write_sweeps
    from greedymm.runs import sweep_place

    places = {name: sweep_place(params, name) for name in params.sweeps}
    with stamped(stamp):
        write_sweeps(page, sections(places, params.sweeps))


@contextmanager
def stamped(stamp: Path) -> Iterator[None]:
    """Say by a file's name from which runs and code the files beside it were made, once they are there.

    So the workflow sees without any memory of its own, as in a fresh clone, whether they are those that it wants.
    """
    from greedymm.files import write_text

    for old in stamp.parent.glob(f"*{stamp.suffix}"):  # before the first file is replaced
        old.unlink()
    yield
    write_text(stamp, "")


def track(params: Params, note: Path | None) -> int:
    """Step `track`: finished runs -> MLflow, whatever of them is not there yet; returns how many were sent.

    Those of the sweeps are among them, tagged as such. Tables, figures and pages go there, too, once they are made.

    Args:
        note: where to write what was done, whether or not the store could be reached. None: a store that
            cannot be reached is an error.

    Raises:
        GreedymmError: if the store cannot be reached and there is no note.
    """
    from greedymm import tracking
    from greedymm.errors import GreedymmError
    from greedymm.files import write_text
    from greedymm.runs import planned, points

    network = trained if params.tracking.models else None
    runs = {run.name: run for run in planned(params)}
    of_default = set(runs)
    tags: dict[str, dict[str, str]] = {}
    for name in params.sweeps:
        for value, run in points(params, name):
            runs.setdefault(run.name, run)
            places = tags.setdefault(run.name, {})
            # One that the setting does not concern stands at every value.
            places[f"sweep.{name}"] = ", ".join(filter(None, [places.get(f"sweep.{name}"), value]))
    for name, run in runs.items():
        own = tags.setdefault(name, {})
        if name not in of_default:  # or they would be named as those of the default; first what tells them apart
            values = [f"{tag.removeprefix('sweep.')} {value}" for tag, value in own.items()]
            own[tracking.NAME] = ", ".join([*values, tracking.shown_name(run)])
        own[tracking.PART] = "default" if name in of_default else "sweep"
    try:
        sent = tracking.send_missing(runs.values(), params.tracking.uri, network, list(_pages(params)), tags)
        message = f"{sent} runs sent to {tracking.masked(params.tracking.uri)}; the others were there"
        log.info(message)
    except tracking.UnreachableError as error:
        sent, message = 0, f"{error}\n  Send them later with: greedymm track"
        log.warning(message)
        if note is None:
            raise GreedymmError(message) from error
    if note is not None:
        write_text(note, message + "\n")
    return sent


def _pages(params: Params) -> Iterator[Page]:
    """The report and the page of sweeps, with what is on them, where they are there."""
    from greedymm.files import read_json
    from greedymm.params import flat
    from greedymm.runs import analysis_key, report_key, sweep_place, sweeps_key, sweeps_stamp
    from greedymm.tracking import Page

    results, key = Path("results"), analysis_key(params)
    reports = {"report": report_key(params, swept=False), "report with sweeps": report_key(params, swept=True)}
    for kind, shown in reports.items():
        stamps = (("tables", key), ("figures", key), ("report", shown))
        if not all((results / place / f"{stem}.key").exists() for place, stem in stamps):
            continue
        means = flat(read_json(results / "tables/metrics.json"))
        yield Page(
            kind,
            shown,
            f"Tables, figures and the report of analysis {key}, of all datasets and methods.",
            {
                "tables": sorted(p for p in (results / "tables").glob("[!.]*") if p.suffix != ".key"),
                "figures": sorted((results / "figures").glob("[!.]*.png")),
                "report": [results / "report/index.html"],
            },
            {name: mean for name, mean in means.items() if mean is not None},
        )
    key, places = sweeps_key(params), [sweep_place(params, name) for name in params.sweeps]
    if sweeps_stamp(params).exists():
        files = [place.with_suffix(ending) for place in places for ending in (".csv", ".png", ".txt")]
        text = f"Tables, figures and the page of sweeps {key}: {', '.join(params.sweeps)}."
        yield Page("sweeps", key, text, {"sweeps": files, "report": [results / "report/sweeps.html"]}, {})


def trained(run: Run) -> tuple[MultiStream, list[Tensor]]:
    """A run's trained network on the CPU, and inputs of the form that it takes: two blank samples of each modality."""
    import torch

    from greedymm import checkpoint
    from greedymm.data import inputs
    from greedymm.data.hdf5 import DataFile
    from greedymm.models.build import build

    settings, device = run.settings, torch.device("cpu")
    best = checkpoint.load(run.folder / "checkpoint.pt", settings.model_dump(mode="json"), device)["best"]
    with DataFile(run.data_path) as file:
        channels = inputs.channels(file.channels(settings.stored), settings.inputs)
        classes = len(file.facts.classes)
        shapes = [file.images("train", m).shape[1:] for m in settings.stored]
    model = build(settings.branch.untrained(), settings.fusion, settings.fuse_after, channels, classes)
    model.load_state_dict(best["model"])
    blank = [torch.zeros(2, *shape, dtype=torch.uint8) for shape in shapes]
    shown = inputs.Shown(settings.inputs, len(blank), device).show(blank, flip=None, places=[None, None])
    return model.eval(), [inputs.Scaling(settings.inputs, device)(x) for x in shown]


def prune(params: Params, *, delete: bool) -> list[Path]:
    """Find the data and runs that params no longer name, and delete them if so asked; returns folders and files."""
    import shutil

    from greedymm.runs import data_settings, planned, sweep_place, variants

    everything = variants(params)
    runs = [run for wanted in everything for run in planned(wanted)]
    keep = {place for run in runs for place in (run.folder, run.evaluation_folder)}
    keep |= {data_settings(wanted, name).path for wanted in everything for name in wanted.datasets}
    swept = {sweep_place(params, name).name for name in params.sweeps}
    there = [*Path("results/runs").glob("*/*/*"), *Path("results/data").glob("*/*.h5")]
    there += [place for run in runs for place in run.folder.glob("utilization-*")]  # measured by earlier code
    there += [file for file in Path("results/report/sweeps").glob("*-*") if file.stem not in swept]
    stale = sorted(set(there) - keep)
    for path in stale if delete else []:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return stale
