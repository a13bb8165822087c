"""MSES: early stopping of each modality by the validation loss of its branch.

    l_k(e) = s * l_k(e - 1) + (1 - s) * L_k(e)       L_k: validation loss of branch k after epoch e
    no new minimum of l_k in `patience` epochs: branch k gets its weights of that minimum, and stops learning

Source: Fujimori et al., ACPR 2019; its code was not found. The smoothing follows the code of a comparison (Li et al.,
ICCV 2023), where the patience is 80 of 1500 epochs. Unlike in that code, only the stopped branch is restored, and not
the whole network. The formula has the last smoothed loss l_k(e - 1), and not the last loss. The loss is that of
validation. Our choices: the objective `multi`, so that each branch's own loss is trained, and a patience for few
epochs.

A branch is its body, its own head and its side of the fusions. A stopped branch has no updates, not even by momentum or
weight decay. Its batch norm still updates the running statistics. Shared parameters learn until all branches have
stopped. Patience p needs p + 2 epochs to stop a branch. Cost: one more pass over the validation split in each epoch,
and two with the evidence `cut`; less than 1 once branches have stopped.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork
from greedymm.settings import ScoringSettings, choice, uniform
from greedymm.training.methods.base import Method
from greedymm.training.methods.branchwise import check_validation, validate
from greedymm.training.step import Batches, Step


class Settings(ScoringSettings):
    """Method `mses` (Fujimori et al. 2019)."""

    objective: Literal["branch", "joint", "multi"] = Field(
        default="multi", description="loss: of branches, network, or both"
    )
    patience: int = Field(
        default=3,
        ge=1,
        strict=True,
        description="epochs without a new minimum; in the comparison 80 of 1500",
        json_schema_extra=choice(1, 2, 3, 4),
    )
    smoothing: float = Field(
        default=0.6, ge=0, lt=1, description="s, weight of earlier losses", json_schema_extra=uniform(0.0, 0.8)
    )


class Mses(Method):
    """Stops and restores each branch by its own validation loss."""

    settings: Settings

    def check_schedule(self) -> None:
        """Require an epoch in which a stopped branch does not learn."""
        longest = self.epochs - 2
        if self.settings.patience > longest:
            raise GreedymmError(
                f"method 'mses': no branch stops within {self.epochs} epochs, with `patience:"
                f" {self.settings.patience}`; set at most {longest}, or train longer"
            )

    def check(self, train: Batches, val: Batches) -> None:  # noqa: ARG002
        """Require enough validation samples."""
        check_validation(self, val)

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> None:
        """Initialize without a stopped branch."""
        super().setup(network, generator)
        groups, branches = network.groups(), range(self.modalities)
        names = [[f"branch_{k}.body", f"branch_{k}.head", f"fusion.side_{k}"] for k in branches]
        self.tensors = [  # weights and buffers of each branch
            [*(p.detach() for name in names[k] for p in groups[name]), *network.branches[k].buffers()] for k in branches
        ]
        self.smoothed = torch.full((self.modalities,), torch.nan, dtype=torch.float64)
        self.lowest = torch.full_like(self.smoothed, torch.inf)
        self.waited = torch.zeros(self.modalities, dtype=torch.int64)
        self.stopped = torch.zeros(self.modalities, dtype=torch.bool)
        self.best: list[list[Tensor]] = [[] for _ in branches]
        self.flags = self.stopped.to(self.device, torch.float32)

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Score the branches after the previous epoch, and stop those whose patience is over."""
        if epoch == 0 or not self.settings.active.contains(epoch, 0):
            return
        scores = validate(self.network, val, self.settings.evidence).losses[1:]
        losses, share = torch.tensor(scores, dtype=torch.float64), self.settings.smoothing
        self.smoothed = torch.where(self.smoothed.isnan(), losses, share * self.smoothed + (1 - share) * losses)
        better = self.smoothed < self.lowest
        self.lowest = torch.minimum(self.smoothed, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        for k in range(self.modalities):
            if not self.stopped[k] and better[k]:
                self.best[k] = [tensor.clone() for tensor in self.tensors[k]]
            elif not self.stopped[k] and self.waited[k] >= self.settings.patience:
                self.stop(k)
        self.flags = self.stopped.to(self.device, torch.float32)

    def stop(self, k: int) -> None:
        """Stop a branch, with its best weights."""
        self.stopped[k] = True
        for tensor, best in zip(self.tensors[k], self.best[k], strict=True):
            tensor.copy_(best)

    def active(self, epoch: int) -> Collection[int] | None:
        """Branches that are not stopped. None if all are: `after_backward` deletes all gradients."""
        if self.stopped.all() or not self.settings.active.contains(epoch, 0):
            return None
        return [k for k in range(self.modalities) if not self.stopped[k]]

    def after_backward(self, step: Step) -> None:
        """Update nothing if all branches are stopped."""
        if self.stopped.all() and self.settings.active.contains(step.epoch, 0):
            step.optimizer.zero_grad(set_to_none=True)

    def log(self) -> Mapping[str, Tensor]:
        """1 for each branch that is stopped."""
        return {f"stopped_{k}": stopped for k, stopped in enumerate(self.flags)}

    def state_dict(self) -> dict[str, Tensor]:
        """Losses, counters and best weights of the branches."""
        best = {f"best_{k}.{i}": tensor for k, tensors in enumerate(self.best) for i, tensor in enumerate(tensors)}
        return {name: getattr(self, name) for name in ("smoothed", "lowest", "waited", "stopped")} | best

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state."""
        self.smoothed, self.lowest, self.waited, self.stopped = (
            state[name] for name in ("smoothed", "lowest", "waited", "stopped")
        )
        for k, tensors in enumerate(self.tensors):
            self.best[k] = [
                state[f"best_{k}.{i}"].to(self.device) for i in range(len(tensors)) if f"best_{k}.0" in state
            ]
        self.flags = self.stopped.to(self.device, torch.float32)


def build(settings: Settings) -> Mses:
    """Build the method from its settings."""
    return Mses(settings)
