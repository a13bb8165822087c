"""I3D against published facts, and against a plain forward pass over weights with the names of the port."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d, batch_norm, conv3d, max_pool3d, pad

from greedymm.models.branches.i3d import MaxPool, Pad, build
from greedymm.models.branches.i3d import Settings as I3d
from greedymm.models.network import Branch

FULL, NARROW = I3d(name="i3d"), I3d(name="i3d", width=8)
# (B, C, T, H, W) without B after each stage, for 64 frames of 224 x 224: figure 3 of the paper, GoogLeNet's widths.
SHAPES = [
    (256, 32, 28, 28),
    (480, 32, 28, 28),
    *((c, 16, 14, 14) for c in (512, 512, 512, 528, 832)),
    *((c, 8, 7, 7) for c in (832, 1024)),
]


def padded(h: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """TensorFlow's SAME: half of the padding, rounded down, is in front."""
    margins: list[int] = []
    for s, k, step in zip(h.shape[2:], kernel, stride, strict=True):
        total = max((math.ceil(s / step) - 1) * step + k - s, 0)
        margins = [total // 2, total - total // 2, *margins]
    return pad(h, margins)


def pooled(h: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return max_pool3d(padded(h, kernel, stride), kernel, stride)


def reference(weights: dict[str, Tensor], h: Tensor) -> Tensor:
    """Features of the port in evaluation, from weights with its names: (B, T, D)."""

    def unit(name: str, h: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.conv3d.weight"]
        h = conv3d(padded(h, kernel.shape[2:], (stride,) * 3), kernel, stride=stride)
        mean, var, gain, bias = (
            weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return batch_norm(h, mean, var, gain, bias, eps=1e-3).relu()

    h = pooled(unit("Conv3d_1a_7x7", h, 2), (1, 3, 3), (1, 2, 2))
    h = pooled(unit("Conv3d_2c_3x3", unit("Conv3d_2b_1x1", h)), (1, 3, 3), (1, 2, 2))
    for module in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
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
    return avg_pool3d(h, (2, *h.shape[3:]), stride=1).flatten(2).transpose(1, 2)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Path]:
    """Weights with the names of the port, for 7 classes, and a file of them. A signal neither vanishes nor grows."""
    torch.manual_seed(0)
    weights = {"logits.conv3d.weight": torch.randn(7, 128, 1, 1, 1), "logits.conv3d.bias": torch.randn(7)}
    for name, own in build(NARROW, channels=3).state_dict().items():
        drawn = torch.randn(own.shape) / 10
        if name.endswith("conv3d.weight"):
            drawn = torch.randn(own.shape) * math.sqrt(2 / math.prod(own.shape[1:]))
        elif name.endswith(("running_var", "bn.weight")):
            drawn = torch.rand(own.shape) + 0.5
        weights[name.split(".", 2)[2]] = drawn if own.is_floating_point() else torch.tensor(3)
    path = tmp_path_factory.mktemp("weights") / "rgb.pt"
    torch.save(weights, path)
    return weights, path


def load(path: Path, channels: int = 3) -> Branch:
    return build(NARROW.model_copy(update={"weights": str(path)}), channels)


def features(branch: Branch, clips: Tensor) -> Tensor:
    """Features of all stages and the pooling: (B, T, D)."""
    result: Tensor = branch.pool(branch(clips))
    return result


@pytest.mark.parametrize("space", [(16, 64, 64), (9, 50, 41)], ids=["even", "odd"])
def test_features_are_those_of_the_port_with_the_same_weights(
    space: tuple[int, ...], file: tuple[dict[str, Tensor], Path]
) -> None:
    clips = torch.randn(2, 3, *space)

    result = features(load(file[1]).eval(), clips)

    assert result.std() > 0.01
    torch.testing.assert_close(result, reference(file[0], clips), rtol=1e-4, atol=1e-4)


def test_parameters_and_shapes_are_as_published() -> None:
    shapes = []
    with torch.device("meta"):
        branch, h = build(FULL, channels=3), torch.empty(2, 3, 64, 224, 224)
        for stage in branch.stages:
            h = stage(h)
            shapes.append(tuple(h.shape[1:]))

    assert shapes == SHAPES
    assert branch.widths == tuple(shape[0] for shape in SHAPES)
    assert branch.pool(h).shape == (2, 7, 1024)
    # 12,697,264 with a head for 400 classes
    assert sum(p.numel() for p in branch.parameters()) == 12_697_264 - 400 * (1024 + 1)
    assert len(SHAPES) == FULL.stages


@pytest.mark.parametrize("width", [4, 32])
def test_channels_scale_with_the_width(width: int) -> None:
    with torch.device("meta"):
        branch, h = build(I3d(name="i3d", width=width), channels=1), torch.empty(2, 1, 8, 32, 32)
        for stage, channels in zip(branch.stages, branch.widths, strict=True):
            h = stage(h)
            assert h.shape[1] == channels

    assert branch.widths[-1] == 1024 * width // 64


def test_a_clip_of_one_frame_is_valid() -> None:
    branch = build(I3d(name="i3d", width=4), channels=1).eval()

    assert torch.isfinite(features(branch, torch.randn(1, 1, 1, 32, 32))).all()


def test_norms_have_the_published_epsilon_and_the_momentum_of_the_settings() -> None:
    branch = build(NARROW.model_copy(update={"norm_momentum": 0.25}), 1)
    norms = [module for module in branch.modules() if isinstance(module, torch.nn.BatchNorm3d)]

    assert len(norms) == 3 + 9 * 6
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.25)}


def test_features_are_dropped_in_training_only() -> None:
    h = torch.rand(3, 128, 4, 7, 7)
    torch.manual_seed(0)
    pool, without = (build(NARROW.model_copy(update={"dropout": p}), 1).pool for p in (0.5, 0.0))

    assert not torch.equal(pool(h), pool(h))
    assert torch.equal(without(h), without(h))
    assert torch.equal(pool.eval()(h), pool(h))


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
def test_padding_is_that_of_tensorflows_same(kernel: int, step: int) -> None:
    for size in range(1, 12):
        h = torch.ones(1, 1, size, size + 1, size + 4)

        assert torch.equal(Pad((kernel,) * 3, (step,) * 3)(h), padded(h, (kernel,) * 3, (step,) * 3))


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))],
)
def test_max_pooling_and_its_gradient_are_those_of_max_pool3d(
    kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    for space in ((4, 8, 8), (5, 7, 9), (1, 2, 3)):
        h = torch.randn(2, 3, *space).relu()
        assert torch.equal(MaxPool(kernel, stride)(h), pooled(h, kernel, stride))

    h, other = (torch.rand(2, 3, 5, 7, 8, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    h.requires_grad_()
    other.requires_grad_()
    MaxPool(kernel, stride)(h).square().sum().backward()
    pooled(other, kernel, stride).square().sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(h.grad, other.grad)


def test_a_branch_for_depth_gives_the_features_of_the_depth_in_all_channels(
    file: tuple[dict[str, Tensor], Path],
) -> None:
    depth, color = (load(file[1], channels=c).eval() for c in (1, 3))
    clip = torch.randn(1, 1, 8, 32, 32)

    torch.testing.assert_close(
        features(depth, clip), features(color, clip.expand(-1, 3, -1, -1, -1)), rtol=0, atol=1e-4
    )
