from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from greedymm.analysis import figures

NAMES = {"digits": "digits (generated data)"}
METHODS = ("greedy", "balanced", "unimodal_color")
MANY = ("greedy", "balanced", "random", *(f"method_{k}" for k in range(21)))


def tables(seeds: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per run, and the summary over seeds, without an interval where there is one seed."""
    runs = pd.DataFrame(
        [("digits", m, s, 0.5 + 0.1 * i + 0.01 * s) for i, m in enumerate(METHODS) for s in range(seeds)],
        columns=["dataset", "method", "seed", "test_accuracy"],
    )
    half = np.nan if seeds == 1 else 0.1
    measures = ("test_accuracy", "test_utilization_color", "test_utilization_gray")
    rows = [("digits", m, measure, seeds, 0.5, half, 0.5 - half, 0.5 + half) for m in METHODS for measure in measures]
    columns = ["dataset", "method", "measure", "n", "mean", "sd", "low", "high"]
    return runs, pd.DataFrame(rows, columns=columns)


def history(epochs: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame({"epoch": epoch, "val_accuracy": 0.1 * epoch, "d_speed": 1 / epoch})


@pytest.mark.parametrize("seeds", [1, 3], ids=["one seed", "three seeds"])
def test_the_same_tables_give_the_same_bytes(tmp_path: Path, seeds: int) -> None:
    for name in ("first.png", "second.png"):
        figures.save(figures.accuracy(*tables(seeds), NAMES), tmp_path / name)

    for kind, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        first, second = ((tmp_path / name).with_suffix(kind).read_bytes() for name in ("first.png", "second.png"))
        assert first == second
        assert first.startswith(start)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("seeds", "drawn"), [(1, 0), (3, len(METHODS))], ids=["one seed", "three seeds"])
def test_accuracy_has_a_dot_for_every_run_and_an_interval_where_there_is_one(seeds: int, drawn: int) -> None:
    figure = figures.accuracy(*tables(seeds), NAMES)

    (ax,) = figure.axes
    assert ax.get_title() == "digits (generated data)"
    dots = [line for line in ax.get_lines() if line.get_marker() == "o" and line.get_alpha() == 0.5]
    bars = [c for c in ax.containers if c.has_xerr]  # type: ignore[attr-defined]
    assert [len(np.atleast_1d(line.get_xdata())) for line in dots] == [seeds] * len(METHODS)
    assert len(bars) == drawn
    assert [t.get_text() for t in ax.get_yticklabels()] == ["greedy", "balanced", "color alone"]
    plt.close(figure)


def test_a_method_has_the_same_style_whatever_stands_beside_it() -> None:
    assert figures.styles(["random", "balanced"])["balanced"] == figures.styles(METHODS)["balanced"]


def test_two_dozen_methods_and_their_references_differ_also_without_color() -> None:
    drawn = figures.styles([*MANY, *(f"unimodal_{k}" for k in range(4))])

    assert len({(style.marker, style.filled) for style in drawn.values()}) == len(drawn) == 28


def test_of_very_many_methods_color_marker_and_fill_together_differ() -> None:
    assert len(set(figures.styles(f"m{k}" for k in range(150)).values())) == 150


def test_methods_of_ones_own_look_the_same_on_each_dataset() -> None:
    every = ["greedy", "mine", "unimodal_color", "greedy", "other", "unimodal_depth"]

    first, second = figures.styles(every[:3], every), figures.styles(every[3:], every)

    assert first["mine"] != second["other"] == figures.styles(["other", "mine"], every)["other"]
    assert first["unimodal_color"] == second["unimodal_depth"]  # m0 of each


@pytest.mark.parametrize("has_speed", [True, False], ids=["two modalities", "one modality"])
def test_a_runs_curves_show_d_speed_where_it_has_one(*, has_speed: bool) -> None:
    columns = history(4) if has_speed else history(4).drop(columns="d_speed")

    figure = figures.run_curves(columns, "a run")

    assert len(figure.axes) == 1 + has_speed
    assert np.asarray(figure.axes[0].get_lines()[0].get_ydata()).tolist() == pytest.approx([10, 20, 30, 40])
    plt.close(figure)


@pytest.mark.parametrize(("classes", "columns", "bands"), [(3, 3, 1), (16, 8, 2), (40, 10, 4), (11, 6, 2)])
def test_samples_of_many_classes_stand_in_bands_each_under_its_name(classes: int, columns: int, bands: int) -> None:
    names = [f"class_{k}" for k in range(classes)]
    pictures = [np.full((2, 1, 4, 4), k, dtype=np.uint8) for k in range(classes)]

    figure = figures.samples({"train": pictures, "test": pictures}, names, "title")

    shown = [ax for ax in figure.axes if ax.get_images()]
    assert len(figure.axes) == 2 * bands * columns
    assert [ax.get_title() for ax in shown if ax.get_title()] == [name.replace("_", " ") for name in names]
    for ax in shown:
        if ax.get_title():
            assert (np.asarray(ax.get_images()[0].get_array()) == int(ax.get_title().split()[1])).all()
    plt.close(figure)


def test_of_a_clip_frames_from_its_first_to_its_last_are_shown_in_their_order() -> None:
    clip = np.arange(9, dtype=np.uint8).reshape(1, 1, 9, 1, 1).repeat(3, axis=3).repeat(4, axis=4)  # frame t is t

    figure = figures.samples({"train": [clip]}, ["wave"], "title")

    strip = np.asarray(figure.axes[0].get_images()[0].get_array())
    assert strip.shape == (3, 5 * 4)
    assert strip[0, ::4].tolist() == [0, 2, 4, 6, 8]
    plt.close(figure)


def test_a_class_that_a_split_lacks_leaves_its_place_empty() -> None:
    some, none = np.zeros((2, 1, 4, 4), dtype=np.uint8), np.zeros((0, 1, 4, 4), dtype=np.uint8)

    figure = figures.samples({"train": [some, some], "test": [some, none]}, ["a", "b"], "title")

    assert [len(ax.get_images()) for ax in figure.axes] == [1, 1, 1, 0]
    plt.close(figure)


# -- What came of the runs ----------------------------------------------------------------------------------


def test_d_util_stands_against_d_speed_a_dot_for_each_run_of_several_modalities() -> None:
    runs, _ = tables(3)
    fused = ~runs["method"].str.startswith("unimodal_")
    runs["d_speed"] = np.where(fused, 0.1 * np.arange(len(runs)), np.nan)
    runs["val_d_util"], runs["test_d_util"] = runs["d_speed"] + 1, runs["d_speed"] + 2

    figure = figures.proxy(runs, "digits", "title")

    assert [ax.get_title() for ax in figure.axes] == ["greedy", "balanced"]
    for ax in figure.axes:
        own = runs[runs["method"] == ax.get_title()]
        of_splits = [line for line in ax.get_lines() if line.get_marker() in {"o", "s"} and len(line.get_xdata())]  # type: ignore[arg-type]
        for line, above in zip(of_splits, (1, 2), strict=True):
            np.testing.assert_allclose(np.asarray(line.get_xdata()), own["d_speed"])
            np.testing.assert_allclose(np.asarray(line.get_ydata()), own["d_speed"] + above)
    plt.close(figure)


def test_of_each_branch_the_curves_of_all_methods_are_shown_and_that_of_its_modality_alone() -> None:
    fused = history(3).assign(dataset="digits", val_accuracy_color=0.2, val_accuracy_gray=0.3)
    alone = history(3).assign(dataset="digits", method="unimodal_color", val_accuracy=0.9).drop(columns="d_speed")
    curves = pd.concat([fused.assign(method="greedy"), fused.assign(method="balanced"), alone])

    figure = figures.branches(curves, "digits", ["color", "gray"], "title")

    shown = {ax.get_title(): [line.get_label() for line in ax.get_lines()] for ax in figure.axes}
    assert shown == {
        "network": ["greedy", "balanced"],
        "branch of color": ["greedy", "balanced", "color alone"],
        "branch of gray": ["greedy", "balanced"],
    }
    assert np.asarray(figure.axes[1].get_lines()[2].get_ydata()).tolist() == [90, 90, 90]
    plt.close(figure)


def test_a_confusion_matrix_has_a_row_for_each_true_class_in_percent_of_it() -> None:
    counts = pd.DataFrame(
        [("digits", "greedy", 0, 0, 3), ("digits", "greedy", 0, 1, 1), ("other", "greedy", 1, 1, 9)],
        columns=["dataset", "method", "label", "predicted", "count"],
    )

    figure = figures.confusion(counts, "digits", ["a", "b_c"], "title")

    ax = figure.axes[0]
    assert np.asarray(ax.get_images()[0].get_array()).tolist() == [[75, 25], [0, 0]]  # no sample of b_c
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b c"]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("predicted class", "true class")
    plt.close(figure)


# -- Step by step -------------------------------------------------------------------------------------------


def stepped(modes: dict[str, list[int]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"step": range(1, len(of) + 1), "mode": of, "d_speed": 0.1}).assign(method=method)
        for method, of in modes.items()
    ]
    return pd.concat(parts).assign(dataset="digits", seed=0)


def test_rebalancing_steps_are_shaded_for_their_modality_and_counted() -> None:
    modes = [0] * 100 + [1] * 5 + [0] + [2] * 5 + [0] * 89

    table = stepped({"greedy": [0] * 200, "balanced": modes})
    figure = figures.steps(table, "digits", ["greedy", "balanced"], ["color", "gray"], "title")

    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == "greedy, seed 0: 0% of its steps re-balance"
    assert titles[2] == "balanced, seed 0: 5% of its steps re-balance"
    zoomed = np.asarray(figure.axes[3].get_lines()[0].get_xdata())
    assert zoomed[0] == 96
    assert len(zoomed) == 60
    assert shaded(figure.axes[3]) == [[(100.5, 105.5)], [(106.5, 111.5)]]
    assert shaded(figure.axes[0]) == [[], []]
    plt.close(figure)


def test_single_rebalancing_steps_are_shaded_as_well() -> None:
    figure = figures.steps(stepped({"random": [0, 1, 2, 2, 0, 1]}), "digits", ["random"], ["color", "gray"], "title")

    assert shaded(figure.axes[0]) == [[(1.5, 2.5), (5.5, 6.5)], [(2.5, 4.5)]]
    plt.close(figure)


def shaded(ax: Axes) -> list[list[tuple[float, float]]]:
    """First and last step, half a step further out, of each shaded window, for each modality."""
    extents = [[np.asarray(path.vertices)[:, 0] for path in c.get_paths()] for c in ax.collections]
    return [[(x.min(), x.max()) for x in of_modality] for of_modality in extents]


def test_a_long_run_has_no_more_points_than_can_be_seen_and_all_its_windows() -> None:
    modes = [0] + [1] * 5  # a period that thinning could hit
    figure = figures.steps(stepped({"balanced": modes * 2000}), "digits", ["balanced"], ["color", "gray"], "title")

    ax = figure.axes[0]
    assert len(np.asarray(ax.get_lines()[0].get_xdata())) <= 2000
    assert sum(end - start for start, end in shaded(ax)[0]) == 10_000
    plt.close(figure)


def test_a_method_without_steps_keeps_a_row_that_says_so() -> None:
    table = stepped({"greedy": [0, 0]})

    figure = figures.steps(table, "digits", ["greedy", "balanced"], ["color", "gray"], "title")

    assert figure.axes[2].get_title(loc="left") == "balanced: steps.parquet of no run can be read"
    plt.close(figure)
    plt.close(figures.steps(table.iloc[:0], "digits", ["greedy"], ["color", "gray"], "title"))


def test_the_shades_of_windows_are_no_methods_colors() -> None:
    alone = [f"unimodal_{k}" for k in range(4)]
    methods = {look.color for look in figures.styles([*METHODS, "random", *"abc", *alone]).values()}

    figure = figures.steps(stepped({"random": [0, 1, 2, 3]}), "digits", ["random"], ["x", "y", "z"], "title")

    shades = {tuple(np.asarray(c.get_facecolor())[0, :3]) for c in figure.axes[0].collections}
    assert len(shades) == 3
    assert not shades & {to_rgb(color) for color in methods}
    plt.close(figure)


# -- Over training ------------------------------------------------------------------------------------------


def test_d_util_at_chosen_epochs_stands_beside_d_speed() -> None:
    curves = history(4).assign(dataset="digits", method="greedy")
    during = pd.DataFrame({"dataset": "digits", "method": "greedy", "epoch": [1, 1, 4], "d_util": [0.25, 0.75, 1.0]})

    figure = figures.d_speed(curves, during, "digits", "title")

    left, right = figure.axes
    assert np.asarray(left.get_lines()[0].get_ydata()).tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    means, dots = right.get_lines()[:2]
    assert np.asarray(dots.get_ydata()).tolist() == [0.25, 0.75, 1.0]
    assert np.asarray(means.get_xdata()).tolist() == [1, 4]
    assert np.asarray(means.get_ydata()).tolist() == [0.5, 1.0]
    plt.close(figure)


def test_where_nothing_was_measured_over_training_the_figure_says_so() -> None:
    figure = figures.d_speed(history(4).assign(dataset="digits", method="greedy"), pd.DataFrame(), "digits", "title")

    assert "d_util: not measured, no snapshots" in [text.get_text() for text in figure.texts]
    plt.close(figure)


# -- Utilization, single samples, costs ---------------------------------------------------------------------


def test_utilization_shows_rates_and_accuracies_full_and_cut_of_both_splits() -> None:
    values = {
        "val_d_util": 0.0, "val_utilization_color": 0.5, "val_accuracy_color": 0.8, "val_accuracy_color_cut": 0.4,
        "test_utilization_color": -0.25, "test_accuracy_color": 0.4, "test_accuracy_color_cut": 0.5,
    }  # fmt: skip
    rows = [("digits", "greedy", measure, 1, v, np.nan, np.nan, np.nan) for measure, v in values.items()]
    summary = pd.DataFrame(rows, columns=["dataset", "method", "measure", "n", "mean", "sd", "low", "high"])

    figure = figures.utilization(summary, "digits", ["color"], "title")

    found = []
    for ax in figure.axes[:4]:
        lines = [line for line in ax.get_lines() if line.get_marker() == "^" and len(np.atleast_1d(line.get_xdata()))]
        found.append([(float(np.atleast_1d(x.get_xdata())[0]), x.get_markerfacecolor() == "white") for x in lines])
    assert found == [[(0.5, False)], [(80.0, False), (40.0, True)], [(-0.25, False)], [(40.0, False), (50.0, True)]]
    plt.close(figure)


def test_other_measures_have_a_panel_for_each_value() -> None:
    values = {"val_shapley_a": 0.2, "test_shapley_a": 0.4, "val_interaction": -0.1, "test_accuracy_a": 0.9}
    rows = [("digits", "greedy", name, 1, v, np.nan, np.nan, np.nan) for name, v in values.items()]
    summary = pd.DataFrame(rows, columns=["dataset", "method", "measure", "n", "mean", "sd", "low", "high"])

    figure = figures.measures(summary, "digits", "title")

    assert [ax.get_xlabel() for ax in figure.axes] == ["shapley_a", "interaction"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["greedy"]
    dots = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]  # type: ignore[arg-type]
    assert [float(np.asarray(line.get_xdata())[0]) for line in dots] == [0.2, 0.4]
    plt.close(figure)


def test_samples_that_one_method_tells_are_shown_in_all_modalities_under_their_class() -> None:
    rows = pd.DataFrame(
        [("greedy", 7, "s7", 1, 1.0, 0.0), ("random", 2, "s2", 0, 0.5, 0.25)],
        columns=["method", "row", "id", "label", "right", "others"],
        index=[4, 9],
    )
    gray = [np.full((1, 4, 4), v, dtype=np.uint8) for v in (7, 2)]
    clips = [np.full((3, 6, 4, 4), v, dtype=np.uint8) for v in (70, 20)]

    figure = figures.uniquely_correct(rows, {"gray": gray, "color": clips}, ["zero", "one_b"], "title")

    first, second = figure.axes
    assert first.get_title() == "one b\n100%, others 0%"
    assert second.get_title() == "zero\n50%, others 25%"
    assert [ax.get_ylabel() for ax in figure.axes] == ["greedy", "random"]
    for ax, values in ((first, {7, 70, 255}), (second, {2, 20, 255})):
        assert set(np.unique(np.asarray(ax.get_images()[0].get_array()))) == values
    plt.close(figure)


def test_where_no_sample_is_uniquely_correct_the_figure_says_none() -> None:
    rows = pd.DataFrame(columns=["method", "row", "id", "label", "right", "others"])

    figure = figures.uniquely_correct(rows, {"gray": []}, ["a"], "title")

    assert [text.get_text() for text in figure.axes[0].texts] == ["none"]
    plt.close(figure)


@pytest.mark.parametrize(("gpu", "columns"), [(0.0, 2), (900.0, 3)], ids=["CPU", "GPU"])
def test_costs_have_a_dot_for_each_run(gpu: float, columns: int) -> None:
    table = pd.DataFrame(
        {"dataset": "digits", "method": ["greedy", "greedy", "random"], "seconds": [1.0, 2.0, 3.0]}
    ).assign(peak_memory_mb=300.0, peak_gpu_memory_mb=gpu)

    figure = figures.costs(table, NAMES)

    assert len(figure.axes) == columns
    time = figure.axes[0]
    assert [np.asarray(line.get_xdata()).tolist() for line in time.get_lines()] == [[1, 2], [3]]
    assert time.get_title("left") == "digits (generated data)"
    assert figure.axes[-1].get_xlabel() == f"peak memory{' of the GPU' if gpu else ''} (MiB)"
    plt.close(figure)


def test_many_panels_stand_in_rows_that_fit_a_page() -> None:
    runs, summary = tables(1)
    several = pd.concat([runs.assign(dataset=name) for name in "abcde"])

    figure = figures.accuracy(several, summary, dict.fromkeys("abcde", "shown"))

    assert figure.get_figwidth() <= 9
    assert sum(bool(ax.get_title()) for ax in figure.axes) == 5
    plt.close(figure)


def test_no_figure_is_wider_than_a_page() -> None:
    classes, none = [f"class{k}" for k in range(40)], pd.DataFrame(columns=["method", "label", "right", "others"])
    clips = [np.zeros((2, 3, 6, 4, 4), dtype=np.uint8)] * 40
    curves = history(3).assign(dataset="digits", method="greedy", **{f"val_accuracy_{m}": 0.5 for m in "abc"})
    counts = pd.DataFrame({"dataset": "digits", "label": 0, "predicted": 0, "count": 1, "method": list("abcde")})
    costs = pd.DataFrame({"dataset": ["digits"], "method": "greedy", "seconds": 1.0, "peak_memory_mb": 300.0})
    told = pd.DataFrame({"method": ["greedy"] * 4, "label": 0, "right": 1.0, "others": 0.0})

    drawn = [
        figures.utilization(tables(3)[1], "digits", list("abc"), "title"),
        figures.steps(stepped({"greedy": [0]}), "digits", ["greedy"], list("abc"), "title"),
        figures.branches(curves, "digits", list("abc"), "title"),
        figures.confusion(counts, "digits", classes, "title"),
        figures.costs(costs.assign(peak_gpu_memory_mb=900.0), NAMES),
        figures.samples({"train": [c[:, :, 0] for c in clips]}, classes, "title"),
        figures.samples({"train": clips}, classes, "title"),
        figures.uniquely_correct(told, {"a": [clip[0] for clip in clips]}, classes, "title"),
        figures.uniquely_correct(none, {"a": []}, classes, "title"),
        figures.proxy(tables(3)[0].assign(d_speed=0.1), "digits", "title"),
        figures.d_speed(curves, pd.DataFrame(), "digits", "title"),
    ]

    assert max(figure.get_figwidth() for figure in drawn) <= 9
    assert max(figure.get_figheight() for figure in drawn) <= 20
    plt.close("all")


def test_two_dozen_methods_are_all_named_in_every_figure_that_fits_a_page() -> None:
    every = [*MANY, "unimodal_a", "unimodal_b"]
    numbers = {
        "val_d_util": 0.1,
        "test_d_util": 0.2,
        "d_speed": 0.3,
        "test_accuracy": 0.5,
        "epoch": 1,
        "val_accuracy": 0.4,
    }
    runs = pd.DataFrame({"dataset": "digits", "method": every, "seed": 0} | numbers)
    curves = pd.concat([runs, runs.assign(epoch=2)]).assign(val_accuracy=0.4, val_accuracy_a=0.3, val_accuracy_b=0.2)
    names = ("test_accuracy", "val_d_util", "val_utilization_a", "val_accuracy_a", "val_shapley_a")
    summary = pd.DataFrame(
        [("digits", m, name, 2, 0.5, 0.1, 0.4, 0.6) for m in every for name in names],
        columns=["dataset", "method", "measure", "n", "mean", "sd", "low", "high"],
    )
    counts = pd.DataFrame({"dataset": "digits", "label": 0, "predicted": 0, "count": 1, "method": every})
    costs = pd.DataFrame({"dataset": "digits", "method": every, "seconds": 1.0, "peak_memory_mb": 300.0})
    told = pd.DataFrame({"method": every, "label": 0, "right": 1.0, "others": 0.0})
    steps = stepped({m: [0, 1] for m in MANY})

    drawn = {
        "accuracy": figures.accuracy(runs, summary, NAMES),
        "utilization": figures.utilization(summary[~summary["method"].str.startswith("uni")], "digits", "ab", "title"),
        "measures": figures.measures(summary, "digits", "title"),
        "proxy": figures.proxy(runs[~runs["method"].str.startswith("uni")], "digits", "title"),
        "d_speed": figures.d_speed(curves, runs.rename(columns={"val_d_util": "d_util"}), "digits", "title"),
        "steps": figures.steps(steps, "digits", MANY, list("ab"), "title"),
        "branches": figures.branches(curves, "digits", list("ab"), "title"),
        "confusion": figures.confusion(counts, "digits", [f"class{k}" for k in range(40)], "title"),
        "costs": figures.costs(costs.assign(peak_gpu_memory_mb=0.0), NAMES),
        "uniquely_correct": figures.uniquely_correct(
            told, {"a": [np.zeros((1, 4, 4), np.uint8)] * 26}, ["zero"], "title"
        ),
    }

    for kind, figure in drawn.items():
        texts = " ".join(text.get_text() for text in figure.findobj(Text))
        assert [m for m in MANY if m not in texts] == [], kind
        assert figure.get_figwidth() <= 9, kind
        assert figure.get_figheight() <= 15, kind
    plt.close("all")
