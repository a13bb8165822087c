"""Study and pictures -> one self-contained HTML page."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from greedymm.analysis.authors import settings_table
from greedymm.analysis.claims.text import claims_summary, explain_claims, format_claims
from greedymm.analysis.figures import Picture
from greedymm.analysis.page import write_page
from greedymm.analysis.published import published_table
from greedymm.analysis.results import GROUP
from greedymm.analysis.study import Study
from greedymm.analysis.tables import costs_table, format_estimates


def write_report(study: Study, pictures: Sequence[Picture], path: Path) -> None:
    """Write the page, the same bytes for the same content.

    Args:
        study: results of the runs.
        pictures: figures, in their order on the page.
        path: of the page.
    """
    params, names, results = study.params, study.names, study.results
    accuracies: Any = format_estimates(study.summary, GROUP)["test_accuracy"].to_dict()
    genuine = [name for name, info in study.info.items() if not (info.generated or info.own)]
    summary, runs = (table.assign(dataset=table["dataset"].map(names)) for table in (study.summary, results.runs))
    settings = settings_table(params)
    content = dict(  # noqa: C408 its keys are names in the template
        study=study,
        pictures=pictures,
        claims_summary=claims_summary(study.claims, names),
        claims=format_claims(study.claims, names),
        claims_explained=explain_claims(study.claims),
        published=published_table(genuine, accuracies),
        conditions={name: _conditions(settings, name) for name in genuine},
        measures=_measures(study),
        summary=summary,
        runs=runs,
        costs=costs_table(results.costs, names),
        facts=_facts(study),
        origins=settings.assign(dataset=settings["dataset"].map(lambda name: names.get(name, name))),
        settings=yaml.safe_dump(params.model_dump(mode="json", exclude={"tracking", "execution"}), sort_keys=False),
    )
    write_page(path, "report.html.j2", **content)


def _conditions(settings: pd.DataFrame, dataset: str) -> str:
    """Settings of a dataset's data, and the epochs, as text."""
    section = settings[(settings["dataset"] == dataset) & (settings["value"] != "None")]
    data = section["setting"].str.startswith("data.") | (section["setting"] == "training.epochs")
    names = section["setting"].str.rpartition(".")[2]
    return ", ".join(names[data] + " " + section["value"][data])


def _measures(study: Study) -> dict[str, str]:
    """The first line of each measure's documentation."""
    measures = [measure for name in study.info for measure in study.params.datasets[name].measures]
    return {measure.name: (type(measure).__doc__ or measure.name).splitlines()[0] for measure in measures}


def _facts(study: Study) -> dict[str, str]:
    records, costs, code = study.results.records, study.results.costs, study.params.code
    minutes, longest, memory = costs["seconds"].sum() / 60, costs["seconds"].max(), costs["peak_memory_mb"].max()
    return {
        "runs": f"{len(records)}, seeds {', '.join(map(str, study.params.seeds))}",
        "commit": _distinct(record["commit"] or "not in a repository" for record in records),
        "code of the keys": f"pinned to commit {code}" if code else "as it is",
        "machine": _distinct(map(_machine, records)),
        "versions": _distinct(", ".join(f"{k} {v}" for k, v in record["versions"].items()) for record in records),
        "cost": f"{minutes:.1f} minutes of training; the longest run {longest:.0f} s; at most {memory:.0f} MiB",
    }


def _machine(record: dict[str, Any]) -> str:
    hardware = "{cpu}, {cores} cores, {memory_gib} GiB of memory".format(**record["hardware"])
    return f"{hardware}, {record['machine']}, device {record['device']}, Python {record['python']}"


def _distinct(values: Any) -> str:
    """The distinct values, with the number of runs of each if there are several."""
    counts = Counter(values)
    return "; ".join(f"{value} ({n} runs)" for value, n in counts.items()) if len(counts) > 1 else next(iter(counts))
