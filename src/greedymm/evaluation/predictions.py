"""The table of predictions: one row per sample, one column for each head and pass.

Columns `split`, `id`, `label`, then predicted classes: `mean` of the network, and one column per branch with the name
of its modality. Columns of another pass than the full one end with `_<pass>`.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Pass

Batch = tuple[list[Tensor], Tensor]
NETWORK = "mean"  # the network's own prediction
FULL = ""  # name of the full pass


def column(head: str, name: str = FULL) -> str:
    """Column of a head, `mean` or a modality, in a pass."""
    return f"{head}_{name}" if name else head


def is_correct(table: pd.DataFrame, head: str, name: str = FULL) -> npt.NDArray[np.bool_]:
    """Whether a head's prediction in a pass is correct: bool (N,)."""
    return (table[column(head, name)] == table["label"]).to_numpy()


def accuracy_by_head(table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    """Accuracy of the network, and for M > 1 of each branch, in [0, 1]."""
    names = {NETWORK: "accuracy"} | ({m: f"accuracy_{m}" for m in modalities} if len(modalities) > 1 else {})
    return {name: float(is_correct(table, head).mean()) for head, name in names.items()}


@torch.no_grad()
def predict_logits(network: MultimodalNetwork, batches: Iterable[Batch], how: Pass = Pass()) -> Tensor:  # noqa: B008
    """Logits of the network, then of each branch: (N, 1 + M, classes).

    Raises:
        GreedymmError: if a logit is not finite.
    """
    network.eval()
    how = how.to(next(network.parameters()).device)
    outputs = (network(inputs, how) for inputs, _ in batches)
    logits = torch.cat([torch.stack([output.logits, *output.branches], dim=1) for output in outputs])
    if not logits.isfinite().all():
        raise GreedymmError("the network's logits are not finite: was it cut before its means were recorded?")
    return logits


def predict_split(
    network: MultimodalNetwork,
    batches: Iterable[Batch],
    samples: pd.DataFrame,
    modalities: Sequence[str],
    passes: Mapping[str, Pass],
) -> pd.DataFrame:
    """The table of predictions of a split.

    Args:
        network: trained, with recorded means.
        batches: the split, in the order of `samples`; read once for each pass.
        samples: columns split, id and label.
        modalities: M names, m0 first.
        passes: by name, in addition to the full pass.

    Raises:
        GreedymmError: if a logit is not finite.
    """
    frames = [samples]
    for name, how in {FULL: Pass(), **passes}.items():
        predicted = predict_logits(network, batches, how).argmax(dim=2).cpu().numpy().astype(np.int16)
        frames.append(pd.DataFrame(predicted, columns=[column(head, name) for head in (NETWORK, *modalities)]))
    return pd.concat(frames, axis=1)


def predict_probabilities(
    network: MultimodalNetwork,
    batches: Iterable[Batch],
    samples: pd.DataFrame,
    modalities: Sequence[str],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Predictions of the network and of each branch with probabilities: one row per sample and head.

    Args:
        network: trained.
        batches: a split, in the order of `samples`.
        samples: columns split, id and label (a number).
        modalities: M names, m0 first.
        classes: names.

    Returns:
        Columns split, id, label (a name), head (`mean` or a modality; for one modality only the latter), predicted
        (a name), and `p_<class>` for each class, in [0, 1]: the softmax of the head's logits.

    Raises:
        GreedymmError: if a logit is not finite.
    """
    probabilities, names = predict_logits(network, batches).softmax(dim=2).cpu(), np.array(classes)
    heads = list(enumerate((NETWORK, *modalities)))[0 if len(modalities) > 1 else 1 :]
    frames = []
    for index, head in heads:
        p = probabilities[:, index].numpy()  # (N, classes)
        frame = samples.assign(label=names[samples["label"]], head=head, predicted=names[p.argmax(axis=1)])
        frames.append(frame.assign(**{f"p_{name}": p[:, c] for c, name in enumerate(classes)}))
    return pd.concat(frames, ignore_index=True)
