"""Tables of a board -> tables as text, and sentences that say what the verdicts say."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from greedymm.analysis.claims.text import format_interval, format_p, format_points, format_ranks
from greedymm.analysis.claims.verdicts import EQUAL, UNDECIDED
from greedymm.analysis.figures.style import label
from greedymm.analysis.study import format_estimates
from greedymm.analysis.zoo.blocks import Blocks
from greedymm.analysis.zoo.leaderboard import BEST, BETTER, D_UTIL, ENSEMBLE, PLAIN, REFERENCES, WEAKEST, WORSE, Tables
from greedymm.params.schema import Params

BALANCE = {
    "val_accuracy": "Validation accuracy",
    "val_shift_accuracy": "Accuracy under shift",
    "val_d_util": "d_util (validation)",
    D_UTIL: "|d_util| (validation)",
    "test_d_util": "d_util (test)",
    "test_shapley_gap": "Shapley gap (test)",
    WEAKEST: "Weakest branch alone (test)",
}
MOST_NAMES = 8  # in a sentence
EXPLANATION = [
    f"Some methods train with another loss than {PLAIN}. Compare them with greedy or greedy_joint, too.",
    "Rows are sorted by mean test accuracy. The order is no verdict: neighbors often do not differ.",
    "Differences (percentage points) are paired by seed, with 95 % intervals (Student's t), which are not corrected.",
    "Better, worse: p is at most 0.05, by a paired t test, corrected by Holm's method over the methods of the dataset.",
    "Practically equal: the difference is within {margin}, by two one-sided t tests; p is that of equality, corrected.",
    "A significant difference within the margin is practically equal, and so are runs without any difference.",
    "Undecided: neither is shown. This is no evidence of equality.",
    "With many methods and few seeds, only differences that are large relative to their spread over seeds are decided.",
    "With fewer than three seeds there is no test.",
    "The correction is within one reference and dataset, not over references and datasets.",
    "d_util: u(m1 | m0) - u(m0 | m1). 0: both branches depend equally on the other.",
    "|d_util|: mean of the absolute values of the runs. Signed values of different seeds can cancel.",
    "A network without fusion between its branches has d_util 0 by construction.",
    "Shapley gap: the mean absolute difference of the modalities' Shapley values for accuracy.",
    "Weakest branch alone: the lowest accuracy of a branch, if each branch is cut from the others.",
    "Time: that of the fastest of the seeds, because other processes on the machine only add time.",
    "Memory: smallest peak of the runs.",
]


def explain(params: Params) -> list[str]:
    """How to read the leaderboards."""
    return [text.format(margin=format_points(params.equal_within / 100)) for text in EXPLANATION]


def format_accuracy(tables: Tables, dataset: str) -> pd.DataFrame:
    """Test accuracy of each method of a dataset, the best mean first, and its differences to the references."""
    own = tables.of(dataset)
    accuracy = _by_accuracy(own.estimates)
    frame = accuracy["n"].astype(str).rename("Seeds").to_frame()
    frame["Test accuracy"] = format_estimates(own.estimates, ["method"])["test_accuracy"]
    for (name, method), rows in own.comparisons.groupby(["reference", "reference_method"], sort=False):
        title = f"Difference from {name}" + (f", {label(str(method))}" if name == BEST else "") + " (points)"
        frame[title] = pd.Series({row.method: _format_difference(row) for row in rows.itertuples()})
    return _named(frame)


def format_balance(tables: Tables, dataset: str) -> pd.DataFrame:
    """Balance and cost of each method of a dataset, in the order of `format_accuracy`."""
    own = tables.of(dataset)
    texts = format_estimates(own.estimates, ["method"])
    frame = texts[[m for m in BALANCE if m in texts]].rename(columns=BALANCE)
    costs = own.costs.set_index("method")
    relative = costs["relative_to"].iloc[0]
    if relative:
        frame[f"Time relative to {relative} (fastest of the seeds)"] = costs["relative"].map("{:.2f}".format)
    frame["Time (s, fastest of the seeds)"] = costs["seconds"].map("{:.1f}".format)
    for kind, title in (("peak_memory_mb", "Memory (MiB)"), ("peak_gpu_memory_mb", "GPU memory (MiB)")):
        if costs[kind].any():
            frame[title] = costs[kind].map("{:.0f}".format)
    return _named(frame.loc[_by_accuracy(own.estimates).index])


def _by_accuracy(estimates: pd.DataFrame) -> pd.DataFrame:
    accuracy = estimates[estimates["measure"] == "test_accuracy"].set_index("method")
    return accuracy.sort_values("mean", ascending=False, kind="stable")


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.fillna("").set_axis([label(m) for m in frame.index]).rename_axis("Method").reset_index()


def _format_difference(row: Any) -> str:
    if pd.isna(row.estimate):
        return str(row.note)
    p = format_p(row.p_equal if row.verdict == EQUAL else row.p_holm)
    reason = row.note if row.low == row.high else p and f"p {p}"  # differences that do not vary have no t test
    return f"{100 * row.estimate:+.1f}{format_interval(row, 100, 1)} " + ", ".join(filter(None, (row.verdict, reason)))


def format_all_ranks(tables: Tables) -> pd.DataFrame:
    """Ranks over all datasets as text: a row per method, the best mean rank first."""
    first, *others = (format_ranks(table, reference) for reference, table in tables.ranks.items())
    average = tables.blocks.ranks.map("{:.2f}".format)
    first.insert(4, "Average rank over blocks", first["Method"].map(average).fillna(""))
    for frame in others:
        first[frame.columns[-1]] = frame.iloc[:, -1]
    return first.loc[:, (first != "nan").any()].replace("nan", "")


def describe_dataset(tables: Tables, dataset: str, name: str) -> list[str]:
    """How many methods are better and worse than each reference on a dataset, a sentence each."""
    comparisons = tables.of(dataset).comparisons
    groups = dict(list(comparisons.groupby("reference")))
    return [_count(groups[reference], name) for reference in REFERENCES if reference in groups]


def _count(rows: pd.DataFrame, name: str) -> str:
    first, seeds = rows.iloc[0], sorted(set(rows["n"]))
    reference = first["reference"] + (f", {label(first['reference_method'])}" if first["reference"] == BEST else "")
    counts = " to ".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1])))
    text = f"{name}, {len(rows)} methods against {reference} (seeds: {counts}): "
    if rows["p"].isna().all():
        return text + "no test; all are undecided."
    parts = []
    for verdict, ascending in ((BETTER, False), (WORSE, True), (EQUAL, False)):
        group = rows[rows["verdict"] == verdict].sort_values("estimate", ascending=ascending, kind="stable")
        parts.append(f"{len(group)} {verdict}" + (f" ({_list(group['method'])})" if len(group) else ""))
    undecided = int((rows["verdict"] == UNDECIDED).sum())
    return text + "; ".join([*parts, f"{undecided} undecided."])


def _list(methods: Iterable[str]) -> str:
    names = list(methods)
    more = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join([*names[:MOST_NAMES], *more])


def describe_blocks(blocks: Blocks) -> Iterator[str]:
    """What the Friedman test and the critical difference say, and about which data."""
    ranks = blocks.ranks
    yield f"{len(ranks)} methods are ranked in {blocks.blocks} blocks: seeds on {blocks.datasets} datasets."
    if blocks.incomplete:
        yield f"Not ranked, because they lack a dataset: {_list(blocks.incomplete)}."
    if pd.isna(blocks.p):
        yield "No Friedman test: it needs three methods, two blocks and ranks that differ."
        return
    finding = "the ranks differ" if blocks.differ else "no difference is shown, so pairs are not compared"
    yield f"Friedman test: p {format_p(blocks.p)}: {finding}."
    if blocks.differ:
        yield from _describe_pairs(ranks, blocks.critical)
    yield "Seeds of one dataset are not independent datasets. The test is about these datasets, not about others."
    if blocks.datasets > 1:
        limit = f"{blocks.critical_of_datasets:.1f} ranks; the largest possible difference is {len(ranks) - 1}"
        yield f"With one block per dataset, the critical difference would be {limit}."


def _describe_pairs(ranks: pd.Series, critical: float) -> Iterator[str]:
    values = ranks.to_numpy()
    pairs, differ = len(values) * (len(values) - 1) // 2, int((values[:, None] - values > critical).sum())
    yield (
        f"Pairs whose average ranks differ by more than {critical:.2f} differ at the level 0.05 (Nemenyi):"
        f" {differ} of {pairs}."
    )
    for reference in (PLAIN, ENSEMBLE):
        if reference in ranks:
            better = ranks.index[ranks < ranks[reference] - critical]
            worse = ranks.index[ranks > ranks[reference] + critical]
            texts = [
                f"{len(names)} {word}" + (f" ({_list(names)})" if len(names) else "")
                for names, word in ((better, "a lower (better) rank"), (worse, "a higher (worse) rank"))
            ]
            yield f"Against {reference}, {' and '.join(texts)}; {len(ranks) - 1 - len(better) - len(worse)} undecided."


def format_chosen(chosen: pd.DataFrame) -> pd.DataFrame:
    """Tuned settings as text, with the ranges that were searched: a row per dataset, method and setting."""
    table = chosen.assign(range=[_format_range(span) for span in chosen["range"]])
    for name in table.columns.intersection(["val_accuracy", "val_shift_accuracy"]):
        table[name] = ["" if pd.isna(value) else f"{100 * value:.1f} %" for value in table[name]]
    table["value"] = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in table["value"]]
    return table.astype(str)


def _format_range(span: Mapping[str, Sequence[Any]]) -> str:
    ((kind, values),) = span.items()
    if kind == "choice":
        return f"one of {', '.join(map(str, values))}"
    return f"{values[0]:g} to {values[1]:g}, {kind.replace('_', ' ')}"
