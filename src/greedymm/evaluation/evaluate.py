"""A trained network + batches -> predictions, of all passes that the measures ask for -> what they measure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.evaluation.predictions import Batch, by_head, predict_split
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.params.plugins import module_of
from greedymm.settings import MeasureSettings


def passes_of(measures: Sequence[MeasureSettings], modalities: Sequence[str]) -> dict[str, Pass]:
    """All passes that some measures ask for, by their names; none where there is one modality.

    Raises:
        GreedymmError: if two measures ask for different passes of one name.
    """
    passes: dict[str, Pass] = {}
    for measure in measures if len(modalities) > 1 else ():
        for name, how in module_of(measure).passes(measure, modalities).items():
            if not passes.setdefault(name, how).equals(how):
                raise GreedymmError(
                    f"measure '{measure.name}': another measure has a different pass '{name}'; rename it"
                )
    return passes


def check(network: MultimodalNetwork, measures: Sequence[MeasureSettings], modalities: Sequence[str]) -> None:
    """Make sure that a network can make the passes that the measures ask for.

    Raises:
        GreedymmError: if it cannot; the message names the measure and the pass.
    """
    passes_of(measures, modalities)
    for measure in measures:
        for name, how in passes_of([measure], modalities).items():
            if missing := how.uses - network.makes:
                raise GreedymmError(
                    f"measure '{measure.name}' needs the pass '{name}' with {', '.join(sorted(missing))}, which the"
                    f" fusion cannot make; it can: {', '.join(sorted(network.makes))}. Leave it out of `measures`"
                )


def measured(
    table: pd.DataFrame, measures: Sequence[MeasureSettings], modalities: Sequence[str]
) -> dict[str, float | None]:
    """Accuracies and all measures of one split.

    Args:
        table: of predictions, with all passes that the measures ask for.
        measures: settings.
        modalities: M names, m0 first.

    Returns:
        What each measure gives, by its own names; None where it is undefined.
    """
    values: dict[str, Any] = by_head(table, modalities)
    for measure in measures if len(modalities) > 1 else ():
        own = module_of(measure).compute(measure, table, modalities)
        if clash := sorted(values.keys() & own):
            raise GreedymmError(
                f"measure '{measure.name}': there are values {', '.join(clash)} already; rename its own"
            )
        values |= own
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
    """Measures at chosen epochs: a row per snapshot, `epoch` and what `measured` gives.

    Args:
        network: of the snapshots' form; it is left with the weights of the last one.
        snapshots: epoch -> weights and buffers.
        train: the training set, as it is evaluated, for the means that cut branches hear.
        batches: the split to measure on, in the order of `samples`.
        samples: columns split, id and label.
        measures: settings.
        modalities: M names, m0 first.
    """
    passes, rows = passes_of(measures, modalities), []
    for epoch, weights in sorted(snapshots.items()):
        network.load_state_dict(weights)
        network.record_means(train)
        table = predict_split(network, batches, samples, modalities, passes)
        rows.append({"epoch": epoch} | measured(table, measures, modalities))
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["epoch"])
