import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch

from greedymm import seeding
from greedymm.seeding import STREAMS, Generators


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave torch as it was."""
    state, deterministic = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_rng_state(state)
    torch.use_deterministic_algorithms(deterministic)


def draw(streams: Generators) -> dict[str, list[float]]:
    return {name: torch.rand(8, generator=streams[name]).tolist() for name in STREAMS}


def test_the_same_seed_gives_the_same_numbers_in_every_stream() -> None:
    for seed in (0, 1, 2**32 - 1):
        assert draw(Generators(seed)) == draw(Generators(seed))


def test_all_streams_of_neighboring_seeds_are_different() -> None:
    numbers = [tuple(values) for seed in range(20) for values in draw(Generators(seed)).values()]

    assert len(set(numbers)) == 20 * len(STREAMS)


def test_drawing_from_one_stream_does_not_change_the_others() -> None:
    for name in STREAMS:
        streams, expected = Generators(0), draw(Generators(0))
        torch.rand(8, generator=streams[name])

        assert {other for other, numbers in draw(streams).items() if numbers == expected[other]} == {*STREAMS} - {name}


def test_streams_and_torchs_own_generator_continue_from_a_saved_state() -> None:
    streams, other = Generators(0), Generators(1)
    draw(streams)
    state = streams.state_dict()
    expected = draw(streams), torch.rand(4).tolist()

    other.load_state_dict(state)

    assert (draw(other), torch.rand(4).tolist()) == expected
    del state["method"]
    with pytest.raises(KeyError, match="method"):
        other.load_state_dict(state)


def test_torchs_own_generator_is_seeded_like_the_stream_of_the_weights_but_is_another_one() -> None:
    streams = seeding.seed_everything(3)

    assert torch.equal(torch.rand(8), torch.rand(8, generator=Generators(3)["weights"]))
    assert draw(streams) == draw(Generators(3))


def test_deterministic_kernels_are_requested_and_a_workspace_of_the_user_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.use_deterministic_algorithms(False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)

    seeding.seed_everything(0)

    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # cuBLAS is deterministic with it, and with :16:8
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    seeding.seed_everything(0)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


# That the same seed gives the same bytes is a part of training/test_resume.py.
def test_another_seed_trains_another_network_and_a_method_does_not_change_the_order(tmp_path: Path) -> None:
    runs = [tiny.run(tmp_path / f"{m}{s}.pt", m, seed=s) for m, s in (("greedy", 0), ("random", 0), ("greedy", 1))]
    for run in runs:
        run.go()

    orders = [run.streams["order"].get_state() for run in runs]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    weights = [run.fit.model.group("branch_0.body")[0] for run in runs]
    assert not torch.equal(weights[0], weights[2])
