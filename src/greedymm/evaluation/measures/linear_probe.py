"""Linear probe: accuracy of a linear classifier on the frozen features of a branch that is cut from the others.

Logistic regression with an L2 penalty, fitted on the standardized features of the training split. Standardization, C
and the number of iterations are the same for all methods. Cost: a cut pass over the training split and one over the
split, and M fits.

Pitfalls: with the fusion, features contain the other modalities, so the cut pass is used. The means that replace the
others are not what the branch was trained with. A probe measures what could be read from the features, and not what the
network reads. Compare it with the same probe on a network of one modality.

Source: Alain & Bengio 2016 (arXiv 1610.01644); for modalities Du et al., ICML 2023.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from greedymm.evaluation.evaluate import column, is_correct
from greedymm.evaluation.measures.common import CUT, Predicted, cut_pass
from greedymm.models.network import Batches, MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings

PROBE = "probe"
Features = list[npt.NDArray[np.float64]]  # (N, D_k) of each modality


class Settings(MeasureSettings):
    """Measure `linear_probe`: accuracy of logistic regression on the features of each branch, cut from the others."""

    during_training = False
    c: float = Field(default=1.0, gt=0, description="C of scikit-learn: inverse strength of the L2 penalty")
    iterations: int = Field(default=100, ge=1, description="maximum number of L-BFGS iterations")


def passes(_settings: Settings, modalities: Sequence[str]) -> dict[str, Pass]:
    """The cut pass."""
    return cut_pass(modalities)


def columns(settings: Settings, network: MultimodalNetwork, train: Batches, split: Batches) -> dict[str, Predicted]:
    """`<m>_probe`: classes that the probe of each branch predicts."""
    (known, labels), (features, _) = (cut_features(network, batches) for batches in (train, split))
    return {
        column(m, PROBE): predict(settings, x, labels, new)
        for m, x, new in zip(network.modalities, known, features, strict=True)
    }


def compute(_settings: Settings, table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Values of one split: `probe_accuracy_<m>` of each branch, in [0, 1]."""
    return {f"probe_accuracy_{m}": float(is_correct(table, m, PROBE).mean()) for m in modalities}


@torch.no_grad()
def cut_features(network: MultimodalNetwork, batches: Batches) -> tuple[Features, npt.NDArray[np.int64]]:
    """Features of each branch in the cut pass, and labels (N,)."""
    how = cut_pass(network.modalities)[CUT]
    assert how.hears is not None
    how = how._replace(hears=how.hears.to(next(network.parameters()).device))
    results = [(network(inputs, how).features, labels) for inputs, labels in batches]
    features, labels = zip(*results, strict=True)
    joined = [torch.cat(parts).double().cpu().numpy() for parts in zip(*features, strict=True)]
    return joined, torch.cat(labels).cpu().numpy()


def predict(
    settings: Settings,
    features: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    new: npt.NDArray[np.float64],
) -> Predicted:
    """Fit the probe on features (N, D) with labels, and predict classes of new features."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=settings.c, max_iter=settings.iterations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # all methods have the same number of iterations
        probe.fit(features, labels)
    predicted: Predicted = probe.predict(new).astype(np.int16)
    return predicted
