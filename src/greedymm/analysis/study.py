"""Results of all runs + facts of the datasets -> all tables that the figures and the report show."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.analysis.claims.ranks import ranks_table
from greedymm.analysis.claims.statistics import Estimate, estimate
from greedymm.analysis.claims.table import claims_table
from greedymm.analysis.claims.text import explain_claims, format_claims, to_latex, to_markdown
from greedymm.analysis.results import GROUP, IDENTITY, Results
from greedymm.analysis.spreadsheet import without_formulas
from greedymm.files import atomic_write, write_text
from greedymm.info import DataInfo, read_info
from greedymm.params.schema import Params
from greedymm.plan import Plan

NOT_NEGATIVE = ("abs_d_util", "shapley_gap")  # ends of names of measures
SPLITS = {"val": "validation", "test": "test"}  # name in results: name in the report
DECIMALS = 6  # beyond what any accuracy resolves: keeps tables the same across platforms
HEADLINE = {
    "test_accuracy": "test accuracy",
    "val_accuracy": "validation accuracy",
    "d_speed": "d_speed",
    "val_d_util": "d_util (validation)",
    "test_d_util": "d_util (test)",
}

Image = npt.NDArray[np.uint8]  # (C, *axes), or (n, C, *axes) of n samples


class Images(NamedTuple):
    """Samples of one dataset that its figures show."""

    examples: Mapping[str, Sequence[Image]]  # split and modality -> for each class (n, C, *axes)
    uniquely_correct: Mapping[str, Sequence[Image]]  # modality -> (C, *axes) for each row of the table


class Study(NamedTuple):
    """All that is known of the planned runs."""

    params: Params
    info: Mapping[str, DataInfo]  # of each dataset that has a run
    paths: Mapping[str, Path]  # of each dataset's HDF5 file
    names: dict[str, str]  # of each dataset in tables and figures; they say which data are generated
    modalities: Mapping[str, Mapping[str, str]]  # dataset -> name in results: name in its file; m0 first
    results: Results
    estimates: pd.DataFrame
    headline: pd.DataFrame
    curves: pd.DataFrame
    uniquely_correct: pd.DataFrame
    claims: pd.DataFrame
    ranks: pd.DataFrame  # of the multi-modal methods over all datasets
    images: Mapping[str, Images] = {}  # of each dataset; only figures show them


def make_study(plan: Plan, results: Results) -> Study:
    """Read the facts of each dataset that has a result, and compute all tables."""
    usable = set(results.runs["dataset"])
    runs = [run for run in plan.default_runs if run.dataset in usable]
    paths = {run.dataset: run.data_path for run in runs}
    info = {name: read_info(path) for name, path in paths.items()}
    names = {name: facts.display_name for name, facts in info.items()}
    modalities: dict[str, dict[str, str]] = {name: {} for name in info}
    for settings in (run.settings for run in runs):
        modalities[settings.dataset] |= dict(zip(settings.modalities, settings.stored, strict=True))
    estimates = estimates_table(results.runs)
    curves = curves_table(results.histories)
    training = results.snapshots.reindex(columns=["dataset", "method", "seed", "epoch", "d_speed", "d_util"]).dropna()
    return Study(
        params=plan.params,
        info=info,
        paths=paths,
        names=names,
        modalities=modalities,
        results=results,
        estimates=estimates,
        headline=headline_table(estimates, GROUP).replace({"dataset": names}),
        curves=curves.assign(data=curves["dataset"].map(names)),
        uniquely_correct=uniquely_correct_table(results.correct),
        claims=claims_table(results.runs, training, plan.params.equal_within / 100).round(DECIMALS),
        ranks=ranks_table(results.runs),
    )


def write_tables(study: Study, folder: Path) -> None:
    """Write all tables: CSV and Parquet for programs, Markdown and LaTeX for papers."""
    frames = {
        "runs": study.results.runs,
        "summary": study.estimates,
        "headline": study.headline,
        "curves": study.curves,
        "during_training": study.results.snapshots,
        "confusion": study.results.confusion,
        "uniquely_correct": study.uniquely_correct,
        "claims": study.claims,
        "ranks": study.ranks,
        "costs": study.results.costs,
    }
    texts = {f"{name}.csv": to_csv(table) for name, table in frames.items()}
    texts["metrics.json"] = json.dumps(metrics(study.estimates), indent=2) + "\n"
    claims, explanation = format_claims(study.claims, study.names), explain_claims(study.claims)
    texts |= {"headline.md": to_markdown(study.headline), "claims.md": to_markdown(claims, explanation)}
    texts |= {"headline.tex": to_latex(study.headline), "claims.tex": to_latex(claims, explanation)}
    for name, text in texts.items():
        write_text(folder / name, text)
    with atomic_write(folder / "steps.parquet") as tmp:
        study.results.steps.to_parquet(tmp, index=False)


def estimates_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Estimates over seeds: one row per dataset, method and measure, in the order of the runs."""
    rows = []
    for (dataset, method), group in runs.groupby(GROUP, sort=False):
        for measure, values in group.drop(columns=IDENTITY).dropna(axis=1, how="all").items():
            bounds = (0.0, 1.0) if "accuracy" in str(measure) else (0.0,) if str(measure).endswith(NOT_NEGATIVE) else ()
            rows.append([dataset, method, measure, *estimate(values.dropna().to_numpy(float), *bounds)])
    return pd.DataFrame(rows, columns=[*GROUP, "measure", *Estimate._fields])


def headline_table(estimates: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """A row for each value of the columns `index`: number of seeds, and `mean [low, high]` of the main measures."""
    table = format_estimates(estimates[estimates["measure"].isin(HEADLINE)], index)
    table = table.reindex(columns=[m for m in HEADLINE if m in table]).rename(columns=HEADLINE)
    seeds = estimates.groupby(index, sort=False)["n"].max().rename("seeds").astype(str)
    return seeds.to_frame().join(table).fillna("").reset_index()


def format_estimates(estimates: pd.DataFrame, index: list[str]) -> pd.DataFrame:
    """Estimates as `mean [low, high]`: a column per measure, rows by the columns of `index`, in their order.

    An estimate over fewer seeds than others of its row, as a rate can be undefined, says over how many.
    """
    most = estimates.groupby(index)["n"].transform("max")
    texts = [_format(row, int(n)) for row, n in zip(estimates.itertuples(), most, strict=True)]
    return estimates.assign(text=texts).pivot_table(
        index=index, columns="measure", values="text", aggfunc="first", sort=False
    )


def _format(row: Any, most: int) -> str:
    percent = row.measure.endswith("accuracy")
    factor, digits = (100, 1) if percent else (1, 2)
    text = f"{factor * row.mean:.{digits}f}{' %' if percent else ''}"
    if row.n > 1:
        text += f" [{factor * row.low:.{digits}f}, {factor * row.high:.{digits}f}]"
    return text if row.n == most else f"{text} ({row.n} of {most} seeds)"


def metrics(estimates: pd.DataFrame) -> dict[str, Any]:
    """Means of the main measures, dataset -> method -> measure, for `dvc metrics`."""
    nested: dict[str, Any] = {}
    for row in estimates[estimates["measure"].isin(HEADLINE)].to_dict("records"):
        methods = nested.setdefault(row["dataset"], {})
        methods.setdefault(row["method"], {})[row["measure"]] = round(row["mean"], DECIMALS)
    return nested


def curves_table(histories: pd.DataFrame) -> pd.DataFrame:
    """Mean of every epoch over the seeds that reached it, and their number: a row per dataset, method and epoch."""
    epochs = histories.drop(columns="run").groupby([*GROUP, "epoch"], sort=False)
    return epochs.mean().drop(columns="seed").assign(seeds=epochs["seed"].count()).reset_index()


def uniquely_correct_table(correct: Mapping[str, pd.DataFrame], count: int = 4) -> pd.DataFrame:
    """Test samples that one method classifies correctly more often than any other.

    At most `count` of each method, the largest lead first. Columns: dataset, method, row (in the split), id,
    label, rate (share of the method's runs that are correct) and best_other (the largest share of another method).
    """
    tables = []
    for dataset, table in correct.items():
        for method in table.columns.drop(["id", "label"]):
            others = table.drop(columns=["id", "label", method]).max(axis=1)
            lead = (table[method] - others).round(DECIMALS)
            best = lead[lead > 0].sort_values(ascending=False, kind="stable").index[:count]
            rows = table.assign(rate=table[method], best_other=others).loc[best, ["id", "label", "rate", "best_other"]]
            tables.append(rows.rename_axis("row").reset_index().assign(dataset=dataset, method=method))
    return pd.concat(tables, ignore_index=True)[[*GROUP, "row", "id", "label", "rate", "best_other"]]


def costs_table(costs: pd.DataFrame) -> pd.DataFrame:
    """Cost of the runs of each dataset and method: number, total and median time, peak memory."""
    groups = costs.groupby(GROUP, sort=False)
    seconds = groups["seconds"]
    columns = {
        "total (min)": (seconds.sum() / 60, ".1f"),
        "median run (s)": (seconds.median(), ".1f"),
        "longest run (s)": (seconds.max(), ".1f"),
        "median samples/s": (groups["samples_per_second"].median(), ".0f"),
        "peak memory (MiB)": (groups["peak_memory_mb"].max(), ".0f"),
        "peak GPU memory (MiB)": (groups["peak_gpu_memory_mb"].max(), ".0f"),
    }
    if not costs["peak_gpu_memory_mb"].any():
        del columns["peak GPU memory (MiB)"]
    texts = {name: values.map(f"{{:{digits}}}".format) for name, (values, digits) in columns.items()}
    return pd.DataFrame({"runs": seconds.size(), **texts}).reset_index()


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV, the same text for the same content."""
    return without_formulas(table, "id").round(DECIMALS).to_csv(index=False)
