from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from greedymm.errors import GreedymmError
from greedymm.models.branches.resnet18 import Settings as Resnet18
from greedymm.models.branches.resnet18 import build as make
from greedymm.models.branches.resnet18 import torchvision_name
from greedymm.models.network import Branch

FULL = Resnet18(name="resnet18")
NARROW = Resnet18(name="resnet18", width=4)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Path]:
    """Weights of torchvision's network with 7 classes, with norm layers that have seen data, and a file of them."""
    torch.manual_seed(0)
    network = resnet18(num_classes=7)
    network(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return network.state_dict(), path


def build(settings: Resnet18, channels: int) -> Branch:
    """A branch with its initial weights."""
    branch = make(settings, channels)
    branch.initialize()
    return branch


def features(branch: Branch, images: Tensor) -> Tensor:
    """Features of a branch, all stages and the pooling: (B, D)."""
    pooled: Tensor = branch.pool(branch(images))
    return pooled


def without_head(weights: dict[str, Tensor] | None = None) -> nn.Module:
    """torchvision's network up to its features."""
    network: nn.Module = resnet18(num_classes=7)
    if weights:
        network.load_state_dict(weights)
    network.fc = nn.Identity()
    return network


# -- The network --------------------------------------------------------------------------------------------


def test_with_the_same_weights_it_computes_what_torchvisions_network_does(
    theirs: tuple[dict[str, Tensor], Path],
) -> None:
    weights, path = theirs
    network, branch = without_head(weights), build(FULL.model_copy(update={"weights": str(path)}), channels=3)
    images = torch.randn(3, 3, 64, 64)

    for mode in (False, True):  # norm layers by what they have seen, and by the batch
        network.train(mode)
        branch.train(mode)
        torch.testing.assert_close(features(branch, images), network(images))
    network(images).square().sum().backward()
    features(branch, images).square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in network.named_parameters()}
    for name, parameter in branch.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[torchvision_name(name)])


def test_its_names_are_those_of_torchvisions_network() -> None:
    own = build(FULL, channels=3).state_dict()

    assert {torchvision_name(name): w.shape for name, w in own.items()} == {
        name: w.shape for name, w in without_head().state_dict().items()
    }


@pytest.mark.parametrize("settings", [FULL, NARROW], ids=["full", "narrow"])
def test_it_is_split_after_its_four_stages(settings: Resnet18) -> None:
    branch, h = build(settings, channels=1), torch.randn(2, 1, 64, 64)
    w = settings.width

    shapes = []
    for stage in branch.stages:
        h = stage(h)
        shapes.append(tuple(h.shape[1:]))

    assert shapes == [(w, 16, 16), (2 * w, 8, 8), (4 * w, 4, 4), (8 * w, 2, 2)]
    assert branch.widths == (w, 2 * w, 4 * w, 8 * w)
    assert len(branch.stages) == settings.stages
    assert branch.pool(h).shape == (2, 8 * w)


def test_initial_weights_are_drawn_as_torchvision_draws_them() -> None:
    torch.manual_seed(0)
    own, expected = build(FULL, channels=3).state_dict(), resnet18().state_dict()

    for name, weight in own.items():
        torch.testing.assert_close(
            weight.float().std(correction=0),
            expected[torchvision_name(name)].float().std(correction=0),
            rtol=0.1,
            atol=1e-3,
        )


# -- Weights from a file ------------------------------------------------------------------------------------


def test_weights_are_loaded_whatever_classes_they_were_trained_for(theirs: tuple[dict[str, Tensor], Path]) -> None:
    weights, path = theirs

    own = build(FULL.model_copy(update={"weights": str(path)}), channels=3).state_dict()

    assert all(torch.equal(weight, weights[torchvision_name(name)]) for name, weight in own.items())


def test_a_branch_for_gray_sees_what_the_three_channels_would_see_of_gray(
    theirs: tuple[dict[str, Tensor], Path],
) -> None:
    settings = FULL.model_copy(update={"weights": str(theirs[1])})
    gray, colour = (build(settings, channels=c).eval() for c in (1, 3))
    image = torch.randn(2, 1, 64, 64)

    torch.testing.assert_close(
        features(gray, image), features(colour, image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
    )


def test_weights_without_the_counters_of_the_norms_are_loaded_as_torchvision_published_them(
    theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    path = tmp_path / "published.pth"
    torch.save({n: w for n, w in theirs[0].items() if not n.endswith("num_batches_tracked")}, path)

    own = build(FULL.model_copy(update={"weights": str(path)}), channels=3).state_dict()

    for name, weight in own.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(weight, theirs[0][torchvision_name(name)])


def test_weights_of_another_width_are_refused_with_both_shapes(theirs: tuple[dict[str, Tensor], Path]) -> None:
    with pytest.raises(GreedymmError, match=r"'conv1.weight': \(64, 3, 7, 7\) in .*, \(4, 3, 7, 7\)"):
        build(NARROW.model_copy(update={"weights": str(theirs[1])}), channels=3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"nothing\.pth is missing"):
        build(FULL.model_copy(update={"weights": str(tmp_path / "nothing.pth")}), channels=3)


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_truncated_file_is_refused_by_name(
    share: float, theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    content, path = theirs[1].read_bytes(), tmp_path / "short.pth"
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(GreedymmError, match=r"short\.pth is no file of weights, or broken"):
        build(FULL.model_copy(update={"weights": str(path)}), channels=3)


def test_weights_of_another_network_are_refused_with_the_first_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(2)}, path)

    with pytest.raises(GreedymmError, match=r"other\.pth has no weight 'conv1\.weight'"):
        build(FULL.model_copy(update={"weights": str(path)}), channels=3)
