"""How far a quantity of each modality is apart: d_speed of learning speeds, d_util of utilization rates."""

from torch import Tensor

TWO_MODALITIES = 2


def modality_gap(values: Tensor) -> Tensor:
    """Difference between modalities: the first minus the second for two, the largest minus the smallest for more.

    For two modalities the sign says which one depends more on the other: positive, m0. For more it has no sign.

    Args:
        values: (M, *s) of M modalities.

    Returns:
        Shape (*s).
    """
    return values[0] - values[1] if len(values) == TWO_MODALITIES else values.amax(dim=0) - values.amin(dim=0)
