"""The table of predictions: a row per sample, a column for each head and pass.

Columns `split`, `id`, `label`; then the predicted class of the network, `mean`, and of each branch, under its
modality's name: of the full pass under that name alone, of another pass with `_<pass>` behind it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Output, Pass

Batch = tuple[list[Tensor], Tensor]
NETWORK = "mean"  # the network's own prediction
FULL = ""


def column(head: str, name: str = FULL) -> str:
    """Column of a head, `mean` or a modality, in a pass."""
    return f"{head}_{name}" if name else head


def correct(table: pd.DataFrame, head: str, name: str = FULL) -> npt.NDArray[np.bool_]:
    """Whether a head is right in a pass: bool (N,)."""
    return (table[column(head, name)] == table["label"]).to_numpy()


@torch.no_grad()
def predict_split(
    network: MultimodalNetwork,
    batches: Iterable[Batch],
    samples: pd.DataFrame,
    modalities: Sequence[str],
    passes: Mapping[str, Pass],
) -> pd.DataFrame:
    """The table of predictions of a split.

    Args:
        network: trained, its means recorded.
        batches: the split, in the order of `samples`; read once for each pass.
        samples: columns split, id and label.
        modalities: M names, m0 first.
        passes: by their names, beside the full one.

    Raises:
        GreedymmError: if a logit is not finite.
    """
    network.eval()
    columns = [samples]
    for name, how in {FULL: Pass(), **passes}.items():
        scores = torch.cat([_heads(output) for output in _outputs(network, batches, how)])  # (N, 1 + M, classes)
        if not scores.isfinite().all():
            raise GreedymmError(
                "the network gives logits that are not finite: was it cut before its means were recorded?"
            )
        names = [column(head, name) for head in (NETWORK, *modalities)]
        columns.append(pd.DataFrame(scores.argmax(dim=2).cpu().numpy().astype(np.int16), columns=names))
    return pd.concat(columns, axis=1)


def _outputs(network: MultimodalNetwork, batches: Iterable[Batch], how: Pass) -> Iterator[Output]:
    how = how.to(next(network.parameters()).device)
    for inputs, _ in batches:
        yield network(inputs, how)


def _heads(output: Output) -> Tensor:
    """Logits of all heads: (B, 1 + M, classes)."""
    return torch.stack([output.logits, *output.branches], dim=1)


@torch.no_grad()
def probabilities(
    network: MultimodalNetwork,
    batches: Iterable[Batch],
    samples: pd.DataFrame,
    modalities: Sequence[str],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Predictions of the network and of each branch, with probabilities: one row per sample and head.

    Args:
        network: trained; it is set to evaluation.
        batches: a split, in the order of `samples`.
        samples: columns split, id and label (a number).
        modalities: M names, m0 first.
        classes: names.

    Returns:
        Columns split, id, label (a name), head (`mean`, or a modality; a unimodal network has but its own),
        predicted (a name), and `p_<class>`, the probability of each class, in [0, 1]: the softmax of the
        head's logits.

    Raises:
        GreedymmError: if a logit is not finite.
    """
    network.eval()
    heads = [NETWORK, *modalities] if len(modalities) > 1 else list(modalities)
    logits = torch.cat([_heads(output) for output in _outputs(network, batches, Pass())])[:, -len(heads) :]
    scores = logits.softmax(dim=2).cpu()  # (N, heads, classes)
    if not scores.isfinite().all():
        raise GreedymmError("the network gives logits that are not finite")
    named = samples.assign(label=[classes[k] for k in samples["label"]])
    frames = []
    for h, head in enumerate(heads):
        of_classes = pd.DataFrame(scores[:, h].numpy(), columns=[f"p_{name}" for name in classes], index=named.index)
        predicted = [classes[k] for k in scores[:, h].argmax(dim=1).tolist()]
        frames.append(pd.concat([named.assign(head=head, predicted=predicted), of_classes], axis=1))
    return pd.concat(frames, ignore_index=True)


def by_head(table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, Any]:
    """Accuracy of the network, and for M > 1 of each branch, in [0, 1]."""
    accuracies: dict[str, Any] = {"accuracy": float(correct(table, NETWORK).mean())}
    if len(modalities) > 1:
        accuracies |= {f"accuracy_{m}": float(correct(table, m).mean()) for m in modalities}
    return accuracies
