import numpy as np

from greedymm.data.samples import hold_out

LABELS = np.repeat(np.arange(3), (10, 20, 2))


def test_the_same_share_of_every_class_is_held_out() -> None:
    for share, counts in ((0.2, [2, 4, 1]), (0.5, [5, 10, 1]), (0.01, [1, 1, 1]), (0.99, [9, 19, 1])):
        held = hold_out(LABELS, share, np.random.default_rng(0))
        assert np.bincount(LABELS[held]).tolist() == counts


def test_which_samples_are_held_out_is_drawn() -> None:
    first, again, other = (hold_out(LABELS, 0.5, np.random.default_rng(seed)) for seed in (0, 0, 1))

    assert (first == again).all()
    assert (first != other).any()


def test_the_only_sample_of_a_class_is_not_held_out() -> None:
    assert hold_out(np.array([0, 1, 1]), 0.5, np.random.default_rng(0)).tolist()[0] is False
