"""Boards -> the page of the zoo with its tables and figures. Each board is kept apart from the others."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from greedymm.analysis.claims.text import to_latex, to_markdown
from greedymm.analysis.figures import Picture
from greedymm.analysis.figures.style import save
from greedymm.analysis.page import write_page
from greedymm.analysis.report import describe_runs
from greedymm.analysis.study import to_csv
from greedymm.analysis.zoo import figures
from greedymm.analysis.zoo.leaderboard import Board, Tables, make_tables, notes_on_references
from greedymm.analysis.zoo.text import (
    describe_blocks,
    describe_dataset,
    explain,
    format_accuracy,
    format_all_ranks,
    format_balance,
    format_chosen,
)
from greedymm.files import write_text
from greedymm.info import DataInfo
from greedymm.params.schema import Params


def write_zoo(
    boards: Sequence[Board], params: Params, info: Mapping[str, DataInfo], chosen: pd.DataFrame, folder: Path
) -> None:
    """Write tables, figures and then the page; the same bytes for the same content.

    Args:
        boards: results of all methods, under one or several choices of their settings.
        params: of the plan.
        info: facts of each dataset that has a result.
        chosen: settings that were tuned: dataset, method, setting, value, range, val_accuracy, val_shift_accuracy,
            trials; a row for each setting. It may be empty.
        folder: gets tables/, figures/ and index.html.
    """
    settings = format_chosen(chosen)
    if len(chosen):
        _write_table(folder / "tables/chosen", settings, chosen)
    content = {
        "boards": [_write_board(board, params, info, folder) for board in boards],
        "info": info,
        "chosen": settings,
        "explanation": explain(params),
    }
    write_page(folder / "index.html", "zoo/zoo.html.j2", **content)


def _write_board(board: Board, params: Params, info: Mapping[str, DataInfo], folder: Path) -> dict[str, Any]:
    """Write tables and figures of a board, and return what the page shows of it."""
    name, results = board.name.replace(" ", "-"), board.results
    tables = make_tables(board, params.equal_within / 100)
    path = folder / "tables" / name
    for kind in ("estimates", "comparisons", "costs"):
        write_text(path / f"{kind}.csv", to_csv(getattr(tables, kind)))
    blocks = list(describe_blocks(tables.blocks))
    ranks = format_all_ranks(tables)
    numbers = [table.assign(reference=reference) for reference, table in tables.ranks.items()]
    _write_table(path / "ranks", ranks, pd.concat(numbers), blocks)
    write_text(path / "blocks.csv", to_csv(tables.blocks.ranks.rename("average_rank").reset_index()))
    pictures = list(_draw(tables, info, folder / "figures" / name))
    return {
        "name": board.name,
        "id": name,
        "excluded": results.excluded,
        "facts": describe_runs(results, params),
        "ranks": ranks,
        "blocks": blocks,
        "pictures": [picture for picture in pictures if picture.dataset is None],
        "datasets": {
            str(dataset): _describe(tables, runs, info[str(dataset)], board.choice, path)
            | {"pictures": [picture for picture in pictures if picture.dataset == dataset]}
            for dataset, runs in results.runs.groupby("dataset", sort=False)
        },
    }


def _describe(tables: Tables, runs: pd.DataFrame, info: DataInfo, choice: str, path: Path) -> dict[str, Any]:
    """Write the leaderboard of a dataset; return its sentences and tables."""
    dataset = str(runs["dataset"].iloc[0])
    sentences, notes = describe_dataset(tables, dataset, info.display_name), notes_on_references(runs, choice)
    accuracy, balance = format_accuracy(tables, dataset), format_balance(tables, dataset)
    _write_table(path / f"leaderboard-{dataset}", accuracy, accuracy, [*sentences, *notes])
    _write_table(path / f"balance-{dataset}", balance, balance)
    return {"sentences": sentences, "notes": notes, "accuracy": accuracy, "balance": balance}


def _write_table(path: Path, text: pd.DataFrame, numbers: pd.DataFrame, below: Sequence[str] = ()) -> None:
    write_text(path.with_suffix(".csv"), to_csv(numbers))
    write_text(path.with_suffix(".md"), to_markdown(text, below))
    write_text(path.with_suffix(".tex"), to_latex(text, below))


def _draw(tables: Tables, info: Mapping[str, DataInfo], folder: Path) -> Iterator[Picture]:
    """Draw the figures of each dataset, then those of all datasets."""
    for dataset in tables.estimates["dataset"].unique():
        for kind in ("forest", "balance", "cost"):
            figure = getattr(figures, f"draw_{kind}")(tables, dataset)
            if figure is not None:
                figure.suptitle(info[dataset].display_name)
                yield Picture(kind, dataset, folder / f"{kind}-{dataset}.png", figures.CAPTIONS[kind])
                save(figure, folder / f"{kind}-{dataset}.png")
    for kind in ("ranks", "improvement"):
        figure = getattr(figures, f"draw_{kind}")(tables)
        if figure is not None:
            yield Picture(kind, None, folder / f"{kind}.png", figures.CAPTIONS[kind])
            save(figure, folder / f"{kind}.png")
