"""Tables and figures -> one self-contained HTML page."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from greedymm.analysis import tables_text
from greedymm.analysis.aggregate import as_text
from greedymm.analysis.collect import GROUP, used
from greedymm.analysis.page import address, write_page
from greedymm.analysis.provenance import settings_table
from greedymm.analysis.published import published
from greedymm.analysis.sweeps import Section
from greedymm.params.schema import Dataset, Params, Sweep
from greedymm.plan import figures_of, planned
from greedymm.settings import flat

# What to see in the figures.
CAPTIONS = {
    "accuracy": "Test accuracy of the checkpoint with the best validation accuracy. Dots: single runs. Large"
    " markers: means over seeds, with 95 % intervals. A multi-modal network that makes good use of its"
    " sources is to the right of each of them alone.",
    "utilization": "share of each branch's accuracy that it owes to the other modalities, u(others | m), on both"
    " splits, with 95 % intervals over seeds; and that accuracy, full and with the cross-modal flow cut."
    " Unequal rates: the network uses its modalities unequally. Below zero: the other modalities mislead"
    " the branch.",
    "measures": "further measures of how modalities are used, on both splits: means over seeds with 95 % intervals.",
    "proxy": "d_util of each run at its best epoch against its d_speed at the end of training, on both splits;"
    " in gray, the runs of the other methods. If d_speed is a proxy of d_util, the dots rise from the"
    " lower left to the upper right, through the middle.",
    "d_speed": "difference of the conditional learning speeds at the end of each epoch, mean over the seeds that"
    " reached it. Far from zero: the network learns from one modality faster than from the other. And"
    " d_util on validation with the weights of chosen epochs; dots: runs. If d_speed is a proxy, both"
    " have the same sign.",
    "steps": "d_speed at every step of one run of each method. Shaded: the re-balancing steps of each modality."
    " The share is that of re-balancing steps. Of few methods also a part in which single windows can be"
    " seen.",
    "branches": "validation accuracy of the network and of each branch, mean over seeds. A branch that learns much"
    " later than its modality alone (dashed) is neglected.",
    "confusion": "of the test samples of each class, the share that is taken for each class; all seeds together. Off"
    " the diagonal: what a method mistakes, and for what.",
    "samples": "samples of each class, training and test; of clips, frames from the first to the last.",
    "uniquely_correct": "test samples that one method gets right in a larger share of its runs than every other method"
    " does: true class, share of its runs, and the largest share of another one. Modalities one below"
    " the other.",
    "costs": "What a training run takes: time of all its epochs, while others may have shared the machine, and"
    " the largest memory of its process. Dots: runs.",
}


class Picture(NamedTuple):
    """A figure of the report: a PNG file, and what to see in it."""

    path: Path
    caption: str

    @property
    def address(self) -> str:
        """The picture itself, as an address."""
        return address(self.path)


class Content(NamedTuple):
    """All that the page shows."""

    left_out: list[str]  # runs, and why
    in_short: pd.DataFrame  # a row per claim, a column per dataset
    claims: pd.DataFrame
    claims_explained: str
    headline: pd.DataFrame
    published: pd.DataFrame
    conditions: dict[str, str]  # of the datasets on which others published: their settings here
    summary: pd.DataFrame
    runs: pd.DataFrame
    datasets: list[dict[str, Any]]  # name, shown, generated, own, source, licence, modalities, notes, file, sha256
    pictures: list[Picture]
    sweeps: list[Section]  # that are made
    waiting_sweeps: Mapping[str, Sweep]  # that are not
    names: Mapping[str, str]  # how each dataset is shown
    costs: pd.DataFrame
    facts: dict[str, str]  # whatever says how it was made
    marked: pd.DataFrame  # each setting, and whose it is
    settings: str


def collect(
    params: Params,
    datasets: list[dict[str, Any]],
    tables: Path,
    figures: Path,
    costs: Path,
    sweeps: list[Section],
) -> Content:
    """Gather the page's content from the tables, figures and sweeps of these params."""
    headline, summary, runs = (
        pd.read_csv(tables / f"{name}.csv", keep_default_na=False) for name in ("headline", "summary", "runs")
    )
    names = {name: name for name in params.datasets} | {d["name"]: d["shown"] for d in datasets}
    drawn = set(used(runs)["dataset"])
    estimates = as_text(pd.read_csv(tables / "summary.csv"), GROUP)  # an empty bound is none, and no text
    accuracies: Any = estimates["test_accuracy"].to_dict()  # by dataset and method
    summary, runs = (table.assign(dataset=table["dataset"].map(names)) for table in (summary, runs))
    claims = pd.read_csv(tables / "claims.csv", dtype={"seeds_needed": str}).fillna({"note": ""})
    taken = pd.read_csv(costs / "costs.csv")
    theirs = [d["name"] for d in datasets if not (d["generated"] or d["own"])]
    left_out = [
        f"{row['method']}, seed {row['seed']}, of {row['dataset']}: {row['left_out']}"
        for row in runs[runs["left_out"] != ""].to_dict("records")
    ]
    return Content(
        left_out=left_out,
        in_short=tables_text.in_short(claims, names),
        claims=tables_text.readable(claims, names),
        claims_explained=tables_text.explanation(claims),
        headline=headline,
        published=published(theirs, accuracies),
        conditions={name: _conditions(params.datasets[name]) for name in theirs},
        summary=summary,
        runs=runs if left_out else runs.drop(columns="left_out"),
        datasets=datasets,
        pictures=list(_pictures(params, drawn, figures, costs, names)),
        sweeps=sweeps,
        waiting_sweeps={n: asked for n, asked in params.sweeps.items() if n not in {made.name for made in sweeps}},
        names=names,
        costs=costs_shown(taken, names),
        facts=_facts(params, set(used(runs)["run"])) | {"cost": _cost(taken)},
        marked=settings_table(params).assign(dataset=lambda table: table["dataset"].map(names)),
        settings=yaml.safe_dump(params.model_dump(mode="json", exclude={"tracking"}), sort_keys=False),
    )


def _conditions(section: Dataset) -> str:
    shown = flat(section.data.model_dump(mode="json")) | {"epochs": section.training.epochs}
    return ", ".join(f"{name} {value}" for name, value in shown.items() if value is not None)


def _pictures(
    params: Params, drawn: Collection[str], folder: Path, costs: Path, names: Mapping[str, str]
) -> Iterator[Picture]:
    yield Picture(folder / "accuracy.png", CAPTIONS["accuracy"])
    for kind, of in figures_of(params).items():
        for name in filter(drawn.__contains__, of):
            yield Picture(
                folder / f"{kind}-{name}.png", f"{names[name]}: {CAPTIONS[kind]}{_defined(params, kind, name)}"
            )
    yield Picture(costs / "costs.png", CAPTIONS["costs"])


def _defined(params: Params, kind: str, dataset: str) -> str:
    """What the measures in a figure of them are, as their settings say."""
    measures = params.datasets[dataset].measures if kind == "measures" else ()
    return "".join(f" {(type(m).__doc__ or m.name).splitlines()[0]}" for m in measures if m.name != "utilization")


def _facts(params: Params, names: set[str]) -> dict[str, str]:
    runs = [run for run in planned(params) if run.name in names]
    records = [json.loads((run.folder / "record.json").read_text(encoding="utf-8")) for run in runs]
    machines = [f"{_hardware(r)}{r['machine']}, device {r['device']}, Python {r['python']}" for r in records]
    versions = [", ".join(f"{name} {version}" for name, version in r["versions"].items()) for r in records]
    return {
        "runs": f"{len(runs)}, seeds {', '.join(map(str, params.seeds))}",
        "commit": _distinct([r["commit"] or "not in a repository" for r in records]),
        "code of the keys": f"pinned to commit {params.code}" if params.code else "as it is",
        "machine": _distinct(machines),
        "versions": _distinct(versions),
    }


def _hardware(record: dict[str, Any]) -> str:
    if "hardware" not in record:  # of results whose code was pinned before it was recorded
        return ""
    cpu, cores, memory = (record["hardware"][name] for name in ("cpu", "cores", "memory_gib"))
    return f"{cpu}, {cores} cores, {memory} GiB of memory, "


def _cost(table: pd.DataFrame) -> str:
    minutes, longest, memory = table["seconds"].sum() / 60, table["seconds"].max(), table["peak_memory_mb"].max()
    return f"{minutes:.1f} minutes of training in all; a run at most {longest:.0f} s and {memory:.0f} MiB"


def costs_shown(costs: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """What the runs took, a row per dataset and method: their number, time in all, median and most, memory at most.

    Args:
        costs: as `collect.costs_table` gives it.
        names: how each dataset is shown.
    """
    groups = costs.groupby(GROUP, sort=False)
    seconds = groups["seconds"]
    table = pd.DataFrame({
        "runs": seconds.size(),
        "minutes in all": (seconds.sum() / 60).map("{:.1f}".format),
        "seconds a run, median": seconds.median().map("{:.1f}".format),
        "seconds a run, most": seconds.max().map("{:.1f}".format),
        "samples a second, median": groups["samples_per_second"].median().map("{:.0f}".format),
        "memory, most (MiB)": groups["peak_memory_mb"].max().map("{:.0f}".format),
        "memory of the GPU, most (MiB)": groups["peak_gpu_memory_mb"].max().map("{:.0f}".format),
    }).reset_index()  # fmt: skip
    if not costs["peak_gpu_memory_mb"].any():
        table = table.iloc[:, :-1]
    return table.assign(dataset=table["dataset"].map(names))


def _distinct(values: list[str]) -> str:
    """Whatever the runs were made with; how many of them each, where they differ."""
    counts = Counter(values)
    return "; ".join(f"{value} ({n} runs)" for value, n in counts.items()) if len(counts) > 1 else values[0]


def write(path: Path, content: Content) -> None:
    """Write the page."""
    write_page(path, "report.html.j2", content._asdict())
