from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from greedymm.models.branches.resnet18 import Settings as Resnet18
from greedymm.models.branches.resnet18 import build as build_without_weights
from greedymm.models.branches.resnet18 import torchvision_name
from greedymm.models.network import Branch

FULL = Resnet18(name="resnet18")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Path]:
    """Weights of torchvision's network with 7 classes after one batch, and a file of them."""
    torch.manual_seed(0)
    network = resnet18(num_classes=7)
    network(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return network.state_dict(), path


def build(settings: Resnet18, channels: int) -> Branch:
    """A branch with its initial weights."""
    branch = build_without_weights(settings, channels)
    branch.initialize()
    return branch


def features(branch: Branch, images: Tensor) -> Tensor:
    """Features of all stages and the pooling: (B, D)."""
    result: Tensor = branch.pool(branch(images))
    return result


def test_it_computes_what_torchvisions_network_computes_with_the_same_weights(
    file: tuple[dict[str, Tensor], Path],
) -> None:
    weights, path = file
    network, branch = resnet18(num_classes=7), build(FULL.model_copy(update={"weights": str(path)}), channels=3)
    network.load_state_dict(weights)
    network.fc = nn.Identity()
    images = torch.randn(3, 3, 64, 64)

    for mode in (False, True):  # norm layers with running statistics, then with those of the batch
        network.train(mode)
        branch.train(mode)
        torch.testing.assert_close(features(branch, images), network(images))
    network(images).square().sum().backward()
    features(branch, images).square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in network.named_parameters()}
    for name, parameter in branch.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[torchvision_name(name)])


@pytest.mark.parametrize("width", [64, 4])
def test_it_is_split_after_its_four_stages(width: int) -> None:
    settings = Resnet18(name="resnet18", width=width)
    branch, h = build(settings, channels=1), torch.randn(2, 1, 64, 64)

    shapes = []
    for stage in branch.stages:
        h = stage(h)
        shapes.append(tuple(h.shape[1:]))

    assert shapes == [(width, 16, 16), (2 * width, 8, 8), (4 * width, 4, 4), (8 * width, 2, 2)]
    assert branch.widths == (width, 2 * width, 4 * width, 8 * width)
    assert len(branch.stages) == settings.stages
    assert branch.pool(h).shape == (2, 8 * width)


def test_names_shapes_and_spread_of_initial_weights_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    own = {torchvision_name(name): weight for name, weight in build(FULL, channels=3).state_dict().items()}
    expected = {name: weight for name, weight in resnet18().state_dict().items() if not name.startswith("fc.")}

    assert {name: w.shape for name, w in own.items()} == {name: w.shape for name, w in expected.items()}
    for name, weight in own.items():
        spreads = [w.float().std(correction=0) for w in (weight, expected[name])]
        torch.testing.assert_close(*spreads, rtol=0.1, atol=1e-3)


def test_a_branch_for_gray_gives_the_features_of_the_gray_image_in_all_channels(
    file: tuple[dict[str, Tensor], Path],
) -> None:
    settings = FULL.model_copy(update={"weights": str(file[1])})
    gray, color = (build(settings, channels=c).eval() for c in (1, 3))
    image = torch.randn(2, 1, 64, 64)

    torch.testing.assert_close(
        features(gray, image), features(color, image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
    )
