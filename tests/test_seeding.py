import os
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from greedymm import seeding
from greedymm.seeding import STREAMS, Generators


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave torch as it was found."""
    state, deterministic = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_rng_state(state)
    torch.use_deterministic_algorithms(deterministic)


def draw(generator: torch.Generator | None) -> Tensor:
    return torch.rand(8, generator=generator)


def drawn(streams: Generators) -> dict[str, Tensor]:
    return {name: draw(streams[name]) for name in STREAMS}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, bool]:
    return {name: torch.equal(first[name], second[name]) for name in STREAMS}


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_same_seed_gives_the_same_numbers_in_every_stream(seed: int) -> None:
    assert all(equal(drawn(Generators(seed)), drawn(Generators(seed))).values())


def test_another_seed_gives_other_numbers_in_every_stream() -> None:
    assert not any(equal(drawn(Generators(0)), drawn(Generators(1))).values())


def test_no_two_streams_give_the_same_numbers_not_even_of_neighbouring_seeds() -> None:
    numbers = [tuple(values.tolist()) for seed in range(20) for values in drawn(Generators(seed)).values()]

    assert len(set(numbers)) == 20 * len(STREAMS)


@pytest.mark.parametrize("name", STREAMS)
def test_drawing_from_one_stream_leaves_the_others_alone(name: str) -> None:
    streams = Generators(0)

    draw(streams[name])

    assert equal(drawn(streams), drawn(Generators(0))) == {other: other != name for other in STREAMS}


def test_streams_go_on_where_their_state_was_taken() -> None:
    streams, other = Generators(0), Generators(1)
    drawn(streams)
    state = streams.state_dict()
    expected = drawn(streams)

    other.load_state_dict(state)

    assert all(equal(drawn(other), expected).values())


def test_a_state_without_one_of_the_streams_is_refused() -> None:
    state = Generators(0).state_dict()
    del state["method"]

    with pytest.raises(KeyError, match="method"):
        Generators(0).load_state_dict(state)


def test_torchs_own_generator_is_seeded_with_the_stream_of_the_weights() -> None:
    draw(None)

    streams = seeding.seed_everything(3)

    assert torch.equal(draw(None), draw(Generators(3)["weights"]))
    assert all(equal(drawn(streams), drawn(Generators(3))).values())


def test_weights_of_another_seed_differ() -> None:
    weights = []
    for seed in (0, 0, 1):
        seeding.seed_everything(seed)
        weights.append(torch.nn.Linear(4, 4).weight)

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_deterministic_kernels_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.use_deterministic_algorithms(False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)

    seeding.seed_everything(0)

    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] in {":4096:8", ":16:8"}  # those that cuBLAS calls deterministic


def test_a_workspace_that_the_user_chose_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")

    seeding.seed_everything(0)

    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
