"""Stand-in of the sentences of `claims.text`, to be replaced at the merge."""

from collections.abc import Mapping

import pandas as pd


def describe_datasets(claims: pd.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each dataset: does balancing help."""
    texts = {}
    for dataset, name in names.items():
        rows = claims.query("dataset == @dataset and claim == 'd'").to_dict("records")[:1]
        texts[dataset] = f"No balancing method was compared on {name}."
        for row in rows:
            interval = "" if pd.isna(row["low"]) else f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
            texts[dataset] = (
                f"Training with {row['method']} is {100 * row['estimate']:+.1f} points more accurate than greedy"
                f" training on {name}{interval}, p {row['p']:.3f}: {row['verdict']}."
            )
    return texts


def describe_proxy(claims: pd.DataFrame, names: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each dataset: whether d_speed predicts d_util."""
    texts = {}
    for dataset, name in names.items():
        row = claims.query("dataset == @dataset and claim == 'b'").head(1).to_dict("records")
        texts[dataset] = "".join(
            f"On {name}, the rank correlation of d_speed and d_util over runs is {r['estimate']:.2f}: {r['verdict']}."
            for r in row
        )
    return texts
