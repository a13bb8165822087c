from pathlib import Path

from greedymm.analysis.authors import AS_AUTHORS, AUTHORS, FROM_AUTHORS, OURS, settings_table
from greedymm.params.load import load
from greedymm.params.schema import Params

ROOT = Path(__file__).resolve().parents[2]


def origins(params: Params) -> dict[tuple[str, str], str]:
    """Origin of a setting, by dataset and setting."""
    rows = settings_table(params).to_dict("records")
    return {(row["dataset"], row["setting"]): row["origin"] for row in rows}


def test_the_papers_settings_on_modelnet40_are_marked_as_the_authors_and_all_else_as_ours() -> None:
    params = load(ROOT / "params.yaml", ROOT / "params/paper.yaml")
    table = origins(params)

    from_authors = {key for key, origin in table.items() if origin == FROM_AUTHORS}
    assert from_authors == {("modelnet40", setting) for setting in AUTHORS}
    assert table["modelnet40", "training.snapshots"] == OURS
    assert table["colored_mnist", "training.learning_rate"] == AS_AUTHORS


def test_a_setting_that_is_changed_is_no_longer_the_authors() -> None:
    section = load(ROOT / "params.yaml", ROOT / "params/paper.yaml").datasets["modelnet40"]
    changed = section.model_copy(update={"training": section.training.model_copy(update={"epochs": 10})})
    params = load(ROOT / "params.yaml").model_copy(update={"datasets": {"modelnet40": changed}})

    table = origins(params)

    assert table["modelnet40", "training.epochs"] == OURS
    assert table["modelnet40", "training.batch_size"] == FROM_AUTHORS
