"""Step `track`: finished runs and pages -> MLflow."""

import logging
from collections.abc import Iterator
from pathlib import Path

from greedymm import tracking
from greedymm.errors import GreedymmError
from greedymm.files import read_json, write_text
from greedymm.params.schema import Params
from greedymm.plan import analysis_key, planned, points, report_key, sweep_place, sweeps_key, sweeps_stamp
from greedymm.settings import flat
from greedymm.tracking import Page

log = logging.getLogger(__name__)


def track(params: Params, note: Path | None) -> int:
    """Step `track`: finished runs -> MLflow, whatever of them is not there yet; returns how many were sent.

    Those of the sweeps are among them, tagged as such. Tables, figures and pages go there, too, once they are made.

    Args:
        note: where to write what was done, whether or not the store could be reached. None: a store that
            cannot be reached is an error.

    Raises:
        GreedymmError: if the store cannot be reached and there is no note.
    """
    network: tracking.Network | None = None
    if params.tracking.models:
        from greedymm.steps.predict import trained  # imports torch

        network = trained
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
