from greedymm.analysis.published import published_table


def test_a_smaller_dataset_is_compared_with_the_numbers_of_the_whole_one_once() -> None:
    table = published_table(["colored_mnist_5k", "colored_mnist", "solids"], {})

    assert list(table) == ["data", "method", "test accuracy (%)", "conditions", "source", "this study"]
    assert set(table["data"]) == {"colored_mnist"}
    assert len(table) == 7 + 7
    assert not table.isna().any().any()


def test_nobody_has_published_on_generated_data() -> None:
    assert published_table(["solids", "handwave"], {}).empty


def test_each_number_has_its_source() -> None:
    for name, accuracies in {"modelnet40": [88.8, 89.05, 91.14], "nvgesture": [83.8, 85.5, 88.38, 91.7]}.items():
        table = published_table([name], {})

        assert table["test accuracy (%)"].tolist() == accuracies
        assert table["source"].str.contains("20[0-9]{2}|/|checkpoint").all()  # a year, a repository, or a released file


def test_the_comparable_method_of_this_study_is_beside_a_number() -> None:
    accuracies = {
        ("colored_mnist_5k", "greedy"): "46.0 % [37.2, 54.7]",
        ("colored_mnist_5k", "unimodal_gray"): "97.2 %",
        ("colored_mnist", "unimodal_gray"): "99.3 %",
        ("colored_mnist", "balanced"): "80.0 %",
    }

    table = published_table(["colored_mnist_5k", "colored_mnist", "modelnet40"], accuracies)
    texts = {key: set(part["this study"]) for key, part in table.groupby(["data", "method"])}

    assert texts.pop(("colored_mnist", "MMTM")) == {"greedy on colored_mnist_5k: 46.0 % [37.2, 54.7]"}
    assert texts.pop(("colored_mnist", "gray alone")) == {
        "gray alone on colored_mnist_5k: 97.2 %; gray alone on colored_mnist: 99.3 %"
    }
    assert {text for group in texts.values() for text in group} == {""}
