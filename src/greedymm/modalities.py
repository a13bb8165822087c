"""Comparison of modalities: the gap between their quantities, and exact Shapley values (Shapley 1953)."""

from collections.abc import Callable
from itertools import chain, combinations
from math import factorial
from typing import Any

from torch import Tensor

Subset = tuple[int, ...]  # player numbers in ascending order
TWO_MODALITIES = 2


def modality_gap(values: Tensor) -> Tensor:
    """Difference between M modalities, (M, *s) -> (*s): m0 minus m1 for two, the largest minus the smallest for more.

    For two modalities the sign says which one depends more on the other: positive, m0. For more it has no sign.
    """
    return values[0] - values[1] if len(values) == TWO_MODALITIES else values.amax(dim=0) - values.amin(dim=0)


def shapley_values(value: Callable[[Subset], Any], players: int) -> list[Any]:
    """Mean gain of each of M players over all orders to join. `value` maps a set of players to a number or a tensor.

    Example:
        >>> shapley_values({(): 0.0, (0,): 0.5, (1,): 0.25, (0, 1): 1.0}.__getitem__, 2)
        [0.625, 0.375]
    """
    values = []
    for m in range(players):
        others = [subset for subset in subsets(players) if m not in subset]
        weights = [factorial(len(s)) * factorial(players - len(s) - 1) / factorial(players) for s in others]
        gains = [value(tuple(sorted((*s, m)))) - value(s) for s in others]
        values.append(sum(w * gain for w, gain in zip(weights, gains, strict=True)))
    return values


def subsets(players: int) -> list[Subset]:
    """All sets of players, from the empty set to all players."""
    return list(chain.from_iterable(combinations(range(players), size) for size in range(players + 1)))
