"""A trained network + batches -> one table of predictions -> measures.

The table has one row per sample: columns `split`, `id`, `label`, then predicted classes: `mean` of the network, and one
column per branch with the name of its modality. Columns of another pass than the full one end with `_<pass>`. Measures
add columns of their own for what a pass cannot express.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.network import Batch, Batches, MultimodalNetwork, Pass
from greedymm.params.plugins import module_of
from greedymm.settings import MeasureSettings

NETWORK = "mean"  # the network's own prediction
FULL = ""  # name of the full pass


@torch.no_grad()
def predict_logits(
    network: MultimodalNetwork, batches: Iterable[Batch], passes: Mapping[str, Pass]
) -> dict[str, Tensor]:
    """Logits of the network, then of each branch, in each pass: (N, 1 + M, classes).

    Raises:
        GreedymmError: if some are not finite.
    """
    network.eval()
    device = next(network.parameters()).device
    on_device = {
        name: Pass._make(option.to(device) if isinstance(option, Tensor) else option for option in how)
        for name, how in passes.items()
    }
    logits: dict[str, list[Tensor]] = {name: [] for name in passes}
    for inputs, _ in batches:
        stem = network.stem(inputs)
        for name, how in on_device.items():
            output = network.fuse(stem, how)
            logits[name].append(torch.stack([output.logits, *output.branches], dim=1))
    joined = {name: torch.cat(parts) for name, parts in logits.items()}
    if not all(part.isfinite().all() for part in joined.values()):
        raise GreedymmError("the network's logits are not finite: was it cut before its means were recorded?")
    return joined


def predict_split(
    network: MultimodalNetwork,
    split: Batches,
    samples: pd.DataFrame,
    measures: Sequence[MeasureSettings],
    train: Batches,
) -> pd.DataFrame:
    """The table of predictions of a split: of the full pass, and all passes and columns that the measures need.

    Args:
        network: of a run, with recorded means.
        split: the split, in the order of `samples`.
        samples: columns split, id and label.
        measures: settings.
        train: the training split as stored, not augmented.

    Raises:
        GreedymmError: if two columns have the same name.
    """
    frames = [samples]
    passes = {FULL: Pass(), **required_passes(network, measures)}
    for name, logits in predict_logits(network, split, passes).items():
        predicted = logits.argmax(dim=2).cpu().numpy().astype(np.int16)
        columns = [column(head, name) for head in (NETWORK, *network.modalities)]
        frames.append(pd.DataFrame(predicted, columns=columns))
    table = pd.concat(frames, axis=1)
    for measure in measures if len(network.modalities) > 1 else ():
        own = pd.DataFrame(_own_columns(measure, network, train, split))
        if duplicates := [str(name) for name in own if name in table]:
            names = ", ".join(duplicates)
            raise GreedymmError(f"measure '{measure.name}': columns {names} exist already; rename them")
        table = table.join(own)
    return table


def _own_columns(
    measure: MeasureSettings, network: MultimodalNetwork, train: Batches, split: Batches
) -> dict[str, npt.NDArray[np.generic]]:
    """The columns (N,) that a measure computes itself, if its plug-in has the function `columns`."""
    function = getattr(module_of(measure), "columns", None)
    return function(measure, network.eval(), train, split) if function else {}


def predict_probabilities(network: MultimodalNetwork, batches: Iterable[Batch], samples: pd.DataFrame) -> pd.DataFrame:
    """Predictions of a loaded network and of each branch, with probabilities: one row per sample and head.

    Returns:
        Columns split, id, label (a name), head (`mean` or a modality; for one modality only the latter), predicted
        (a name), and `p_<class>` for each class, in [0, 1]: the softmax of the head's logits.
    """
    logits, names = predict_logits(network, batches, {FULL: Pass()})[FULL], np.array(network.classes)
    probabilities = logits.softmax(dim=2).cpu().numpy()
    frames = []
    for index, head in enumerate((NETWORK, *network.modalities)):
        p = probabilities[:, index]  # (N, classes)
        frame = samples.assign(label=names[samples["label"]], head=head, predicted=names[p.argmax(axis=1)])
        frames.append(frame.assign(**{f"p_{name}": p[:, c] for c, name in enumerate(names)}))
    return pd.concat(frames if len(network.modalities) > 1 else frames[1:], ignore_index=True)


def column(head: str, name: str = FULL) -> str:
    """Column of a head, `mean` or a modality, in a pass."""
    return f"{head}_{name}" if name else head


def is_correct(table: pd.DataFrame, head: str, name: str = FULL) -> npt.NDArray[np.bool_]:
    """Whether a head's prediction in a pass is correct: bool (N,)."""
    return (table[column(head, name)] == table["label"]).to_numpy()


def required_passes(network: MultimodalNetwork, measures: Sequence[MeasureSettings]) -> dict[str, Pass]:
    """All passes that the measures need, by name; none for one modality.

    Raises:
        GreedymmError: if a fusion does not support a pass, or if two measures have different passes of the same name.
    """
    passes: dict[str, Pass] = {}
    for measure in measures if len(network.modalities) > 1 else ():
        for name, how in module_of(measure).passes(measure, network.modalities).items():
            network.require(how.uses, f"measure '{measure.name}'")
            if repr(passes.setdefault(name, how)) != repr(how):
                raise GreedymmError(f"two measures have different passes '{name}'; rename that of '{measure.name}'")
    return passes


def compute_measures(
    table: pd.DataFrame, measures: Sequence[MeasureSettings], modalities: Sequence[str]
) -> dict[str, float | None]:
    """Accuracies of the network and of each branch, in [0, 1], and the values of all measures on one split.

    A value is None where it is undefined.

    Raises:
        GreedymmError: if two values have the same name.
    """
    values: dict[str, float | None] = {"accuracy": float(is_correct(table, NETWORK).mean())}
    if len(modalities) == 1:
        return values
    values |= {f"accuracy_{m}": float(is_correct(table, m).mean()) for m in modalities}
    for measure in measures:
        computed = module_of(measure).compute(measure, table, modalities)
        if duplicates := sorted(values.keys() & computed):
            raise GreedymmError(f"measure '{measure.name}': values {', '.join(duplicates)} exist already; rename them")
        values |= computed
    return values
