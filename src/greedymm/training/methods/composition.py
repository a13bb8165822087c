"""A composition: several methods in one training run, such as `[ogm_ge, modality_dropout]`.

Edits of gradients, own modules, coefficients and states are combined in the order of the list. Every other hook belongs
to at most one method. If no method defines the loss, it is that of the objective, which all methods must share.
"""

from collections.abc import Collection, Mapping
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer

from greedymm.errors import GreedymmError
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.params import fields
from greedymm.params.plugins import module_of
from greedymm.settings import MethodSettings
from greedymm.training.methods.base import Method, Order
from greedymm.training.step import Batches, Step

EXCLUSIVE = ("active", "order", "plan", "separates", "loss", "predict")


class Settings(MethodSettings):
    """Several methods in one run: a list of names, or of mappings with `method` and its settings."""

    parts: tuple[fields.Part, ...] = Field(min_length=2, description="methods, in the order of their edits")

    @model_validator(mode="after")
    def _share_objective(self) -> Self:
        objectives = {str(part.method): part.objective for part in self.parts}
        if len(objectives) < len(self.parts):
            raise ValueError(f"a composition has each method once, and not {[part.method for part in self.parts]}")
        if len(set(objectives.values())) > 1:
            raise ValueError(f"the methods of a composition need the same objective, and have {objectives}")
        object.__setattr__(self, "objective", self.parts[0].objective)  # the class is frozen
        return self


class Composition(Method):
    """Calls the hooks of its methods."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.parts: dict[str, Method] = {str(part.method): module_of(part).build(part) for part in settings.parts}
        self.measures_speed = all(part.measures_speed for part in self.parts.values())

    @property
    def pretraining(self) -> int:
        """The largest number of any method."""
        return max(part.pretraining for part in self.parts.values())

    def passes(self) -> frozenset[str]:
        """Fields that any method uses."""
        return frozenset().union(*(part.passes() for part in self.parts.values()))

    def groups(self, modalities: int) -> list[str]:
        """Groups that any method needs."""
        return [group for part in self.parts.values() for group in part.groups(modalities)]

    def setup(self, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module | None:
        """Set up each method, and find the owner of each hook."""
        super().setup(network, generator)
        own_steps = [name for name, part in self.parts.items() if overrides(part, "training_step")]
        if own_steps:
            raise GreedymmError(f"method '{own_steps[0]}' runs its own steps, and cannot be in a composition")
        modules = {name: self.setup_part(name, network, generator) for name in self.parts}
        self.owners = {hook: self.owner(hook) for hook in EXCLUSIVE}
        separating = self.owners["separates"]
        if separating not in (None, next(iter(self.parts.values()))):
            name = next(name for name, part in self.parts.items() if part is separating)
            raise GreedymmError(
                f"method '{name}' replaces gradients, and so the edits of methods before it; it"
                " must be the first one of a composition"
            )
        if self.owners["predict"]:
            self.predict = self.owners["predict"].predict
        own = {name: module for name, module in modules.items() if module is not None}
        return nn.ModuleDict(own) if own else None

    def setup_part(self, name: str, network: MultimodalNetwork, generator: torch.Generator) -> nn.Module | None:
        """Set up one method. The first one may replace the network's head and fusions.

        Raises:
            GreedymmError: if the network lacks now what the method needs, or if it replaces what others have set up.
        """
        part, before = self.parts[name], [network.head, *network.fusions]
        others = ", ".join(other for other in self.parts if other != name)
        part.check_network(network, f"method '{name}' in a composition with {others}")
        module = part.setup(network, generator)
        if name != next(iter(self.parts)) and [network.head, *network.fusions] != before:
            raise GreedymmError(
                f"method '{name}' replaces parts of the network that the methods before it use; it must be the first"
                " one of a composition"
            )
        return module

    def owner(self, hook: str) -> Method | None:
        """The method that defines a hook which cannot be shared; None: no method does.

        Raises:
            GreedymmError: if two methods define it.
        """
        names = [name for name, part in self.parts.items() if overrides(part, hook)]
        if len(names) > 1:
            raise GreedymmError(f"methods {' and '.join(names)} both define `{hook}`; compose at most one of them")
        return self.parts[names[0]] if names else None

    def check_schedule(self) -> None:
        """Check each method."""
        for part in self.parts.values():
            part.epochs = self.epochs
            part.check_schedule()

    def check(self, train: Batches, val: Batches) -> None:
        """Check each method."""
        for part in self.parts.values():
            part.check(train, val)

    def start_epoch(self, epoch: int, train: Batches, val: Batches, optimizer: Optimizer) -> None:
        """Start the epoch of each method."""
        for part in self.parts.values():
            part.start_epoch(epoch, train, val, optimizer)

    def active(self, epoch: int) -> Collection[int] | None:
        """As its owner, or all."""
        owner = self.owners["active"]
        return owner.active(epoch) if owner else super().active(epoch)

    def order(self, epoch: int, samples: int) -> Order | None:
        """As its owner, or all samples."""
        owner = self.owners["order"]
        return owner.order(epoch, samples) if owner else super().order(epoch, samples)

    def plan(self, step: Step) -> Pass:
        """As its owner, or a regular pass."""
        owner = self.owners["plan"]
        return owner.plan(step) if owner else super().plan(step)

    def separates(self, step: Step) -> bool:
        """As its owner, or not."""
        owner = self.owners["separates"]
        return owner.separates(step) if owner else super().separates(step)

    def loss(self, step: Step) -> Tensor | dict[str, Tensor]:
        """As its owner, or the loss of the objective."""
        owner = self.owners["loss"]
        return owner.loss(step) if owner else super().loss(step)

    def after_backward(self, step: Step) -> None:
        """Edits of each method, in order."""
        for part in self.parts.values():
            part.after_backward(step)

    def log(self) -> Mapping[str, Tensor]:
        """Coefficients of each method, with its name."""
        return {f"{name}_{key}": value for name, part in self.parts.items() for key, value in part.log().items()}

    def state_dict(self) -> dict[str, Tensor]:
        """States of each method."""
        return {f"{name}.{key}": x for name, part in self.parts.items() for key, x in part.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the states."""
        for name, part in self.parts.items():
            prefix = f"{name}."
            part.load_state_dict({k.removeprefix(prefix): x for k, x in state.items() if k.startswith(prefix)})


def overrides(method: Method, hook: str) -> bool:
    """Whether a method defines a hook itself."""
    return hook in vars(method) or getattr(type(method), hook) is not getattr(Method, hook)


def build(settings: Settings) -> Composition:
    """Build the methods from their settings."""
    return Composition(settings)
