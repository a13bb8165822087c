"""Figures of a made-up study, without files."""

from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from greedymm.analysis import figures
from greedymm.analysis.figures import (
    accuracy,
    branches,
    confusion,
    costs,
    d_speed,
    draw_figures,
    figure_modules,
    measures,
    proxy,
    samples,
    steps,
    uniquely_correct,
    utilization,
)
from greedymm.analysis.figures.style import TALLEST, WIDEST, draw_intervals, save, styles
from greedymm.analysis.results import Results
from greedymm.analysis.study import SPLITS, Images, Study, curves_table, estimates_table, uniquely_correct_table
from greedymm.info import DataInfo

SOLIDS = "solids"
NAME = "solids (generated data)"
METHODS = ("greedy", "balanced", "random", *(f"method_{k}" for k in range(21)))
EPOCHS = (1, 2, 3, 4)


def make_study(methods: int = 3, modalities: int = 2, seeds: int = 2, classes: int = 3, gpu: float = 0.0) -> Study:
    """A study of one dataset: multi-modal methods, and each modality alone."""
    names = ["view0", "view3", "view6", "view9"][:modalities]
    multimodal = METHODS[:methods]
    section: dict[str, Any] = {"modalities": names, "measures": ["utilization", "shapley"], "unimodal": True}
    params = made_up.make_params([*range(seeds)], dataset=SOLIDS, **section)
    own = params.datasets[SOLIDS].model_copy(update={"methods": dict.fromkeys(multimodal)})
    results = make_results([*multimodal, *(f"unimodal_{m}" for m in names)], names, seeds, classes, gpu)
    return Study(
        params=params.model_copy(update={"datasets": {SOLIDS: own}}),
        info={SOLIDS: make_info(names, classes)},
        paths={},
        names={SOLIDS: NAME},
        modalities={SOLIDS: dict(zip(names, names, strict=True))},
        results=results,
        estimates=estimates_table(results.runs),
        headline=pd.DataFrame(),
        curves=curves_table(results.histories),
        uniquely_correct=uniquely_correct_table(results.correct),
        claims=pd.DataFrame(),
        ranks=pd.DataFrame(),
    )


def make_info(modalities: list[str], classes: int) -> DataInfo:
    shapes = dict.fromkeys(modalities, (3, 8, 8))
    facts: dict[str, Any] = {
        "source": "drawn here",
        "license": "CC0",
        "notes": (),
        "sha256": "",
        "own": False,
        "counts": {"test": 40},
    }
    return DataInfo(
        display_name=NAME,
        generated=True,
        classes=tuple(f"class_{k}" for k in range(classes)),
        modalities=tuple(modalities),
        shapes=shapes,
        **facts,
    )


def make_results(methods: list[str], modalities: list[str], seeds: int, classes: int, gpu: float) -> Results:
    random = np.random.default_rng(0)
    runs = pd.DataFrame([(SOLIDS, m, s, f"seed{s}-{m}") for m in methods for s in range(seeds)])
    runs.columns = pd.Index(["dataset", "method", "seed", "run"])
    fused = ~runs["method"].str.startswith("unimodal_")
    names = ["d_util", *(f"{kind}_{m}" for m in modalities for kind in ("accuracy", "utilization", "shapley"))]
    names += [f"accuracy_{m}_cut" for m in modalities]
    values = {f"{split}_{name}": random.random(len(runs)) for split in ("val", "test") for name in names}
    values["d_speed"] = random.normal(size=len(runs))
    columns = {name: np.where(fused, column, np.nan) for name, column in values.items()}
    columns |= {f"{split}_accuracy": random.random(len(runs)) for split in ("val", "test")}
    identity, runs = runs, runs.assign(**columns)
    histories = identity.merge(pd.DataFrame({"epoch": EPOCHS}), how="cross")
    for name in ("val_accuracy", *(f"val_accuracy_{m}" for m in modalities)):
        histories[name] = random.random(len(histories))
    alone = histories["method"].str.startswith("unimodal_")
    histories["d_speed"] = np.where(alone, np.nan, random.normal(size=len(histories)))
    snapshots = histories.loc[~alone & histories["epoch"].isin({1, 4}), [*identity, "epoch", "d_speed"]]
    labels = np.arange(40) % classes
    correct = pd.DataFrame({"id": [f"test-{k}" for k in range(40)], "label": labels})
    shares = pd.DataFrame({m: np.roll(np.arange(40) < 1, k).astype(float) for k, m in enumerate(methods)})
    cost = {"epochs": 4, "seconds": 2.0, "peak_memory_mb": 300.0, "peak_gpu_memory_mb": gpu}
    return Results(
        runs=runs,
        histories=histories,
        snapshots=snapshots.assign(d_util=random.normal(size=len(snapshots))),
        costs=identity.assign(**cost),
        steps=make_steps({m: [0, 1, 2, 0] * 30 for m in methods if not m.startswith("unimodal_")}),
        confusion=pd.DataFrame({"dataset": SOLIDS, "method": methods, "label": 0, "predicted": 1, "count": 2}),
        correct={SOLIDS: pd.concat([correct, shares], axis=1)},
        records=[],
        excluded=[],
    )


def make_steps(modes: dict[str, list[int]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"step": range(1, len(mode) + 1), "mode": mode, "d_speed": 0.1}).assign(method=method)
        for method, mode in modes.items()
    ]
    return pd.concat(parts).assign(dataset=SOLIDS, seed=0)


def make_images(study: Study, *, clips: bool = False) -> Images:
    shape = (3, 6, 8, 8) if clips else (3, 8, 8)
    examples = [np.full((1 if clips else 3, *shape), 6 * k, np.uint8) for k in range(len(study.info[SOLIDS].classes))]
    single = [np.full(shape, 9, np.uint8)] * len(study.uniquely_correct)
    modalities = study.modalities[SOLIDS]
    rows = [f"{split}\n{m}" for split in ("train", "test") for m in modalities]
    return Images(dict.fromkeys(rows, examples), dict.fromkeys(modalities, single))


def with_results(study: Study, **tables: Any) -> Study:
    """The same study with other tables of results."""
    return study._replace(results=study.results._replace(**tables))


KINDS = tuple(kind for kind, _ in figure_modules())


def draw_all(study: Study, kinds: tuple[str, ...] = KINDS, *, clips: bool = False) -> dict[str, Figure]:
    """Figures of the only dataset, by their kind."""
    study = study._replace(images={SOLIDS: make_images(study, clips=clips)})
    modules = {kind: module for kind, module in figure_modules() if kind in kinds}
    drawn = {k: m.draw_all(study) if hasattr(m, "draw_all") else m.draw(study, SOLIDS) for k, m in modules.items()}
    return {kind: figure for kind, figure in drawn.items() if figure is not None}


def draw(module: ModuleType, study: Study) -> Figure:
    """The figure of the only dataset."""
    figure = module.draw(study, SOLIDS)
    assert isinstance(figure, Figure)
    return figure


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> None:
    plt.close("all")


# -- All figures --------------------------------------------------------------------------------------------

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("methods", "modalities", "classes"),
    [
        (3, 2, 10),
        pytest.param(3, 2, 40, marks=SLOW),
        pytest.param(24, 3, 12, marks=SLOW),
        pytest.param(24, 2, 40, marks=SLOW),
        pytest.param(1, 3, 2, marks=SLOW),
        pytest.param(3, 3, 16, marks=SLOW),
        pytest.param(7, 4, 10, marks=SLOW),
    ],
)
def test_every_figure_fits_a_page_names_all_methods_and_no_names_overlap(
    methods: int, modalities: int, classes: int
) -> None:
    study = make_study(methods, modalities, classes=classes)

    for kind, figure in draw_all(study, clips=classes == 40).items():
        figure.draw_without_rendering()
        texts = drawn_texts(figure)
        names = " ".join(text.get_text() for text in texts)
        assert kind == "samples" or [m for m in METHODS[:methods] if m not in names] == [], kind
        assert figure.get_figwidth() <= 9, kind
        assert figure.get_figheight() <= (35 if kind == "samples" else 20), kind
        assert overlaps(texts) == [], kind


def drawn_texts(figure: Figure) -> list[Text]:
    """Texts of a figure, without those of hidden axes and of ticks outside of the axes."""
    texts = {id(text): text for text in figure.findobj(Text) if text.get_text().strip()}
    for ax in figure.axes:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                inside = min(limits) <= tick.get_loc() <= max(limits)
                for text, visible in ((tick.label1, inside and tick.label1.get_visible()), (tick.label2, False)):
                    if not (visible and ax.axison):
                        texts.pop(id(text), None)
    return list(texts.values())


def overlaps(texts: list[Text]) -> list[tuple[str, str]]:
    """Pairs of texts of which one covers the other by more than a pixel."""
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in texts]
    return [(a, b) for (a, first), (b, second) in combinations(boxes, 2) if first.overlaps(second)]


def test_the_figures_of_a_report_are_files_in_its_order(tmp_path: Path) -> None:
    study = make_study()

    pictures = draw_figures(study._replace(images={SOLIDS: make_images(study)}), tmp_path)

    kinds = ["utilization", "measures", "proxy", "d_speed", "steps", "branches", "confusion", "samples"]
    names = [f"{kind}-{SOLIDS}.png" for kind in [*kinds, "uniquely_correct"]]
    assert [picture.path.name for picture in pictures] == ["accuracy.png", *names, "costs.png"]
    assert pictures[1] == ("utilization", SOLIDS, tmp_path / names[0], utilization.CAPTION)
    for picture in pictures:
        assert picture.path.read_bytes().startswith(b"\x89PNG")
        assert picture.path.with_suffix(".svg").read_bytes().startswith(b"<?xml")
    assert plt.get_fignums() == []


def test_a_new_figure_is_one_new_file_and_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from matplotlib import pyplot as plt\nCAPTION = 'New.'\ndef draw(study):\n    return plt.figure()\n"
    (tmp_path / "a_new_figure.py").write_text(text)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])

    assert [kind for kind, _ in figure_modules()] == [*KINDS, "a_new_figure"]


@pytest.mark.parametrize("kinds", [("accuracy",), pytest.param(KINDS, marks=SLOW)], ids=len)
def test_the_same_study_gives_the_same_bytes(kinds: tuple[str, ...], tmp_path: Path) -> None:
    for folder in ("first", "second"):
        for kind, figure in draw_all(make_study(), kinds).items():
            save(figure, tmp_path / folder / f"{kind}.png")

    paths = [path for kind in kinds for path in (tmp_path / "first").glob(f"{kind}.*")]
    assert len(paths) == 2 * len(kinds)
    assert all(path.read_bytes() == (tmp_path / "second" / path.name).read_bytes() for path in paths)


def test_a_dataset_without_a_measure_lacks_the_figures_of_it() -> None:
    study = make_study()
    speeds = {
        "runs": study.results.runs.drop(columns="d_speed"),
        "steps": study.results.steps.assign(d_speed=np.nan),
    }
    without_speed = with_results(study, **speeds)._replace(curves=study.curves.drop(columns="d_speed"))
    names = study.estimates["measure"]

    for changed, missing in (
        (without_speed, {"proxy", "d_speed", "steps"}),
        (study._replace(estimates=study.estimates[~names.str.contains("util")]), {"utilization"}),
        (study._replace(estimates=study.estimates[~names.str.contains("shapley")]), {"measures"}),
        (study._replace(uniquely_correct=study.uniquely_correct.iloc[:0]), {"uniquely_correct"}),
    ):
        assert set(KINDS) - set(draw_all(changed)) == missing
        plt.close("all")


def test_where_only_single_modalities_are_finished_the_other_figures_are_left_out() -> None:
    study = make_study()
    results = study.results
    named = [name for name, table in results._asdict().items() if isinstance(table, pd.DataFrame)]
    only = {n: getattr(results, n)[lambda table: table["method"].str.startswith("unimodal_")] for n in named}
    runs = only["runs"].dropna(axis=1)

    study = with_results(study, **only | {"runs": runs})._replace(
        estimates=estimates_table(runs), curves=curves_table(only["histories"].dropna(axis=1))
    )

    assert set(draw_all(study)) == {"accuracy", "costs", "confusion", "samples", "uniquely_correct"}


def test_an_axis_shows_no_rounding_errors(tmp_path: Path) -> None:
    study = make_study()
    runs = study.results.runs.assign(val_d_util=1e-17, test_d_util=-2e-17)
    figure = draw(proxy, with_results(study, runs=runs))

    save(figure, tmp_path / "proxy.png")

    assert np.ptp(figure.axes[0].get_ylim()) > 1e-3


# -- Styles -------------------------------------------------------------------------------------------------


def test_two_dozen_methods_and_their_references_differ_also_without_color() -> None:
    drawn = styles([*METHODS, *(f"unimodal_{k}" for k in range(4))])

    assert len({(style.marker, style.filled) for style in drawn.values()}) == len(drawn) == 28
    assert len(set(styles(f"m{k}" for k in range(150)).values())) == 150


def test_a_method_has_the_same_style_beside_other_methods_and_on_each_dataset() -> None:
    every = ["greedy", "mine", "unimodal_color", "greedy", "other", "unimodal_depth"]

    first, second = styles(every[:3], every), styles(every[3:], every)

    assert styles(["random", "balanced"])["balanced"] == styles(METHODS)["balanced"]
    assert first["mine"] != second["other"] == styles(["other", "mine"], every)["other"]
    assert first["unimodal_color"] == second["unimodal_depth"]  # m0 of each


def test_an_interval_is_drawn_around_its_mean_where_there_is_one() -> None:
    rows = [("m", "test_accuracy", 0.5, 0.4, 0.7), ("m", "d_speed", 2.0, np.nan, np.nan)]
    estimates = pd.DataFrame(rows, columns=["method", "measure", "mean", "low", "high"])
    methods = {"another": styles(["another"])["another"], "m": styles(["greedy"])["greedy"]}
    for measure, mean, interval in (
        ("test_accuracy", 50, [40, 70]),
        ("d_speed", 2, None),
        ("val_accuracy", None, None),
    ):
        _, ax = plt.subplots()
        draw_intervals(ax, estimates, measure, methods, 2)
        markers = [np.asarray(line.get_xydata()).tolist() for line in ax.get_lines() if line.get_marker() == "o"]
        bars = [segment[:, 0].tolist() for bar in ax.collections for segment in bar.get_segments()]  # type: ignore[attr-defined]
        assert markers == ([] if mean is None else [[[pytest.approx(mean), 3]]])
        assert bars == ([] if interval is None else [pytest.approx(interval)])


# -- Results of the runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seeds", "intervals"), [(1, 0), (3, 3)], ids=["one seed", "three seeds"])
def test_accuracy_has_a_dot_for_every_run_and_an_interval_where_there_is_one(seeds: int, intervals: int) -> None:
    study = make_study(seeds=seeds)

    (ax,) = accuracy.draw_all(study).axes

    assert ax.get_title() == NAME
    dots = [line for line in ax.get_lines() if line.get_marker() == "o" and line.get_alpha() == 0.5]
    bars = [c for c in ax.containers if c.has_xerr]  # type: ignore[attr-defined]
    assert [len(np.atleast_1d(line.get_xdata())) for line in dots] == [seeds] * 3
    np.testing.assert_allclose(dots[0].get_xdata(), 100 * study.results.runs["test_accuracy"][:seeds])  # type: ignore[arg-type]
    assert len(bars) == intervals
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["greedy", "balanced", "random"]
    means = study.estimates.query("measure == 'test_accuracy'").set_index("method")["mean"]
    lines = [float(np.asarray(line.get_xdata())[0]) for line in ax.get_lines() if line.get_linestyle() == "--"]
    assert lines == pytest.approx([100 * means["unimodal_view0"], 100 * means["unimodal_view3"]])
    assert [t.get_text().partition(" alone")[0] for t in ax.texts] == ["view0", "view3"]


def test_panels_of_many_datasets_are_in_rows_that_fit_a_page() -> None:
    study, names = make_study(), list("abcde")
    runs = pd.concat([study.results.runs.assign(dataset=name) for name in names])

    changed = with_results(study, runs=runs)._replace(estimates=estimates_table(runs))
    figure = accuracy.draw_all(changed._replace(names=dict.fromkeys(names, NAME)))

    assert figure.get_figwidth() <= 9
    assert [ax.get_title() for ax in figure.axes] == [NAME] * 5 + [""]


def test_utilization_shows_rates_and_accuracies_full_and_cut_of_both_splits() -> None:
    values = {
        "val_d_util": 0.0, "val_utilization_view0": 0.5, "val_accuracy_view0": 0.8, "val_accuracy_view0_cut": 0.4,
        "test_utilization_view0": -0.25, "test_accuracy_view0": 0.4, "test_accuracy_view0_cut": 0.5,
    }  # fmt: skip
    runs = pd.DataFrame({"dataset": [SOLIDS], "method": "greedy", "seed": 0, "run": "r"} | values)

    figure = draw(utilization, make_study()._replace(estimates=estimates_table(runs)))

    drawn = []
    for ax in figure.axes[:4]:
        lines = [line for line in ax.get_lines() if line.get_marker() == "^" and len(np.atleast_1d(line.get_xdata()))]
        drawn.append([(float(np.atleast_1d(x.get_xdata())[0]), x.get_markerfacecolor() == "white") for x in lines])
    assert drawn == [[(0.5, False)], [(80.0, False), (40.0, True)], [(-0.25, False)], [(40.0, False), (50.0, True)]]


def test_other_measures_have_a_panel_for_each_value() -> None:
    values = {"val_shapley_a": 0.2, "test_shapley_a": 0.4, "val_interaction": -0.1, "test_accuracy_a": 0.9}
    runs = pd.DataFrame({"dataset": [SOLIDS], "method": "greedy", "seed": 0, "run": "r", "d_speed": 3.0} | values)

    figure = draw(measures, make_study()._replace(estimates=estimates_table(runs)))

    assert [ax.get_xlabel() for ax in figure.axes] == ["shapley_a", "interaction"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["greedy"]
    dots = [line for line in figure.axes[0].get_lines() if len(np.atleast_1d(line.get_xdata())) == 1]
    assert [float(np.asarray(line.get_xdata())[0]) for line in dots] == [0.2, 0.4]
    assert [line.get_markerfacecolor() == "white" for line in dots] == [True, False]


def test_many_measures_are_a_table_of_means_on_test() -> None:
    names = [f"value_{k}" for k in range(50)]
    runs = pd.DataFrame({"dataset": SOLIDS, "method": METHODS, "seed": 0, "run": METHODS})
    splits = (*SPLITS, "val_shift")  # a further split has no place here
    columns = {f"{split}_{n}": float(split == "test") * k for k, n in enumerate(names) for split in splits}
    values = pd.DataFrame(columns, runs.index)
    values.loc[1, "test_value_3"] = np.nan
    values.loc[2, "test_value_3"] = 0.25

    study = make_study()
    counts = dict.fromkeys(splits, 10)
    info = {**study.info, SOLIDS: study.info[SOLIDS].model_copy(update={"counts": counts})}

    figure = draw(measures, study._replace(estimates=estimates_table(runs.join(values)), info=info))

    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    assert [t.get_text() for t in ax.get_xticklabels()] == list(METHODS)
    cells = np.array([t.get_text() for t in ax.texts]).reshape(len(names), len(METHODS))
    assert cells[3].tolist() == ["3.00", "", "0.25", *["3.00"] * (len(METHODS) - 3)]
    figure.draw_without_rendering()
    assert overlaps(list(ax.texts)) == []
    assert figure.get_size_inches()[0] <= WIDEST
    assert figure.get_size_inches()[1] <= TALLEST


def test_d_util_is_drawn_against_d_speed_with_a_dot_for_each_multimodal_run() -> None:
    study = make_study()
    runs = study.results.runs

    figure = draw(proxy, study)

    assert [ax.get_title() for ax in figure.axes] == ["greedy", "balanced", "random"]
    for ax in figure.axes:
        own = runs[runs["method"] == ax.get_title()]
        lines = [x for x in ax.get_lines() if x.get_marker() in {"o", "s", "D"} and len(np.atleast_1d(x.get_xdata()))]
        for line, split in zip(lines, ("val", "test"), strict=True):
            np.testing.assert_allclose(np.asarray(line.get_xydata()), own[["d_speed", f"{split}_d_util"]])
            assert (line.get_markerfacecolor() == "white") == (split == "test")


def test_names_of_classes_are_drawn_as_they_are(tmp_path: Path) -> None:
    study = make_study(classes=4)
    names = ("$x_1$", "$\\frac{$", "<b>a & b", "it's $")
    info = study.info[SOLIDS].model_copy(update={"classes": names})

    for kind, figure in draw_all(study._replace(info={SOLIDS: info}), ("samples", "confusion")).items():
        texts = {text.get_text() for text in drawn_texts(figure)}
        assert {name.replace("_", " ") for name in names} <= texts, kind
        save(figure, tmp_path / f"{kind}.png")


def test_a_confusion_matrix_has_a_row_for_each_true_class_in_percent() -> None:
    counts = pd.DataFrame(
        [(SOLIDS, "greedy", 0, 0, 3), (SOLIDS, "greedy", 0, 1, 1), ("other", "greedy", 1, 1, 9)],
        columns=["dataset", "method", "label", "predicted", "count"],
    )

    figure = draw(confusion, with_results(make_study(classes=2), confusion=counts))

    ax = figure.axes[0]
    assert np.asarray(ax.get_images()[0].get_array()).tolist() == [[75, 25], [0, 0]]  # no sample of class 1
    assert [t.get_text() for t in ax.get_yticklabels()] == ["class 0", "class 1"]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("predicted class", "true class")


@pytest.mark.parametrize(("gpu", "columns"), [(0.0, 2), (900.0, 3)], ids=["CPU", "GPU"])
def test_costs_have_a_dot_for_each_run(gpu: float, columns: int) -> None:
    study = make_study(gpu=gpu)
    study.results.costs["seconds"] = np.arange(10)

    figure = costs.draw_all(study)

    assert len(figure.axes) == columns
    time = figure.axes[0]
    dots = [np.asarray(line.get_xdata()).tolist() for line in time.get_lines()]
    assert dots == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert time.get_title("left") == NAME
    assert figure.axes[-1].get_xlabel() == f"peak memory{' of the GPU' if gpu else ''} (MiB)"


# -- Training -----------------------------------------------------------------------------------------------


def test_each_branch_has_the_curves_of_all_methods_and_of_its_modality_alone() -> None:
    study = make_study()
    alone = study.curves["method"] == "unimodal_view0"

    figure = draw(branches, study)

    methods = ["greedy", "balanced", "random"]
    assert {ax.get_title(): [str(line.get_label()) for line in ax.get_lines()] for ax in figure.axes} == {
        "network": methods,
        "branch of view0": [*methods, "view0 alone"],
        "branch of view3": [*methods, "view3 alone"],
    }
    network, branch = figure.axes[0].get_lines()[0], figure.axes[1].get_lines()
    greedy = study.curves[study.curves["method"] == "greedy"]
    np.testing.assert_allclose(network.get_ydata(), 100 * greedy["val_accuracy"])  # type: ignore[arg-type]
    np.testing.assert_allclose(branch[0].get_ydata(), 100 * greedy["val_accuracy_view0"])  # type: ignore[arg-type]
    np.testing.assert_allclose(branch[3].get_ydata(), 100 * study.curves[alone]["val_accuracy"])  # type: ignore[arg-type]
    assert [line.get_linestyle() for line in branch] == ["-", "-", "-", "--"]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1


def test_of_many_methods_each_has_a_panel_with_all_curves_and_its_own_in_color() -> None:
    figure = draw(branches, make_study(7))

    own = next(ax for ax in figure.axes if ax.get_title() == "random")
    lines = own.get_lines()
    assert len([line for line in lines if line.get_color() == "#D0D0D0"]) == 7
    assert (lines[-1].get_color(), lines[-1].get_linewidth()) == (styles(["random"])["random"].color, 1.8)
    assert sum(ax.axison for ax in figure.axes) == 3 * 7
    np.testing.assert_allclose(lines[-1].get_ydata(), lines[2].get_ydata())  # type: ignore[arg-type]


def test_d_util_at_snapshots_is_beside_d_speed() -> None:
    study = make_study(1)
    snapshots = pd.DataFrame({"dataset": SOLIDS, "method": "greedy", "epoch": [1, 1, 4], "d_util": [0.25, 0.75, 1.0]})

    left, right = draw(d_speed, with_results(study, snapshots=snapshots)).axes

    speeds = study.curves[study.curves["method"] == "greedy"]["d_speed"]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), speeds)  # type: ignore[arg-type]
    means, dots = right.get_lines()[:2]
    assert np.asarray(dots.get_ydata()).tolist() == [0.25, 0.75, 1.0]
    assert np.asarray(means.get_xydata()).tolist() == [[1, 0.5], [4, 1.0]]


def test_without_snapshots_the_figure_of_d_speed_says_so() -> None:
    study = make_study()

    figure = draw(d_speed, with_results(study, snapshots=study.results.snapshots.iloc[:, :4]))

    assert "d_util: not measured, no snapshots" in [text.get_text() for text in figure.texts]


# -- Steps --------------------------------------------------------------------------------------------------


def draw_steps(modes: dict[str, list[int]], methods: int = 1, modalities: int = 2) -> Figure:
    return draw(steps, with_results(make_study(methods, modalities), steps=make_steps(modes)))


def shaded(ax: Axes) -> list[list[tuple[float, float]]]:
    """First and last step of each shaded window, half a step further out, for each modality."""
    extents = [[np.asarray(path.vertices)[:, 0] for path in c.get_paths()] for c in ax.collections]
    return [[(x.min(), x.max()) for x in modality] for modality in extents]


def test_rebalancing_steps_are_shaded_for_their_modality_and_counted() -> None:
    modes = [0] * 100 + [1] * 5 + [0] + [2] * 5 + [0] * 89

    axes = draw_steps({"greedy": [0] * 200, "balanced": modes}, methods=3).axes

    titles = [ax.get_title(loc="left") for ax in axes]
    assert titles == [
        "greedy: 0% re-balancing",
        "steps 101 to 160",
        "balanced: 5% re-balancing",
        "steps 96 to 155",
    ]
    assert [np.asarray(axes[k].get_lines()[0].get_xdata())[[0, -1]].tolist() for k in (1, 3)] == [[101, 160], [96, 155]]
    assert shaded(axes[3]) == [[(100.5, 105.5)], [(106.5, 111.5)]]
    assert shaded(axes[0]) == [[], []]


def test_single_rebalancing_steps_are_shaded_as_well() -> None:
    figure = draw_steps({"greedy": [0, 1, 2, 2, 0, 1]})

    assert shaded(figure.axes[0]) == [[(1.5, 2.5), (5.5, 6.5)], [(2.5, 4.5)]]


def test_a_long_run_has_no_more_points_than_can_be_seen_and_all_its_windows() -> None:
    ax = draw_steps({"greedy": ([0] + [1] * 5) * 2000}).axes[0]  # a period that thinning could hit

    assert len(np.asarray(ax.get_lines()[0].get_xdata())) <= 2000
    assert sum(end - start for start, end in shaded(ax)[0]) == 10_000


def test_no_method_has_the_color_of_a_shade() -> None:
    methods = {style.color for style in styles([*METHODS, *(f"unimodal_{k}" for k in range(4))]).values()}

    figure = draw_steps({"greedy": [0, 1, 2, 3]}, modalities=3)

    shades = {tuple(np.asarray(c.get_facecolor())[0, :3]) for c in figure.axes[0].collections}
    assert len(shades) == 3
    assert not shades & {to_rgb(color) for color in methods}


# -- Samples ------------------------------------------------------------------------------------------------


def pixels(ax: Axes) -> Any:
    return np.asarray(ax.get_images()[0].get_array())


@pytest.mark.parametrize(("classes", "columns", "rows"), [(3, 3, 1), (16, 8, 2), (40, 10, 4), (11, 6, 2)])
def test_samples_of_many_classes_are_in_rows_each_under_its_name(classes: int, columns: int, rows: int) -> None:
    study = make_study(classes=classes)

    figure = draw(samples, study._replace(images={SOLIDS: make_images(study)}))

    drawn = [ax for ax in figure.axes if ax.get_images()]
    assert len(figure.axes) == rows * columns
    assert [ax.get_title() for ax in drawn] == [f"class {k}" for k in range(classes)]
    for k, ax in enumerate(drawn):
        assert pixels(ax).shape == (4 * (8 + 2), 3 * 8, 3)  # a row for each of two splits and modalities
        assert set(np.unique(pixels(ax))) == {6 * k, 255}


def test_a_clip_is_shown_as_frames_from_its_first_to_its_last() -> None:
    clip = np.arange(9, dtype=np.uint8).reshape(1, 1, 9, 1, 1).repeat(3, axis=3).repeat(4, axis=4)  # frame t is t
    study = make_study(classes=1)._replace(images={SOLIDS: Images({"train": [clip]}, {})})

    strip = pixels(draw(samples, study).axes[0])

    assert strip.shape == (3 + 2, 5 * 4, 3)
    assert strip[0, ::4, 0].tolist() == [0, 2, 4, 6, 8]


def test_a_class_that_a_split_lacks_has_a_white_row() -> None:
    some, none = np.zeros((2, 1, 4, 4), np.uint8), np.zeros((0, 1, 4, 4), np.uint8)
    examples = {"train": [some, some], "test": [some, none]}

    axes = draw(samples, make_study(classes=2)._replace(images={SOLIDS: Images(examples, {})})).axes

    assert [(pixels(ax) == 0).sum() for ax in axes] == [2 * 2 * 16 * 3, 2 * 16 * 3]
    assert (pixels(axes[1])[4:] == 255).all()


def test_uniquely_correct_samples_are_shown_in_all_modalities_under_their_class() -> None:
    rows = pd.DataFrame(
        [(SOLIDS, "greedy", 7, "s7", 1, 1.0, 0.0), (SOLIDS, "random", 2, "s2", 0, 0.5, 0.25)],
        columns=["dataset", "method", "row", "id", "label", "rate", "best_other"],
        index=[4, 9],
    )
    gray = [np.full((1, 4, 4), v, np.uint8) for v in (7, 2)]
    clips = [np.full((3, 6, 4, 4), v, np.uint8) for v in (70, 20)]
    images = {SOLIDS: Images({}, {"gray": gray, "color": clips})}

    first, second = draw(uniquely_correct, make_study()._replace(uniquely_correct=rows, images=images)).axes

    assert first.get_title() == "greedy\nclass 1\n100%, others 0%"
    assert second.get_title() == "random\nclass 0\n50%, others 25%"
    for ax, values in ((first, {7, 70, 255}), (second, {2, 20, 255})):
        assert set(np.unique(pixels(ax))) == values
