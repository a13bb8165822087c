"""Networks whose logits are a sum over branches, which `tcmax`, `mmcosine` and `reconboost` need."""

import torch

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork


def require_additive(network: MultimodalNetwork, method: str) -> None:
    """Raise a GreedymmError unless the logits of the network are the sum or the mean of the branches' logits."""
    if not is_additive(network):
        raise GreedymmError(
            f"method '{method}' needs logits that are a sum over branches; use the head `own`, or `joint` with `concat`"
        )


@torch.no_grad()
def is_additive(network: MultimodalNetwork) -> bool:
    """Whether the logits of the head are the sum or the mean of the branches' logits, for some features."""
    if network.head.reads_levels:
        return False
    device = next(network.parameters()).device
    logits, branches = network.head([torch.linspace(-1, 2, b.width, device=device)[None] for b in network.branches])
    total = torch.stack(branches).sum(dim=0)
    return torch.allclose(logits, total / len(branches) if network.head.averages else total, atol=1e-5)
