from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from greedymm.analysis import figures

NAMES = {"digits": "digits (generated data)"}
METHODS = ("greedy", "balanced", "unimodal_color")


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
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    bars = [c for c in ax.containers if c.has_yerr]  # type: ignore[attr-defined]
    assert [len(np.atleast_1d(line.get_xdata())) for line in dots] == [seeds] * len(METHODS)
    assert len(bars) == drawn
    assert [t.get_text() for t in ax.get_xticklabels()] == ["greedy", "balanced", "color alone"]
    plt.close(figure)


def test_a_method_has_the_same_colour_whatever_stands_beside_it() -> None:
    assert figures.colours(["random", "balanced"])["balanced"] == figures.colours(METHODS)["balanced"]
    assert len(set(figures.colours([*METHODS, "random"]).values())) == 4


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

    for ax, above in zip(figure.axes, (1, 2), strict=True):
        dots = [line for line in ax.get_lines() if line.get_marker() not in {"None", ""}]
        assert [line.get_label() for line in dots] == ["greedy", "balanced"]
        x, y = (np.concatenate([line.get_data()[k] for line in dots]) for k in (0, 1))
        np.testing.assert_allclose(x, runs.loc[fused, "d_speed"])
        np.testing.assert_allclose(y, x + above)
    plt.close(figure)


def test_of_each_branch_the_curves_of_all_methods_are_shown_and_that_of_its_modality_alone() -> None:
    fused = history(3).assign(dataset="digits", val_accuracy_color=0.2, val_accuracy_gray=0.3)
    alone = history(3).assign(dataset="digits", method="unimodal_color", val_accuracy=0.9).drop(columns="d_speed")
    curves = pd.concat([fused.assign(method="greedy"), fused.assign(method="balanced"), alone])

    figure = figures.branches(curves, "digits", ["color", "gray"], "title")

    shown = {ax.get_title(): [line.get_label() for line in ax.get_lines()] for ax in figure.axes}
    assert shown == {
        "mean of the branches": ["greedy", "balanced"],
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
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true class")
    plt.close(figure)
