"""Expected calibration error by hand, and against scikit-learn and torchmetrics."""

import measured
import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from greedymm.evaluation.measures.calibration import BINS, Settings, calibration_error


def test_confidence_at_the_edge_of_two_bins_is_in_the_lower_one() -> None:
    confidence, correct = np.array([0.5, 0.5, 0.6, 1.0]), np.array([True, True, False, True])

    # Of two bins: (0, 0.5] has accuracy 1 and confidence 0.5; (0.5, 1] has 0.5 and 0.8.
    assert calibration_error(confidence, correct, bins=2) == pytest.approx(0.5 * 0.5 + 0.5 * 0.3)


def test_a_prediction_that_is_always_certain_errs_by_its_error_rate() -> None:
    assert calibration_error(np.ones(10), np.arange(10) < 7) == pytest.approx(0.3)


# 4 classes, logits 2 * randn of seed 0; error as torchmetrics 1.9.0 (multiclass_calibration_error, l1) gives it.
@pytest.mark.parametrize(("samples", "error"), [(50, 0.461133), (500, 0.416047)])
def test_error_is_that_of_torchmetrics(samples: int, error: float) -> None:
    draws = torch.Generator().manual_seed(0)
    for count in (50, 500)[: 1 + (samples == 500)]:
        logits = 2 * torch.randn(count, 4, generator=draws, dtype=torch.float64)
        labels = torch.randint(4, (count,), generator=draws)
    confidence, predicted = logits.softmax(dim=1).max(dim=1)

    assert calibration_error(confidence.numpy(), (predicted == labels).numpy()) == pytest.approx(error, abs=1e-6)


def test_errors_of_a_network_and_its_branches_are_those_of_the_bins_of_scikit_learn() -> None:
    model, split = measured.network(), measured.split()
    with torch.no_grad():
        output = model(split.inputs)

    table, found = measured.apply(Settings(name="calibration"), model, split)

    heads = {"mean": output.logits, "m0": output.branches[0], "m1": output.branches[1]}
    for (head, logits), name in zip(heads.items(), ("", "_m0", "_m1"), strict=True):
        confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
        np.testing.assert_allclose(table[f"{head}_confidence"], confidence, atol=1e-6)
        right = (predicted == split.labels).numpy()
        accuracy, mean = calibration_curve(right, confidence.numpy(), n_bins=BINS)
        counts = np.histogram(confidence.numpy(), np.linspace(0, 1, BINS + 1))[0]
        expected = (counts[counts > 0] * np.abs(accuracy - mean)).sum() / len(right)
        assert found[f"calibration_error{name}"] == pytest.approx(expected, abs=1e-6)
