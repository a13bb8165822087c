"""Results of all runs + facts of the datasets -> everything that the tables, figures and the report show."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from greedymm.analysis import tables
from greedymm.analysis.claims.table import claims_table
from greedymm.analysis.claims.text import explain_claims, format_claims, to_latex, to_markdown
from greedymm.analysis.results import Results
from greedymm.files import atomic_write, write_text
from greedymm.info import DataInfo
from greedymm.params.schema import Params
from greedymm.plan import Plan

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
    modalities: Mapping[str, Mapping[str, str]]  # dataset -> name in results: name in its file; m0 first
    results: Results
    summary: pd.DataFrame
    headline: pd.DataFrame
    curves: pd.DataFrame
    uniquely_correct: pd.DataFrame
    claims: pd.DataFrame
    images: Mapping[str, Images] = {}  # of each dataset; only figures show them

    @property
    def names(self) -> dict[str, str]:
        """Each dataset's name in tables and figures. It says which data are generated."""
        return {name: info.display_name for name, info in self.info.items()}


def make_study(plan: Plan, info: Mapping[str, DataInfo], results: Results) -> Study:
    """Compute all tables.

    Args:
        plan: of the runs.
        info: facts of each dataset that has a run.
        results: of the runs.
    """
    names = {name: facts.display_name for name, facts in info.items()}
    modalities: dict[str, dict[str, str]] = {name: {} for name in info}
    for settings in (run.settings for run in plan.default_runs if run.dataset in info):
        modalities[settings.dataset] |= dict(zip(settings.modalities, settings.stored, strict=True))
    summary = tables.summary_table(results.runs)
    # d_util of the validation split: it has the distribution of the training set, for which d_speed is a proxy.
    claims = claims_table(results.runs, _with_both(results.during), split="val").round(tables.DECIMALS)
    return Study(
        params=plan.params,
        info=info,
        paths={name: plan.data_of(name).path for name in info},
        modalities=modalities,
        results=results,
        summary=summary,
        headline=tables.headline_table(summary, results.runs, names),
        curves=tables.curves_table(results.histories, names),
        uniquely_correct=tables.uniquely_correct_table(results.correct),
        claims=claims,
    )


def _with_both(during: pd.DataFrame) -> pd.DataFrame | None:
    """The rows that have both d_speed and d_util. None: there are none."""
    if not {"d_speed", "d_util"} <= set(during):
        return None
    rows = during.dropna(subset=["d_speed", "d_util"])
    return None if rows.empty else rows


def write_tables(study: Study, folder: Path) -> None:
    """Write all tables: CSV and Parquet for programs, Markdown and LaTeX for papers."""
    frames = {
        "runs": study.results.runs,
        "summary": study.summary,
        "headline": study.headline,
        "curves": study.curves,
        "during_training": study.results.during,
        "confusion": study.results.confusion,
        "uniquely_correct": study.uniquely_correct,
        "claims": study.claims,
        "costs": study.results.costs,
    }
    texts = {f"{name}.csv": tables.to_csv(table) for name, table in frames.items()}
    texts["metrics.json"] = json.dumps(tables.metrics(study.summary), indent=2) + "\n"
    claims, explanation = format_claims(study.claims, study.names), explain_claims(study.claims)
    texts |= {"headline.md": to_markdown(study.headline), "headline.tex": to_latex(study.headline)}
    texts |= {"claims.md": to_markdown(claims, explanation), "claims.tex": to_latex(claims, explanation)}
    for name, text in texts.items():
        write_text(folder / name, text)
    with atomic_write(folder / "steps.parquet") as tmp:
        study.results.steps.to_parquet(tmp, index=False)
