from pathlib import Path

from greedymm.analysis.report import AS_AUTHORS, FROM_AUTHORS, LITERATURE, OURS, published_table, settings_table
from greedymm.params.load import load
from greedymm.params.schema import Params

ROOT = Path(__file__).resolve().parents[2]
MMTM = dict.fromkeys(("colored_mnist_5k", "colored_mnist", "modelnet40", "nvgesture", "solids", "handwave"), "mmtm")


def origins(params: Params) -> dict[tuple[str, str], str]:
    """Origin of a setting, by dataset and setting."""
    rows = settings_table(params).to_dict("records")
    return {(row["dataset"], row["setting"]): row["origin"] for row in rows}


def test_the_papers_settings_on_modelnet40_are_marked_as_the_authors_and_all_else_as_ours() -> None:
    params = load(ROOT / "params.yaml", ROOT / "params/paper.yaml")
    table = origins(params)

    from_authors = {key for key, origin in table.items() if origin == FROM_AUTHORS}
    assert from_authors == {("modelnet40", setting) for setting in LITERATURE["authors"]}
    assert table["modelnet40", "training.snapshots"] == OURS
    assert table["colored_mnist", "training.learning_rate"] == AS_AUTHORS


def test_a_setting_that_is_changed_is_no_longer_the_authors() -> None:
    section = load(ROOT / "params.yaml", ROOT / "params/paper.yaml").datasets["modelnet40"]
    changed = section.model_copy(update={"training": section.training.model_copy(update={"epochs": 10})})
    params = load(ROOT / "params.yaml").model_copy(update={"datasets": {"modelnet40": changed}})

    table = origins(params)

    assert table["modelnet40", "training.epochs"] == OURS
    assert table["modelnet40", "training.batch_size"] == FROM_AUTHORS


# -- Published numbers --


def test_a_smaller_dataset_is_compared_with_the_numbers_of_the_whole_one_once() -> None:
    table = published_table(["colored_mnist_5k", "colored_mnist", "solids"], {}, MMTM)

    assert list(table) == ["data", "method", "test accuracy (%)", "conditions", "source", "this study"]
    assert set(table["data"]) == {"colored_mnist"}
    assert len(table) == 14 + 7
    assert not table.isna().any().any()


def test_nobody_has_published_on_generated_data() -> None:
    assert published_table(["solids", "handwave"], {}, MMTM).empty


def test_each_number_has_its_source() -> None:
    for name, accuracies in {"modelnet40": [88.8, 89.05, 91.14], "nvgesture": [83.8, 85.5, 88.38, 91.7]}.items():
        table = published_table([name], {}, MMTM)

        assert table["test accuracy (%)"].tolist() == accuracies
        assert table["source"].str.contains("20[0-9]{2}|/|checkpoint").all()  # a year, a repository, or a released file


def test_the_comparable_method_of_this_study_is_beside_a_number() -> None:
    accuracies = {
        ("colored_mnist_5k", "greedy"): "46.0 % [37.2, 54.7]",
        ("colored_mnist_5k", "unimodal_gray"): "97.2 %",
        ("colored_mnist", "unimodal_gray"): "99.3 %",
        ("colored_mnist", "balanced"): "80.0 %",
    }

    table = published_table(["colored_mnist_5k", "colored_mnist", "modelnet40"], accuracies, MMTM)
    texts = {key: set(part["this study"]) for key, part in table.groupby(["data", "method"])}

    assert texts.pop(("colored_mnist", "MMTM")) == {"greedy on colored_mnist_5k: 46.0 % [37.2, 54.7]"}
    assert texts.pop(("colored_mnist", "gray alone")) == {
        "gray alone on colored_mnist_5k: 97.2 %; gray alone on colored_mnist: 99.3 %"
    }
    assert {text for group in texts.values() for text in group} == {""}


def test_a_number_of_a_fusion_is_compared_with_the_same_fusion_alone() -> None:
    accuracies = {(name, "greedy"): "60.0 %" for name in ("colored_mnist_5k", "colored_mnist")}

    table = published_table(list(MMTM)[:2], accuracies, {"colored_mnist_5k": "film", "colored_mnist": "sum"})

    texts = table[table["this study"] != ""].set_index("method")["this study"].to_dict()
    assert texts == {"FiLM": "greedy on colored_mnist_5k: 60.0 %", "sum": "greedy on colored_mnist: 60.0 %"}
