from pathlib import Path

import yaml

from greedymm.analysis.provenance import AS_THEIRS, AUTHORS, OURS, THEIRS, settings_table
from greedymm.params.load import load

ROOT = Path(__file__).resolve().parents[2]


def whose(*files: str) -> dict[tuple[str, str], str]:
    """Whose a setting is, by dataset and setting."""
    rows = settings_table(load(*(ROOT / file for file in files))).to_dict("records")
    return {(row["dataset"], row["setting"]): row["whose"] for row in rows}


def test_the_papers_settings_on_modelnet40_are_marked_as_the_authors_and_all_else_as_ours() -> None:
    found = whose("params.yaml", "params/paper.yaml")

    theirs = {setting for (dataset, setting), of in found.items() if of == THEIRS}
    assert theirs == AUTHORS.keys()
    assert {dataset for (dataset, _), of in found.items() if of == THEIRS} == {"modelnet40"}
    assert found["modelnet40", "training.snapshots"] == OURS
    assert found["colored_mnist", "training.learning_rate"] == AS_THEIRS


def test_a_setting_that_is_changed_is_no_longer_the_authors(tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump({"datasets": {"modelnet40": {"training": {"epochs": 10}}}}))

    rows = settings_table(load(ROOT / "params.yaml", ROOT / "params/paper.yaml", changed)).to_dict("records")
    found = {row["setting"]: row["whose"] for row in rows if row["dataset"] == "modelnet40"}

    assert (found["training.epochs"], found["training.batch_size"]) == (OURS, THEIRS)
