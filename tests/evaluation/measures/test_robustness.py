"""Curves against draws of missing modalities, against noise that is added by hand, and by hand."""

import measured
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from greedymm.evaluation.measures.robustness import Settings, area
from greedymm.models.network import Pass

SETTINGS = Settings(name="robustness")


def share(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    return float((predicted == labels).double().mean())


@pytest.mark.parametrize("modalities", [2, 3])
def test_accuracy_with_missing_modalities_is_the_mean_over_draws(modalities: int) -> None:
    model, split = measured.network(modalities), measured.split(modalities)
    repeated, labels = [x.repeat(50, 1, 1, 1) for x in split.inputs], split.labels.repeat(50)

    _, found = measured.apply(SETTINGS, model, split)

    for k, m in enumerate(model.modalities):
        present = torch.ones(len(labels), modalities, dtype=torch.bool)
        present[:, k] = torch.rand(len(labels), generator=torch.Generator().manual_seed(k)) < 0.5
        with torch.no_grad():
            drawn = model(repeated, Pass(present=present)).logits.argmax(dim=1)
            alone = model(split.inputs, Pass(present=torch.arange(modalities) != k)).logits.argmax(dim=1)
        assert found[f"missing_accuracy_{m}_at_0.5"] == pytest.approx(share(drawn, labels), abs=0.03)
        assert found[f"missing_accuracy_{m}_at_1"] == pytest.approx(share(alone, split.labels))
        line = [found["accuracy"], found[f"missing_accuracy_{m}_at_1"]]
        assert found[f"missing_area_{m}"] == pytest.approx(np.mean([v or 0 for v in line]))


def test_noise_is_added_to_one_modality_and_scaled() -> None:
    model, split = measured.network(), measured.split(size=40)
    draws = torch.Generator().manual_seed(3)
    noise = [torch.randn(x.shape, generator=draws) for x in split.inputs]

    _, found = measured.apply(Settings(name="robustness", noise=(0.5, 2.0), seed=3), model, split)

    for k, m in enumerate(model.modalities):
        curve = [found["accuracy"] or 0]
        for level in (0.5, 2.0):
            noisy = [x + level * e if n == k else x for n, (x, e) in enumerate(zip(split.inputs, noise, strict=True))]
            curve.append(measured.correct(model, noisy, split.labels))
            assert found[f"noise_accuracy_{m}_at_{level:g}"] == pytest.approx(curve[-1])
        assert found[f"noise_area_{m}"] == pytest.approx(np.trapezoid(curve, [0, 0.5, 2]) / 2)
    assert found["noise_accuracy_m0_at_2"] != found["noise_accuracy_m1_at_2"]


def test_the_area_of_a_flat_curve_is_its_height() -> None:
    assert area({0.0: 0.7, 0.1: 0.7, 3.0: 0.7}) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("levels", "message"), [((1.0, 0.5), "must rise"), ((0.5, 0.5), "must rise"), ((), "at least 1")]
)
def test_levels_that_do_not_rise_are_refused(levels: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(name="robustness", noise=levels)
    with pytest.raises(ValidationError, match=message):
        Settings(name="robustness", rates=levels)


def test_a_rate_above_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Settings(name="robustness", rates=(0.5, 1.5))
