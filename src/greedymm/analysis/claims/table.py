"""Results of runs -> the paper's claims: a table with estimate, interval, test over seeds and verdict of each.

Claims: Wu et al., ICML 2022. The seeds are the sample: each test uses one value per seed, and methods are compared
within a seed. Every multi-modal method that is neither greedy nor random is judged as one that balances. d_util is that
of the validation split, which has the distribution of the training set. Accuracies are those of the test split.
"""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.claims.evidence import (
    Evidence,
    join_notes,
    mean_evidence,
    path_evidence,
    rank_evidence,
    sign_evidence,
)
from greedymm.analysis.claims.statistics import DIGITS, MAX_SEEDS, Floats
from greedymm.analysis.claims.verdicts import UNDECIDED, Verdict, judge, seeds_to_decide

CLAIMS = {
    "a": "Greedy training uses its modalities unequally",
    "b": "d_speed is a proxy of d_util",
    "c": "Balancing makes |d_util| smaller",
    "d": "Balancing improves test accuracy",
    "e": "Balanced training is more accurate than random re-balancing",
    "f": "The multi-modal network beats its best single modality",
}
COLUMNS = [
    *("claim", "hypothesis", "dataset", "method", "measure", "n", "estimate", "low", "high", "null_mean"),
    *("p", "p_holm", "p_sign_flip", "margin", "p_equal", "verdict", "seeds_needed", "note"),
]
UNIMODAL = "unimodal_"
TWO_MODALITIES = 2  # d_util of more modalities has no sign
UNSIGNED = "more than two modalities: d_util has no sign, no test"
SPEED, UTIL, MAGNITUDE, ACCURACY = "d_speed", "d_util", "|d_util|", "test accuracy"


class PerSeed(NamedTuple):
    """Measurements of one dataset."""

    dataset: str
    margin: float  # within which accuracies are practically equal
    unimodal: list[str]  # methods that train one modality alone, in the order of the runs
    multimodal: list[str]  # methods that train all modalities together
    signed: bool  # two modalities: d_util says which branch depends more on the other
    measures: pd.DataFrame  # rows: seeds; columns: measure, method. NaN: no run, or undefined
    paths: tuple[Floats, Floats] | None  # d_speed and d_util: (seeds, multi-modal methods, epochs)


class Finding(NamedTuple):
    """A claim and its evidence."""

    claim: str
    hypothesis: str
    dataset: str
    method: str
    measure: str
    evidence: Evidence


def claims_table(runs: pd.DataFrame, training: pd.DataFrame | None = None, margin: float = 0.01) -> pd.DataFrame:
    """Judge the claims: a row per dataset, claim and method, datasets in the order of the runs, claims a to f.

    Args:
        runs: a row per run: dataset, method, seed, test_accuracy, d_speed, val_d_util and val_utilization_*. Methods
            are compared over the seeds that both have. Values that are not finite count as missing.
        training: columns dataset, method, seed, epoch, d_speed, d_util, of these runs; None: (b) over runs only.
        margin: difference of two accuracies, in [0, 1], below which they are practically equal.

    Returns:
        COLUMNS. `low`, `high`: 95 % interval of the estimate, not corrected for the number of claims. `p`: two-sided,
        Student's t; for claim (b) by permutations of seeds, of the difference from `null_mean`. `p_sign_flip`: by sign
        flips of seeds. `p_holm`, `p_equal` (two one-sided t tests against `margin`): corrected over the rows of one
        claim on one dataset. `verdict`: at the level 0.05. `seeds_needed`: to decide, at the level that Holm guarantees
        to the undecided rows of the claim; a number, "> 1000", or None.

    Raises:
        ValueError: if a dataset has two runs of the same method and seed.
    """
    questions = (_unequal, _proxy, _balancing, _above_best_modality)
    datasets = _per_seed(runs, training, margin)
    findings = [finding for data in datasets for question in questions for finding in question(data)]
    rows = []
    for _, group in groupby(findings, key=lambda finding: (finding.dataset, finding.claim)):
        family = list(group)
        verdicts = judge([finding.evidence for finding in family])
        rows += [_row(finding, verdict) for finding, verdict in zip(family, verdicts, strict=True)]
    needed = pd.Series([row["seeds_needed"] for row in rows], dtype=object)  # None would turn numbers into floats
    return pd.DataFrame(rows, columns=COLUMNS).assign(seeds_needed=needed)


def _per_seed(runs: pd.DataFrame, training: pd.DataFrame | None, margin: float) -> Iterator[PerSeed]:
    """Arrange the measurements by dataset, in the order of the runs; seeds ascending."""
    names = {SPEED: SPEED, "val_d_util": UTIL, "test_accuracy": ACCURACY}
    values = runs.reindex(columns=list(names)).astype(float).rename(columns=names)
    values = values.where(np.isfinite(values)).round(DIGITS)
    values[MAGNITUDE] = values[UTIL].abs()
    modalities = runs.filter(regex="^val_utilization_").notna().sum(axis=1)
    table = pd.concat([runs[["dataset", "method", "seed"]], values], axis=1)
    for dataset, group in table.groupby("dataset", sort=False):
        unimodal = [m for m in group["method"].unique() if m.startswith(UNIMODAL)]
        multimodal = [m for m in group["method"].unique() if m not in unimodal]
        signed = bool((modalities[group.index] <= TWO_MODALITIES).all())
        # Not pivot_table, which would average two runs of one seed.
        measures = group.pivot(index="seed", columns="method", values=list(values))  # noqa: PD010
        rows = None if training is None else training[training["dataset"] == dataset]
        paths = None if rows is None or rows.empty else _paths(rows, [measures.index, pd.Index(multimodal)])
        yield PerSeed(str(dataset), margin, unimodal, multimodal, signed, measures, paths)


def _paths(training: pd.DataFrame, axes: list["pd.Index[Any]"]) -> tuple[Floats, Floats]:
    """d_speed and d_util over training, in the shape of the axes and epochs."""
    rows = training.set_index(["seed", "method", "epoch"])
    axes = [*axes, rows.index.unique("epoch").sort_values()]
    rows = rows.reindex(pd.MultiIndex.from_product(axes))
    speed, util = (rows[name].to_numpy(float).reshape([len(axis) for axis in axes]) for name in (SPEED, UTIL))
    return speed, util


def _unequal(data: PerSeed) -> Iterator[Finding]:
    if "greedy" not in data.multimodal:
        return
    text = "greedy training uses its modalities unequally, on average in one direction over seeds"
    d_util = data.measures[UTIL, "greedy"].to_numpy()
    evidence = mean_evidence(d_util, 0)
    evidence = evidence if data.signed else _without_sign(evidence)
    note = join_notes(f"{(d_util > 0).sum()} of {evidence.n} seeds above 0", evidence.note)
    yield Finding("a", text, data.dataset, "greedy", f"validation {UTIL}", evidence._replace(note=note))


def _proxy(data: PerSeed) -> Iterator[Finding]:
    if not data.multimodal:
        return
    text = f"d_speed is a proxy of validation {UTIL}: seeds that differ in one differ in both"
    x, y = (data.measures[measure][data.multimodal].to_numpy() for measure in (SPEED, UTIL))
    row = partial(Finding, "b", text, data.dataset, "all")
    yield row("rank correlation over runs", rank_evidence(x, y))
    yield row("share with the same sign, over runs", _agreement(data, x[..., None], y[..., None]))
    if data.paths:
        yield row("rank correlation over training", path_evidence(*data.paths))
        yield row("share with the same sign, over training", _agreement(data, *data.paths))


def _agreement(data: PerSeed, x: Floats, y: Floats) -> Evidence:
    evidence = sign_evidence(x, y)
    return evidence if data.signed else _without_sign(Evidence(evidence.n, note=evidence.note))


def _without_sign(evidence: Evidence) -> Evidence:
    """The same estimate without a test."""
    note = join_notes(UNSIGNED, evidence.note)
    return Evidence(evidence.n, evidence.estimate, evidence.low, evidence.high, testable=False, note=note)


def _balancing(data: PerSeed) -> Iterator[Finding]:
    balancing = [m for m in data.multimodal if m not in ("greedy", "random")]
    for claim, text, measure, reference, direction in [
        ("c", "{} makes |d_util| smaller than greedy training does", MAGNITUDE, "greedy", -1),
        ("d", "{} improves test accuracy over greedy training", ACCURACY, "greedy", 1),
        ("e", "{} is more accurate on test than random re-balancing", ACCURACY, "random", 1),
    ]:
        limit, margin, split = (1, data.margin, "") if measure == ACCURACY else (np.inf, np.nan, "validation ")
        name = f"{split}{measure}, less that of {reference}"
        for method in balancing if reference in data.multimodal else []:
            change = (data.measures[measure, method] - data.measures[measure, reference]).to_numpy()
            evidence = mean_evidence(change, direction, limit, margin)
            yield Finding(claim, text.format(method), data.dataset, method, name, evidence)


def _above_best_modality(data: PerSeed) -> Iterator[Finding]:
    """Compare with the modality that is best on test, over the seeds that all have. No choice favors the claim."""
    for method in [m for m in data.multimodal if m != "random"] if data.unimodal else []:
        values = data.measures[ACCURACY][[method, *data.unimodal]].dropna().to_numpy()  # (seeds, 1 + modalities)
        against = [mean_evidence(values[:, 0] - of_modality, 1, 1, data.margin) for of_modality in values[:, 1:].T]
        best = int(np.argmax(values[:, 1:].sum(axis=0)))
        evidence, note = against[best], f"best on test: {data.unimodal[best].removeprefix(UNIMODAL)}"
        if len(against) > 1 and evidence.n > 1:
            note += f", p allows for its choice among {len(against)}"
            evidence = _worse_than_any(against, best) if evidence.effect <= 0 else _better_than_each(against, best)
        evidence = evidence._replace(note=join_notes(note, evidence.note))
        text = f"the multi-modal network ({method}) beats its best single modality"
        yield Finding("f", text, data.dataset, method, f"{ACCURACY}, less that of {data.unimodal[best]}", evidence)


def _better_than_each(against: list[Evidence], best: int) -> Evidence:
    """Intersection-union test: to be better than the best is to be better than each, so the largest p counts."""
    p, p_sign_flip = (np.max([getattr(e, name) for e in against]) for name in ("p", "p_sign_flip"))
    effect = min(e.effect for e in against)
    return _equal_to_best(against, best)._replace(p=p, p_sign_flip=p_sign_flip, effect=effect)


def _worse_than_any(against: list[Evidence], best: int) -> Evidence:
    """Bonferroni: to be worse than the best is to be worse than any."""
    evidence, count = _equal_to_best(against, best), len(against)
    evidence = evidence._replace(kind=against[best].kind, note=against[best].note, sd=against[best].sd)
    p, p_sign_flip = np.minimum(1, count * np.array([evidence.p, evidence.p_sign_flip]))
    return evidence._replace(p=p, p_sign_flip=p_sign_flip, comparisons=count)


def _equal_to_best(against: list[Evidence], best: int) -> Evidence:
    """To be above the best less the margin is to be so for each; to be below the best plus the margin, for any.

    What one comparison cannot test, because its differences do not vary, is not tested at all.
    """
    p_lower, p_upper = np.max([e.p_lower for e in against]), np.minimum(1, against[best].p_upper * len(against))
    kind, note, sd = min(e.kind for e in against), max(e.note for e in against), max(e.sd for e in against)
    return against[best]._replace(p_lower=p_lower, p_upper=p_upper, kind=kind, note=note, sd=sd)


def _row(finding: Finding, verdict: Verdict) -> dict[str, Any]:
    evidence, notes = finding.evidence, [finding.evidence.note, verdict.note]
    row = finding._asdict() | evidence._asdict() | verdict._asdict()
    if verdict.verdict != UNDECIDED:
        return row | {"seeds_needed": None, "note": join_notes(*notes)}
    notes += ["the estimate contradicts the claim"] if evidence.effect < 0 else []
    if not np.isnan(evidence.p):
        notes += [] if evidence.effect else ["no difference seen"]
        notes += [] if evidence.kind else ["no sample-size estimate for this measure"]
    return row | {"seeds_needed": _seeds_needed(evidence, verdict), "note": join_notes(*notes)}


def _seeds_needed(evidence: Evidence, verdict: Verdict) -> int | str | None:
    if not (evidence.kind and (evidence.effect or evidence.margin > 0)):
        return None
    seeds = seeds_to_decide(evidence, verdict.levels)
    return f"> {MAX_SEEDS}" if seeds is None else max(seeds, evidence.n + 1)  # n seeds have not decided
