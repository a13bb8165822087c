import pytest

from greedymm.analysis.published import COLUMNS, published


def test_the_small_digits_are_set_beside_the_numbers_of_all_digits_once() -> None:
    table = published(["colored_mnist_5k", "colored_mnist", "solids"], {})

    assert list(table.columns) == COLUMNS
    assert set(table["data"]) == {"colored_mnist"}
    assert len(table) == 7 + 7
    assert not table.isna().any().any()


def test_of_generated_data_nobody_has_published() -> None:
    assert published(["solids", "handwave"], {}).empty


@pytest.mark.parametrize(
    ("name", "accuracies"), [("modelnet40", [88.8, 89.05, 91.14]), ("nvgesture", [83.8, 85.5, 88.38, 91.7])]
)
def test_each_number_has_its_source(name: str, accuracies: list[float]) -> None:
    table = published([name], {})

    assert table["test accuracy (%)"].tolist() == accuracies
    assert table["source"].str.contains("20[0-9]{2}|/|checkpoint").all()  # a year, a repository, or a released file


def test_what_is_comparable_here_stands_beside() -> None:
    here = {
        ("colored_mnist_5k", "greedy"): "46.0 % [37.2, 54.7]",
        ("colored_mnist_5k", "unimodal_gray"): "97.2 %",
        ("colored_mnist", "unimodal_gray"): "99.3 %",
        ("colored_mnist", "balanced"): "80.0 %",
    }

    table = published(["colored_mnist_5k", "colored_mnist", "modelnet40"], here)
    shown = {key: set(of["here"]) for key, of in table.groupby(["data", "method"])}

    assert shown.pop(("colored_mnist", "MMTM")) == {"greedy on colored_mnist_5k: 46.0 % [37.2, 54.7]"}
    assert shown.pop(("colored_mnist", "gray alone")) == {
        "gray alone on colored_mnist_5k: 97.2 %; gray alone on colored_mnist: 99.3 %"
    }
    assert {text for texts in shown.values() for text in texts} == {""}
