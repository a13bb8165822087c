import re
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from greedymm.analysis.sweeps import sections, shown, sweep_figure, sweep_results, sweep_text, write_sweeps
from greedymm.errors import GreedymmError
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import planned, points, sweep_place

NAME = "colored_mnist_5k"


def given(all_seeds: list[int] | None = None, **sweep: Any) -> Params:
    section = {
        "model": {"branch": {"name": "cnn"}, "fusion": {"name": "mmtm"}, "fuse_after": [2]},
        "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.1},
        "methods": {"greedy": {}, "balanced": {}},
    }
    rate = {"dataset": NAME, "setting": "training.learning_rate", "values": [0.1, 0.2]} | sweep
    return validate({"seeds": all_seeds or [0, 1], "datasets": {NAME: section}, "sweeps": {"rate": rate}})


def test_a_sweep_trains_its_methods_at_every_value_and_seed_and_shares_the_runs_of_the_default() -> None:
    params = given(methods=["greedy"], seeds=[0, 7])

    found = points(params, "rate")

    assert [(p.value, p.run.method, p.run.seed) for p in found] == [
        (value, "greedy", seed) for value in ("0.1", "0.2") for seed in (0, 7)
    ]
    assert [p.run.settings.training.learning_rate for p in found] == [0.1, 0.1, 0.2, 0.2]
    default = {run.folder for run in planned(params)}
    assert [p.run.folder in default for p in found] == [True, False, False, False]


def test_whatever_can_be_set_can_vary() -> None:
    views = points(given(setting="modalities", values=[["gray", "gray"], None], methods=["greedy"], seeds=[0]), "rate")
    assert [p.run.settings.modalities for p in views] == [("gray", "gray_2"), ("color", "gray")]
    windows = points(given(setting="methods.balanced.window", values=[1, 2], methods=["balanced"]), "rate")
    assert {p.value: p.run.settings.method_settings.model_dump()["window"] for p in windows} == {"1": 1, "2": 2}
    assert len({p.run.data_path for p in points(given(setting="data.variance", values=[0.02, 0.05]), "rate")}) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "solids"}, "sweeps.rate: there is no dataset 'solids'"),
        ({"setting": "training.rate"}, "sweeps.rate: colored_mnist_5k has no setting 'training.rate'"),
        ({"setting": "training.learning_rate.x"}, "has no setting"),
        ({"methods": ["random"]}, r"has no method \['random'\]"),
        ({"values": [0.1, -1]}, r"sweeps.rate, value -1:\n.*greater than 0"),
        ({"values": [0.1]}, "at least 2 items"),
        ({"step": 1}, "there is no such setting"),
    ],
    ids=["dataset", "setting", "below a setting", "method", "value", "one value", "typo"],
)
def test_a_sweep_that_cannot_be_made_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(GreedymmError, match=message):
        given(**change)


@pytest.mark.parametrize(
    "change", [{"values": [0.1, 1e-1]}, {"setting": "modalities", "values": [None, ["color", "gray"]]}]
)
def test_values_that_ask_for_the_same_runs_are_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(GreedymmError, match=r"sweeps\.rate: values .* ask for the same runs"):
        points(given(**change), "rate")


def test_a_run_that_the_setting_does_not_concern_stands_once_at_every_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = points(given(setting="methods.balanced.window", values=[1, 5, 20], seeds=[0]), "rate")
    for point in wanted:
        split = {"accuracy": 0.5, "d_util": 0.1}
        made_up.leave(point.run, {"val": split, "test": split}, [0.5, 0.4, 0.3])

    table = sweep_results(wanted).table

    assert set(table["n"]) == {1}
    shown = table[table["measure"] == "test_accuracy"]
    assert list(zip(shown["value"], shown["method"], strict=True)) == [
        (value, method) for value in ("1", "5", "20") for method in ("greedy", "balanced")
    ]


def test_what_an_overlay_drops_is_in_no_sweep() -> None:
    raw = given(methods=["greedy", "balanced"]).model_dump(mode="json")
    section = raw["datasets"][NAME]
    section["methods"]["balanced"] = "drop"
    assert validate(raw).sweeps["rate"].methods == ("greedy",)
    section["methods"]["greedy"] = "drop"
    assert validate(raw).sweeps == {}
    raw["sweeps"]["rate"] = "drop"
    section["methods"] = {"greedy": {}}
    assert validate(raw).sweeps == {}


def test_another_value_or_seed_has_another_place_and_the_same_sweep_the_same() -> None:
    places = [sweep_place(p, "rate") for p in (given(), given(), given(values=[0.1, 0.3]), given([0]))]

    assert places[0] == places[1]
    assert len(set(places)) == 3


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A sweep all of whose runs are there: 60 and 80 % right under greedy training, 10 points more when balanced."""
    monkeypatch.chdir(tmp_path)
    params = given()
    for point in points(params, "rate"):
        right = 0.6 + 0.2 * (point.value == "0.2") + 0.1 * (point.run.method == "balanced") + 0.05 * point.run.seed
        split = {"accuracy": right, "d_util": 0.1 * point.run.seed}
        made_up.leave(point.run, {"val": split, "test": split}, [0.5, 0.4, 0.3])
    return params


def test_the_table_has_estimates_over_the_seeds_of_each_value(params: Params) -> None:
    table = sweep_results(points(params, "rate")).table

    rows = {(row["value"], row["method"], row["measure"]): row for row in table.to_dict("records")}
    balanced = rows["0.2", "balanced", "test_accuracy"]
    assert (balanced["n"], balanced["mean"]) == (2, pytest.approx(0.925))
    assert rows["0.1", "greedy", "val_d_util"]["mean"] == pytest.approx(0.05)
    assert len(table) == 2 * 2 * 3


def test_a_run_that_is_left_out_has_a_mark_in_the_table_and_its_row_stays(params: Params) -> None:
    lost = {("0.1", "greedy"): [0, 1], ("0.2", "balanced"): [1]}
    for point in points(params, "rate"):
        if point.run.seed in lost.get((point.value, point.run.method), []):
            (point.run.folder / "history.csv").unlink()

    results = sweep_results(points(params, "rate"))
    table = shown(results.table, "rate").set_index(["rate", "method"])

    assert list(table.index) == [(v, m) for v in ("0.1", "0.2") for m in ("greedy", "balanced")]
    assert table["seeds"].tolist() == ["0 of 2", "2", "2", "1 of 2"]
    assert table.loc[("0.1", "greedy"), "test accuracy"] == ""
    assert table.loc[("0.2", "balanced"), "test accuracy"] == "90.0 %"
    text = sweep_text(results, "rate")
    assert "greedy: mean test accuracy 82.5 %, at rate = 0.2 alone." in text
    assert "Over 1 to 2 seeds; not tested. Left out: " in text
    figure = sweep_figure(results, "rate", "title")
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0.1", "0.2"]
    plt.close(figure)


def test_the_text_says_how_far_accuracies_are_apart_and_that_nothing_was_tested(params: Params) -> None:
    text = sweep_text(sweep_results(points(params, "rate")), "training.learning_rate")

    assert (
        "greedy: mean test accuracy from 62.5 % at training.learning_rate = 0.1 to 82.5 % at 0.2, 20.0 points" in text
    )
    assert text.endswith("Over 2 seeds; not tested.")


def test_the_figure_has_a_line_for_each_method_over_the_values_and_shows_all_runs(params: Params) -> None:
    figure = sweep_figure(sweep_results(points(params, "rate")), "rate", "title")

    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["0.1", "0.2"]
    drawn = [(str(line.get_label()), np.asarray(line.get_ydata()).tolist()) for line in figure.axes[0].get_lines()]
    runs = [y for name, y in drawn if name.startswith("_")]
    assert runs == [pytest.approx([60, 65, 80, 85]), pytest.approx([70, 75, 90, 95])]
    bottom, top = figure.axes[0].get_ylim()
    assert 50 < bottom < 60  # the intervals of two seeds, 60 points wide, do not squeeze the rest
    assert 95 < top < 105
    lines = {name: y for name, y in drawn if not name.startswith("_")}
    assert lines == {"greedy": pytest.approx([62.5, 82.5]), "balanced": pytest.approx([72.5, 92.5])}
    plt.close(figure)


def test_the_page_shows_text_figure_and_table_of_each_sweep(params: Params, tmp_path: Path) -> None:
    place = tmp_path / "rate-00000000"
    sweep_results(points(params, "rate")).table.to_csv(place.with_suffix(".csv"), index=False)
    place.with_suffix(".txt").write_text("What it shows.\n")
    place.with_suffix(".png").write_bytes(b"\x89PNG")

    write_sweeps(tmp_path / "sweeps.html", sections({"rate": place}, params.sweeps))

    page = (tmp_path / "sweeps.html").read_text()
    assert page.count("data:image/png;base64,") == page.count('<table class="sortable">') == 1
    assert page.count("What it shows.") == 2
    assert '<button type="button">training.learning_rate</button>' in page
    assert re.search(r"<td>0.2</td><td>balanced</td><td>2</td><td>92.5 % \[60.7, 100.0\]</td>", page)


@pytest.mark.parametrize("seeds", [(1,), (0, 1)], ids=["one run", "all of a value"])
def test_a_run_that_cannot_be_used_is_left_out_and_named(params: Params, seeds: tuple[int, ...]) -> None:
    for point in points(params, "rate"):
        if point.value == "0.2" and point.run.seed in seeds and point.run.method == "greedy":
            (point.run.folder / "record.json").unlink()

    results = sweep_results(points(params, "rate"))
    text = sweep_text(results, "training.learning_rate")

    greedy = results.table[(results.table["method"] == "greedy") & (results.table["measure"] == "test_accuracy")]
    assert dict(zip(greedy["value"], greedy["n"], strict=True)) == {"0.1": 2} | ({"0.2": 1} if len(seeds) == 1 else {})
    assert re.search(r"Left out: greedy, seed 1, at 0\.2: \S+record\.json is missing|seed 0.*; greedy, seed 1", text)
    assert ("greedy: mean test accuracy 62.5 %, at training.learning_rate = 0.1 alone." in text) == (len(seeds) == 2)
    plt.close(sweep_figure(results, "training.learning_rate", "title"))


def test_without_any_run_that_can_be_used_all_are_named(params: Params) -> None:
    for point in points(params, "rate"):
        (point.run.folder / "record.json").unlink()

    with pytest.raises(GreedymmError, match=r"record.json is missing"):
        sweep_results(points(params, "rate"))


def test_a_value_is_shown_as_people_write_it() -> None:
    found = points(given(setting="modalities", values=[["gray", "gray"], ["color", "gray"]]), "rate")

    assert list(pd.unique(pd.Series([p.value for p in found]))) == ["gray + gray", "color + gray"]
