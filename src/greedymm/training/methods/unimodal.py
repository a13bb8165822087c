"""Branches that compute and learn alone: shared by `ume`, `finetune` and the teachers of `umt` and `g2d`."""

import torch

from greedymm.models.heads.own import Own
from greedymm.models.network import MultimodalNetwork
from greedymm.seeding import drawn_from


def separate_branches(network: MultimodalNetwork, generator: torch.Generator) -> None:
    """Remove all that the branches of a network share: the fusions, and a joint head."""
    network.remove_fusions()
    network.head = own_heads(network, generator) or network.head


def own_heads(network: MultimodalNetwork, generator: torch.Generator) -> Own | None:
    """Make a new linear head for each branch of a network with a joint head; None: its branches have heads."""
    if not list(network.head.shared_parameters()):
        return None
    with drawn_from(generator):
        head = Own(network.head.classes)
        for branch in network.branches:
            head.add_branch(branch.width)
    return head.to(next(network.parameters()).device)
