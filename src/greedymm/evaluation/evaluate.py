"""A trained network + batches -> predictions of all passes that the measures need -> values of the measures."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.evaluation.predictions import Batch, accuracy_by_head, predict_split
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.params.plugins import module_of
from greedymm.settings import MeasureSettings


def required_passes(
    network: MultimodalNetwork, measures: Sequence[MeasureSettings], modalities: Sequence[str]
) -> dict[str, Pass]:
    """All passes that the measures need, by name; none for one modality.

    Raises:
        GreedymmError: if the network does not support a pass, or if two measures need different passes with one name.
    """
    passes: dict[str, Pass] = {}
    for measure in measures if len(modalities) > 1 else ():
        for name, how in module_of(measure).passes(measure, modalities).items():
            if missing := how.uses - network.supports:
                raise GreedymmError(
                    f"measure '{measure.name}' needs the pass '{name}' with {', '.join(sorted(missing))}, which the"
                    f" fusion cannot make; it can: {', '.join(sorted(network.supports))}. Delete it from `measures`"
                )
            if not passes.setdefault(name, how).equals(how):
                raise GreedymmError(
                    f"measure '{measure.name}': another measure has a different pass '{name}'; rename it"
                )
    return passes


def compute_measures(
    table: pd.DataFrame, measures: Sequence[MeasureSettings], modalities: Sequence[str]
) -> dict[str, float | None]:
    """Accuracies and the values of all measures on one split.

    Returns:
        Values by name; None where a value is undefined.

    Raises:
        GreedymmError: if two values have the same name.
    """
    values = accuracy_by_head(table, modalities)
    for measure in measures if len(modalities) > 1 else ():
        computed = module_of(measure).compute(measure, table, modalities)
        if duplicates := sorted(values.keys() & computed):
            raise GreedymmError(f"measure '{measure.name}': values {', '.join(duplicates)} exist already; rename them")
        values |= computed
    return values


def evaluate_snapshots(
    network: MultimodalNetwork,
    snapshots: Mapping[int, Mapping[str, Tensor]],
    train: Iterable[Batch],
    batches: Iterable[Batch],
    samples: pd.DataFrame,
    measures: Sequence[MeasureSettings],
    modalities: Sequence[str],
) -> pd.DataFrame:
    """Values of the measures at some epochs of training: one row per snapshot, with its `epoch`.

    Args:
        network: network of the run; afterwards it has the weights of the last snapshot.
        snapshots: epoch -> weights and buffers.
        train: the training split, not augmented, to record means.
        batches: the split to evaluate, in the order of `samples`.
        samples, measures, modalities: as for `predict_split` and `compute_measures`.
    """
    passes, rows = required_passes(network, measures, modalities), []
    for epoch, weights in sorted(snapshots.items()):
        network.load_state_dict(weights)
        network.record_means(train)
        table = predict_split(network, batches, samples, modalities, passes)
        rows.append({"epoch": epoch} | compute_measures(table, measures, modalities))
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["epoch"])
