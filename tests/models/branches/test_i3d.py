"""I3D against its published architecture, and against an own forward pass over weights in the port's names."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d, batch_norm, conv3d, linear, max_pool3d, pad

from greedymm.errors import GreedymmError
from greedymm.models.branches.i3d import MaxPool, build, name_in_port, same
from greedymm.models.branches.i3d import Settings as I3d
from greedymm.models.network import Branch

FULL = I3d(name="i3d")
WIDTH = 8
NARROW = I3d(name="i3d", width=WIDTH)
CLASSES = 7
# Of GoogLeNet (Szegedy et al. 2015, table 1): 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
TABLE = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def port(width: int, channels: int, classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of pytorch-i3d's network."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(name: str, inputs: int, outputs: int, kernel: int) -> None:
        shapes[f"{name}.conv3d.weight"] = (outputs, inputs, kernel, kernel, kernel)
        shapes.update({f"{name}.bn.{part}": (outputs,) if part != BN[-1] else () for part in BN})

    first, stem = width, 3 * width
    unit("Conv3d_1a_7x7", channels, first, 7)
    unit("Conv3d_2b_1x1", first, first, 1)
    unit("Conv3d_2c_3x3", first, stem, 3)
    inputs = stem
    for module, filters in TABLE.items():
        b0, b1a, b1b, b2a, b2b, b3b = (c * width // 64 for c in filters)
        for part, i, o, k in (
            ("b0", inputs, b0, 1),
            ("b1a", inputs, b1a, 1),
            ("b1b", b1a, b1b, 3),
            ("b2a", inputs, b2a, 1),
            ("b2b", b2a, b2b, 3),
            ("b3b", inputs, b3b, 1),
        ):
            unit(f"Mixed_{module}.{part}", i, o, k)
        inputs = b0 + b1b + b2b + b3b
    return shapes | {"logits.conv3d.weight": (classes, inputs, 1, 1, 1), "logits.conv3d.bias": (classes,)}


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights such that a signal neither dies nor grows."""
    torch.manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("conv3d.weight"):
            weights[name] = torch.randn(shape) * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith(("running_var", "bn.weight")):
            weights[name] = torch.rand(shape) + 0.5
        else:
            weights[name] = torch.randn(shape) / 10 if shape else torch.tensor(3)
    return weights


def padded(h: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """TensorFlow's SAME: what the windows of ceil(s / stride) places need in all, half of it in front, rounded down."""
    margins: list[int] = []
    for s, k, step in zip(h.shape[2:], kernel, stride, strict=True):
        total = max((math.ceil(s / step) - 1) * step + k - s, 0)
        margins = [total // 2, total - total // 2, *margins]
    return pad(h, margins)


def pooled(h: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return max_pool3d(padded(h, kernel, stride), kernel, stride)


def reference(weights: dict[str, Tensor], h: Tensor) -> Tensor:
    """Forward pass of the port in evaluation, over weights in its names: (B, classes)."""

    def unit(name: str, h: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.conv3d.weight"]
        h = conv3d(padded(h, kernel.shape[2:], (stride,) * 3), kernel, stride=stride)
        gain, bias, mean, var, _ = (weights[f"{name}.bn.{part}"] for part in BN)
        return batch_norm(h, mean, var, gain, bias, eps=1e-3).relu()

    h = pooled(unit("Conv3d_1a_7x7", h, 2), (1, 3, 3), (1, 2, 2))
    h = pooled(unit("Conv3d_2c_3x3", unit("Conv3d_2b_1x1", h)), (1, 3, 3), (1, 2, 2))
    for module in TABLE:
        if module in {"4b", "5b"}:
            k = 3 if module == "4b" else 2
            h = pooled(h, (k, k, k), (2, 2, 2))
        name = f"Mixed_{module}"
        paths = [
            unit(f"{name}.b0", h),
            unit(f"{name}.b1b", unit(f"{name}.b1a", h)),
            unit(f"{name}.b2b", unit(f"{name}.b2a", h)),
            unit(f"{name}.b3b", pooled(h, (3, 3, 3), (1, 1, 1))),
        ]
        h = torch.cat(paths, dim=1)
    h = avg_pool3d(h, (2, *h.shape[3:]), stride=1)
    return conv3d(h, weights["logits.conv3d.weight"], weights["logits.conv3d.bias"]).flatten(2).mean(dim=2)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Path]:
    """Weights in the port's names, and a file of them."""
    weights = drawn(port(WIDTH, channels=3, classes=CLASSES))
    path = tmp_path_factory.mktemp("weights") / "rgb.pt"
    torch.save(weights, path)
    return weights, path


def loaded(path: Path, channels: int = 3) -> Branch:
    return build(NARROW.model_copy(update={"weights": str(path)}), channels)


def features(branch: Branch, clips: Tensor) -> Tensor:
    """Features of a branch, all stages and the pooling: (B, T, D)."""
    pooled: Tensor = branch.pool(branch(clips))
    return pooled


# -- The network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [(16, 64, 64), (9, 50, 41)], ids=["even", "odd"])
def test_with_the_same_weights_it_computes_what_the_port_does(
    space: tuple[int, ...], theirs: tuple[dict[str, Tensor], Path]
) -> None:
    weights, path = theirs
    branch, clips = loaded(path).eval(), torch.randn(2, 3, *space)

    head = [weights[f"logits.conv3d.{part}"].flatten(1 if part == "weight" else 0) for part in ("weight", "bias")]
    logits = linear(features(branch, clips), *head).mean(dim=1)

    assert logits.std() > 0.01
    torch.testing.assert_close(logits, reference(weights, clips), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [3, 2, 1], ids=["RGB", "flow", "depth"])
def test_its_names_and_shapes_are_those_of_the_port(channels: int) -> None:
    with torch.device("meta"):
        own = build(FULL, channels).state_dict()

    shapes = {name_in_port(name): tuple(w.shape) for name, w in own.items()}
    assert shapes == {name: shape for name, shape in port(64, channels, 400).items() if "logits" not in name}


def test_it_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        branch = build(FULL, channels=3)

    assert sum(p.numel() for p in branch.parameters()) == 12_287_264  # 12,697,264 with a head for 400 classes


def test_a_clip_of_64_frames_is_halved_in_time_three_times_and_in_space_five_times() -> None:
    shapes = []
    with torch.device("meta"):
        branch, h = build(FULL, channels=3), torch.empty(2, 3, 64, 224, 224)
        for stage in branch.stages:
            h = stage(h)
            shapes.append(tuple(h.shape[1:]))
        pooled = branch.pool(h)

    assert shapes == [
        (256, 32, 28, 28),
        (480, 32, 28, 28),
        *((c, 16, 14, 14) for c in (512, 512, 512, 528, 832)),
        *((c, 8, 7, 7) for c in (832, 1024)),
    ]
    assert branch.widths == tuple(shape[0] for shape in shapes)
    assert pooled.shape == (2, 7, 1024)


@pytest.mark.parametrize("width", [4, 8, 32])
def test_all_channels_are_in_proportion_to_the_width(width: int) -> None:
    with torch.device("meta"):
        branch, h = build(I3d(name="i3d", width=width), channels=1), torch.empty(2, 1, 8, 32, 32)
        for stage, channels in zip(branch.stages, branch.widths, strict=True):
            h = stage(h)
            assert h.shape[1] == channels

    assert len(branch.stages) == FULL.stages == 9
    assert branch.widths[-1] == 1024 * width // 64


def test_the_smallest_clip_goes_through_as_well() -> None:
    branch = build(I3d(name="i3d", width=4), channels=1).eval()

    assert torch.isfinite(features(branch, torch.randn(1, 1, 1, 32, 32))).all()


def test_norms_are_set_as_published() -> None:
    norms = [
        m
        for m in build(NARROW.model_copy(update={"norm_momentum": 0.25}), 1).modules()
        if isinstance(m, torch.nn.BatchNorm3d)
    ]

    assert len(norms) == 3 + 9 * 6
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.25)}


def test_a_gradient_reaches_every_weight() -> None:
    branch = build(NARROW, channels=1)

    features(branch, torch.randn(2, 1, 16, 64, 64)).square().sum().backward()  # type: ignore[no-untyped-call]

    for name, parameter in branch.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


# -- Features -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [2, 3, 8])
def test_features_are_averages_over_space_and_pairs_of_frames(frames: int) -> None:
    pool, h = build(NARROW, channels=1).eval().pool, torch.rand(3, 128, frames, 7, 7)

    expected = avg_pool3d(h, (2, 7, 7), stride=1)[..., 0, 0].transpose(1, 2)

    torch.testing.assert_close(pool(h), expected)


def test_features_are_dropped_in_training_alone() -> None:
    h = torch.rand(3, 128, 4, 7, 7)
    torch.manual_seed(0)
    pool, whole = (build(NARROW.model_copy(update={"dropout": p}), 1).pool for p in (0.5, 0.0))

    assert not torch.equal(pool(h), pool(h))
    assert torch.equal(whole(h), whole(h))
    pool.eval()
    assert torch.equal(pool(h), pool(h))


# -- Padding and maxima -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
def test_as_much_is_padded_as_tensorflows_same_pads(kernel: int, step: int) -> None:
    for size in range(1, 12):
        h = torch.ones(1, 1, size, size + 1, size + 4)

        found = same(h, (kernel,) * 3, (step,) * 3)

        assert torch.equal(found, padded(h, (kernel,) * 3, (step,) * 3))
        if kernel >= step:
            places = [(s - kernel) // step + 1 for s in found.shape[2:]]
            assert places == [math.ceil(s / step) for s in h.shape[2:]]


POOLS = [
    ((1, 3, 3), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2)),
    ((2, 2, 2), (2, 2, 2)),
    ((3, 3, 3), (1, 1, 1)),
]


@pytest.mark.parametrize("space", [(4, 8, 8), (5, 7, 9), (1, 2, 3)], ids=str)
@pytest.mark.parametrize(("kernel", "stride"), POOLS)
def test_a_maximum_is_that_over_time_and_space_at_once(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], space: tuple[int, ...]
) -> None:
    h = torch.randn(2, 3, *space).relu()

    assert torch.equal(MaxPool(kernel, stride)(h), pooled(h, kernel, stride))


@pytest.mark.parametrize(("kernel", "stride"), POOLS)
def test_the_gradient_of_a_maximum_is_that_over_time_and_space_at_once(
    kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    h, other = (torch.rand(2, 3, 5, 7, 8, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    h.requires_grad_()
    other.requires_grad_()

    MaxPool(kernel, stride)(h).square().sum().backward()
    pooled(other, kernel, stride).square().sum().backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(h.grad, other.grad)


# -- Weights from a file ------------------------------------------------------------------------------------


def test_weights_are_loaded_whatever_classes_they_were_trained_for(theirs: tuple[dict[str, Tensor], Path]) -> None:
    for name, weight in loaded(theirs[1]).state_dict().items():
        assert torch.equal(weight, theirs[0][name_in_port(name)]), name


def test_a_branch_for_depth_sees_what_the_three_channels_would_see_of_gray(
    theirs: tuple[dict[str, Tensor], Path],
) -> None:
    depth, colour = (loaded(theirs[1], channels=c).eval() for c in (1, 3))
    clip = torch.randn(1, 1, 8, 32, 32)

    torch.testing.assert_close(
        features(depth, clip), features(colour, clip.expand(-1, 3, -1, -1, -1)), rtol=0, atol=1e-4
    )


def test_old_files_without_the_counters_of_the_norms_are_loaded(
    theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    path = tmp_path / "old.pt"
    torch.save({n: w for n, w in theirs[0].items() if not n.endswith("num_batches_tracked")}, path)

    own = loaded(path).state_dict()

    for name, weight in own.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(weight.squeeze(), theirs[0][name_in_port(name)].squeeze()), name


@pytest.mark.parametrize("name", ["Conv3d_1a_7x7.conv3d.weight", "Mixed_5c.b2b.bn.running_var"])
def test_a_weight_that_is_missing_is_named_with_the_network(
    name: str, theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    path = tmp_path / "other.pt"
    torch.save({n: w for n, w in theirs[0].items() if n != name}, path)

    with pytest.raises(GreedymmError, match=rf"other\.pt has no weight '{name}': it is not of an I3D .* pytorch-i3d"):
        loaded(path)


def test_weights_of_another_width_are_refused_with_both_shapes(theirs: tuple[dict[str, Tensor], Path]) -> None:
    wider = NARROW.model_copy(update={"weights": str(theirs[1]), "width": 16})

    with pytest.raises(GreedymmError, match=r"Conv3d_1a_7x7.* \(8, 3, 7, 7, 7\) .*, \(16, 3, 7, 7, 7\)"):
        build(wider, channels=3)


def test_weights_of_optical_flow_do_not_pass_for_those_of_colours(
    theirs: tuple[dict[str, Tensor], Path], tmp_path: Path
) -> None:
    first, path = "Conv3d_1a_7x7.conv3d.weight", tmp_path / "flow.pt"
    torch.save(theirs[0] | {first: theirs[0][first][:, :2].clone()}, path)

    with pytest.raises(GreedymmError, match=r"\(8, 2, 7, 7, 7\) .*, \(8, 3, 7, 7, 7\)"):
        loaded(path)
