"""Robustness: accuracy of the network if a modality is missing in some samples, or if noise is added to it.

Missing: modality m is absent in a share q of the samples, drawn independently. It is cut from the fusions of the
others, and has no vote. The expected accuracy is a straight line, (1 - q) A(all) + q A(without m), so only the end
point q = 1 is predicted, and nothing is drawn. Noise: Gaussian noise of standard deviation s is added to the input of
modality m, in units of the network's inputs. All levels have the same draw, scaled.

    area = integral of the accuracy from 0 to the highest level / highest level

Cost: M passes without a modality; for each noise level one pass up to the first fusion, and M passes from there on.

Pitfalls: noise of one s is not equally strong in modalities of different contrast. Compare methods, and modalities with
care. A flat curve can mean that the network is robust, or that it ignores the modality.

Source: MultiBench, Liang et al., NeurIPS 2021, which divides areas by tables of its own tasks. We do not.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import AfterValidator, Field

from greedymm.evaluation.evaluate import NETWORK, column, is_correct
from greedymm.evaluation.measures.common import Predicted, generator, others, predict_replaced, subset_name, subset_pass
from greedymm.models.network import Batches, MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings


def _rising(levels: tuple[float, ...]) -> tuple[float, ...]:
    if list(levels) != sorted(set(levels)):
        raise ValueError(f"levels must rise, not {list(levels)}")
    return levels


class Settings(MeasureSettings):
    """Measure `robustness`: accuracy if a modality is missing or noisy."""

    during_training = False
    rates: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], AfterValidator(_rising), Field(min_length=1)] = (
        Field((0.5, 1.0), description="q: shares of samples without the modality, in rising order")
    )
    noise: Annotated[tuple[Annotated[float, Field(gt=0)], ...], AfterValidator(_rising), Field(min_length=1)] = Field(
        (0.25, 0.5, 1.0), description="s: standard deviations, in units of the network's inputs, in rising order"
    )
    seed: int = Field(default=0, ge=0, description="of the noise")


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """One pass without each modality."""
    without = [subset_pass(others(k, modalities), modalities) for k in range(len(modalities))]
    return {name: how for one in without for name, how in one.items()}


@torch.no_grad()
def columns(settings: Settings, network: MultimodalNetwork, _train: Batches, split: Batches) -> dict[str, Predicted]:
    """`mean_noise_<m>_<s>`: predicted classes with noise on modality m."""
    draws = generator(settings.seed)
    parts: dict[str, list[Predicted]] = {}
    for inputs, _ in split:
        clean = network.stem(inputs)
        noise = [torch.randn(x.shape, generator=draws).to(x.device) for x in inputs]
        for level in settings.noise:
            noisy = network.stem([x + level * e for x, e in zip(inputs, noise, strict=True)])
            for m, predicted in zip(network.modalities, predict_replaced(network, clean, noisy), strict=True):
                parts.setdefault(column(NETWORK, f"noise_{m}_{level:g}"), []).append(predicted)
    return {name: np.concatenate(each) for name, each in parts.items()}


def compute(settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split, all in [0, 1].

    Returns:
        `missing_accuracy_<m>_at_<q>` and `noise_accuracy_<m>_at_<s>`: accuracy at each level.
        `missing_area_<m>` and `noise_area_<m>`: mean accuracy from level 0 to the last.
    """
    full = float(is_correct(table, NETWORK).mean())
    result: dict[str, float | None] = {}
    for k, m in enumerate(modalities):
        without = float(is_correct(table, NETWORK, subset_name(others(k, modalities), modalities)).mean())
        missing = {q: (1 - q) * full + q * without for q in settings.rates}
        noisy = {s: float(is_correct(table, NETWORK, f"noise_{m}_{s:g}").mean()) for s in settings.noise}
        for kind, curve in (("missing", missing), ("noise", noisy)):
            result |= {f"{kind}_accuracy_{m}_at_{level:g}": value for level, value in curve.items()}
            result[f"{kind}_area_{m}"] = area({0.0: full} | curve)
    return result


def area(curve: dict[float, float]) -> float:
    """Mean of a curve over its range, by trapezoids between its levels, which start at 0.

    Example:
        >>> area({0.0: 1.0, 1.0: 0.5, 3.0: 0.5})
        0.5833333333333334
    """
    levels = list(curve)
    return float(np.trapezoid(list(curve.values()), levels) / levels[-1])
