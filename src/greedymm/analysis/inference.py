"""A trained network + batches -> what it predicts, with probabilities."""

# B samples; M modalities.

from collections.abc import Iterable, Sequence

import pandas as pd
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.multistream import MultiStream, prediction

Batch = tuple[list[Tensor], Tensor]


@torch.no_grad()
def probabilities(
    model: MultiStream, batches: Iterable[Batch], known: pd.DataFrame, modalities: Sequence[str], classes: Sequence[str]
) -> pd.DataFrame:
    """Predictions of the mean and of each branch, un-cut: one row per sample and head.

    Args:
        model: trained; it is set to evaluation.
        batches: a split, in the order of `known`.
        known: columns split, id and label (a number).
        modalities: M names, m0 first.
        classes: names.

    Returns:
        Columns split, id, label (a name), head (`mean`, or a modality; a unimodal network has but its own),
        predicted (a name), and `p_<class>`, the probability of each class, in [0, 1]: the softmax of the
        head's logits. Those of the mean are the means of those of the branches.

    Raises:
        GreedymmError: if a logit is not finite.
    """
    model.eval()
    heads = ["mean", *modalities] if len(modalities) > 1 else list(modalities)
    scores = torch.cat([_scores(model(inputs)) for inputs, _ in batches]).softmax(dim=2).cpu()  # (N, heads, classes)
    if not scores.isfinite().all():
        raise GreedymmError("the network gives logits that are not finite")
    named = known.assign(label=[classes[k] for k in known["label"]])
    frames = []
    for h, head in enumerate(heads):
        of_classes = pd.DataFrame(scores[:, h].numpy(), columns=[f"p_{name}" for name in classes], index=named.index)
        predicted = [classes[k] for k in scores[:, h].argmax(dim=1).tolist()]
        frames.append(pd.concat([named.assign(head=head, predicted=predicted), of_classes], axis=1))
    return pd.concat(frames, ignore_index=True)


def _scores(logits: list[Tensor]) -> Tensor:
    """Logits of all heads: (B, heads, classes)."""
    return torch.stack([prediction(logits), *logits] if len(logits) > 1 else logits, dim=1)
