"""Steps `sweep` and `sweeps`: results of a sweep's runs -> table, figure and text -> one page of all sweeps."""

from pathlib import Path

from greedymm.analysis import aggregate
from greedymm.analysis import figures as draw
from greedymm.analysis.sweeps import sections, sweep_figure, sweep_results, sweep_text, write_sweeps
from greedymm.data.hdf5 import shown_name
from greedymm.files import write_text
from greedymm.params.schema import Params
from greedymm.plan import points, sweep_place
from greedymm.steps.stamps import stamped


def sweep(params: Params, name: str, place: Path | None = None) -> None:
    """Step `sweep`: results of a sweep's runs -> table, figure and text, at a place without ending."""
    wanted, setting, place = points(params, name), params.sweeps[name].setting, place or sweep_place(params, name)
    results = sweep_results(wanted)
    title = shown_name(wanted[0].run.dataset, wanted[0].run.data_path)
    every = [method for section in params.datasets.values() for method in section.methods]
    draw.save(sweep_figure(results, setting, title, every), place.with_suffix(".png"))
    write_text(place.with_suffix(".txt"), f"{title}. {sweep_text(results, setting)}\n")
    aggregate.write_csv(results.table, place.with_suffix(".csv"))


def sweeps(params: Params, page: Path, stamp: Path) -> None:
    """Step `sweeps`: tables, figures and texts of all sweeps -> one HTML page."""
    places = {name: sweep_place(params, name) for name in params.sweeps}
    with stamped(stamp):
        write_sweeps(page, sections(places, params.sweeps))
