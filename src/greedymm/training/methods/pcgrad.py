"""PCGrad: the gradient of each loss loses what conflicts with the gradients of the other losses.

    for each loss i: g_i' = g_i
    for each other loss j, in random order: if <g_i', g_j> < 0: g_i' <- g_i' - <g_i', g_j> / |g_j|^2 g_j
    gradient: sum_i g_i'

Losses: of the network and of each branch. Each projection uses the original g_j. Source: Yu et al., NeurIPS 2020, a
method for any tasks, and the code tianheyu927/PCGrad. As in the code, all shared parameters are one vector; here it has
zeros where a loss does not depend on a parameter. As in the paper, the order is random; the code discards the result of
its shuffle. Unlike in a popular port to PyTorch, the gradients are summed and not averaged. With objective `multi` all
parameters are shared; with `branch`, all but the heads of the branches [our choice]. Cost: a backward pass for each
loss.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from greedymm.settings import MethodSettings, Window
from greedymm.training.methods.gradients import TINY, Weighted


class Settings(MethodSettings):
    """Method `pcgrad` (Yu et al. 2020)."""

    objective: Literal["multi", "branch"] = Field(
        default="multi", description="losses. multi: of network and branches; branch: of branches, which need a fusion"
    )
    active: Window = Window()


class PCGrad(Weighted):
    """Projects conflicting gradients."""

    def combination(self, products: Tensor) -> Tensor:
        """Draw the orders, on the CPU so that no step waits for the device, and project."""
        count = len(products)
        orders = torch.rand(count, count, generator=self.generator).argsort(dim=1).tolist()
        return project(products, orders)


def project(products: Tensor, orders: list[list[int]]) -> Tensor:
    """Weight of each gradient in the sum of the projected ones.

    Args:
        products: inner products of the gradients, (T, T).
        orders: for each gradient, the order of the others. Its own index is skipped.

    Returns:
        (T,), 1 or more.
    """
    rows = torch.eye(len(products), dtype=products.dtype, device=products.device)
    for i, (row, order) in enumerate(zip(rows, orders, strict=True)):  # g_i' is the sum of the gradients times a row
        for j in order:
            if j != i:
                row[j] -= (row @ products[:, j]).clamp(max=0) / products[j, j].clamp(min=TINY)
    return rows.sum(dim=0)


def build(settings: Settings) -> PCGrad:
    """Build the method from its settings."""
    return PCGrad(settings)
