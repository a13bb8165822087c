"""Fusions after the branches against their formulas, in NumPy."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
import tiny
import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.fusions.concat import Concat
from greedymm.models.fusions.film import FiLM
from greedymm.models.fusions.gated import Gated
from greedymm.models.fusions.gmu import GMU
from greedymm.models.fusions.lmf import LMF
from greedymm.models.fusions.mean import Mean
from greedymm.models.fusions.sum import Sum
from greedymm.models.network import LateFusion, Pass

Array = npt.NDArray[np.float64]
WIDTHS = {"two modalities": (5, 4), "three modalities": (5, 4, 3)}
CLARITY = (1.0, 0.3, 0.7)


def features(widths: Sequence[int], seed: int = 0) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(6, d, generator=draws) for d in widths]


def linear(module: nn.Module, z: Array) -> Array:
    """W z + b of a linear layer, or W z without a bias."""
    parameters = {name: p.detach().double().numpy() for name, p in module.named_parameters()}
    return np.asarray(z @ parameters["weight"].T + parameters.get("bias", 0))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def film(fusion: FiLM, z: list[Array]) -> Array:
    joined = []
    for k, layer in zip(fusion.others, fusion.films, strict=True):
        both = linear(layer, z[fusion.conditioning])
        joined.append(both[:, : z[k].shape[1]] * z[k] + both[:, z[k].shape[1] :])
    return np.concatenate(joined, axis=1)


def gated(fusion: Gated, z: list[Array]) -> Array:
    roles = zip(fusion.others, fusion.gates, fusion.projections, strict=True)
    return np.concatenate([sigmoid(linear(a, z[fusion.conditioning])) * linear(b, z[k]) for k, a, b in roles], axis=1)


def gmu(fusion: GMU, z: list[Array]) -> Array:
    h = [np.tanh(linear(w, x)) for w, x in zip(fusion.projections, z, strict=True)]
    g = [sigmoid(linear(u, np.concatenate(z, axis=1))) for u in fusion.gates]
    return g[0] * h[0] + (1 - g[0]) * h[1] if len(z) == 2 else g[0] * h[0] + g[1] * h[1] + g[2] * h[2]


def lmf(fusion: LMF, z: list[Array]) -> Array:
    total = np.zeros((len(z[0]), fusion.width))
    for r, w in enumerate(fusion.weights.detach().double().numpy()):
        product = np.ones_like(total)
        for factor, x in zip(fusion.factors, z, strict=True):
            rows = slice(r * fusion.width, (r + 1) * fusion.width)
            weight, bias = (p.detach().double().numpy()[rows] for p in factor.parameters())
            product *= np.column_stack([np.ones(len(x)), x]) @ np.column_stack([bias, weight]).T  # F [1; z]
        total += w * product
    return total


def concat(_fusion: Concat, z: list[Array]) -> Array:
    return np.concatenate(z, axis=1)


FORMULAS: dict[str, tuple[Callable[..., LateFusion], Callable[..., Array]]] = {
    "concat": (Concat, concat),
    "film": (FiLM, film),
    "film by m1": (lambda widths: FiLM(widths, conditioning=1), film),
    "gated": (Gated, gated),
    "gated by m1, width 7": (lambda widths: Gated(widths, conditioning=1, width=7), gated),
    "gmu": (GMU, gmu),
    "lmf": (LMF, lmf),
    "lmf of rank 2, width 7": (lambda widths: LMF(widths, rank=2, width=7), lmf),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("widths", WIDTHS.values(), ids=WIDTHS.keys())
@torch.no_grad()
def test_joined_features_follow_the_formula_and_zeros_replace_absent_ones(name: str, widths: tuple[int, ...]) -> None:
    make, formula = FORMULAS[name]
    torch.manual_seed(0)
    fusion, given = make(widths), features(widths)
    present = torch.rand(6, len(widths), generator=torch.Generator().manual_seed(1)) < 0.6

    joined, cut = fusion(given), fusion(given, present)

    arrays = [z.double().numpy() for z in given]
    np.testing.assert_allclose(joined.numpy(), formula(fusion, arrays), atol=1e-5)
    zeroed = [z * kept[:, None] for z, kept in zip(arrays, present.numpy().T, strict=True)]
    np.testing.assert_allclose(cut.numpy(), formula(fusion, zeroed), atol=1e-5)
    assert joined.shape == (6, fusion.width)


@pytest.mark.parametrize("fusion", [FiLM, Gated])
def test_a_conditioning_modality_that_does_not_exist_is_refused(fusion: type[FiLM | Gated]) -> None:
    with pytest.raises(GreedymmError, match="conditioning must be from 0 to 1, not 2"):
        fusion((5, 4), conditioning=2)


def test_without_its_features_a_modality_adds_nothing_to_a_gmu() -> None:
    fusion, given = GMU((5, 4, 3)), features((5, 4, 3))
    absent = given[0], torch.zeros(6, 4), given[2]

    h = fusion([*absent])

    weights = [gate(torch.cat(absent, dim=1)).sigmoid() for gate in fusion.gates]
    torch.testing.assert_close(h, sum(weights[k] * fusion.projections[k](absent[k]).tanh() for k in (0, 2)))


# -- Logits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modalities", [2, 3])
@torch.no_grad()
def test_mean_and_sum_differ_by_the_scale_of_the_logits(modalities: int) -> None:
    inputs = tiny.split(5, CLARITY[:modalities], 5).inputs
    mean, total = tiny.fused("mean", modalities).eval(), tiny.fused("sum", modalities).eval()
    total.load_state_dict(mean.state_dict())

    torch.testing.assert_close(total(inputs).logits, modalities * mean(inputs).logits)
    assert mean.head.averages
    assert not total.head.averages


@pytest.mark.parametrize("name", ["mean", "sum", "concat"])
@torch.no_grad()
def test_logits_of_additive_fusions_are_sums_of_shares(name: str) -> None:
    model, inputs = tiny.fused(name, 3).eval(), tiny.split(5, CLARITY, 5).inputs
    count = 3 if name == "mean" else 1

    output = model(inputs)

    torch.testing.assert_close(torch.stack(output.branches).sum(dim=0) / count, output.logits)


def test_sum_and_mean_have_no_part_for_absent_modalities_sample_by_sample() -> None:
    logits, present = features((3, 3), seed=1), torch.tensor([[True, True], [True, False], [False, False]] * 2)
    y = [x.numpy() for x in logits]

    for fusion, expected in (
        (Mean(), [(y[0][0] + y[1][0]) / 2, y[0][1], 0 * y[0][2]]),
        (Sum(), [y[0][0] + y[1][0], y[0][1], 0 * y[0][2]]),
    ):
        np.testing.assert_allclose(fusion(logits, present)[:3].numpy(), np.stack(expected), atol=1e-6)
        for row, of_sample in enumerate(present):
            torch.testing.assert_close(fusion(logits, present)[row], fusion(logits, of_sample)[row])


@pytest.mark.parametrize("name", ["mean", "sum", "concat", "film", "gated", "gmu", "lmf"])
@torch.no_grad()
def test_features_of_time_steps_give_logits_of_their_mean(name: str) -> None:
    model = tiny.fused(name).eval()
    clips = [torch.randn(4, 5, 8) for _ in range(2)]

    logits, branches = model.head(clips)
    expected, shares = model.head([h.mean(dim=1) for h in clips])

    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(branches, shares)


@pytest.mark.parametrize("name", ["film", "gated", "gmu", "lmf"])
@torch.no_grad()
def test_the_share_of_a_branch_is_what_is_left_without_the_others(name: str) -> None:
    model, inputs = tiny.fused(name, 3).eval(), tiny.split(5, CLARITY, 5).inputs
    (_, bias) = model.group("head.shared")

    for k, share in enumerate(model(inputs).branches):
        only = Pass(present=torch.tensor([i == k for i in range(3)]))
        torch.testing.assert_close(share, model(inputs, only).logits - 2 / 3 * bias)
