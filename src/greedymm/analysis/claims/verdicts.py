"""Evidence of one family of tests -> verdicts. A family is one claim on one dataset: its methods or its measures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from greedymm.analysis.claims.evidence import Evidence, join_notes
from greedymm.analysis.claims.statistics import Floats, holm, seeds_for_equality, seeds_needed

ALPHA = 0.05
SUPPORTED, CONTRADICTED, EQUAL, UNDECIDED = "supported", "contradicted", "practically equal", "undecided"


class Verdict(NamedTuple):
    """Verdict on one test of a family."""

    verdict: str
    p_holm: float
    p_equal: float  # corrected like p_holm
    levels: tuple[float, float]  # of p and p_equal, that Holm guarantees to the undecided tests of the family
    note: str


def judge(family: Sequence[Evidence]) -> list[Verdict]:
    """Judge each test of a family. Differences and equalities are each corrected by Holm's method.

    A difference that is significant and within the margin is practically equal.
    """
    p_holm, p_flip, p_equal = (
        holm([getattr(evidence, name) for evidence in family]) for name in ("p", "p_sign_flip", "p_equal")
    )
    testable = sum(evidence.testable for evidence in family)
    levels = _level(testable, p_holm), _level(testable, p_equal)
    tests = zip(family, p_holm, p_flip, p_equal, strict=True)
    return [_judge(evidence, float(p), float(flip), float(equal), levels) for evidence, p, flip, equal in tests]


def _judge(evidence: Evidence, p: float, flip: float, equal: float, levels: tuple[float, float]) -> Verdict:
    by_t, by_flips, note = _decide(p, evidence.effect), _decide(flip, evidence.effect), ""
    if not np.isnan(flip) and by_flips != by_t:
        note = f"Student's t: {by_t}, p (Holm) {p:.2g}; sign flips: {by_flips}, p (Holm) {flip:.2g}"
    if equal > ALPHA or np.isnan(equal):
        return Verdict(by_t, p, equal, levels, note)
    if by_t != UNDECIDED:
        note = join_notes(f"a difference within the margin, p (Holm) {p:.2g}", note)
    return Verdict(EQUAL, p, equal, levels, note)


def _level(testable: int, p: Floats) -> float:
    return ALPHA / max(testable - int((p <= ALPHA).sum()), 1)


def _decide(p: float, effect: float) -> str:
    if p <= ALPHA and effect:
        return SUPPORTED if effect > 0 else CONTRADICTED
    return UNDECIDED


def seeds_to_decide(evidence: Evidence, levels: tuple[float, float]) -> int | None:
    """Fewest seeds that show a difference or equality with power 0.8; None: more than 1000, or no estimate."""
    effect, level = abs(evidence.effect), levels[0] / evidence.comparisons
    numbers = [seeds_needed(evidence.kind, effect, level) if effect else None]
    if evidence.margin > 0 and evidence.sd > 0:
        distance, margin = abs(evidence.estimate) / evidence.sd, evidence.margin / evidence.sd
        numbers.append(seeds_for_equality(distance, margin, levels[1]))
    return min(filter(None, numbers), default=None)
