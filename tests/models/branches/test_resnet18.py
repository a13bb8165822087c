from pathlib import Path

import pytest
import torch
from tiny import forward
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.models import resnet18

from greedymm.errors import GreedymmError
from greedymm.models.branches.resnet18 import build, torchvision_name
from greedymm.params import Resnet18

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


# -- The network --------------------------------------------------------------------------------------------


def test_with_the_same_weights_it_computes_what_torchvisions_network_does(
    theirs: tuple[dict[str, Tensor], Path],
) -> None:
    weights, path = theirs
    network = resnet18(num_classes=7)
    network.load_state_dict(weights)
    branch = build(FULL.model_copy(update={"weights": str(path)}), channels=3, classes=7)
    images, labels = torch.randn(3, 3, 64, 64), torch.tensor([0, 3, 6])

    for mode in (False, True):  # norm layers by what they have seen, and by the batch
        network.train(mode)
        branch.train(mode)
        torch.testing.assert_close(forward(branch, images), network(images))
    cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    cross_entropy(forward(branch, images), labels).backward()  # type: ignore[no-untyped-call]
    gradients = {name: p.grad for name, p in network.named_parameters()}
    for name, parameter in branch.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[torchvision_name(name)])


def test_its_names_are_those_of_torchvisions_network() -> None:
    own = build(FULL, channels=3, classes=1000).state_dict()

    assert {torchvision_name(name): w.shape for name, w in own.items()} == {
        name: w.shape for name, w in resnet18().state_dict().items()
    }


@pytest.mark.parametrize("settings", [FULL, NARROW], ids=["full", "narrow"])
def test_it_is_split_after_its_four_stages(settings: Resnet18) -> None:
    branch, h = build(settings, channels=1, classes=5), torch.randn(2, 1, 64, 64)
    w = settings.width

    shapes = []
    for stage in branch.stages:
        h = stage(h)
        shapes.append(tuple(h.shape[1:]))

    assert shapes == [(w, 16, 16), (2 * w, 8, 8), (4 * w, 4, 4), (8 * w, 2, 2)]
    assert branch.widths == (w, 2 * w, 4 * w, 8 * w)
    assert len(branch.stages) == settings.stages
    assert branch.head(h).shape == (2, 5)


def test_initial_weights_are_drawn_as_torchvision_draws_them() -> None:
    torch.manual_seed(0)
    own, expected = build(FULL, channels=3, classes=1000).state_dict(), resnet18().state_dict()

    for name, weight in own.items():
        torch.testing.assert_close(
            weight.float().std(correction=0),
            expected[torchvision_name(name)].float().std(correction=0),
            rtol=0.1,
            atol=1e-3,
        )


# -- Weights from a file ------------------------------------------------------------------------------------


def test_a_head_for_other_classes_begins_anew_and_the_rest_is_loaded(theirs: tuple[dict[str, Tensor], Path]) -> None:
    weights, path = theirs
    own = build(FULL.model_copy(update={"weights": str(path)}), channels=3, classes=5).state_dict()

    assert own["head.2.weight"].shape == (5, 512)
    for name, weight in own.items():
        if not name.startswith("head"):
            assert torch.equal(weight, weights[torchvision_name(name)])


def test_a_branch_for_gray_sees_what_the_three_channels_would_see_of_gray(
    theirs: tuple[dict[str, Tensor], Path],
) -> None:
    settings = FULL.model_copy(update={"weights": str(theirs[1])})
    gray, colour = (build(settings, channels=c, classes=7).eval() for c in (1, 3))
    image = torch.randn(2, 1, 64, 64)

    torch.testing.assert_close(forward(gray, image), forward(colour, image.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


def test_weights_without_the_counters_of_the_norms_are_loaded_as_torchvision_published_them(
    theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    path = tmp_path / "published.pth"
    torch.save({n: w for n, w in theirs[0].items() if not n.endswith("num_batches_tracked")}, path)

    own = build(FULL.model_copy(update={"weights": str(path)}), channels=3, classes=7).state_dict()

    for name, weight in own.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(weight, theirs[0][torchvision_name(name)])


def test_weights_of_another_width_are_refused_with_both_shapes(theirs: tuple[dict[str, Tensor], Path]) -> None:
    with pytest.raises(GreedymmError, match=r"'conv1.weight' is \(64, 3, 7, 7\) .* and \(4, 3, 7, 7\)"):
        build(NARROW.model_copy(update={"weights": str(theirs[1])}), channels=3, classes=7)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match=r"nothing\.pth is missing"):
        build(FULL.model_copy(update={"weights": str(tmp_path / "nothing.pth")}), channels=3, classes=7)


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_truncated_file_is_refused_by_name(
    share: float, theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    content, path = theirs[1].read_bytes(), tmp_path / "short.pth"
    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(GreedymmError, match=r"short\.pth is no file of weights, or broken"):
        build(FULL.model_copy(update={"weights": str(path)}), channels=3, classes=7)


def test_weights_of_another_network_are_refused_with_the_first_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(2)}, path)

    with pytest.raises(GreedymmError, match=r"other\.pth has no weight 'conv1\.weight'"):
        build(FULL.model_copy(update={"weights": str(path)}), channels=3, classes=7)
