"""UMT: the features of each branch are pulled to those of a teacher that was trained on its modality alone.

    loss + weight * sum_k mean (h_k - t_k)^2        h_k, t_k: features of branch k and of its teacher

Source: Du et al., ICML 2023 (unimodal teacher), whose code was not found. The weight 50 is recalled from the paper;
BalanceBenchmark has 10. The mean over samples and features is that of BalanceBenchmark. There, the teachers are in
training mode; here they are in evaluation mode, and see the same augmented inputs.
Our choices: a teacher begins with the initial weights of its branch, and has no fusions. It is trained with SGD, in an
order of its own. Its learning rate decreases from that of the run along half a cosine to 0. Its weights are those of
the last epoch. Cost: the run first trains the teachers, by default as many epochs as the run has. Its seconds include
this. A step has one more forward pass, of the teachers. The checkpoint contains them.
"""

from collections.abc import Mapping

from pydantic import Field
from torch import Tensor

from greedymm.settings import DistillationSettings, log_uniform
from greedymm.training.methods.base import objective_loss
from greedymm.training.methods.teachers import Distillation, feature_distances
from greedymm.training.step import Step


class Settings(DistillationSettings):
    """Method `umt` (Du et al. 2023)."""

    weight: float = Field(
        default=50.0,
        ge=0,
        description="of the distances; published: 50 (recalled), in BalanceBenchmark 10",
        json_schema_extra=log_uniform(1.0, 100.0),
    )


class Umt(Distillation):
    """Adds the distances between features to the loss."""

    settings: Settings

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Loss of the objective, and weighted distances."""
        self.distances = feature_distances(step.output, self.teachers(step.inputs))
        return {
            "task": objective_loss(step.output, step.labels, self.settings.objective),
            "features": self.settings.weight * self.distances.sum(),
        }

    def log(self) -> Mapping[str, Tensor]:
        """Distance of each branch to its teacher."""
        return {f"distance_{k}": distance for k, distance in enumerate(self.distances)}


def build(settings: Settings) -> Umt:
    """Build the method from its settings."""
    return Umt(settings)
