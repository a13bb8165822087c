import re
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP
from scipy import stats
from statsmodels.stats.multitest import multipletests

from greedymm.analysis.results import Results
from greedymm.analysis.zoo import figures
from greedymm.analysis.zoo.labels import place
from greedymm.analysis.zoo.leaderboard import BEST, Board, Tables, make_tables, notes_on_references
from greedymm.analysis.zoo.text import describe_dataset, format_accuracy, format_balance, format_chosen
from greedymm.analysis.zoo.zoo import write_zoo
from greedymm.info import DataInfo
from greedymm.settings import choice, log_uniform, uniform

NAME, OTHER = made_up.DATASET, "solids"
LEVELS = {"greedy_multi": 0.6, "ume": 0.602, "ogm_ge": 0.7, "agm": 0.5, "mla": 0.601}
REFERENCES = {"unimodal_color": (0.99, 0.25), "unimodal_gray": (0.97, 0.9)}  # validation and test accuracy


def draw_results(seeds: int = 5, datasets: tuple[str, ...] = (NAME,), methods: Any = LEVELS) -> Results:
    """Results of methods with known accuracies, which vary by 0.1 points over seeds."""
    rng = np.random.default_rng(0)
    rows = []
    for d in datasets:
        for m in (*methods, *REFERENCES):
            val, test = REFERENCES.get(m, (0.8, methods.get(m)))
            for s in range(seeds):
                noise = 0.001 * rng.normal()
                row = {"dataset": d, "method": m, "seed": s, "run": f"seed{s}", "val_accuracy": val}
                row["test_accuracy"] = test + noise
                if m not in REFERENCES:
                    cut = {"test_accuracy_color_cut": 0.2 + noise, "test_accuracy_gray_cut": 0.4}
                    row |= cut | {"val_d_util": noise, "test_d_util": noise, "test_shapley_gap": abs(noise)}
                rows.append(row | {"epochs": 3})
    runs = pd.DataFrame(rows)
    seconds = runs["method"].map({"agm": 4.0}).fillna(2.0) + (runs["seed"] == 0)
    costs = runs[["dataset", "method", "seed", "run", "epochs"]].assign(
        seconds=seconds, peak_memory_mb=300.0 + runs["seed"], peak_gpu_memory_mb=0.0
    )
    records = [made_up.RECORD | {"versions": {"torch": "2"}}] * len(runs)
    empty = pd.DataFrame()
    return Results(runs, empty, empty, costs, empty, empty, {}, records, [])


def make(results: Results) -> Tables:
    return make_tables(Board("published", results), 0.01)


def without(results: Results, *methods: str) -> Results:
    runs, costs = (table[~table["method"].isin(methods)] for table in (results.runs, results.costs))
    return results._replace(runs=runs, costs=costs)


# -- Tables -------------------------------------------------------------------------------------------------


def test_differences_are_paired_tests_with_holms_correction_over_the_methods_of_a_dataset() -> None:
    results = draw_results()
    rows = make(results).comparisons.query("reference == 'ume'").set_index("method")

    table = results.runs.set_index(["seed", "method"])["test_accuracy"].unstack()  # noqa: PD010
    methods = [m for m in LEVELS if m != "ume"]
    p = [stats.ttest_rel(table[m], table["ume"]).pvalue for m in methods]
    changes = {m: table[m] - table["ume"] for m in methods}
    lower = [stats.ttest_1samp(x, -0.01, alternative="greater").pvalue for x in changes.values()]
    upper = [stats.ttest_1samp(x, 0.01, alternative="less").pvalue for x in changes.values()]
    interval = stats.ttest_rel(table["ogm_ge"], table["ume"]).confidence_interval(0.95)
    assert rows.index.tolist() == methods
    assert rows["p_holm"].tolist() == pytest.approx(multipletests(p, method="holm")[1])
    assert rows["p_equal"].tolist() == pytest.approx(multipletests(np.maximum(lower, upper), method="holm")[1])
    assert list(rows.loc["ogm_ge", ["low", "high"]]) == pytest.approx(list(interval))
    verdicts = {"greedy_multi": "practically equal", "ogm_ge": "better", "agm": "worse", "mla": "practically equal"}
    assert rows["verdict"].to_dict() == verdicts


def test_the_best_modality_is_chosen_on_validation_and_the_text_says_what_that_hides() -> None:
    results = draw_results()
    rows = make(results).comparisons.query("reference == @BEST")

    assert set(rows["reference_method"]) == {"unimodal_color"}
    assert set(rows["verdict"]) == {"better"}
    chosen, higher = notes_on_references(results.runs)
    assert "chosen by validation accuracy: color alone, validation 99.0 %, test 2" in chosen
    assert re.match(r"On test, gray alone has a higher mean: (89|90)\.\d %\.", higher)
    assert BEST == "best modality"

    shifted = results._replace(runs=results.runs.assign(val_shift_accuracy=results.runs["test_accuracy"]))
    rows = make_tables(Board("tuned under shift", shifted, "val_shift"), 0.01).comparisons.query("reference == @BEST")
    assert set(rows["reference_method"]) == {"unimodal_gray"}
    assert "chosen by val_shift accuracy: gray alone" in notes_on_references(shifted.runs, "val_shift")[0]


def test_a_reference_that_was_not_run_is_left_out_with_a_note() -> None:
    results = without(draw_results(), "ume", *REFERENCES)
    tables = make(results)

    assert set(tables.comparisons["reference"]) == {"greedy_multi"}
    assert notes_on_references(results.runs) == ["Not run, so nothing is compared with it: ume, best modality."]
    assert len(describe_dataset(tables, NAME, NAME)) == 1
    none = make(without(results, "greedy_multi"))
    assert none.comparisons.empty
    assert figures.draw_forest(none, NAME) is None
    assert figures.draw_improvement(none) is None
    plt.close(figures.draw_balance(none, NAME))


def test_a_method_with_the_runs_of_the_reference_is_practically_equal_and_the_cell_says_why() -> None:
    results = draw_results()
    runs = results.runs[results.runs["method"] != "mla"]
    copied = runs[runs["method"] == "greedy_multi"].assign(method="mla")
    tables = make(results._replace(runs=pd.concat([runs, copied], ignore_index=True)))

    cell = format_accuracy(tables, NAME).set_index("Method").loc["mla", "Difference from greedy_multi (points)"]

    assert cell == "+0.0 [0.0, 0.0] practically equal, no difference at any seed"
    assert "2 practically equal (ume, mla)" in describe_dataset(tables, NAME, "digits")[0]


def test_signed_d_util_of_different_seeds_cancels_and_absolute_values_do_not() -> None:
    results = draw_results()
    d_util = results.runs["seed"].map(dict(enumerate([0.027, 0.068, -0.053, -0.015, -0.013])))
    runs = results.runs.assign(val_d_util=d_util.where(results.runs["val_d_util"].notna()))
    balance = format_balance(make(results._replace(runs=runs)), NAME).set_index("Method")

    assert balance.loc["mla", "d_util (validation)"] == "0.00 [-0.05, 0.06]"
    assert balance.loc["mla", "|d_util| (validation)"] == "0.04 [0.01, 0.07]"
    assert balance.loc["gray alone", "|d_util| (validation)"] == ""


def test_costs_are_those_of_the_fastest_seed_relative_to_plain_training_or_else_to_greedy() -> None:
    results = draw_results()  # one seed took a second longer
    loaded = results.costs["seconds"] * results.costs["seed"].map({0: 5, 1: 2, 2: 2}).fillna(1)
    results = results._replace(costs=results.costs.assign(seconds=loaded))
    costs = make(results).costs.set_index("method")
    assert set(costs["relative"].drop(index="agm")) == {1}
    assert list(costs.loc["agm", ["seconds", "relative", "relative_to", "peak_memory_mb"]]) == [
        4, 2, "greedy_multi", 300,
    ]  # fmt: skip
    greedy = results.costs.replace({"greedy_multi": "greedy"})
    assert set(make(results._replace(costs=greedy)).costs["relative_to"]) == {"greedy"}
    missing = make(without(results, "greedy_multi"))
    assert not any("relative" in str(column) for column in format_balance(missing, NAME))


def test_improvement_over_the_ensemble_is_the_share_of_pairs_of_runs() -> None:
    results = draw_results(datasets=(NAME, OTHER))
    row = make(results).ranks["ume"].set_index("method").loc["mla"]

    shares = []
    for _, runs in results.runs.groupby("dataset"):
        x, y = (runs.loc[runs["method"] == m, "test_accuracy"] for m in ("mla", "ume"))
        shares.append(np.mean([(a > b) + (a == b) / 2 for a in x for b in y]))
    assert row["improvement"] == pytest.approx(np.mean(shares))


def test_tables_as_text_show_the_most_accurate_method_first_and_verdicts_beside_differences() -> None:
    tables = make(draw_results())
    accuracy, balance = format_accuracy(tables, NAME).set_index("Method"), format_balance(tables, NAME)

    assert accuracy.index.tolist()[:2] == ["gray alone", "ogm_ge"]
    assert balance["Method"].tolist() == accuracy.index.tolist()
    assert accuracy.loc["greedy_multi", "Difference from greedy_multi (points)"] == ""
    assert re.fullmatch(
        r"\+(9|10)\.\d \[.*\] better, p (<0.001|0.00\d)",
        str(accuracy.loc["ogm_ge", "Difference from greedy_multi (points)"]),
    )
    assert "Difference from best modality, color alone (points)" in accuracy
    weakest = balance.set_index("Method")["Weakest branch alone (test)"]
    assert weakest["agm"].startswith(("19.", "20."))
    assert weakest["gray alone"] == ""


def test_sentences_count_verdicts_and_one_seed_decides_nothing() -> None:
    first, *_ = describe_dataset(make(draw_results()), NAME, "digits")
    single, *_ = describe_dataset(make(draw_results(seeds=1)), NAME, "digits")

    equal = "2 practically equal (ume, mla)"
    assert first == (
        f"digits, 4 methods against greedy_multi (seeds: 5): 1 better (ogm_ge); 1 worse (agm); {equal}; 0 undecided."
    )
    assert single == "digits, 4 methods against greedy_multi (seeds: 1): no test; all are undecided."


def test_chosen_settings_are_shown_with_the_ranges_that_were_searched() -> None:
    row = {"dataset": NAME, "method": "mine", "val_accuracy": 0.91234, "trials": 8}
    own = [("alpha", 0.31, log_uniform(0.1, 2.0)), ("depth", 2, choice(1, 2)), ("p", 0.5, uniform(0, 1))]
    chosen = pd.DataFrame([row | {"setting": s, "value": v, "range": r["search"]} for s, v, r in own])

    table = format_chosen(chosen)

    assert table["range"].tolist() == ["0.1 to 2, log uniform", "one of 1, 2", "0 to 1, uniform"]
    assert set(table["val_accuracy"]) == {"91.2 %"}


# -- Figures and page ---------------------------------------------------------------------------------------


def test_labels_of_a_dense_cluster_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal([540, 360], 12, (35, 2))  # near a corner
    inside, size = np.array([0.0, 0, 600, 400]), np.array([60.0, 8.5])
    taken = [*np.hstack([centers - 4, centers + 4])]
    for center in centers:
        offset, _ = place(center, size, np.array(taken), inside)
        taken.append(np.concatenate([center + offset - size / 2, center + offset + size / 2]))

    boxes = np.array(taken)
    labels = boxes[35:]
    for k, box in enumerate(labels, start=35):
        others = np.delete(boxes, k, axis=0)
        assert ((box[2:] <= others[:, :2]) | (box[:2] >= others[:, 2:])).any(axis=1).all()
    assert (labels[:, :2] >= 0).all()
    assert (labels[:, 2:] <= inside[2:]).all()


def test_a_method_far_off_is_at_the_edge_with_its_value() -> None:
    tables = make(draw_results(methods=LEVELS | {"broken": 0.1}))

    forest, balance = figures.draw_forest(tables, NAME), figures.draw_balance(tables, NAME)

    assert forest is not None
    assert balance is not None
    assert any(text.get_text().startswith("-5") for text in forest.axes[0].texts)
    assert forest.axes[0].get_xlim()[0] > -20
    assert {text.get_text() for text in balance.axes[0].texts} > {"ume", "ogm_ge"}
    assert any(re.match(r"broken (9|10)\.\d %", text.get_text()) for text in balance.axes[0].texts)
    assert arrowheads(forest.axes[0]) == {CARETLEFT}
    assert arrowheads(balance.axes[0]) >= {CARETDOWN}
    plt.close("all")


def arrowheads(ax: Axes) -> set[Any]:
    return {line.get_marker() for line in ax.get_lines()} & {CARETLEFT, CARETRIGHT, CARETDOWN, CARETUP}


def test_an_interval_that_exceeds_the_axes_has_an_arrowhead_and_the_reference_is_drawn_last() -> None:
    results = draw_results()
    noisy = (results.runs["method"] == "agm") * (results.runs["seed"] - 2) * 0.3
    tables = make(results._replace(runs=results.runs.assign(test_accuracy=results.runs["test_accuracy"] + noisy)))

    balance, ranks = figures.draw_balance(tables, NAME), figures.draw_ranks(tables)
    assert balance is not None
    assert ranks is not None
    ax = balance.axes[0]

    assert arrowheads(ax) >= {CARETDOWN, CARETUP}
    points = {line.get_label(): line.get_zorder() for line in ax.get_lines() if line.get_label() in LEVELS}
    assert max(points, key=lambda method: points[method]) == "greedy_multi"
    assert "greedy_multi and ume" in {text.get_text() for text in ranks.legends[0].get_texts()}
    plt.close("all")


def test_the_page_keeps_boards_apart_marks_generated_data_and_is_the_same_again(tmp_path: Path) -> None:
    info = {
        name: DataInfo(
            display_name=f"{name}{' (generated data)' * generated}", generated=generated, own=False, source="",
            license="", notes=(), classes=("a",), modalities=("color", "gray"), shapes={}, counts={}, sha256="",
        )
        for name, generated in ((NAME, False), (OTHER, True))
    }  # fmt: skip
    shifted = Board("tuned under shift", draw_results(3, methods=LEVELS | {"ogm_ge": 0.4}))
    boards, params = [Board("published", draw_results(3, (OTHER,))), shifted], made_up.make_params([0, 1, 2])
    chosen = pd.DataFrame(
        [{"dataset": NAME, "method": "agm", "setting": "alpha", "value": 1.5, **log_uniform(1, 2), "trials": 8}]
    ).rename(columns={"search": "range"})

    write_zoo(boards, params, info, chosen, tmp_path / "a")
    write_zoo([shifted], params, info, chosen, tmp_path / "b")

    again = [path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*.*") if path.suffix != ".html"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in again)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    names = set(map(str, files))
    for kind in ("forest", "balance", "cost"):
        assert {f"figures/published/{kind}-{OTHER}.{end}" for end in ("png", "svg")} < names
    for table in ("chosen", "published/ranks", f"tuned-under-shift/leaderboard-{NAME}"):
        assert {f"tables/{table}.{end}" for end in ("csv", "md", "tex")} < names
    page = (tmp_path / "a/index.html").read_text()
    assert page.count("data:image/png;base64,") == 2 * (3 + 2)
    assert f'<section class="panel" id="tuned-under-shift-{NAME}">' in page
    assert len(re.findall(rf"{OTHER}(</a>|, settings: published) <span class=\"mark\">generated data", page)) == 2
    assert not re.search(rf"{NAME}(</a>|, settings: published) <span", page)
