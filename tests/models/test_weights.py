"""Weights of others: what the tests of the branches leave open."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import Branch
from greedymm.models.weights import load, read

CONV = "stages.0.weight"


def branch(channels: int = 3) -> Branch:
    return Branch([nn.Conv2d(channels, 4, 3, bias=False)], [4], nn.Linear(4, 2))


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def own(name: str) -> str:
    return name


def test_a_layer_as_a_convolution_of_one_place_is_the_same_layer(tmp_path: Path) -> None:
    theirs, mine = branch().state_dict(), branch()
    as_convolution = theirs | {"pool.weight": theirs["pool.weight"][:, :, None, None, None]}

    load(mine, saved(tmp_path / "w.pt", as_convolution), own, "it")

    assert all(torch.equal(w, theirs[name]) for name, w in mine.state_dict().items())


def test_weights_that_were_saved_in_another_order_of_memory_are_loaded(tmp_path: Path) -> None:
    theirs, mine = branch().state_dict(), branch()
    turned = {n: w.transpose(0, -1).contiguous().transpose(0, -1) for n, w in theirs.items()}

    load(mine, saved(tmp_path / "w.pt", turned), own, "it")

    assert all(torch.equal(w, theirs[name]) for name, w in mine.state_dict().items())


def test_what_was_refused_has_changed_nothing(tmp_path: Path) -> None:
    mine = branch()
    before = {name: w.clone() for name, w in mine.state_dict().items()}
    file = saved(tmp_path / "w.pt", {CONV: torch.zeros(4, 3, 3, 3), "pool.weight": torch.zeros(2, 4)})

    with pytest.raises(GreedymmError, match=r"no weight 'pool\.bias': it is not of it"):
        load(mine, file, own, "it")

    assert all(torch.equal(w, before[name]) for name, w in mine.state_dict().items())


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(5,), (4, 9), (4, 3, 5, 5), ()], ids=str)
def test_a_first_layer_of_another_form_is_refused_with_both_shapes(
    shape: tuple[int, ...], channels: int, tmp_path: Path
) -> None:
    mine = branch(channels)
    file = saved(tmp_path / "w.pt", mine.state_dict() | {CONV: torch.zeros(shape)})

    with pytest.raises(GreedymmError, match=rf"'{CONV}': \(.*\) in {file}, \(4, {channels}, 3, 3\)"):
        load(mine, file, own, "it")


def test_a_first_layer_of_one_channel_does_not_pass_for_one_of_three(tmp_path: Path) -> None:
    file = saved(tmp_path / "w.pt", branch(channels=1).state_dict())

    with pytest.raises(GreedymmError, match=r"\(4, 1, 3, 3\) .*, \(4, 3, 3, 3\)"):
        load(branch(channels=3), file, own, "it")


class Trap:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("run.txt"),)


OTHERS = {"a tensor": torch.zeros(3), "a number": 1, "code": Trap(), "a network": nn.Linear(2, 2)}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_a_file_of_anything_but_weights_is_refused_and_runs_nothing(
    content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path / "w.pt", content)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(GreedymmError, match=r"w\.pt is no file of weights, or broken"):
        read(file)

    assert not Path("run.txt").exists()


def test_weights_are_read_from_a_file_of_another_device_or_name(tmp_path: Path) -> None:
    weights: dict[str, Tensor] = {"a": torch.arange(3.0)}

    assert torch.equal(read(saved(tmp_path / "w", weights))["a"], weights["a"])
