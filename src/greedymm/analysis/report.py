"""Study and pictures -> one self-contained HTML page."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from greedymm.analysis.claims.text import (
    describe_datasets,
    describe_proxy,
    explain_claims,
    format_claims,
    format_ranks,
    summarize_claims,
)
from greedymm.analysis.figures import Picture
from greedymm.analysis.figures.style import label
from greedymm.analysis.page import write_page
from greedymm.analysis.results import GROUP
from greedymm.analysis.study import Study, costs_table, format_estimates, headline_table
from greedymm.params.schema import Dataset, Params
from greedymm.settings import flat

LITERATURE = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
FROM_AUTHORS, AS_AUTHORS, OURS = "authors' code", "our choice, as in the authors' code for ModelNet40", "our choice"


def write_report(study: Study, pictures: Sequence[Picture], path: Path) -> None:
    """Write the page with all tables and pictures, the same bytes for the same content."""
    params = study.params.model_dump(mode="json", exclude={"tracking", "execution"})
    accuracy, *shared = (picture for picture in pictures if picture.dataset is None)
    content = {
        "study": study,
        "accuracy": accuracy,
        "pictures": shared,
        "datasets": _datasets(study, pictures),
        "claims_summary": summarize_claims(format_claims(study.claims, study.names)),
        "ranks": format_ranks(study.ranks.assign(method=study.ranks["method"].map(label))),
        "claims_explained": explain_claims(study.claims),
        "cost": _cost(study),
        "costs": costs_table(study.results.costs).replace({"dataset": study.names}),
        "facts": _facts(study),
        "settings": yaml.safe_dump(params, sort_keys=False),
    }
    write_page(path, "report.html.j2", **content)


def _datasets(study: Study, pictures: Sequence[Picture]) -> dict[str, dict[str, Any]]:
    """Sentences, tables and pictures of each dataset."""
    accuracies: Any = format_estimates(study.estimates, GROUP)["test_accuracy"].to_dict()
    sentences, proxies = describe_datasets(study.claims, study.names), describe_proxy(study.claims, study.names)
    claims = format_claims(study.claims, study.names).drop(columns="Data").assign(dataset=study.claims["dataset"])
    tables = {
        "claims": claims,
        "headline": headline_table(study.estimates, GROUP).assign(method=lambda table: table["method"].map(label)),
        "estimates": study.estimates,
        "runs": study.results.runs,
        "costs": costs_table(study.results.costs),
        "origins": settings_table(study.params),
    }
    datasets = {}
    for name, info in study.info.items():
        own = {picture.kind: picture for picture in pictures if picture.dataset == name}
        genuine = not (info.generated or info.own)
        datasets[name] = {
            "sentence": sentences[name],
            "proxy_sentence": proxies[name],
            "proxy": own.pop("proxy", None),
            "pictures": list(own.values()),
            "published": published_table([name], accuracies, {name: study.params.datasets[name].model.fusion.name}),
            "conditions": _conditions(study.params.datasets[name]) if genuine else "",
            "measures": _measures(study.params.datasets[name]),
            **{title: _rows(table, name) for title, table in tables.items()},
        }
    return datasets


def _rows(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The rows of a table that are about one dataset, without the columns of other datasets."""
    return table[table["dataset"] == dataset].drop(columns="dataset").dropna(axis=1, how="all")


def settings_table(params: Params) -> pd.DataFrame:
    """A row for each dataset and setting: dataset, setting, value (text) and origin."""
    rows = [
        {"dataset": name, "setting": setting, "value": str(value), "origin": _origin(name, setting, value)}
        for name, section in params.datasets.items()
        for setting, value in flat(section.model_dump(mode="json")).items()
    ]
    return pd.DataFrame(rows)


def _origin(dataset: str, setting: str, value: object) -> str:
    if setting not in LITERATURE["authors"] or value != LITERATURE["authors"][setting]:
        return OURS
    return FROM_AUTHORS if dataset == "modelnet40" else AS_AUTHORS


def published_table(
    datasets: list[str], accuracies: Mapping[tuple[str, str], str], fusions: Mapping[str, str]
) -> pd.DataFrame:
    """Test accuracies that others published for the data of some datasets, under conditions of their own.

    Column `this study` has the comparable ones of `accuracies`: dataset and method -> test accuracy as text. A number
    of a fusion is compared with datasets of the same fusion: `fusions` has its name for each dataset.
    """
    sources = {name: LITERATURE["same_as"].get(name, name) for name in datasets}
    rows = []
    for data in dict.fromkeys(sources.values()):
        for row in LITERATURE["numbers"].get(data, []):
            method = LITERATURE["comparable"].get(row["method"])
            fusion = LITERATURE["fusions"].get(row["method"])
            same = [name for name in datasets if sources[name] == data and fusion in (None, fusions[name])]
            keys = [(name, method) for name in same if (name, method) in accuracies]
            texts = [f"{label(method)} on {name}: {accuracies[name, method]}" for name, method in keys]
            rows.append({"data": data, **row, "this study": "; ".join(texts)})
    columns = ["data", "method", "accuracy", "conditions", "source", "this study"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"accuracy": "test accuracy (%)"})


def _conditions(section: Dataset) -> str:
    """Settings of a dataset's data, and the epochs, as text."""
    settings = section.data.model_dump(mode="json") | {"epochs": section.training.epochs}
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)


def _measures(section: Dataset) -> list[str]:
    """The first line of each measure's documentation."""
    return [(type(m).__doc__ or m.name).splitlines()[0].replace("`", "") for m in section.measures]


def _cost(study: Study) -> str:
    """What the study cost, in a line."""
    costs, records = study.results.costs, study.results.records
    machine = _distinct("{cpu}, {cores} cores".format(**record["hardware"]) for record in records)
    minutes = costs["seconds"].sum() / 60
    return f"{len(costs)} runs, {len(study.params.seeds)} seeds, {minutes:.1f} minutes of training on {machine}."


def _facts(study: Study) -> dict[str, str]:
    records, costs, code = study.results.records, study.results.costs, study.params.code
    minutes, longest, memory = costs["seconds"].sum() / 60, costs["seconds"].max(), costs["peak_memory_mb"].max()
    return {
        "runs": f"{len(records)}, seeds {', '.join(map(str, study.params.seeds))}",
        "commit": _distinct(record["commit"] or "not in a repository" for record in records),
        "code of the keys": f"pinned to commit {code}" if code else "as it is",
        "machine": _distinct(
            "{cpu}, {cores} cores, {memory_gib} GiB of memory".format(**record["hardware"])
            + f", {record['machine']}, device {record['device']}, Python {record['python']}"
            for record in records
        ),
        "versions": _distinct(", ".join(f"{k} {v}" for k, v in record["versions"].items()) for record in records),
        "cost": f"{minutes:.1f} minutes of training; the longest run {longest:.0f} s; at most {memory:.0f} MiB",
    }


def _distinct(values: Iterable[str]) -> str:
    """The distinct values, with the number of runs of each if there are several."""
    counts = Counter(values)
    return "; ".join(f"{value} ({n} runs)" for value, n in counts.items()) if len(counts) > 1 else next(iter(counts))
