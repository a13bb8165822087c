"""The paper's claims -> a table of what the runs say on each: estimate, interval, test over seeds, verdict.

Claims: Wu et al., ICML 2022. The seeds are the sample: whatever is tested is one number per seed, methods are
compared within a seed, and runs of one seed never count as independent. Every multi-modal method that is neither
greedy nor random is judged as one that balances.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from greedymm.analysis.aggregate import SPLITS
from greedymm.analysis.evidence import Evidence, of_mean, of_paths, of_ranks, of_signs, unsigned, without_test
from greedymm.analysis.per_seed import ACCURACY, ALONE, MAGNITUDE, SPEED, UTIL, Data, per_seed
from greedymm.analysis.permutation import LEAST
from greedymm.analysis.power import MOST
from greedymm.analysis.statistics import Floats, holm

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
COLUMNS = [
    *("claim", "hypothesis", "dataset", "method", "measure", "n", "planned", "estimate", "low", "high", "exchanged"),
    *("p", "p_holm", "smallest_p", "verdict", "seeds_needed", "note"),
]


class Finding(NamedTuple):
    """A claim, and the evidence on it."""

    claim: str
    hypothesis: str
    dataset: str
    method: str
    measure: str
    planned: int  # seeds
    evidence: Evidence


def claims_table(runs: pd.DataFrame, training: pd.DataFrame | None = None, *, split: str = "test") -> pd.DataFrame:
    """Judge the claims: a row per dataset, claim and method, datasets in the order of the runs, claims a to f.

    Args:
        runs: as `collect` gives it, with those left out: what was planned keeps its rows, whatever is missing.
            Methods are compared over the seeds that both have.
        training: columns dataset, method, seed, epoch, d_speed, d_util, of these runs; None: (b) over runs only.
        split: whose d_util is judged, test or val. Accuracies are those of the test split.

    Returns:
        COLUMNS. `n`: seeds, of those `planned` for the dataset. `low`, `high`: 95 % interval of the estimate, not
        corrected for the number of claims. `exchanged`: the estimate with the seeds exchanged, where p is of what
        differs from it.
        `p`: two-sided, by sign flips (claim b: permutations) of seeds; `smallest_p`: what n seeds can reach.
        `p_holm`: corrected over all rows that have a p. `verdict`: supported or contradicted at p_holm <= 0.05, else
        undecided. `seeds_needed`: for power 0.8 with the effect seen, at the level at which Holm rejects whatever
        the other undecided rows say, those that more seeds would make testable among them, for or against the claim;
        a number, "> 1000", or None: decided, not tested, of a share of signs, or no effect seen, as `note` says.

    Raises:
        ValueError: if a dataset has two runs of the same method and seed.
    """
    return _judged([finding for data in per_seed(runs, training, split) for finding in _findings(data)])


# -- The claims ---------------------------------------------------------------------------------------------


def _findings(data: Data) -> Iterator[Finding]:
    if "greedy" in data.methods:
        yield _unequal(data)
    if data.multimodal:
        yield from _proxy(data)
    yield from _balancing(data)
    yield from _above_the_best_modality(data)


def _unequal(data: Data) -> Finding:
    text = "greedy training uses its modalities unequally, on average in one direction over seeds"
    d_util = data.of(UTIL, "greedy")
    found = of_mean(d_util, 0)
    found = found if data.signed else unsigned(found)
    count = f"{(d_util > 0).sum()} of {found.n} seeds above 0"
    found = found._replace(note=_notes(count, found.note))
    return Finding("a", text, data.dataset, "greedy", f"{SPLITS[data.split]} {UTIL}", data.seeds, found)


def _proxy(data: Data) -> Iterator[Finding]:
    row = partial(
        Finding,
        "b",
        f"d_speed is a proxy of {SPLITS[data.split]} {UTIL}: seeds that differ in one differ in both",
        data.dataset,
        "all",
        planned=data.seeds,
    )
    over_runs = data.over_runs(SPEED), data.over_runs(UTIL)
    share = _agreement(data, *(table[..., None] for table in over_runs))
    yield row(measure="rank correlation over runs", evidence=of_ranks(*over_runs))
    yield row(measure="share with the same sign, over runs", evidence=share)
    if data.paths[0].size:  # measured at some epochs, of these data
        yield row(measure="rank correlation over training", evidence=of_paths(*data.paths))
        yield row(measure="share with the same sign, over training", evidence=_agreement(data, *data.paths))


def _agreement(data: Data, x: Floats, y: Floats) -> Evidence:
    found = of_signs(x, y)
    if data.signed:
        return found
    return unsigned(found._replace(estimate=np.nan, low=np.nan, high=np.nan))  # nor has a share of them a meaning


def _balancing(data: Data) -> Iterator[Finding]:
    for claim, text, measure, reference, direction in [
        ("c", "{} makes |d_util| smaller than greedy training does", MAGNITUDE, "greedy", -1),
        ("d", "{} improves test accuracy over greedy training", ACCURACY, "greedy", 1),
        ("e", "{} is more accurate on test than random re-balancing", ACCURACY, "random", 1),
    ]:
        for method in data.balancing if reference in data.methods else []:
            change = data.of(measure, method) - data.of(measure, reference)
            shown = f"{SPLITS[data.split]} {MAGNITUDE}" if measure == MAGNITUDE else measure
            name = f"{shown}, less that of {reference}"
            found = of_mean(change, direction, 1 if measure == ACCURACY else np.inf)
            yield Finding(claim, text.format(method), data.dataset, method, name, data.seeds, found)


def _above_the_best_modality(data: Data) -> Iterator[Finding]:
    """Of greedy and of what balances, against the modality that is best on test: no choice helps the claim."""
    alone = [m for m in data.methods if m.startswith(ALONE)]
    for method in [m for m in data.multimodal if m != "random"] if alone else []:
        against = {m: of_mean(data.of(ACCURACY, method) - data.of(ACCURACY, m), 1, 1) for m in alone}
        missing = ", ".join(m for m, found in against.items() if not found.n)  # it may be the best
        best = _best_modality(data, [m for m in alone if against[m].n] or alone)
        if missing:
            found = without_test(against[best], f"no seed of {missing} to compare with: not tested")
        else:
            found = _against_all(best, against)
        text = f"the multi-modal network ({method}) beats its best single modality"
        name = f"{ACCURACY}, less that of {best}"
        yield Finding("f", text, data.dataset, method, name, data.seeds, found)


def _best_modality(data: Data, among: Iterable[str]) -> str:
    """Name of the unimodal reference with the best mean test accuracy; the first of equals, and where none has any."""

    def mean(method: str) -> float:
        x = data.of(ACCURACY, method)
        return float(x[np.isfinite(x)].mean()) if np.isfinite(x).any() else -np.inf

    return max(among, key=mean)


def _against_all(best: str, against: dict[str, Evidence]) -> Evidence:
    """Evidence against the best; its p allows for the best having been chosen by what is tested.

    To beat the best is to beat all: the largest p of them (intersection-union test). To be beaten by the best is to
    be beaten by any: its p times their number (Bonferroni).
    """
    found, chosen = against[best], f"best on test: {best.removeprefix(ALONE)}"
    if len(against) > 1 and found.n > 1:
        chosen += f", p allows for its choice among {len(against)}"
        found = _beaten(found, list(against.values())) if found.favour > 0 else _times(found, len(against))
    return found._replace(note=_notes(chosen, found.note))


def _beaten(found: Evidence, every: list[Evidence]) -> Evidence:
    """The evidence on having beaten the best, with what having beaten all of them takes."""
    ahead = [f if f.favour > 0 and f.n > 1 else f._replace(p=1.0, seeds=None) for f in every]
    searches = [f.seeds for f in ahead if f.seeds]

    def seeds(level: float) -> int | None:
        each = [search(level) for search in searches]
        return None if None in each else max(n for n in each if n is not None)

    p, smallest = max(f.p for f in ahead), max(f.smallest_p for f in ahead)
    return found._replace(p=p, smallest_p=smallest, seeds=seeds if len(searches) == len(every) else None)


def _times(found: Evidence, number: int) -> Evidence:
    search = found.seeds
    return found._replace(
        p=min(1.0, found.p * number),
        smallest_p=min(1.0, found.smallest_p * number),
        seeds=(lambda level: search(level / number)) if search else None,
    )


# -- Verdicts -----------------------------------------------------------------------------------------------


def _judged(findings: list[Finding]) -> pd.DataFrame:
    p = np.array([f.evidence.p for f in findings])
    corrected = holm(p)
    # p at or below it is rejected, whatever the other undecided rows say: those of now, or of more seeds.
    now, later = (
        ALPHA / max(int(number - (corrected <= ALPHA).sum()), 1)
        for number in (np.isfinite(p).sum(), sum(f.evidence.testable for f in findings))
    )
    rows = [_row(finding, p_holm, now, later) for finding, p_holm in zip(findings, corrected, strict=True)]
    needed = pd.Series([row["seeds_needed"] for row in rows], dtype=object)  # else a None makes all of them floats
    return pd.DataFrame(rows, columns=COLUMNS).assign(seeds_needed=needed)


def _row(finding: Finding, p_holm: float, now: float, later: float) -> dict[str, Any]:
    found = finding.evidence
    verdict = UNDECIDED
    if p_holm <= ALPHA and found.favour:
        verdict = SUPPORTED if found.favour > 0 else CONTRADICTED
    few = _notes(_too_few(found, now), _seen(found)) if verdict == UNDECIDED else ""
    needed = _needed(found, later) if verdict == UNDECIDED else None
    judged = {"p_holm": p_holm, "verdict": verdict, "seeds_needed": needed, "note": _notes(found.note, few)}
    return finding._asdict() | found._asdict() | judged


def _needed(found: Evidence, level: float) -> int | str | None:
    if found.seeds is None:
        return None
    if level < LEAST:  # which the draws of the tests cannot reach, however many seeds there are
        return None
    seeds = found.seeds(level)
    return f"> {MOST}" if seeds is None else max(seeds, found.n + 1)  # as many as there are have not decided


def _seen(found: Evidence) -> str:
    """Which way the undecided evidence points, and why no number of seeds is told."""
    if np.isnan(found.p):
        return ""
    if not found.favour:
        return "no difference seen"
    against = "what was seen is against the claim" if found.favour < 0 else ""
    return _notes(against, "" if found.seeds else "how many seeds would decide is not told")


def _too_few(found: Evidence, level: float) -> str:
    """Says where the seeds are fewer than the correction for the undecided rows asks for, whatever they show."""
    if np.isnan(found.p) or found.smallest_p <= level:
        return ""
    few = "seeds" if found.smallest_p > LEAST else "re-arrangements drawn for so many tests"
    return f"too few {few}: no p below {found.smallest_p:.2g}, needed {level:.2g}"


def _notes(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
