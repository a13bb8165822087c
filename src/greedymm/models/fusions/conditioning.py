"""Roles in a fusion where one modality conditions the others."""

from greedymm.errors import GreedymmError


def others_of(fusion: str, modalities: int, conditioning: int) -> list[int]:
    """Branches that the conditioning one acts on.

    Raises:
        GreedymmError: if there is no such modality.
    """
    if conditioning >= modalities:
        raise GreedymmError(f"{fusion}: conditioning must be from 0 to {modalities - 1}, not {conditioning}")
    return [k for k in range(modalities) if k != conditioning]
