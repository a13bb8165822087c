"""Modalities of a network, from what a dataset's plug-in says and what the params choose."""

from collections.abc import Iterable

from greedymm.errors import GreedymmError
from greedymm.params.plugins import plugins, values_of

MIN_MODALITIES = 2  # of a multi-modal network
RESERVED = {"mean", "labels", "ids", "split", "id", "label"}


def modalities_of(dataset: str, chosen: Iterable[str] | None = None, modules: tuple[str, ...] = ()) -> dict[str, str]:
    """A network's modalities, m0 first: name in results -> name in the dataset's file.

    Args:
        dataset: its name.
        chosen: which of those in the file; one that is listed again is another modality, `<name>_2`.
            None: those that the dataset's own file says.
        modules: modules and packages of plug-ins that the params name.

    Raises:
        ValueError: if one of those chosen is not in the file, or if there are fewer than two.
        GreedymmError: if a name cannot stand in a path and in a table.
    """
    values = values_of(plugins("dataset", modules)[dataset], ("MODALITIES", "STORED"))
    stored = tuple(values.get("STORED", values["MODALITIES"]))
    for name in stored:
        if not name.isidentifier() or name in RESERVED:
            raise GreedymmError(f"{dataset}: a modality cannot be named '{name}'; take letters, digits and underscores")
    wanted = tuple(values["MODALITIES"] if chosen is None else chosen)
    if unknown := set(wanted) - set(stored):
        raise ValueError(f"{dataset} has no modality {sorted(unknown)}; it has: {', '.join(stored)}")
    if len(wanted) < MIN_MODALITIES:
        raise ValueError(f"{dataset}: a multi-modal network takes at least two modalities, not {list(wanted)}")
    counts = [wanted[: k + 1].count(name) for k, name in enumerate(wanted)]
    names = {name if n == 1 else f"{name}_{n}": name for name, n in zip(wanted, counts, strict=True)}
    if len(names) < len(wanted):
        raise ValueError(f"{dataset}: two modalities would have the same name in {list(wanted)}")
    return names
