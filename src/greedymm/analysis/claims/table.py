"""The paper's claims -> a table with estimate, interval, test over seeds and verdict of each.

Claims: Wu et al., ICML 2022. The seeds are the sample: each test uses one value per seed, and methods are compared
within a seed. Every multi-modal method that is neither greedy nor random is judged as one that balances.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.claims.evidence import Evidence, mean_evidence, path_evidence, rank_evidence, sign_evidence
from greedymm.analysis.claims.per_seed import ACCURACY, MAGNITUDE, SPEED, UNIMODAL, UTIL, PerSeed, per_seed
from greedymm.analysis.claims.statistics import MAX_SEEDS, Floats, holm, seeds_needed

ALPHA = 0.05
SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
CLAIMS = {
    "a": "Greedy training uses its modalities unequally",
    "b": "d_speed is a proxy of d_util",
    "c": "Balancing makes |d_util| smaller",
    "d": "Balancing improves test accuracy",
    "e": "It is more accurate than random re-balancing",
    "f": "The multi-modal network beats its best single modality",
}
UNSIGNED = "more than two modalities: d_util has no sign, no test"
COLUMNS = [
    *("claim", "hypothesis", "dataset", "method", "measure", "n", "estimate", "low", "high", "null_mean"),
    *("p", "p_holm", "smallest_p", "verdict", "seeds_needed", "note"),
]


class Finding(NamedTuple):
    """A claim and its evidence."""

    claim: str
    hypothesis: str
    dataset: str
    method: str
    measure: str
    evidence: Evidence


def claims_table(runs: pd.DataFrame, training: pd.DataFrame | None = None, *, split: str = "test") -> pd.DataFrame:
    """Judge the claims: a row per dataset, claim and method, datasets in the order of the runs, claims a to f.

    Args:
        runs: a row per run: dataset, method, seed, test_accuracy, d_speed, and d_util and utilization of the split.
            Methods are compared over the seeds that both have.
        training: columns dataset, method, seed, epoch, d_speed, d_util, of these runs; None: (b) over runs only.
        split: whose d_util is judged, test or val. Accuracies are those of the test split.

    Returns:
        COLUMNS. `n`: seeds in which the measure is defined. `low`, `high`: 95 % interval of the estimate, not
        corrected for the number of claims. `p`: two-sided, by sign flips of seeds; for claim (b) by permutations of
        seeds, of the difference from `null_mean`. `smallest_p`: that n seeds can reach. `p_holm`: corrected over all
        rows. `verdict`: supported or contradicted at p_holm <= 0.05, else undecided. `seeds_needed`: to decide with
        power 0.8 at the level that Holm guarantees to the undecided rows, if the true effect is as large as the
        estimate; a number, "> 1000", or None, where `note` says why.

    Raises:
        ValueError: if a dataset has two runs of the same method and seed.
    """
    judges = (_unequal, _proxy, _balancing, _above_best_modality)
    findings = [finding for data in per_seed(runs, training, split) for judge in judges for finding in judge(data)]
    p_holm = holm([f.evidence.p for f in findings])
    level = ALPHA / max(sum(f.evidence.testable for f in findings) - int((p_holm <= ALPHA).sum()), 1)
    rows = [_row(finding, p, level) for finding, p in zip(findings, p_holm, strict=True)]
    needed = pd.Series([row["seeds_needed"] for row in rows], dtype=object)  # None would turn numbers into floats
    return pd.DataFrame(rows, columns=COLUMNS).assign(seeds_needed=needed)


def _unequal(data: PerSeed) -> Iterator[Finding]:
    if "greedy" not in data.multimodal:
        return
    text = "greedy training uses its modalities unequally, on average in one direction over seeds"
    d_util = data.measures[UTIL, "greedy"].to_numpy()
    evidence = mean_evidence(d_util, 0)
    evidence = evidence if data.signed else _without_sign(evidence)
    note = join_notes(f"{(d_util > 0).sum()} of {evidence.n} seeds above 0", evidence.note)
    yield Finding("a", text, data.dataset, "greedy", f"{data.split} {UTIL}", evidence._replace(note=note))


def _proxy(data: PerSeed) -> Iterator[Finding]:
    if not data.multimodal:
        return
    text = f"d_speed is a proxy of {data.split} {UTIL}: seeds that differ in one differ in both"
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
        limit, split = (1, "") if measure == ACCURACY else (np.inf, f"{data.split} ")
        name = f"{split}{measure}, less that of {reference}"
        for method in balancing if reference in data.multimodal else []:
            change = (data.measures[measure, method] - data.measures[measure, reference]).to_numpy()
            evidence = mean_evidence(change, direction, limit)
            yield Finding(claim, text.format(method), data.dataset, method, name, evidence)


def _above_best_modality(data: PerSeed) -> Iterator[Finding]:
    """Compare with the modality that is best on test, over the seeds that all have. No choice favors the claim."""
    for method in [m for m in data.multimodal if m != "random"] if data.unimodal else []:
        values = data.measures[ACCURACY][[method, *data.unimodal]].dropna().to_numpy()  # (seeds, 1 + modalities)
        against = [mean_evidence(values[:, 0] - of_modality, 1, 1) for of_modality in values[:, 1:].T]
        best = int(np.argmax(values[:, 1:].sum(axis=0)))
        evidence, note = against[best], f"best on test: {data.unimodal[best].removeprefix(UNIMODAL)}"
        if len(against) > 1 and evidence.n > 1:
            note += f", p allows for its choice among {len(against)}"
            beaten = evidence.effect <= 0
            evidence = bonferroni(evidence, len(against)) if beaten else intersection_union(evidence, against)
        evidence = evidence._replace(note=join_notes(note, evidence.note))
        text = f"the multi-modal network ({method}) beats its best single modality"
        yield Finding("f", text, data.dataset, method, f"{ACCURACY}, less that of {data.unimodal[best]}", evidence)


def intersection_union(evidence: Evidence, alternatives: list[Evidence]) -> Evidence:
    """Evidence on being better than the best of several, which is being better than each: the largest p counts."""
    return evidence._replace(p=max(e.p for e in alternatives), effect=min(e.effect for e in alternatives))


def bonferroni(evidence: Evidence, comparisons: int) -> Evidence:
    """Evidence on being worse than the best of several, which is being worse than any of them."""
    p, smallest_p = (min(1.0, value * comparisons) for value in (evidence.p, evidence.smallest_p))
    return evidence._replace(p=p, smallest_p=smallest_p, comparisons=comparisons)


def _row(finding: Finding, p_holm: float, level: float) -> dict[str, Any]:
    evidence, verdict, seeds, notes = finding.evidence, UNDECIDED, None, [finding.evidence.note]
    if p_holm <= ALPHA and evidence.effect:
        verdict = SUPPORTED if evidence.effect > 0 else CONTRADICTED
    elif not np.isnan(evidence.p):
        seeds = _seeds_needed(evidence, level)
        notes += ["the estimate contradicts the claim"] if evidence.effect < 0 else []
        notes += [] if evidence.effect else ["no difference seen"]
        notes += [] if evidence.kind else ["no sample-size estimate for this measure"]
    judged = {"p_holm": p_holm, "verdict": verdict, "seeds_needed": seeds, "note": join_notes(*notes)}
    return finding._asdict() | evidence._asdict() | judged


def _seeds_needed(evidence: Evidence, level: float) -> int | str | None:
    if not (evidence.kind and evidence.effect):
        return None
    seeds = seeds_needed(evidence.kind, abs(evidence.effect), level / evidence.comparisons)
    return f"> {MAX_SEEDS}" if seeds is None else max(seeds, evidence.n + 1)  # n seeds have not decided


def join_notes(*notes: str) -> str:
    """All notes that are not empty, in one line."""
    return "; ".join(note for note in notes if note)
