"""Files of pretrained weights: what is loaded, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.network import Branch
from greedymm.models.weights import load

FIRST, COUNTER = "stages.0.0.weight", "stages.0.1.num_batches_tracked"


def branch(channels: int = 3) -> Branch:
    stage = nn.Sequential(nn.Conv2d(channels, 4, 3, bias=False), nn.BatchNorm2d(4))
    return Branch([stage], [4], nn.Linear(4, 2))


def read_into(target: Branch, folder: Path, content: object) -> None:
    """Save a content under the names of a port, and load it into a branch."""
    if isinstance(content, dict):
        content = {f"port.{name}": weight for name, weight in content.items()}
    torch.save(content, folder / "w.pt")
    load(target, folder / "w.pt", lambda name: f"port.{name}", "a network of theirs")


def test_weights_are_loaded_by_name_whatever_their_memory_format_and_head(tmp_path: Path) -> None:
    trained = branch().state_dict()
    files: list[dict[str, Tensor]] = [
        trained | {"classifier.weight": torch.zeros(9)},
        trained | {"pool.weight": trained["pool.weight"][:, :, None, None, None]},  # as a convolution of size 1
        {n: w.transpose(0, -1).contiguous().transpose(0, -1) if w.dim() else w for n, w in trained.items()},
        {n: w for n, w in trained.items() if n != COUNTER},  # a file of an early release of torch
    ]
    for content in files:
        target = branch()
        read_into(target, tmp_path, content)
        assert all(torch.equal(w, trained[name]) for name, w in target.state_dict().items())


PLACES: dict[str, Callable[[dict[str, Tensor]], dict[str, object]]] = {
    "below state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {0: torch.zeros(2)}}},
    "below other names": lambda state: {"run": {"model": state}, "args": {"lr": 0.1}},
    "with a prefix": lambda state: {f"module.{name}": weight for name, weight in state.items()},
    "both": lambda state: {"model": {f"_orig_mod.module.{name}": weight for name, weight in state.items()}},
    "without a head": lambda state: {name: weight for name, weight in state.items() if "classifier" not in name},
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found_wherever_a_checkpoint_has_them(place: str, tmp_path: Path) -> None:
    trained, target = branch().state_dict(), branch()
    file = PLACES[place](trained | {"classifier.weight": torch.zeros(9)})
    torch.save(file, tmp_path / "w.pt")

    load(target, tmp_path / "w.pt", str, "it")

    assert all(torch.equal(w, trained[name]) for name, w in target.state_dict().items())


def test_of_several_networks_in_a_file_none_is_chosen(tmp_path: Path) -> None:
    state = branch().state_dict()
    contents = {
        "model: , ema: ": {"model": state, "ema": state},
        "encoder_k., encoder_q.": {f"{p}{n}": w for p in ("encoder_q.", "encoder_k.") for n, w in state.items()},
    }
    for places, content in contents.items():
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(GreedymmError, match=f"has several networks, at: {places}; store one of them in a file"):
            load(branch(), tmp_path / "w.pt", str, "it")


def test_a_branch_with_one_channel_gets_the_sum_over_the_channels_of_the_first_layer(tmp_path: Path) -> None:
    trained, target = branch().state_dict(), branch(channels=1)

    read_into(target, tmp_path, trained)

    torch.testing.assert_close(target.state_dict()[FIRST], trained[FIRST].sum(dim=1, keepdim=True))


def test_a_missing_weight_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    target = branch()
    before = {name: w.clone() for name, w in target.state_dict().items()}
    for name in ("pool.bias", FIRST, "stages.0.1.running_var"):
        content = {n: torch.zeros_like(w) for n, w in before.items() if n != name}
        with pytest.raises(
            GreedymmError, match=rf"w\.pt has no weight 'port\.{re.escape(name)}': .* network of theirs"
        ):
            read_into(target, tmp_path, content)

    assert all(torch.equal(w, before[name]) for name, w in target.state_dict().items())


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_first_layer_of_another_shape_is_refused_with_both_shapes(channels: int, tmp_path: Path) -> None:
    for shape in ((5,), (4, 9), (4, 3, 5, 5), (), (4, 4 - channels, 3, 3) if channels == 3 else (8, 3, 3, 3)):
        content = branch(channels).state_dict() | {FIRST: torch.zeros(shape)}
        stored = (*shape[:1], 1, *shape[2:]) if channels == 1 and len(shape) == 4 else shape
        message = re.escape(f"'port.{FIRST}': {stored} in {tmp_path / 'w.pt'}, (4, {channels}, 3, 3)")
        with pytest.raises(GreedymmError, match=message):
            read_into(branch(channels), tmp_path, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.to(torch.int8), r"no dense tensor of floats \(torch.int8\); convert it"),
        (lambda w: w.to(torch.complex64), "no dense tensor of floats"),
        (lambda w: w.to("meta"), "no dense tensor of floats"),
        (lambda w: w * torch.nan, "has numbers that are not finite; use another file"),
    ],
    ids=["int8", "complex", "meta", "nan"],
)
def test_weights_of_another_kind_are_refused_by_name(
    change: Callable[[Tensor], Tensor], message: str, tmp_path: Path
) -> None:
    content = {name: change(w) if w.is_floating_point() else w for name, w in branch().state_dict().items()}

    with pytest.raises(GreedymmError, match=f"'port.{FIRST}' in .*w.pt (is )?{message}"):
        read_into(branch(), tmp_path, content)


def test_half_precision_is_read_and_a_deeper_network_is_refused(tmp_path: Path) -> None:
    trained, target = branch().state_dict(), branch()

    read_into(target, tmp_path, {name: w.half() if w.is_floating_point() else w for name, w in trained.items()})

    torch.testing.assert_close(target.state_dict()[FIRST], trained[FIRST], atol=1e-3, rtol=0)
    deeper = trained | {FIRST.replace("0.0", "0.3"): trained[FIRST]}
    with pytest.raises(
        GreedymmError, match=r"w\.pt has more layers, as 'port.stages.0.3.weight': it is not of a network"
    ):
        read_into(target, tmp_path, deeper)


class Trap:
    """Code in a pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("run.txt"),)


def test_a_file_of_anything_but_weights_is_refused_and_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (torch.zeros(3), 1, Trap(), nn.Linear(2, 2), {"weights": {}, "best": np.float64(1)}):
        with pytest.raises(GreedymmError, match=r"w\.pt is no file of weights such as .*, or broken") as raised:
            read_into(branch(), tmp_path, content)
        # Neither torch's advice to run the code, nor ours to delete a user's file.
        assert not re.search("weights_only|trust|elete", str(raised.value))
    assert not Path("run.txt").exists()


def test_a_truncated_and_a_missing_file_are_named(tmp_path: Path) -> None:
    file, names = tmp_path / "w.pt", str
    torch.save(branch().state_dict(), file)
    content = file.read_bytes()
    for share in (0, 0.1, 0.9):
        file.write_bytes(content[: int(share * len(content))])
        with pytest.raises(GreedymmError, match=r"w\.pt is no file of weights such as .*, or broken"):
            load(branch(), file, names, "it")
    file.unlink()
    with pytest.raises(GreedymmError, match=r"w\.pt is missing; put it there, or correct `weights`"):
        load(branch(), file, names, "it")
