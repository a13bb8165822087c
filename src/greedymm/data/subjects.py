"""Subjects of clips -> those held out for validation."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

DRAWS = 500


class Taken(Protocol):
    """A clip of a subject."""

    @property
    def subject(self) -> int: ...

    @property
    def label(self) -> Any: ...


def hold_out_subjects(clips: Sequence[Taken], share: float, rng: np.random.Generator) -> set[int]:
    """Draw subjects until they have at least a share of the clips.

    Every class keeps a subject for training. The draw is repeated until every class with several subjects has one for
    validation, too; of `DRAWS` draws, the one with most classes is used, and of equal ones that with the fewest clips.
    """
    subjects_of: dict[Any, set[int]] = defaultdict(set)
    for clip in clips:
        subjects_of[clip.label].add(clip.subject)
    counts = Counter(clip.subject for clip in clips)
    several = [subjects for subjects in subjects_of.values() if len(subjects) > 1]
    best, validated = set[int](), -1
    for _ in range(DRAWS):
        held = _draw(rng.permutation(sorted(counts)).tolist(), counts, list(subjects_of.values()), share)
        number = sum(not held.isdisjoint(subjects) for subjects in several)
        if (number, -sum(counts[s] for s in held)) > (validated, -sum(counts[s] for s in best)):
            best, validated = held, number
        if number == len(several):
            break
    return best


def _draw(order: list[int], counts: Counter[int], classes: Sequence[set[int]], share: float) -> set[int]:
    """Subjects from the end of an order that are held out; each class keeps one that is not."""
    held: set[int] = set()
    for subject in reversed(order):
        has_share = sum(counts[s] for s in held) >= share * counts.total()
        is_needed = any(subject in subjects and held.isdisjoint(subjects) for subjects in classes)
        if (is_needed or not has_share) and not any(subjects <= held | {subject} for subjects in classes):
            held.add(subject)
    return held
