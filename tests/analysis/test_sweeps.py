import re
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from greedymm.analysis.figures.style import styles
from greedymm.analysis.sweeps import draw_sweep, read_sweep, summarize_sweep, write_sweeps
from greedymm.errors import GreedymmError
from greedymm.files import write_text
from greedymm.info import DataInfo
from greedymm.params.load import validate
from greedymm.params.schema import Params
from greedymm.plan import Plan, points
from greedymm.run import Run
from greedymm.steps.sweeps import make_sweeps

NAME = made_up.DATASET


def make_params(all_seeds: list[int] | None = None, **sweep: Any) -> Params:
    rate = {"dataset": NAME, "setting": "training.learning_rate", "values": [0.1, 0.2]} | sweep
    return made_up.make_params(all_seeds or [0, 1], sweeps={"rate": rate})


def leave_all(plan: Plan) -> None:
    """Write the results of a sweep's runs: 60 and 80 % correct for greedy training, 10 points more for balanced."""
    for value, name in plan.sweeps["rate"]:
        run = plan.runs[name]
        correct = 0.6 + 0.2 * (value == "0.2") + 0.1 * (run.method == "balanced") + 0.05 * run.seed
        measures: dict[str, float | None] = {"accuracy": correct, "d_util": 0.1 * run.seed}
        made_up.leave_result(run, {"val": measures, "test": measures}, [0.5, 0.4, 0.3])
    shape = {"color": (3, 4, 4)}
    info = DataInfo(
        display_name="digits", generated=False, own=False, source="", license="", notes=(), classes=("a", "b"),
        modalities=("color",), shapes=shape, counts={}, sha256="",
    )  # fmt: skip
    for data in plan.data.values():
        write_text(data.path.with_suffix(".json"), info.model_dump_json())


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan of a sweep whose runs are all finished."""
    monkeypatch.chdir(tmp_path)
    plan = Plan.make(make_params())
    leave_all(plan)
    return plan


# -- Planned points -----------------------------------------------------------------------------------------


def test_a_sweep_trains_its_methods_at_every_value_and_seed_and_shares_the_runs_of_the_default() -> None:
    plan = Plan.make(make_params(methods=["greedy"], seeds=[0, 7]))

    swept = [(value, plan.runs[name]) for value, name in plan.sweeps["rate"]]

    assert [(value, run.method, run.seed) for value, run in swept] == [
        (value, "greedy", seed) for value in ("0.1", "0.2") for seed in (0, 7)
    ]
    assert [run.settings.training.learning_rate for _, run in swept] == [0.1, 0.1, 0.2, 0.2]
    assert [run.id in plan.default for _, run in swept] == [True, False, False, False]


def test_any_setting_can_vary() -> None:
    def runs(**sweep: Any) -> list[Any]:
        return points(make_params(**sweep), "rate")

    views = runs(setting="modalities", values=[["gray", "gray"], None], methods=["greedy"], seeds=[0])
    assert [(v, run.settings.modalities) for v, run in views] == [
        ("gray + gray", ("gray", "gray_2")),
        ("None", ("color", "gray")),
    ]
    windows = runs(setting="methods.balanced.window", values=[1, 2], methods=["balanced"])
    assert {v: run.settings.method_settings.model_dump()["window"] for v, run in windows} == {"1": 1, "2": 2}
    assert len({run.data_path for _, run in runs(setting="data.variance", values=[0.02, 0.05])}) == 2


def test_values_with_names_can_be_whole_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    models = {
        "side by side": {"branch": "cnn", "fusion": "concat", "head": "joint"},
        "added": {"branch": "cnn", "fusion": "sum"},
    }
    plan = Plan.make(make_params(setting="model", values=models, methods=["greedy"], seeds=[0]))
    leave_all(plan)

    sweep = read_sweep(plan, "rate")

    assert list(sweep.table["value"].unique()) == list(models)
    assert [run.settings.fusion.name for run in points_of(plan)] == ["concat", "sum"]  # type: ignore[union-attr]
    texts = sweep.published.set_index("method")["this study"]
    assert texts.to_dict() == dict.fromkeys(("concatenation", "sum"), f"greedy on {NAME}: 60.0 %")


def test_null_is_a_value_as_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = Plan.make(make_params(setting="inputs.crop", values=[None, 20], methods=["greedy"], seeds=[0]))
    leave_all(plan)

    make_sweeps(plan)

    table = pd.read_csv(plan.sweeps_folder / "tables/rate.csv", keep_default_na=False)
    assert list(table["value"].unique()) == ["None", "20"]
    assert "(None)" in (plan.sweeps_folder / "index.html").read_text()


def points_of(plan: Plan) -> list[Run]:
    return [plan.runs[name] for _, name in plan.sweeps["rate"]]


def test_a_sweep_that_cannot_be_made_is_named() -> None:
    for change, message in (
        ({"dataset": "solids"}, "sweeps.rate: there is no dataset 'solids'"),
        ({"setting": "training.rate"}, "sweeps.rate: colored_mnist_5k has no setting 'training.rate'"),
        ({"setting": "training.learning_rate.x"}, "has no setting"),
        ({"methods": ["random"]}, r"has no method \['random'\]"),
        ({"values": [0.1, -1]}, r"sweeps.rate, value -1:\n.*greater than 0"),
        ({"values": [0.1]}, "values: .*at least 2 items"),
        ({"values": {"low": 0.1}}, "values: .*at least 2 items"),
        ({"values": {"low": 0.1, "none": -1}}, r"sweeps.rate, value none:\n.*greater than 0"),
        ({"step": 1}, "there is no such setting"),
    ):
        with pytest.raises(GreedymmError, match=message):
            make_params(**change)


@pytest.mark.parametrize(
    "change", [{"values": [0.1, 1e-1]}, {"setting": "modalities", "values": [None, ["color", "gray"]]}]
)
def test_values_that_ask_for_the_same_runs_are_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(GreedymmError, match=r"sweeps\.rate: values .* ask for the same runs"):
        points(make_params(**change), "rate")


def test_an_overlay_can_drop_a_sweep_or_its_dataset() -> None:
    raw = make_params(methods=["greedy", "balanced"]).model_dump(mode="json")
    dropped = raw | {"sweeps": {"rate": "drop"}}
    assert validate(dropped).sweeps == {}
    other = raw["datasets"][NAME] | {"data": {}}
    assert validate(raw | {"datasets": {NAME: "drop", "colored_mnist": other}}).sweeps == {}


def test_another_value_or_seed_has_another_folder_and_the_same_sweep_the_same() -> None:
    folders = [
        Plan.make(params).sweeps_folder
        for params in (make_params(), make_params(), make_params(values=[0.1, 0.3]), make_params([0]))
    ]

    assert folders[0] == folders[1]
    assert len(set(folders)) == 3


# -- Results ------------------------------------------------------------------------------------------------


def test_the_table_has_estimates_over_the_seeds_of_each_value(plan: Plan) -> None:
    sweep = read_sweep(plan, "rate")

    rows = {(row["value"], row["method"], row["measure"]): row for row in sweep.table.to_dict("records")}
    balanced = rows["0.2", "balanced", "test_accuracy"]
    assert (balanced["n"], balanced["mean"]) == (2, pytest.approx(0.925))
    assert rows["0.1", "greedy", "val_d_util"]["mean"] == pytest.approx(0.05)
    assert len(sweep.table) == 2 * 2 * 3
    assert (sweep.setting, sweep.title) == ("training.learning_rate", "digits")


def test_a_run_that_the_setting_does_not_concern_is_listed_once_at_every_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = Plan.make(make_params(setting="methods.balanced.window", values=[1, 5, 20], seeds=[0]))
    leave_all(plan)

    table = read_sweep(plan, "rate").table

    assert set(table["n"]) == {1}
    accuracy = table[table["measure"] == "test_accuracy"]
    assert list(zip(accuracy["value"], accuracy["method"], strict=True)) == [
        (value, method) for value in ("1", "5", "20") for method in ("greedy", "balanced")
    ]


def test_a_sweep_with_a_run_that_cannot_be_used_is_refused_and_the_run_is_named(plan: Plan) -> None:
    run = plan.runs[plan.sweeps["rate"][-1][1]]
    made_up.result_path(run).unlink()

    with pytest.raises(GreedymmError, match=rf"1 runs cannot be used:\n  {run.id}"):
        make_sweeps(plan)

    assert not plan.sweeps_folder.exists()


def test_the_text_says_how_far_accuracies_are_apart_and_that_nothing_was_tested(plan: Plan) -> None:
    text = summarize_sweep(read_sweep(plan, "rate"))

    assert text.startswith(
        "Mean test accuracy over values of training.learning_rate. greedy: 62.5 % (0.1) to 82.5 % (0.2)"
    )
    assert "balanced: 72.5 % (0.1) to 92.5 % (0.2), 20.0 points apart." in text
    assert text.endswith("Seeds: 2. Not tested.")


def test_the_figure_has_a_line_for_each_method_over_the_values_and_shows_all_runs(plan: Plan) -> None:
    figure = draw_sweep(read_sweep(plan, "rate"))

    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "0.2"]
    lines = [(str(line.get_label()), np.asarray(line.get_xydata())) for line in ax.get_lines()]
    runs = [points for name, points in lines if name.startswith("_")]
    assert [points[:, 1].tolist() for points in runs] == [
        pytest.approx([60, 65, 80, 85]),
        pytest.approx([70, 75, 90, 95]),
    ]
    means = {name: points for name, points in lines if not name.startswith("_")}
    assert means["greedy"][:, 1].tolist() == pytest.approx([62.5, 82.5])
    assert means["balanced"][:, 1].tolist() == pytest.approx([72.5, 92.5])
    assert runs[0][::2, 0].tolist() == means["greedy"][:, 0].tolist()  # beside those of the other method
    assert means["greedy"][0, 0] < means["balanced"][0, 0]
    bottom, top = ax.get_ylim()
    assert 50 < bottom < 60  # the intervals of two seeds, 60 points wide, do not squeeze the rest
    assert 95 < top < 105
    plt.close(figure)


def test_many_methods_have_a_panel_each(plan: Plan) -> None:
    sweep = read_sweep(plan, "rate")
    names = [f"m{k}" for k in range(8)]
    many = {
        name: getattr(sweep, name).query("method == 'greedy'").drop(columns="method").merge(
            pd.DataFrame({"method": names}), how="cross"
        )
        for name in ("runs", "table")
    }  # fmt: skip

    figure = draw_sweep(sweep._replace(**many, styles=styles(names)))

    assert sum(ax.axison for ax in figure.axes) == 3 * 8
    assert ["0.1", "0.2"] in [[t.get_text() for t in ax.get_xticklabels()] for ax in figure.axes]
    assert figure.get_figwidth() <= 9
    plt.close(figure)


def test_the_page_shows_text_figure_and_table_of_each_sweep(plan: Plan) -> None:
    make_sweeps(plan)

    page = (plan.sweeps_folder / "index.html").read_text()
    files = {str(path.relative_to(plan.sweeps_folder)) for path in plan.sweeps_folder.rglob("*.*")}
    assert files == {"index.html", "tables/rate.csv", "figures/rate.png", "figures/rate.svg"}
    assert page.count("data:image/png;base64,") == page.count('<table class="sortable">') == 1
    assert page.count(summarize_sweep(read_sweep(plan, "rate"))) == 2
    assert '<button type="button">training.learning_rate</button>' in page
    assert re.search(r"<td>0.2</td><td>balanced</td><td>2</td><td>92.5 % \[60.7, 100.0\]</td>", page)
    assert 'href="../index.html"' in page


def test_a_measure_that_no_run_has_is_no_column(plan: Plan) -> None:
    sweep = read_sweep(plan, "rate")
    sweep = sweep._replace(table=sweep.table[sweep.table["measure"] != "val_d_util"])

    write_sweeps([sweep], Path("page"))

    columns = re.findall(r'<button type="button">(.*?)</button>', Path("page/index.html").read_text())
    assert columns == ["training.learning_rate", "method", "seeds", "test accuracy", "d_speed"]
