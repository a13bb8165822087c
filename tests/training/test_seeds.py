from pathlib import Path

import pytest
import tiny
import torch

from greedymm import checkpoint
from greedymm.seeding import STREAMS, Generators, seed_everything


def finished(folder: Path, method: str, seed: int) -> bytes:
    """Bytes of the checkpoint of a run; the seed is no part of its settings here."""
    run = tiny.run(folder / "resume.pt", method, seed=seed)
    run.go()
    path = folder / f"{method}-{seed}-checkpoint.pt"
    checkpoint.save(path, checkpoint.stamped({}) | {"best": run.fit.progress.best})
    return path.read_bytes()


@pytest.mark.parametrize("method", list(tiny.METHODS))
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, method: str) -> None:
    folders = [tmp_path / name for name in ("first", "second", "third")]

    first, second, other = (finished(f, method, seed) for f, seed in zip(folders, (0, 0, 1), strict=True))

    assert first == second
    assert first != other


def test_bytes_of_a_checkpoint_do_not_depend_on_its_name(tmp_path: Path) -> None:
    state = {"weights": torch.arange(3.0), "epoch": 2}
    for name in ("a.pt", "another.pt"):
        checkpoint.save(tmp_path / name, state)

    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()


@pytest.mark.parametrize("drawn", STREAMS)
def test_drawing_from_one_stream_leaves_the_others_alone(drawn: str) -> None:
    streams, untouched = Generators(0), Generators(0)

    torch.rand(100, generator=streams[drawn])

    same = {name for name in STREAMS if torch.equal(streams[name].get_state(), untouched[name].get_state())}
    assert same == set(STREAMS) - {drawn}


def test_streams_of_one_seed_and_of_neighbouring_seeds_are_all_different() -> None:
    draws = [tuple(torch.rand(4, generator=Generators(seed)[name]).tolist()) for seed in range(3) for name in STREAMS]

    assert len(set(draws)) == 3 * len(STREAMS)


def test_torchs_own_generator_is_seeded_too_and_is_not_a_stream_in_use() -> None:
    def draw(seed: int) -> list[float]:
        seed_everything(seed)
        return torch.rand(4).tolist()

    assert draw(0) == draw(0) != draw(1)
    streams = seed_everything(0)
    before = {name: generator.get_state() for name, generator in streams.generators.items()}
    torch.rand(4)
    assert all(torch.equal(before[name], generator.get_state()) for name, generator in streams.generators.items())


def test_what_a_method_draws_does_not_change_the_order_of_the_samples(tmp_path: Path) -> None:
    orders = []
    for method in ("greedy", "random"):
        run = tiny.run(tmp_path / f"{method}.pt", method)
        run.go()
        orders.append(run.streams["order"].get_state())

    assert torch.equal(*orders)


def test_streams_go_on_from_a_saved_state() -> None:
    streams, other = Generators(0), Generators(1)
    torch.rand(7, generator=streams["order"])

    other.load_state_dict(streams.state_dict())

    for name in STREAMS:
        assert torch.equal(torch.rand(4, generator=streams[name]), torch.rand(4, generator=other[name]))
