"""CAGrad: the gradient near the mean one that improves the worst loss most.

    g_0 = mean_i g_i;  g_w = sum_i w_i g_i, w on the simplex, minimizes <g_w, g_0> + c |g_0| |g_w|
    gradient: T (g_0 + c |g_0| / |g_w| g_w) / (1 + c^2) for T losses

Losses: of the network and of each branch. Source: Liu et al., NeurIPS 2021, a method for any tasks, and the code
Cranial-XIX/CAGrad. As in the code, the scale is T / (1 + c^2) by default: with T, c = 0 is the sum of the losses. Its
scripts have c = 0.4 and 0.6 for images, and 0.5 for reinforcement learning. The code calls an iterative solver on the
host. Here w is exact: the minimum on each face of the simplex has a closed form, and the best face wins. The shared
parameters are one vector, as in PCGrad. Cost: a backward pass for each loss.
"""

from itertools import product
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.models.network import MultimodalNetwork
from greedymm.settings import MethodSettings, Window, uniform
from greedymm.training.methods.gradients import TINY, Weighted


class Settings(MethodSettings):
    """Method `cagrad` (Liu et al. 2021)."""

    objective: Literal["multi", "branch"] = Field(
        default="multi", description="losses. multi: of network and branches; branch: of branches, which need a fusion"
    )
    c: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="distance from the mean gradient, relative to its norm; published: 0.4 and 0.5",
        json_schema_extra=uniform(0.1, 0.9),
    )
    rescale: bool = Field(default=True, description="divide by 1 + c^2, as the code does by default")
    active: Window = Window()


class CAGrad(Weighted):
    """Moves the mean gradient towards the losses that it improves least."""

    settings: Settings

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """List the faces of the simplex."""
        super().setup(network, generator)
        self.faces = faces(len(self.weights)).to(self.device)

    def combination(self, products: Tensor) -> Tensor:
        """T / T for the mean, and T times the share of each loss in the move."""
        c = self.settings.c
        w = worst_mixture(products, c, self.faces)
        ratio = c * (products.mean().clamp(min=0) / (w @ products @ w).clamp(min=TINY)).sqrt()
        return (1 + len(w) * ratio * w) / (1 + c**2 if self.settings.rescale else 1)


def faces(count: int) -> Tensor:
    """Faces of the simplex of T weights, the vertices included: bool (2^T - 1, T), whether a weight may be positive."""
    return torch.tensor([face for face in product((True, False), repeat=count) if any(face)])


def worst_mixture(products: Tensor, c: float, faces: Tensor) -> Tensor:
    """Weights w on the simplex that minimize <g_w, g_0> + c |g_0| |g_w|: (T,).

    With A the inner products on a face, and b those with g_0: w ~ A^-1 (x - b), (x - b) A^-1 (x - b) = c^2 |g_0|^2.

    Args:
        products: inner products of the gradients, float64 (T, T).
        c: setting of the method.
        faces: of the simplex.
    """
    b, radius = products.mean(dim=1), c * products.mean().clamp(min=0).sqrt()
    unit = torch.eye(len(b), dtype=b.dtype, device=b.device)
    inner = torch.where(faces[:, :, None] & faces[:, None, :], products, unit)  # (F, T, T)
    sides = torch.stack([faces.to(b.dtype), faces * b], dim=2)  # (F, T, 2)
    ones, means = torch.linalg.solve_ex(inner, sides)[0].unbind(dim=2)  # A^-1 1 and A^-1 b; singular: not finite
    first, second, third = ones.sum(dim=1), means.sum(dim=1), (means * b).sum(dim=1)
    x = (second + (second**2 - first * (third - radius**2)).clamp(min=0).sqrt()) / first
    w = (x[:, None] * ones - means).clamp(min=0) * faces
    w = torch.where(w.isfinite().all(dim=1, keepdim=True) & (w.sum(dim=1, keepdim=True) > 0), w, faces.to(b.dtype))
    w = w / w.sum(dim=1, keepdim=True)  # now each row is a candidate on the simplex
    values = w @ b + radius * ((w @ products) * w).sum(dim=1).clamp(min=0).sqrt()
    return w.index_select(0, values.argmin(dim=0, keepdim=True)).squeeze(0)


def build(settings: Settings) -> CAGrad:
    """Build the method from its settings."""
    return CAGrad(settings)
